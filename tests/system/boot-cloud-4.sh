#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 400
# cpus: 2
# Debian's cloud kernel on the interpreter with four processors, and memory on
# both sides of the PCI hole.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

boot_checks cloud/vmlinuz interp 4 3G
finish
