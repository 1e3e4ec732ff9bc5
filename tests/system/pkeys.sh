#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# engines: interp bt
# Linux on a processor with protection keys, and a program that uses them.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

gcc -O2 -static -pthread -w -o "$TMPDIR/pkeys" tests/system/tiny/pkeys.c || exit 1
tools/mkinitramfs --file "$TMPDIR/pkeys:bin/pkeys" --command '
grep -m 1 ^flags /proc/cpuinfo
pkeys
echo "report: $?"
dmesg -r | grep -E "WARNING:|BUG:|Oops|Call Trace"
exit 42' "$TMPDIR/initramfs" || exit 1
run_ringfence 110 run --kernel "$GUEST/cloud/vmlinuz" --engine "$ENGINE" \
	--initrd "$TMPDIR/initramfs" --append console=ttyS0 -m 256M -c 2 \
	--cpu x86-64-v3,+pku
ok "it reaches init and runs a command" is "$status" 42
ok "the kernel uses them" stdout_has '^flags.* pku ospke '
ok "a program does, and finds what is promised" stdout_has '^pkeys: good'
ok "with status 0" stdout_has '^report: 0'
ok "no complaint of the kernel" stdout_lacks 'WARNING:|BUG:|Oops|Call Trace'
run_ringfence 20 run --kernel "$GUEST/cloud/vmlinuz" --engine "$ENGINE" \
	--cpu x86-64-v3,+pkq
ok "a feature that nobody has is refused" is "$status" 125
ok "with a line" stderr_has 'pkq: no such model or feature'
finish
