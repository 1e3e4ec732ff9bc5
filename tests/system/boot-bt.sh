#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# Debian's cloud kernel, as it comes, on the translator: one processor, and two.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

boot_checks cloud/vmlinuz bt 1 512M
ok "the ledger counted the writes to the serial port" \
	at_least "$(stat_count io com1)" 100
ok "the ledger counted the idle processor" at_least "$(stat_count hlt)" 1
# 160,000 or so; with every IRET 270,000.
ok "what translated code does is not left to the interpreter" \
	at_least 220000 "$(stat_count --event interpreted)"
boot_checks cloud/vmlinuz bt 2 512M
finish
