#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 240
# Debian's cloud kernel as an ELF vmlinux, entered by PVH, on the interpreter.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

boot_checks cloud/vmlinux interp 1 512M
finish
