#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 400
# Saved state: Debian's cloud kernel stopped at random points of its boot,
# saved, its process gone, and restored in another; what cannot be restored.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$TMPDIR
# From which engine to which, and with how many processors.
moves=("interp interp 1" "interp bt 2" "bt interp 1")
if [ "${RINGFENCE_TEST_SCALE-}" = full ]; then
	moves=("interp interp 1" "interp bt 1" "bt interp 1" "bt bt 1"
		"interp interp 2" "interp bt 2" "bt interp 2" "bt bt 2")
	moves+=("${moves[@]}" "interp interp 4" "interp bt 4" "bt interp 4"
		"bt bt 4")
fi
RANDOM=${SEED:-$$}
echo "# SEED=${SEED:-$$}"
started=
cleanup() { [ -z "$started" ] || kill -9 "$started" 2>/dev/null; }
trap cleanup EXIT

# The lines of a console, without what differs between two boots: time stamps,
# measurements, complaints of a busy host, and the order of what happens at the
# same time.
lines() {
	tr -d '\r' <"$1" | grep -avE 'Lost [0-9]+ RTC|interrupt took' |
		sed -E 's/^\[ *[0-9.]*\] //; s/0x[0-9a-f]+/X/g; s/-?[0-9]+/N/g' |
		sort
}

tools/mkinitramfs --command '
echo "report: cpus $(nproc)"
echo "report: sum $(dd if=/dev/zero bs=64k count=64 2>/dev/null | md5sum)"
i=0
while [ $i -lt 10 ]; do echo "report: tick $i"; sleep 0.05; i=$((i + 1)); done
a=$(date +%s); sleep 2; b=$(date +%s)
echo "report: slept $((b - a))"
dmesg -r | grep -E "WARNING:|BUG:|Oops|Call Trace|unexpected|stall|lockup"
exit 42' "$TMPDIR/initramfs"

# start ENGINE [OPTION...]: a boot in the background, as $started.
start() {
	local engine=$1
	shift
	rm -f "$TMPDIR/out"
	"$RINGFENCE" run --kernel "$GUEST/cloud/vmlinuz" --engine "$engine" \
		--initrd "$TMPDIR/initramfs" --name vm -m 256M \
		--append "console=ttyS0 panic=-1 mitigations=off" \
		--console "file:$TMPDIR/out" "$@" 2>"$TMPDIR/err" </dev/null &
	started=$!
}
gone() {
	wait "$started"
	status=$?
	started=
}
# Until it is in the registry, nobody can ask it to save.
known() {
	until "$RINGFENCE" ps | grep -qw vm || ! kill -0 "$started" 2>/dev/null
	do
		sleep 0.01
	done
}
save() { timeout 600 "$RINGFENCE" save vm "$@" 2>"$TMPDIR/err.save"; }
restore() {
	patient 200 "$RINGFENCE" restore "$TMPDIR/state" \
		--engine "${engine-interp}" --console "file:$TMPDIR/out" "$@" \
		2>"$TMPDIR/err" </dev/null
	status=$?
}

# reference CPUS: the lines of a boot that nobody disturbs.
reference() {
	start bt -c "$1"
	gone
	ok "$1 cpu: a boot to compare with" is "$status" 42
	lines "$TMPDIR/out" >"$TMPDIR/lines.$1"
}
same_console() {
	lines "$TMPDIR/out" | diff "$TMPDIR/lines.$1" - |
		sed 's/^/# /' >"$TMPDIR/diff"
	[ ! -s "$TMPDIR/diff" ] || { cat "$TMPDIR/diff"; false; }
}
# round FROM TO CPUS: leaves the machine at a random point and goes on from there.
round() {
	local from=$1 engine=$2 cpus=$3 all at what
	[ -f "$TMPDIR/lines.$cpus" ] || reference "$cpus"
	# Some lines into its console, or before it has any.
	all=$(wc -l <"$TMPDIR/lines.$cpus")
	at=$((RANDOM % all))
	what="$from to $engine, $cpus cpu, line $at of $all"
	start "$from" -c "$cpus"
	known
	for _ in $(seq 6000); do
		[ -f "$TMPDIR/out" ] && [ "$(wc -l <"$TMPDIR/out")" -ge "$at" ] &&
			break
		sleep 0.01
	done
	sleep "0.0$((RANDOM % 90 + 10))"
	save "$TMPDIR/state" --stop
	ok "$what: saved" is "$?" 0
	gone
	ok "its process ended" is "$status" 0
	restore
	ok "the guest's status came through" is "$status" 42
	ok "its console is that of a boot nobody disturbed" same_console "$cpus"
	ok "every tick once, in order" is "$(tr -d '\r' <"$TMPDIR/out" |
		grep -a '^report: tick' | tr -dc 0-9)" 0123456789
	ok "it sees $cpus processors" stdout_has "^report: cpus $cpus\b"
	ok "its arithmetic" stdout_has '^report: sum b5cfa9d6c8febd618f91ac2843d50a1c'
	ok "its time goes on" stdout_has '^report: slept [2-9]\b'
}
for move in "${moves[@]}"; do
	# shellcheck disable=SC2086
	round $move
done
unset engine

# Saved, and the first goes on too: two machines from one.
start interp
known
sleep 1
save "$TMPDIR/state"
ok "saved while it runs" is "$?" 0
ok "the file is for its owner only" is "$(stat -c %a "$TMPDIR/state")" 600
cp "$TMPDIR/state" "$TMPDIR/good"
# A full disk, and a folder that is not there: nothing is lost.
mkdir "$TMPDIR/small"
if mount -t tmpfs -o size=1m none "$TMPDIR/small" 2>/dev/null; then
	echo precious >"$TMPDIR/small/state"
	save "$TMPDIR/small/state"
	ok "full disk: status 125" is "$?" 125
	ok "full disk: says so" grep -q 'No space left' "$TMPDIR/err.save"
	ok "full disk: what was there is there" \
		is "$(cat "$TMPDIR/small/state")" precious
	ok "full disk: nothing else is left" is "$(ls "$TMPDIR/small")" state
	umount "$TMPDIR/small"
else
	skip "full disk" "no right to mount"
fi
save "$TMPDIR/nowhere/state"
ok "no such folder: status 125" is "$?" 125
gone
ok "the first went on to its end" is "$status" 42
ok "with all its output" stdout_has '^report: slept [2-9]\b'

refused() {
	restore "$@"
	[ "$status" = 125 ] && [ "$(wc -l <"$TMPDIR/err")" = 1 ]
}
ok "memory of another size is refused" refused -m 512M
ok "with both sizes" stderr_has '256 MiB.*512 MiB'
ok "another number of processors is refused" refused -c 2
ok "another processor is refused" refused --cpu x86-64-v2
head -c 1000000 "$TMPDIR/good" >"$TMPDIR/state"
ok "a truncated state is refused" refused
cp "$TMPDIR/good" "$TMPDIR/state"
printf '\x01' | dd of="$TMPDIR/state" bs=1 seek=3000000 conv=notrunc 2>/dev/null
printf '\x02' | dd of="$TMPDIR/state" bs=1 seek=3000001 conv=notrunc 2>/dev/null
ok "a damaged one is refused" refused
ok "and says where" stderr_has 'section memory is damaged'
echo "no state" >"$TMPDIR/state"
ok "a file that is none is refused" refused
rm "$TMPDIR/state"
ok "a file that is not there" refused
timeout 20 "$RINGFENCE" save nobody "$TMPDIR/x" 2>"$TMPDIR/err"
ok "save of nobody: status 125" is "$?" 125
finish
