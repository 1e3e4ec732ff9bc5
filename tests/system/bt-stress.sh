#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# cpus: 2
# The translator under each of its stress switches: the guests of tests/guest,
# the instruction programs, and a boot where they strike now and then.
# bt-stress-boots.sh boots with each of them at its worst.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

passes() { # COMMAND...
	"$@" >"$TMPDIR/out" 2>"$TMPDIR/err" && return
	status=$?
	grep -A 20 '^not ok' "$TMPDIR/out" >"$TMPDIR/failed"
	mv "$TMPDIR/failed" "$TMPDIR/out"
	return 1
}

for kind in tlb cache attention smc slow short all; do
	engine=bt,stress=$kind,seed=$RANDOM
	ok "the guests run with $engine" passes tests/guest/run \
		--engine "$engine"
	ok "instructions are as on the host with $engine" passes \
		tests/insn/run "$engine"
done

engine=bt,stress=all,stress-every=1024
for cpus in 1 2; do
	append=panic=-1 run_guest 120 cloud/vmlinuz 'exit 42' \
		--engine "$engine" -c $cpus
	ok "the cloud kernel reaches init with $engine, $cpus processors" \
		is "$status" 42
done

run_ringfence 5 run --kernel "$GUEST/cloud/vmlinuz" --engine bt,stress=tbl
ok "an unknown switch is refused" is "$status" 125
ok "the line names the switches" stderr_has 'stress=tbl: .*tlb, cache'
finish
