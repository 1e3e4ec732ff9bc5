#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 600
# cpus: 2
# From engine to engine, in a VM with SVM (see kvm.sh): a boot of Debian's cloud
# kernel begun on kvm goes on on interp, and one begun on interp on kvm.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tools/mkinitramfs --command 'i=0
while [ $i -lt 10 ]; do echo "report: tick $i"; sleep 0.2; i=$((i + 1)); done
a=$(date +%s); sleep 2; b=$(date +%s)
echo "report: slept $((b - a))"
dmesg -r | grep -E "WARNING:|BUG:|Oops|Call Trace|unexpected|lockup"
# No status: the port needs the I/O bitmap, and for that QEMU 7.2 wants a TR that
# is not busy, which no processor has (target/i386, helper_check_io).
exit 0' "$TMPDIR/initramfs"
tiny hello >/dev/null

cat >"$TMPDIR/script" <<'END'
section() { echo; echo "== $1"; }
export XDG_RUNTIME_DIR=/tmp
# No XSAVE: QEMU 7.2 loses L2's XCR0. Of the rest, what L1's processor lacks is
# left out; then both engines have the same.
cpu=x86-64-v2,xsave=off,mitigations=on
for feature in $(ringfence run --kernel /l2/hello.elf --engine kvm \
		--cpu $cpu 2>&1 | sed -n 's/.*this host lacks //p'); do
	cpu=$cpu,$feature=off
done
echo "cpu $cpu"
# move FROM TO WHERE
move() {
	ringfence run --kernel /l2/vmlinuz --initrd /l2/initramfs -m 128M \
		--append "console=ttyS0 mitigations=off" --engine $1 \
		--name vm --cpu $cpu --console file:/tmp/out 2>&1 & pid=$!
	n=0
	until grep -q "$3" /tmp/out 2>/dev/null || [ $n = 1000 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	ringfence save vm /tmp/state --stop || echo "not saved"
	wait $pid
	echo "== $1-lines $(wc -l </tmp/out)"
	timeout 200 ringfence restore /tmp/state --engine $2 \
		--console file:/tmp/out
	echo "== $1-status $?"
	echo
	cat /tmp/out
	rm -f /tmp/out /tmp/state
}
section kvm
move kvm interp "report: tick 3"
section interp
move interp kvm "clocksource: hpet"
section end
END
start=$(now_ms)
tools/nested-kvm --time 580 --log "$TMPDIR/console" \
	--file "$RINGFENCE:bin/ringfence" \
	--file "$RINGFENCE-unpack:bin/ringfence-unpack" \
	--file "$GUEST/cloud/vmlinuz:l2/vmlinuz" \
	--file "$TMPDIR/hello.elf:l2/hello.elf" \
	--file "$TMPDIR/initramfs:l2/initramfs" \
	--file "$TMPDIR/script:l2/script" \
	-- sh /l2/script >"$TMPDIR/out" 2>"$TMPDIR/err"
status=$?
tr -d '\r' <"$TMPDIR/out" | sed 's/^/# /'
ok "L1 ran, in $((($(now_ms) - start) / 1000)) s" is "$status" 0
tr -d '\r' <"$TMPDIR/out" | awk -v dir="$TMPDIR" '
	/^== [a-z]+$/ { file = dir "/section." $2; next }
	file != "" { print >file }'
moved() {
	local from=$1 to=$2 file=$TMPDIR/section.$1
	ok "$from to $to: the guest ends by itself" is \
		"$(sed -n "s/^== $from-status //p" "$file")" 0
	ok "$from to $to: every tick once, in order" is \
		"$(grep -a '^report: tick' "$file" | tr -dc 0-9)" 0123456789
	ok "$from to $to: time goes on" grep -qaE '^report: slept [23]' "$file"
	ok "$from to $to: one boot" is \
		"$(grep -ac 'Linux version' "$file")" 1
	ok "$from to $to: no oops" is "$(grep -aE 'BUG:|Oops' "$file")" ""
}
moved kvm interp
moved interp kvm
finish
