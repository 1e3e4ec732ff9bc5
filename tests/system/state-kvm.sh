#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 1500
# cpus: 2
# full
# From engine to engine, in a VM with SVM (see kvm.sh): boots of Debian's cloud
# kernel that are left at a random line on kvm and go on on interp and bt, and
# the other way round.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

moves=("kvm interp" "interp kvm")
if [ "${RINGFENCE_TEST_SCALE-}" = full ]; then
	moves+=("kvm bt" "bt kvm")
	moves=("${moves[@]}" "${moves[@]}" "${moves[@]}" "${moves[@]}"
		"kvm kvm" "kvm interp" "bt kvm" "kvm kvm")
fi
limit=$((600 * ${#moves[@]}))
RANDOM=${SEED:-$$}
echo "# SEED=${SEED:-$$}"

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
export XDG_RUNTIME_DIR=/tmp
# No XSAVE: QEMU 7.2 loses L2's XCR0. Of the rest, what L1's processor or the
# engine lacks is left out; then both engines have the same.
cpu=x86-64-v2,xsave=off,mitigations=on
for feature in $(ringfence run --kernel /l2/hello.elf --engine kvm \
		--cpu $cpu 2>&1 | sed -n 's/.*this host lacks //p'); do
	cpu=$cpu,$feature=off
done
echo "cpu $cpu"
# move NUMBER FROM TO LINE: leaves it behind so many lines, of some 300.
move() {
	echo
	echo "== $1"
	echo "from $2 to $3 at line $4"
	ringfence run --kernel /l2/vmlinuz --initrd /l2/initramfs -m 128M \
		--append "console=ttyS0 mitigations=off" --engine $2 \
		--name vm --cpu $cpu --console file:/tmp/out 2>&1 & pid=$!
	n=0
	until [ "$(cat /tmp/out 2>/dev/null | wc -l)" -ge $4 ] ||
			[ $n = 1500 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	ringfence save vm /tmp/state --stop || echo "not saved"
	wait $pid
	ringfence restore /tmp/state --engine $3 --console file:/tmp/out & pid=$!
	# However slow: it fails if its console stands still. A kernel checks
	# certificates for a minute without a word where all is interpreted.
	size=0 n=0
	while kill -0 $pid 2>/dev/null && [ $n -lt 300 ]; do
		sleep 1
		n=$((n + 1))
		now=$(stat -c %s /tmp/out)
		[ $now = $size ] || n=0
		size=$now
	done
	kill -9 $pid 2>/dev/null && echo "stands still"
	wait $pid
	echo "== status $?"
	echo
	cat /tmp/out
	rm -f /tmp/out /tmp/state
}
END
for i in "${!moves[@]}"; do
	echo "move $i ${moves[i]} $((RANDOM % 250))" >>"$TMPDIR/script"
done
echo 'echo "== end"' >>"$TMPDIR/script"
start=$(now_ms)
tools/nested-kvm --time "$limit" --log "$TMPDIR/console" \
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
	/^== ([0-9]+|end)$/ { file = dir "/section." $2; next }
	file != "" { print >file }'
for i in "${!moves[@]}"; do
	file=$TMPDIR/section.$i
	what=$(sed -n 1p "$file")
	ok "$what: the guest ends by itself" is \
		"$(sed -n "s/^== status //p" "$file")" 0
	ok "every tick once, in order" is \
		"$(grep -a '^report: tick' "$file" | tr -dc 0-9)" 0123456789
	# On a busy host all of L1 is slow.
	ok "time goes on" grep -qaE '^report: slept [2-9]' "$file"
	ok "one boot" is "$(grep -ac 'Linux version' "$file")" 1
	ok "no oops" is "$(grep -aE 'BUG:|Oops' "$file")" ""
done
finish
