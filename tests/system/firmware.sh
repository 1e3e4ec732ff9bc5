#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 600
# OVMF, from a ROM and from flash chips that keep its variables; kernels that it
# and SeaBIOS are handed; files that make no flash chip.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# until_seen SECONDS PATTERN OPTIONS...: runs until the pattern is in out or
# err, then ends the VM.
until_seen() {
	local limit=$1 pattern=$2 pid
	shift 2
	"$RINGFENCE" run --engine interp "$@" --grace 0 \
		>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null &
	pid=$!
	for _ in $(seq $((limit * 5))); do
		grep -qaE -- "$pattern" "$TMPDIR/out" "$TMPDIR/err" && break
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.2
	done
	kill "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	grep -qaE -- "$pattern" "$TMPDIR/out" "$TMPDIR/err"
}

# refused WHAT PATTERN OPTIONS...
refused() {
	local what=$1 pattern=$2
	shift 2
	run_ringfence 20 run --engine interp "$@"
	ok "$what: status 125" is "$status" 125
	ok "$what: says why" stderr_has "$pattern"
	ok "$what: in one line" is "$(wc -l <"$TMPDIR/err")" 1
}

for size in 0 1 100001; do
	head -c $size /dev/zero >"$TMPDIR/odd"
	refused "a chip of $size bytes" "odd: $size bytes" \
		--pflash "$TMPDIR/odd"
done
truncate -s 17M "$TMPDIR/huge"
refused "a chip of 17 MiB" 'huge: 17408 KiB' --pflash "$TMPDIR/huge"
truncate -s 4K "$TMPDIR/a"
refused "three chips" 'at most 2' \
	--pflash "$TMPDIR/a" --pflash "$TMPDIR/a" --pflash "$TMPDIR/a"
refused "the same chip twice" 'another machine' \
	--pflash "$TMPDIR/a" --pflash "$TMPDIR/a"
refused "no such chip" 'nowhere: No such' --pflash "$TMPDIR/nowhere"
refused "a folder for a chip" 'Is a directory' --pflash "$TMPDIR"
chmod 400 "$TMPDIR/a"
if [ "$(id -u)" != 0 ]; then
	refused "a file that may not be written" 'readonly' --pflash "$TMPDIR/a"
fi

if ! tools/fetch-others 2>"$TMPDIR/err"; then
	skip "OVMF" "$(tail -n 1 "$TMPDIR/err")"
	finish
fi
ovmf=build/others
ok "OVMF in a ROM comes to its shell" until_seen 90 'UEFI Interactive Shell' \
	--firmware $ovmf/OVMF.fd -m 128M

tools/mkinitramfs --command 'echo "report: cpus $(nproc)"
dmesg -r | grep -E "ACPI (Error|Warning|BIOS)|Firmware Bug"
exit 42' "$TMPDIR/initramfs"
# boots NAME ROM: firmware boots the kernel it was handed.
boots() {
	run_ringfence 200 run --engine interp --firmware "$2" -m 512M -c 2 \
		--kernel "$GUEST/cloud/vmlinuz" --initrd "$TMPDIR/initramfs"
	ok "$1 boots a kernel" stdout_has '^ringfence: init reached'
	ok "$1: with its initrd, and two processors" \
		stdout_has '^report: cpus 2\b'
	ok "$1: no complaint of ACPI" stdout_lacks \
		'ACPI (Error|Warning|BIOS)|Firmware Bug'
	ok "$1: status" is "$status" 42
}
boots OVMF $ovmf/OVMF.fd
if [ -f /usr/share/seabios/bios-256k.bin ]; then
	boots SeaBIOS /usr/share/seabios/bios-256k.bin
else
	skip "SeaBIOS boots a kernel" "package seabios is not installed"
fi

vars=$TMPDIR/vars.fd
cp $ovmf/OVMF_VARS_4M.fd "$vars"
ok "OVMF in flash chips comes to its shell" until_seen 90 \
	'UEFI Interactive Shell' -m 128M --pflash "$vars" \
	--firmware $ovmf/OVMF_CODE_4M.fd
ok "its variables are in the file" \
	grep -qaP 'B\x00o\x00o\x00t\x00O\x00r\x00' "$vars"

# A machine with firmware goes on from a state, and starts over with the ROM
# that is in it.
"$RINGFENCE" run --engine interp -m 128M --grace 0 --name "firmware-$$" \
	--firmware $ovmf/OVMF_CODE_4M.fd --pflash "$vars" \
	--console "file:$TMPDIR/console" 2>"$TMPDIR/err" &
pid=$!
for _ in $(seq 450); do
	grep -qa 'Interactive Shell' "$TMPDIR/console" 2>/dev/null && break
	sleep 0.2
done
ok "it is saved" "$RINGFENCE" save --stop "firmware-$$" "$TMPDIR/state"
wait $pid
cp "$vars" "$TMPDIR/other"
printf x | dd of="$TMPDIR/other" bs=1 seek=5000 conv=notrunc status=none
run_ringfence 20 restore --engine interp --pflash "$TMPDIR/other" \
	"$TMPDIR/state"
ok "another file for the chip is refused" \
	stderr_has 'other: not what the chip held'
run_ringfence 20 restore --engine interp --pflash $ovmf/OVMF_CODE_4M.fd \
	"$TMPDIR/state"
ok "so is one of another size" stderr_has 'flash chip 0 of 528 KiB'
(sleep 2; printf '\r'; sleep 1; printf 'reset\r'; sleep 60) |
	timeout 62 "$RINGFENCE" restore --engine interp --pflash "$vars" \
		--grace 0 "$TMPDIR/state" >"$TMPDIR/out" 2>"$TMPDIR/err" &
pid=$!
for _ in $(seq 300); do
	grep -qa 'BdsDxe: starting' "$TMPDIR/out" && break
	sleep 0.2
done
kill $pid 2>/dev/null
ok "restored and reset it boots again" stdout_has 'BdsDxe: starting'

cp "$vars" "$TMPDIR/before"
chmod 400 "$TMPDIR/before"
ok "a second start, as QEMU's users name the chips" until_seen 90 \
	'UEFI Interactive Shell' -m 128M \
	--pflash $ovmf/OVMF_CODE_4M.fd,readonly \
	--pflash "$TMPDIR/before,readonly"
ok "a chip that may only be read stays as it was" \
	cmp "$vars" "$TMPDIR/before"
finish
