#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 400
# Debian's generic kernel (xz payload, many more drivers) on the interpreter.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

boot_checks generic/vmlinuz interp 1 1G
finish
