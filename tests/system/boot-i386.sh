#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 400
# engines: interp bt
# Debian's i386 kernel on a 32-bit processor without PAE: two-level page tables,
# task gates, the 32-bit entry, VM86-era code paths.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tools/fetch-others 2>"$TMPDIR/err" || skip_all "$(tail -n 1 "$TMPDIR/err")"
tools/mkinitramfs --file build/others/i386/busybox:bin/busybox --command '
echo "report: $(uname -m) $(uname -r)"
echo "report: $(grep -m 1 -ow pae /proc/cpuinfo || echo no pae)"
dmesg -r | grep -E "WARNING:|BUG:|Oops|Call Trace"
a=$(date +%s); sleep 2; b=$(date +%s)
echo "report: slept $((b - a))"
/bin/busybox ls /nowhere; echo "report: status $?"' "$TMPDIR/initramfs"

# The self-tests of its cryptography take longer than all the rest.
run_ringfence 380 run --engine "$ENGINE" --cpu i686 -m 256M \
	--kernel build/others/i386/vmlinuz --initrd "$TMPDIR/initramfs" \
	--append 'console=ttyS0 panic=-1 cryptomgr.notests'
ok "a 686 kernel reaches init" stdout_has '^ringfence: init reached'
ok "it is 32-bit" stdout_has '^report: i686 .*-686'
ok "on a processor without PAE" stdout_has '^report: no pae'
ok "user programs run" stdout_has '^report: status 1'
ok "time passes as it should" stdout_has '^report: slept [23]\b'
ok "no warning, no oops" stdout_lacks 'WARNING:|BUG:|Oops|Call Trace'
ok "it powers off" is "$status" 0
finish
