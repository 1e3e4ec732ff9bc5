#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# engines: interp bt
# Guests that misbehave: each ends in a defined way and loses nothing.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

kernel=$(tiny hello)
run_ringfence 20 run --kernel "$kernel" --engine "$ENGINE" --stat --json
cp "$TMPDIR/err" "$TMPDIR/stat.json"
ok "a friendly guest: its status" is "$status" 42
ok "a friendly guest: its output" is "$(tr -d '\r' <"$TMPDIR/out")" hi
ok "a friendly guest: four port writes, four exits" \
	is "$(stat_count io)" 4
ok "three of them the serial port's" is "$(stat_count io com1)" 3

kernel=$(tiny die-no-idt)
run_ringfence 20 run --kernel "$kernel" --engine "$ENGINE"
ok "triple fault: ends by itself" [ "$status" != 124 ]
ok "triple fault: and not well" [ "$status" != 0 ]
ok "triple fault: says so" stderr_has 'triple'

# ends_by SIGNAL NAME SECONDS: starts a guest, waits for its first output if it
# has any, sends the signal, and waits for the end.
ends_by() {
	local signal=$1 kernel limit=$3 start pid
	kernel=$(tiny "$2")
	"$RINGFENCE" run --kernel "$kernel" --engine "$ENGINE" \
		>"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null &
	pid=$!
	sleep 1
	kill -0 $pid || { wait $pid; status=$?; return 1; }
	start=$(now_ms)
	kill "-$signal" $pid
	( sleep 60; kill -9 $pid ) 2>/dev/null &
	wait $pid
	status=$?
	kill $! 2>/dev/null
	took=$(($(now_ms) - start))
	echo "# $2: SIG$signal: status $status after $took ms"
	[ $took -lt $((limit * 1000)) ]
}
for guest in spin halt; do
	ok "SIGTERM ends a guest that does not listen ($guest)" \
		ends_by TERM $guest 40
	ok "and is seen in the status" is "$status" 143
	ok "SIGINT ends it, too" ends_by INT $guest 40
done
ends_by TERM spin 40
ok "what it said before is not lost" stdout_has '^spinning'

# 100 MB for the serial port while nobody reads: nothing is lost, and nothing
# piles up here; the guest waits for its reader as at a real line.
kernel=$(tiny flood)
mkfifo "$TMPDIR/pipe"
timeout -k 5 200 "$RINGFENCE" run --kernel "$kernel" --engine "$ENGINE" -m 64M \
	>"$TMPDIR/pipe" 2>"$TMPDIR/err" </dev/null &
pid=$!
exec 7<"$TMPDIR/pipe"
sleep 5
read -r monitor _ <"/proc/$pid/task/$pid/children"
: >"$TMPDIR/out"
dirty() { awk '/^Private_Dirty/ { n += $2 } END { print n }' "/proc/$1/smaps_rollup"; }
ok "nobody reads: little memory is used" \
	at_least 100000 "$(dirty "${monitor:-$pid}")"
cat <&7 | tr -d '\r' >"$TMPDIR/flood"
wait $pid
status=$?
exec 7<&-
ok "then somebody reads: the guest ends as it wants" is "$status" 3
ok "every byte arrived" is "$(wc -c <"$TMPDIR/flood")" 100000000
ok "in order" awk 'substr($0, 1, 9) + 0 != NR - 1 { exit 1 }
	END { exit NR != 1250000 }' "$TMPDIR/flood"
finish
