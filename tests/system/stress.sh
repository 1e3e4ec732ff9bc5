#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 2400
# cpus: 2
# full
# stress-ng --verify, of Debian's package, on the translator with two
# processors: what it computes, maps, forks, switches and signals is right, the
# guest's kernel has no complaint, and the process does not grow.
# usage: tests/system/stress.sh [SECONDS [ENGINE]]   (600, bt)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

seconds=${1:-600}
engine=${2:-bt}
stressors="cpu vm fork switch signal futex"
work=$PWD/build/stress
each=$((seconds / $(wc -w <<<"$stressors")))

# The package and the libraries it needs, unpacked beside each other.
fetch() {
	[ -x "$work/root/usr/bin/stress-ng" ] && return
	mkdir -p "$work/deb" && (
		cd "$work/deb" || exit 1
		# shellcheck disable=SC2046
		apt-get download stress-ng $(apt-cache depends --recurse \
			--no-recommends --no-suggests --no-conflicts \
			--no-breaks --no-replaces --no-enhances stress-ng |
			grep '^lib' | sort -u) >/dev/null 2>&1 || exit 1
		for deb in *.deb; do
			dpkg-deb -x "$deb" ../root || exit 1
		done
	)
}
fetch || skip_all "no stress-ng from apt-get download"

libraries=$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu
needed=$(LD_LIBRARY_PATH=$libraries ldd "$work/root/usr/bin/stress-ng" |
	sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^\t*\(\/[^ ]*ld-linux[^ ]*\).*/\1/p')
files=(--file "$work/root/usr/bin/stress-ng:bin/stress-ng")
for library in $needed; do
	target=lib/x86_64-linux-gnu/$(basename "$library")
	[ "$(basename "$library")" = ld-linux-x86-64.so.2 ] &&
		target=lib64/ld-linux-x86-64.so.2
	files+=(--file "$library:$target")
done

# Busybox has no dynamic loader's cache: the default folders do.
script='mkdir -p /tmp && cd /tmp
for s in '$stressors'; do
	stress-ng --verify --metrics-brief --temp-path /tmp --$s 2 \
		--vm-bytes 64M --timeout '$each's
	echo "report: $s $?"
	touch /tmp/round
done
dmesg -r | grep -E "^<[0-3]>|WARNING:|BUG:|Oops|Call Trace|rcu.*stall|soft lockup"
echo "report: end"
exit 42'
tools/mkinitramfs "${files[@]}" --command "$script" "$TMPDIR/initramfs" ||
	exit 1

# Private dirty memory of the process, kB, without what it maps of memfds: guest
# memory and the code cache.
private() {
	awk '/^[0-9a-f]+-/ { counts = !/memfd:/ }
		counts && /^Private_Dirty:/ { n += $2 }
		END { print n + 0 }' "/proc/$1/smaps" 2>/dev/null
}

"$RINGFENCE" run --kernel "$GUEST/cloud/vmlinuz" --initrd "$TMPDIR/initramfs" \
	--append console=ttyS0 --engine "$engine" -c 2 -m 512M \
	>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null &
pid=$!
first=0 last=0
end=$((SECONDS + 3 * seconds + 120))
while kill -0 $pid 2>/dev/null && [ $SECONDS -lt $end ]; do
	sleep 2
	now=$(private $pid)
	[ "${now:-0}" -gt 0 ] && last=$now
	# Once it has worked for a while.
	[ "$first" = 0 ] && grep -qa '^report: cpu' "$TMPDIR/out" &&
		first=$last
done
kill -KILL $pid 2>/dev/null
wait $pid
status=$?
echo "# private dirty memory: $first kB after cpu, $last kB at the end"
ok "the guest ends as it should" is "$status" 42
for s in $stressors; do
	ok "$s: verified" stdout_has "^report: $s 0"
done
ok "nothing fails" stdout_lacks 'stress-ng: (fail|error)'
ok "the guest has no complaint" stdout_lacks \
	'WARNING:|BUG:|Oops|Call Trace|soft lockup|rcu.*stall'
# What it knows of the code it has translated grows until the cache is full.
ok "it does not grow" [ "$((last - first))" -lt 65536 ]
finish
