#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 1800
# cpus: 2
# full
# Linux's own tests of the x86 entry code, tools/testing/selftests/x86, of
# Debian's linux-source package: built on the host, run there and in guests of
# the software engines, with the same results. Nothing of them is in the tree:
# they are fetched and built under build/selftests.
# usage: tests/system/selftests-x86.sh [ENGINE...]
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

engines=${*:-interp bt}
work=build/selftests
source=$work/linux-source-6.1
here=tools/testing/selftests/x86

fetch() {
	[ -d "$source/$here" ] && return
	mkdir -p "$work/deb" && (
		cd "$work/deb" || exit 1
		apt-get download linux-source-6.1 >/dev/null 2>&1 || exit 1
		dpkg-deb --fsys-tarfile linux-source-6.1_*.deb |
			tar xOf - ./usr/src/linux-source-6.1.tar.xz |
			tar xJf - -C .. "linux-source-6.1/$here" \
				linux-source-6.1/arch/x86/include || exit 1
	)
	rm -rf "$work/deb"
}

# The names after a variable of the Makefile, which goes on over lines.
targets() {
	awk -v name="$1" '
		$1 == name { on = 1; sub(/.*:=/, "") }
		on { more = sub(/\\$/, ""); print; on = more }' \
		"$source/$here/Makefile"
}

# build BITS NAME...: what does not build is said, and is nobody's failure.
build() {
	local bits=$1 name extra
	shift
	for name; do
		extra=
		case $name:$bits in
		sysret_ss_attrs:64) extra=thunks.S ;;
		ptrace_syscall:32) extra=raw_syscall_helper_32.S ;;
		test_syscall_vdso:*) extra=thunks_32.S ;;
		check_initial_reg_state:*) extra=-Wl,-ereal_start ;;
		esac
		# shellcheck disable=SC2086
		(cd "$source/$here" && gcc -m"$bits" -O2 -std=gnu99 -pthread \
			-static -no-pie -w -o "$bin/${name}_$bits" "$name.c" \
			$extra -lm) 2>"$TMPDIR/error" ||
			echo "# ${name}_$bits: not built:" \
				"$(grep -m1 -E 'error|undefined' "$TMPDIR/error")"
	done
}

fetch || skip_all "no linux-source-6.1 from apt-get download"
bin=$PWD/$work/bin
rm -rf "$bin" && mkdir -p "$bin"
both=$(targets TARGETS_C_BOTHBITS)
needed=$(targets TARGETS_C_32BIT_NEEDED)
# shellcheck disable=SC2046,SC2086
build 64 $both $needed $(targets TARGETS_C_64BIT_ONLY)
if echo 'int main(void) { return 0; }' |
	gcc -m32 -static -x c -o "$TMPDIR/probe" - 2>/dev/null; then
	# shellcheck disable=SC2046,SC2086
	build 32 $both $needed $(targets TARGETS_C_32BIT_ONLY)
else
	echo "# no 32-bit tests: gcc -m32 needs gcc-multilib"
fi
# AMX is no part of any model here.
rm -f "$bin"/amx_*
at_least "$(find "$bin" -type f | wc -l)" 15 || skip_all "they do not build"

# Where the guest may differ, and why: a pattern of names.
reason() {
	case $1 in
	test_vsyscall_*) echo "the kernels' vsyscall modes differ" ;;
	corrupt_xstate_header_*) echo "the host kernel's frame differs" ;;
	esac
}

run_all='for test in /selftests/*; do
	timeout 120 $test >/tmp/out 2>&1
	echo "selftest: ${test##*/} $?"
	cat /tmp/out
done'
(
	for test in "$bin"/*; do
		timeout 60 "$test" >"$TMPDIR/host.out" 2>&1
		echo "selftest: ${test##*/} $?"
	done
) >"$TMPDIR/host" 2>/dev/null </dev/null
for engine in $engines; do
	tools/mkinitramfs --file "$bin:/selftests" --command "$run_all" \
		"$TMPDIR/initramfs" || exit 1
	run_ringfence 800 run --kernel "$GUEST/cloud/vmlinuz" \
		--initrd "$TMPDIR/initramfs" --append "console=ttyS0" \
		--engine "$engine" -c 2 -m 512M
	ok "$engine: the guest ends as it should" is "$status" 0
	cp "$TMPDIR/out" "build/test-logs/selftests-$engine.out" 2>/dev/null
	while read -r _ name wanted; do
		got=$(tr -d '\r' <"$TMPDIR/out" |
			sed -n "s/^selftest: $name //p")
		if [ -n "$(reason "$name")" ] && [ "$got" != "$wanted" ]; then
			skip "$engine: $name: $got, $wanted on the host" \
				"$(reason "$name")"
		else
			# What the guest said is in build/test-logs.
			: >"$TMPDIR/err"
			mv "$TMPDIR/out" "$TMPDIR/out.all"
			ok "$engine: $name as on the host ($wanted)" \
				is "$got" "$wanted"
			mv "$TMPDIR/out.all" "$TMPDIR/out"
		fi
	done <"$TMPDIR/host"
	ok "$engine: no complaint of the kernel" stdout_lacks \
		'WARNING:|BUG:|Oops|Call Trace'
done
finish
