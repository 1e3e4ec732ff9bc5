#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# engines: interp bt
# ps, stat and stop of a running machine, over its control socket.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export XDG_RUNTIME_DIR=$TMPDIR
kernel=$(tiny spin)
started=()
start() {
	"$RINGFENCE" run --kernel "$kernel" --engine "$ENGINE" -m 64M "$@" \
		>"$TMPDIR/console.${#started[@]}" 2>"$TMPDIR/err" </dev/null &
	started+=($!)
}
# On every way out.
cleanup() { kill -9 "${started[@]}" 2>/dev/null; }
trap cleanup EXIT
ask() {
	timeout 20 "$RINGFENCE" "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
	status=$?
}

start --name alpha
start --name beta -c 2
sleep 1
ask ps
ok "ps: succeeds" is "$status" 0
ok "ps: names both" [ "$(grep -cE 'alpha|beta' "$TMPDIR/out")" = 2 ]
ok "ps: with their processes" stdout_has "\b${started[0]}\b"
ask ps --json
ok "ps --json: is JSON" python3 -m json.tool "$TMPDIR/out" /dev/null
ask stat alpha
ok "stat: by name" is "$status" 0
ok "stat: has the serial port's writes" stdout_has '^ *io\b.*com1'
ask stat "${started[1]}" --json
ok "stat --json: by process" is "$status" 0
cp "$TMPDIR/out" "$TMPDIR/stat.json"
ok "stat --json: nine writes of 'spinning'" is "$(stat_count io com1)" 9
ask stat gamma
ok "stat of nobody: status 125" is "$status" 125
ok "stat of nobody: says so" stderr_has gamma
before=$(now_ms)
ask stop alpha
ok "stop: succeeds" is "$status" 0
wait "${started[0]}"
took=$(($(now_ms) - before))
ok "stop: a machine that does not listen has ended, in $took ms" \
	at_least 40000 $took
ask ps
ok "ps: knows it no more" stdout_lacks alpha
ok "ps: still knows the other" stdout_has beta
kill -9 "${started[1]}"
wait "${started[1]}" 2>/dev/null
ask ps
ok "ps: nor one that was killed" stdout_lacks beta
start --name delta
sleep 1
start --name delta
wait "${started[3]}"
ok "a name that is taken: status 125" is "$?" 125
finish
