#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The program needs libc and at most three libraries more: what it links is
# trusted with every guest's bytes.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

needed=$(ldd "$RINGFENCE" | grep -vE 'linux-vdso|ld-linux|libc\.so')
echo "$needed" | sed 's/^/# /'
ok "at most three libraries besides libc" at_least 3 "$(echo "$needed" | grep -c .)"
ok "libc is one" grep -q 'libc\.so' <(ldd "$RINGFENCE")
finish
