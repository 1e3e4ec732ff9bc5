#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 400
# full
# Debian's generic kernel by PVH, four processors.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

boot_checks generic/vmlinux interp 4 1G
finish
