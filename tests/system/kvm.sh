#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# cpus: 2
# KVM for real: in a VM of QEMU's translator with SVM (L1), ringfence runs tiny
# guests and boots Debian's cloud kernel (L2) to its init.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tools/mkinitramfs --command 'echo "report: release $(uname -r)"
echo "report: cpus $(nproc)"
exit 42' "$TMPDIR/initramfs"
tiny hello >/dev/null
tiny die-no-idt >/dev/null
tiny spin >/dev/null

# The engine's unit tests too: here the processor takes the guest's side.
unit=build/release/tests/unit/engine/kvm/test_kvm
make -s "$unit" || true

cat >"$TMPDIR/script" <<'END'
section() { echo; echo "== $1"; }
section unit
test_kvm 2>&1
echo "== unit-status $?"
section doctor
ringfence doctor
echo "== doctor-status $?"
section tiny
ringfence run --kernel /l2/hello.elf --engine kvm --stat --json
echo "== tiny-status $?"
section auto
ringfence run --kernel /l2/hello.elf
echo "== auto-status $?"
section triple
ringfence run --kernel /l2/die-no-idt.elf --engine kvm
echo "== triple-status $?"
section spin
ringfence run --kernel /l2/spin.elf --engine kvm & pid=$!
sleep 2
kill -TERM $pid
wait $pid
echo "== spin-status $?"
section boot
ringfence run --kernel /l2/vmlinuz --initrd /l2/initramfs -m 512M -c 1 \
	--append "console=ttyS0 mitigations=off" --engine kvm --stat --json
echo "== boot-status $?"
END
start=$(now_ms)
tools/nested-kvm --time 280 --log "$TMPDIR/console" \
	--file "$RINGFENCE:bin/ringfence" \
	--file "$RINGFENCE-unpack:bin/ringfence-unpack" \
	--file "$GUEST/cloud/vmlinuz:l2/vmlinuz" \
	--file "$TMPDIR/initramfs:l2/initramfs" \
	--file "$TMPDIR/hello.elf:l2/hello.elf" \
	--file "$TMPDIR/die-no-idt.elf:l2/die-no-idt.elf" \
	--file "$TMPDIR/spin.elf:l2/spin.elf" \
	--file "$TMPDIR/script:l2/script" \
	--file "$unit:bin/test_kvm" \
	-- sh /l2/script >"$TMPDIR/out" 2>"$TMPDIR/err"
status=$?
tr -d '\r' <"$TMPDIR/out" | sed 's/^/# /'
ok "L1 ran, in $((($(now_ms) - start) / 1000)) s" is "$status" 0

# Splits the output into $TMPDIR/SECTION.
tr -d '\r' <"$TMPDIR/out" | awk -v dir="$TMPDIR" '
	/^== [a-z]+$/ { file = dir "/section." $2; next }
	file != "" { print >file }'
section_status() { sed -n "s/^== $1-status //p" <(tr -d '\r' <"$TMPDIR/out"); }
section_has() { grep -qaE -- "$2" "$TMPDIR/section.$1"; }

ok "the engine's unit tests pass" is "$(section_status unit)" 0
ok "doctor finds KVM" section_has doctor 'kvm'
ok "a tiny guest: status" is "$(section_status tiny)" 42
ok "a tiny guest: output" section_has tiny '^hi'
cp "$TMPDIR/section.tiny" "$TMPDIR/stat.json"
ok "four port writes, four exits" is "$(stat_count io)" 4
ok "three of them the serial port's" is "$(stat_count io com1)" 3
ok "auto ends with the guest's status" is "$(section_status auto)" 42
ok "a triple fault is said" section_has triple triple
ok "a triple fault is no success" [ "$(section_status triple)" != 0 ]
ok "SIGTERM ends a guest that does not listen" is "$(section_status spin)" 143
ok "Debian's kernel reaches init" section_has boot 'ringfence: init reached'
ok "it is that kernel" section_has boot \
	"report: release $(cat "$GUEST/cloud/release")"
ok "its command's status is passed on" is "$(section_status boot)" 42
cp "$TMPDIR/section.boot" "$TMPDIR/stat.json"
ok "the ledger counted the serial port" \
	at_least "$(stat_count io com1)" 1000
ok "the ledger counted one write of the status" \
	is "$(stat_count io debugexit)" 1
ok "exits in the kernel are one row" at_least "$(stat_count in-kernel)" 1
finish
