#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# Kernels, initrds and options that cannot work: one line that names file and
# reason, status 125, before any vCPU starts.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cloud=$GUEST/cloud/vmlinuz
tools/mkinitramfs "$TMPDIR/initramfs"

# refused WHAT PATTERN ARGUMENTS...: status 125 and exactly one line, soon.
refused() {
	local what=$1 pattern=$2 start
	shift 2
	start=$(now_ms)
	# auto may have a line of its own to say.
	run_ringfence 20 run --engine interp "$@"
	ok "$what: status 125" is "$status" 125
	ok "$what: says why" stderr_has "$pattern"
	ok "$what: in one line" is "$(wc -l <"$TMPDIR/err")" 1
	ok "$what: nothing on the console" is "$(wc -c <"$TMPDIR/out")" 0
	ok "$what: within 5 s" at_least 5000 $(($(now_ms) - start))
}

for size in 0 1 100 511 1024 20000 1000000; do
	head -c $size "$cloud" >"$TMPDIR/short"
	refused "bzImage of $size bytes" "$TMPDIR/short" \
		--kernel "$TMPDIR/short" --initrd "$TMPDIR/initramfs"
done
# One byte short of its end: the payload is all there, or is not.
head -c -1000 "$GUEST/generic/vmlinuz" >"$TMPDIR/short"
refused "bzImage without its end" "$TMPDIR/short" --kernel "$TMPDIR/short"
for size in 16 63 200 5000000; do
	head -c $size "$GUEST/cloud/vmlinux" >"$TMPDIR/short"
	refused "vmlinux of $size bytes" "$TMPDIR/short" \
		--kernel "$TMPDIR/short"
done
# Bytes of the payload that are not what they were.
cp "$cloud" "$TMPDIR/broken"
head -c 100000 /dev/zero |
	dd of="$TMPDIR/broken" bs=1 seek=5000000 conv=notrunc status=none
refused "bzImage with a broken payload" "$TMPDIR/broken" \
	--kernel "$TMPDIR/broken"
head -c 3000000 /dev/urandom >"$TMPDIR/noise"
refused "noise for a kernel" "$TMPDIR/noise" --kernel "$TMPDIR/noise"
refused "a folder for a kernel" "$TMPDIR" --kernel "$TMPDIR"
refused "no such kernel" 'nowhere.*No such file' --kernel "$TMPDIR/nowhere"
refused "no such initrd" 'nowhere.*No such file' \
	--kernel "$cloud" --initrd "$TMPDIR/nowhere"
refused "no kernel" 'kernel'
head -c 4096 /dev/zero >"$TMPDIR/rom"
refused "a kernel that no firmware can boot" "noise.*firmware" \
	--kernel "$TMPDIR/noise" --firmware "$TMPDIR/rom"
refused "a module for firmware" "no modules" \
	--kernel "$cloud" --firmware "$TMPDIR/rom" --module "$cloud"
truncate -s 700M "$TMPDIR/huge"
refused "an initrd larger than memory" "$TMPDIR/huge" \
	--kernel "$cloud" --initrd "$TMPDIR/huge" -m 512M

# multiboot FLAGS HEADER LOAD LOAD_END BSS_END ENTRY [CHECKSUM]: a kernel of
# 8 KiB in one line of numbers, header first.
multiboot() {
	python3 - "$@" >"$TMPDIR/mb" <<-'end'
		import struct, sys
		flags, *addresses = [int(x, 0) for x in sys.argv[1:7]]
		check = -(0x1badb002 + flags) & 0xffffffff
		if len(sys.argv) > 7:
		    check = int(sys.argv[7], 0)
		head = struct.pack("<8I", 0x1badb002, flags, check, *addresses)
		sys.stdout.buffer.write(head.ljust(8192, b"\xf4"))
	end
}
multiboot 0x10003 0x80000000 0x80000000 0 0 0x80000040
refused "multiboot: beyond memory" 'mb: needs 2049 MiB' --kernel "$TMPDIR/mb"
multiboot 0x10003 0xfffff000 0xfffff000 0 0 0xfffff040
refused "multiboot: past 4 GiB" 'mb: .*past 4 GiB' --kernel "$TMPDIR/mb"
multiboot 0x10003 0x200000 0x200000 0 0xf0000000 0x200040
refused "multiboot: zeroes beyond memory" 'mb: needs 3840 MiB' \
	--kernel "$TMPDIR/mb"
multiboot 0x10003 0x200000 0x200000 0x40000000 0 0x200040
refused "multiboot: more than the file" 'mb: truncated' --kernel "$TMPDIR/mb"
multiboot 0x10003 0x200000 0x200000 0x1ff000 0 0x200040
refused "multiboot: an end before its start" 'ends before it starts' \
	--kernel "$TMPDIR/mb"
multiboot 0x10003 0x200000 0x200000 0 0 0x300000
refused "multiboot: an entry outside" 'entry point' --kernel "$TMPDIR/mb"
multiboot 0x10003 0x90000 0x90000 0 0 0x90040
refused "multiboot: over the first MiB" 'below 1 MiB' --kernel "$TMPDIR/mb"
multiboot 0x10003 0x200000 0x200000 0 0 0x200040 1
refused "multiboot: a wrong checksum" 'checksum' --kernel "$TMPDIR/mb"
multiboot 0x10003 0x200000 0x200000 0 0 0x200040
head -c 30 "$TMPDIR/mb" >"$TMPDIR/short"
refused "multiboot: half a header" 'truncated' --kernel "$TMPDIR/short"
multiboot 0x10043 0x200000 0x200000 0 0 0x200040
refused "multiboot: a wish nobody knows" 'nobody knows' --kernel "$TMPDIR/mb"
multiboot 0x10003 0x200000 0x200000 0 0 0x200040
truncate -s 300M "$TMPDIR/huge"
refused "multiboot: modules larger than memory" 'huge: 300 MiB do not fit' \
	--kernel "$TMPDIR/mb" --module "$TMPDIR/huge" -m 256M
refused "multiboot: the second one too many" 'huge: 300 MiB do not fit' \
	--kernel "$TMPDIR/mb" --module "$TMPDIR/huge,a" \
	--module "$TMPDIR/huge,b" -m 512M
: >"$TMPDIR/empty"
refused "multiboot: an empty module" 'empty' --kernel "$TMPDIR/mb" \
	--module "$TMPDIR/empty"
arguments=()
for ((i = 0; i < 40; i++)); do
	arguments+=(--module "$TMPDIR/mb,$i")
done
refused "multiboot: forty modules" 'module: more than 32' --kernel "$TMPDIR/mb" \
	"${arguments[@]}"

line=$(head -c 5000 /dev/zero | tr '\0' x)
refused "a command line of 5 kB" '(2047|2048|too long)' \
	--kernel "$cloud" --append "$line"
refused "no processor" '32' --kernel "$cloud" -c 0
refused "33 processors" '32' --kernel "$cloud" -c 33
refused "minus one processor" '1' --kernel "$cloud" -c -1
refused "1 MB of memory" '([Mm]emory|RAM)' --kernel "$cloud" -m 1M
refused "a thousand TB of memory" '([Mm]emory|-m|T)' --kernel "$cloud" -m 1000T
refused "memory in bananas" 'bananas' --kernel "$cloud" -m 3bananas
refused "an engine that there is not" 'warp' --kernel "$cloud" --engine warp
refused "an option that there is not" 'frobnicate' --frobnicate
finish
