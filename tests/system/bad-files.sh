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
