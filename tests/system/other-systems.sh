#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 240
# engines: interp bt
# What is not Linux: SeaBIOS, memtest86+ (an image that cannot be unpacked),
# Xen and GNU Mach (multiboot), each as far as it comes with nothing to run.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# until_seen SECONDS PATTERN OPTIONS...: runs until the pattern is in out or
# err, then ends the VM.
until_seen() {
	local limit=$1 pattern=$2 pid
	shift 2
	"$RINGFENCE" run --engine "$ENGINE" "$@" --grace 0 \
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

for rom in bios.bin bios-256k.bin; do
	[ -f /usr/share/seabios/$rom ] || {
		skip "SeaBIOS $rom" "package seabios is not installed"
		continue
	}
	ok "SeaBIOS $rom finds no bootable device" until_seen 60 \
		'No bootable device' --firmware /usr/share/seabios/$rom -m 64M
	ok "it knew the board" stderr_has 'Running on QEMU \(q35\)'
	ok "it took fw_cfg's DMA" stderr_has 'fw_cfg DMA interface supported'
done

head -c 100001 /dev/zero >"$TMPDIR/odd.rom"
run_ringfence 20 run --engine "$ENGINE" --firmware "$TMPDIR/odd.rom"
ok "a ROM of an odd size is refused" is "$status" 125
ok "with a line" stderr_has 'odd.rom: 100001 bytes long; a ROM has'

if ! tools/fetch-others 2>"$TMPDIR/err"; then
	skip "memtest86+, Xen, GNU Mach" "$(tail -n 1 "$TMPDIR/err")"
	finish
fi
others=build/others
for bits in x64 ia32; do
	ok "memtest86+ $bits shows its banner" until_seen 60 'Memtest86\+ v' \
		--kernel "$others/memtest86+$bits.bin" \
		--append console=ttyS0,115200 -m 64M
done
ok "Xen panics for want of a dom0" until_seen 90 'dom0 kernel not specified' \
	--kernel "$(echo $others/xen-*.gz)" --no-reboot -m 256M \
	--append 'console=com1 com1=115200,8n1 noreboot'
ok "GNU Mach panics for want of a bootstrap" until_seen 90 \
	'No bootstrap code loaded' --kernel "$(echo $others/gnumach-*.gz)" \
	--append console=com0 -m 256M
finish
