#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 900
# full
# KVM with VMX, in a VM of Bochs (L1): the engine's unit tests, tiny guests, a
# kernel's boot, and a gdb session with it: data breakpoints and INT3, which
# neither QEMU's SVM nor a KVM that emulates has.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

command -v bochs >/dev/null || skip_all "there is no bochs"
command -v gdb >/dev/null || skip_all "there is no gdb"

# Addresses of L2's kernel, which says them itself.
run_guest 200 cloud/vmlinuz '
grep -E " (start_kernel|setup_arch|early_boot_irqs_disabled)$" /proc/kallsyms
exit 42' --engine bt --append "console=ttyS0 nokaslr"
ok "the symbols are known" is "$status" 42
symbol() {
	tr -d '\r' <"$TMPDIR/symbols" | awk -v n="$1" '$3 == n {print "0x" $1}'
}
mv "$TMPDIR/out" "$TMPDIR/symbols"

unit=build/release/tests/unit/engine/kvm/test_kvm
make -s "$unit" || true
tools/mkinitramfs --command 'echo "report: release $(uname -r)"; exit 42' \
	"$TMPDIR/initramfs"

# More breakpoints than there are debug registers: then some are INT3s.
cat >"$TMPDIR/commands" <<END
set pagination off
set confirm off
set architecture i386:x86-64
target remote /tmp/gdb
info threads
hbreak *$(symbol start_kernel)
continue
printf "at start_kernel: %d\n", \$rip == $(symbol start_kernel)
delete
set \$before = \$rip
stepi
printf "stepped: %d\n", \$rip != \$before
watch *(char *)$(symbol early_boot_irqs_disabled)
continue
printf "watched: %d\n", *(char *)$(symbol early_boot_irqs_disabled)
delete
hbreak *0xffffffff80000001
hbreak *0xffffffff80000002
hbreak *0xffffffff80000003
hbreak *0xffffffff80000004
break *$(symbol setup_arch)
continue
printf "at setup_arch: %d\n", \$rip == $(symbol setup_arch)
printf "memory: %x\n", *(unsigned char *)$(symbol setup_arch)
delete
thread 2
printf "the other waits: %x\n", \$cr0
printf "at its reset vector: %x\n", \$rip
thread 1
stepi
stepi
detach
END
cat >"$TMPDIR/script" <<'END'
export XDG_RUNTIME_DIR=/tmp
run="ringfence run --engine kvm --kernel"
section() { echo; echo "== $1"; }
section unit
# Bochs interrupts no guest that loops with interrupts off: nobody can pause it.
test_kvm '*paus*' 2>&1
echo "== unit-status $?"
section doctor
ringfence doctor
section boot
$run /l2/vmlinuz --initrd /l2/initramfs -m 256M \
	--append "console=ttyS0 mitigations=off quiet"
echo "== boot-status $?"
section gdb
$run /l2/vmlinuz -m 256M -c 2 --name vm --gdb unix:/tmp/gdb --gdb-wait \
	--console none --append "console=ttyS0 nokaslr" &
until [ -S /tmp/gdb ]; do sleep 0.1; done
gdb -nx -batch -x /l2/commands 2>&1
ringfence stat vm >/dev/null && echo "runs on: 1"
ringfence stop --grace 0 vm && echo "stopped: 1"
wait
END
python=$(/usr/bin/python3 -c 'import encodings; print(encodings.__path__[0])')
start=$(now_ms)
tools/nested-kvm --vmx --time 3000 --log "$TMPDIR/console" \
	--file "$RINGFENCE:bin/ringfence" \
	--file "$RINGFENCE-unpack:bin/ringfence-unpack" \
	--file "$unit:bin/test_kvm" --file "$(command -v gdb):bin/gdb" \
	--file "$python:$python" --file "$TMPDIR/commands:l2/commands" \
	--file "$GUEST/cloud/vmlinuz:l2/vmlinuz" \
	--file "$TMPDIR/initramfs:l2/initramfs" \
	--file "$TMPDIR/script:l2/script" \
	-- sh /l2/script >"$TMPDIR/out" 2>"$TMPDIR/err"
status=$?
tr -d '\r' <"$TMPDIR/out" | sed 's/^/# /'
ok "L1 ran, in $((($(now_ms) - start) / 1000)) s" is "$status" 0
said() { tr -d '\r' <"$TMPDIR/out" | grep -qaE -- "$1"; }
ok "the engine's unit tests pass" said '^== unit-status 0'
ok "data breakpoints among them" said '\[ +OK \] test_watched_data'
ok "and INT3s" said '\[ +OK \] test_breakpoints_in_code'
ok "doctor finds VMX" said 'kvm'
ok "Debian's kernel reaches init" said 'ringfence: init reached'
ok "its command's status is passed on" said '^== boot-status 42'
ok "gdb: two threads, one of them waiting" said 'Thread 2 .vCPU 1, waiting'
ok "gdb: breaks at a function" said '^at start_kernel: 1$'
ok "gdb: steps" said '^stepped: 1$'
ok "gdb: watches a variable" said '^watched: 1$'
ok "gdb: an INT3" said '^at setup_arch: 1$'
ok "gdb: no trace of it in memory" said '^memory: ([0-9a-b]|e|f|c[^c]|d)'
ok "gdb: another processor's registers" said '^the other waits: 60000010$'
ok "gdb: and where it is" said '^at its reset vector: fff0$'
ok "detached: the guest runs on" said '^runs on: 1'
ok "it ends" said '^stopped: 1'
finish
