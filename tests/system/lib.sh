# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the system tests share: sourced, with the tree's top as the current
# folder.  Results go out as TAP lines.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
RINGFENCE=${RINGFENCE:-$PWD/build/ringfence}
GUEST=${GUEST:-$PWD/build/guest}
[ -n "${TMPDIR-}" ] || {
	TMPDIR=$(mktemp -d)
	trap 'rm -rf "$TMPDIR"' EXIT
}
# The engine that the test is about, of those that its "engines:" line names.
ENGINE=${ENGINE:-interp}
export RINGFENCE GUEST TMPDIR ENGINE
count=0

# ok WHAT COMMAND...: one TAP line, by whether the command succeeds.
ok() {
	local what=$1
	shift
	count=$((count + 1))
	if "$@"; then
		echo "ok $count - $what"
	else
		echo "not ok $count - $what"
		show
	fi
}

# What the last run_guest left, for the log of a failure.
show() {
	[ -f "$TMPDIR/out" ] || return 0
	echo "# status ${status-}; the end of stderr, then of stdout:"
	tail -c 1500 "$TMPDIR/err" | tr -d '\r' | sed 's/^/#   /'
	tail -c 3000 "$TMPDIR/out" | tr -d '\r' | sed 's/^/#   /'
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# Ends a test that cannot run here.
skip_all() {
	echo "skip: $1"
	exit 77
}

# A test of the tree itself says "needs_program=" before it sources this.
[ -x "$RINGFENCE" ] || [ "${needs_program-yes}" = "" ] ||
	skip_all "there is no program yet"

# Command substitutions in assertions, as predicates.
is() { [ "$1" = "$2" ] || { echo "# got '$1', expected '$2'"; false; }; }
stdout_has() { grep -qaE -- "$1" "$TMPDIR/out"; }
stderr_has() { grep -qaE -- "$1" "$TMPDIR/err"; }
stdout_lacks() { ! grep -aE -- "$1" "$TMPDIR/out"; }

# run_ringfence SECONDS ARGUMENTS...: leaves $status, and $TMPDIR/out and err.
run_ringfence() {
	local limit=$1
	shift
	timeout -k 5 "$limit" "$RINGFENCE" "$@" \
		>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
	status=$?
}

# patient SECONDS COMMAND...: its status; ended, like one that timeout ends, once
# it has written nothing to $TMPDIR/out and err for so long. How long a boot
# takes depends on what else runs here, and under load on that alone.
patient() {
	local limit=$1 size=-1 still=0 now pid
	shift
	"$@" &
	pid=$!
	while kill -0 $pid 2>/dev/null && [ $still -lt $((limit * 10)) ]; do
		sleep 0.1
		now=$(cat "$TMPDIR/out" "$TMPDIR/err" 2>/dev/null | wc -c)
		still=$((still + 1))
		[ "$now" = "$size" ] || still=0
		size=$now
	done
	if [ $still -ge $((limit * 10)) ] && kill $pid 2>/dev/null; then
		echo "# nothing new for $limit s"
		sleep 5
		kill -9 $pid 2>/dev/null
	fi
	wait $pid
}

# run_guest SECONDS KERNEL SCRIPT [OPTION...]: boots KERNEL (cloud/vmlinuz..)
# with an initramfs that runs SCRIPT. So many seconds without a word end it.
run_guest() {
	local limit=$1 kernel=$2 script=$3
	shift 3
	tools/mkinitramfs --command "$script" "$TMPDIR/initramfs" || exit 1
	patient "$limit" "$RINGFENCE" run --kernel "$GUEST/$kernel" \
		--initrd "$TMPDIR/initramfs" \
		--append "console=ttyS0 ${append-}" "$@" \
		>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
	status=$?
}

# tiny NAME: builds tests/system/tiny/NAME.S, or tests/guest/NAME; prints the
# file's name.
tiny() {
	local source=tests/system/tiny/$1.S
	[ -f "$source" ] || source=tests/guest/$1/main.S
	gcc -nostdlib -static -no-pie -Wl,--build-id=none -Itests/guest/lib \
		-Wl,-T,tests/guest/lib/guest.ld -Wl,-z,noexecstack \
		-Wl,--no-warn-rwx-segments -o "$TMPDIR/$1.elf" "$source" &&
		echo "$TMPDIR/$1.elf"
}

# now_ms: for how long something took.
now_ms() { echo $((${EPOCHREALTIME//[!0-9]/} / 1000)); }

at_least() {
	[ "${1:-0}" -ge "$2" ] || { echo "# got '$1', at least $2"; false; }
}

# The count of a reason, of one device or of all, in the last --stat --json
# table, which stands in $TMPDIR/stat.json.
stat_count() {
	python3 tests/system/stat-count.py "$TMPDIR/stat.json" "$@"
}

finish() { exit 0; }

# What the guest does in a boot test; its output is what boot_checks looks at.
# dmesg -r: raw, with the level of each line.
guest_report='
echo "report: release $(uname -r)"
echo "report: cpus $(nproc)"
echo "report: memory $(sed -n "s/MemTotal: *\([0-9]*\).*/\1/p" /proc/meminfo)"
echo "report: clocksource $(cat /sys/devices/system/clocksource/*/current_clocksource)"
echo "report: warnings"
dmesg -r | grep -E "^<[0-4]>"
dmesg -r | grep -E "ACPI (Error|Warning|BIOS)|Firmware Bug|WARNING:|BUG:|Oops|Call Trace|unexpected|spurious"
echo "report: pci"
for d in /sys/bus/pci/devices/*; do echo "$(cat $d/vendor) $(cat $d/device)"; done
a=$(date +%s); sleep 2; b=$(date +%s)
echo "report: slept $((b - a))"
cat /proc/interrupts
exit 42'

# boot_checks KERNEL ENGINE CPUS MEMORY
boot_checks() {
	local kernel=$1 engine=$2 cpus=$3 memory=$4 release start
	release=$(cat "$GUEST/${kernel%/*}/release")
	start=$(now_ms)
	append=panic=-1 run_guest 900 "$kernel" "$guest_report" \
		--engine "$engine" -c "$cpus" -m "$memory" --stat --json
	echo "# $(($(now_ms) - start)) ms"
	cp "$TMPDIR/err" "$TMPDIR/stat.json"
	ok "$kernel reaches init" stdout_has '^ringfence: init reached'
	ok "it is that kernel" stdout_has "^report: release $release"
	ok "it sees $cpus processors" stdout_has "^report: cpus $cpus\b"
	ok "it sees the memory" memory_is "$memory"
	ok "the command's status is passed on" is "$status" 42
	ok "time passes as it should" stdout_has '^report: slept [23]\b'
	ok "PCI has host bridge and LPC" stdout_has '^0x8086 0x29c0'
	ok "no complaint of firmware or ACPI, no oops" stdout_lacks \
		'ACPI (Error|Warning|BIOS)|Firmware Bug|WARNING:|BUG:|Oops'
}

# Linux keeps some for itself: 15 % or 100 MB.
memory_is() {
	local kib got
	case $1 in
	*G) kib=$((${1%G} << 20)) ;;
	*M) kib=$((${1%M} << 10)) ;;
	esac
	got=$(tr -d '\r' <"$TMPDIR/out" | sed -n 's/^report: memory //p')
	at_least "$got" $((kib - kib / 7 - 100000)) && at_least "$kib" "$got"
}
