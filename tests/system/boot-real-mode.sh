#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 240
# cpus: 2
# Kernels that are entered at their real-mode setup code: a zImage of our own,
# and Debian's kernel with the header of an old protocol.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

as --32 -o "$TMPDIR/zimage.o" tests/system/tiny/zimage.S &&
	ld -m elf_i386 -Ttext=0 --oformat binary -o "$TMPDIR/zimage" \
		"$TMPDIR/zimage.o" || exit 1
run_ringfence 30 run --engine interp --kernel "$TMPDIR/zimage" -m 64M \
	--append 'one two'
ok "a zImage runs" is "$status" 67
ok "with its command line" stdout_has \
	'^zimage: command line: console=ttyS0 one two'
ok "and what a BIOS would tell it" stdout_has '^zimage: good'
run_ringfence 30 run --engine interp --kernel "$TMPDIR/zimage" -m 64M \
	--append "$(head -c 300 /dev/zero | tr '\0' x)"
ok "a command line too long for it is refused" stderr_has 'takes 255'
truncate -s 600K "$TMPDIR/zimage"
run_ringfence 30 run --engine interp --kernel "$TMPDIR/zimage" -m 64M
ok "a zImage too large is refused" stderr_has 'too large'

cp "$GUEST/cloud/vmlinuz" "$TMPDIR/old"
printf '\x05\x02' | dd of="$TMPDIR/old" bs=1 seek=$((0x206)) conv=notrunc \
	status=none
tools/mkinitramfs --command 'echo "report: cpus $(nproc)"; exit 42' \
	"$TMPDIR/initramfs"
run_ringfence 200 run --engine interp --kernel "$TMPDIR/old" -m 256M -c 2 \
	--initrd "$TMPDIR/initramfs" --append 'console=ttyS0 panic=-1'
ok "Linux reaches init from real mode" stdout_has '^ringfence: init reached'
ok "it finds the tables" stdout_has '^report: cpus 2\b'
ok "the map is the board's" stdout_has \
	'BIOS-e820: \[mem 0x0*100000-0x0*fffffff\] usable'
ok "status" is "$status" 42
finish
