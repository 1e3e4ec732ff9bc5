#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# The translator in lockstep with the interpreter: the guests of tests/guest with
# one processor, the instruction programs, and stretches of a boot.
# bt-lockstep-boot.sh checks all of a boot.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

passes() { # COMMAND...
	"$@" >"$TMPDIR/out" 2>"$TMPDIR/err" && return
	status=$?
	grep -A 20 '^not ok' "$TMPDIR/out" >"$TMPDIR/failed"
	mv "$TMPDIR/failed" "$TMPDIR/out"
	return 1
}

for engine in bt,lockstep bt,lockstep,stress=all; do
	ok "the guests run with $engine" passes tests/guest/run \
		--engine "$engine"
	ok "instructions are as on the host with $engine" passes \
		tests/insn/run "$engine"
done

append=panic=-1 run_guest 120 cloud/vmlinuz \
	'for i in 1 2 3; do grep -c . /proc/cpuinfo; done; exit 42' \
	--engine bt,lockstep=4
ok "the cloud kernel reaches init, blocks compared here and there" \
	is "$status" 42
ok "no difference" stderr_has 'lockstep: [0-9]{5,} blocks.*no difference'

run_ringfence 5 run --kernel "$GUEST/cloud/vmlinuz" --engine bt,lockstep -c 2
ok "two processors are refused" is "$status" 125
ok "a line says so" stderr_has 'lockstep takes one processor'
finish
