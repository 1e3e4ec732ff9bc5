#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# The gdb stub on kvm, with Debian's cloud kernel in its first steps: so it also
# runs on a KVM that emulates each instruction. What such a one lacks, INT3 and
# data breakpoints, needs a processor that runs guests.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

command -v gdb >/dev/null || skip_all "there is no gdb"
[ -w /dev/kvm ] || skip_all "there is no /dev/kvm to use"
export XDG_RUNTIME_DIR=$TMPDIR
started=
cleanup() { [ -z "$started" ] || kill -9 "$started" 2>/dev/null; }
trap cleanup EXIT

run_guest 200 cloud/vmlinuz '
grep -E " (start_kernel|setup_arch|early_boot_irqs_disabled)$" /proc/kallsyms
exit 42' --engine interp --append "console=ttyS0 nokaslr"
ok "the symbols are known" is "$status" 42
symbol() {
	tr -d '\r' <"$TMPDIR/symbols" | awk -v n="$1" '$3 == n {print "0x" $1}'
}
mv "$TMPDIR/out" "$TMPDIR/symbols"
stat_works() { "$RINGFENCE" stat vm >/dev/null; }
is_fast=
"$RINGFENCE" run --kernel "$(tiny hello)" --engine kvm 2>&1 |
	grep -q 'emulates' || is_fast=yes

start() {
	rm -f "$TMPDIR/gdb"
	"$RINGFENCE" run --kernel "$GUEST/cloud/vmlinuz" --engine kvm -c 2 \
		--name vm --gdb "unix:$TMPDIR/gdb" --console none \
		--append "console=ttyS0 nokaslr" "$@" \
		>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null &
	started=$!
	until [ -S "$TMPDIR/gdb" ] || ! kill -0 "$started" 2>/dev/null; do
		sleep 0.05
	done
}
says() { grep -qE -- "$1" "$TMPDIR/session" || { sed 's/^/# /' \
	"$TMPDIR/session"; false; }; }
watch="set \$none = 0"
[ -z "$is_fast" ] || watch="watch *(char *)$(symbol early_boot_irqs_disabled)
continue
printf \"watched: %d\\n\", *(char *)$(symbol early_boot_irqs_disabled)
delete"

start --gdb-wait
cat >"$TMPDIR/commands" <<END
set pagination off
set confirm off
set architecture i386:x86-64
target remote $TMPDIR/gdb
info threads
hbreak *$(symbol start_kernel)
continue
printf "at start_kernel: %d\n", \$rip == $(symbol start_kernel)
printf "paging: %d\n", (\$cr0 >> 31) & 1
printf "kernel code: %d\n", \$cs & 3
set \$before = \$rip
stepi
printf "stepped: %d\n", \$rip != \$before
delete
$watch
break *$(symbol setup_arch)
continue
printf "at setup_arch: %d\n", \$rip == $(symbol setup_arch)
printf "memory: %x\n", *(unsigned char *)$(symbol setup_arch)
thread 2
printf "the other waits: %x\n", \$cr0
printf "at its reset vector: %x\n", \$rip
thread 1
set \$saved = \$r15
set \$r15 = 0x1234
printf "written: %x\n", \$r15
set \$r15 = \$saved
stepi
stepi
p *(char *)0xffff000000000000
detach
END
timeout 1000 gdb -nx -batch -x "$TMPDIR/commands" >"$TMPDIR/session" 2>&1
ok "gdb: two threads, one of them waiting" says 'Thread 2 .vCPU 1, waiting'
ok "gdb: breaks at a function" says '^at start_kernel: 1$'
ok "gdb: control registers" says '^paging: 1$'
ok "gdb: selectors" says '^kernel code: 0$'
ok "gdb: steps" says '^stepped: 1$'
ok "gdb: a breakpoint in the middle" says '^at setup_arch: 1$'
ok "gdb: no trace of it in memory" says '^memory: ([0-9a-b]|e|f|c[^c]|d)'
ok "gdb: another processor's registers" says '^the other waits: 60000010$'
ok "gdb: and where it is" says '^at its reset vector: fff0$'
ok "gdb: writes a register" says '^written: 1234$'
ok "gdb: memory that is not there" says 'Cannot access memory'
if [ -n "$is_fast" ]; then
	ok "gdb: watches a variable" says '^watched: 1$'
else
	skip "gdb: watches a variable" "/dev/kvm emulates, without watching"
fi
ok "detached: the guest runs on" stat_works
# Gone in the middle of a packet, and garbage.
timeout 500 python3 -c '
import os, socket, sys
for junk in (b"$Z0,ffffffff", b"$g#67", b"\x03", os.urandom(100000)):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    try:
        s.sendall(junk)
    except OSError:
        pass
    s.close()' "$TMPDIR/gdb"
ok "after garbage: the guest runs on" stat_works
ok "it ends" "$RINGFENCE" stop --grace 0 vm
wait "$started"
ok "and not badly" is "$?" 0
started=
finish
