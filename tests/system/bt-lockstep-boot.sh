#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# full
# time: 300
# Every block of a boot of the cloud kernel, and of some work in its user space,
# in lockstep with the interpreter; under all stress, where it takes ten minutes
# of a processor's time to init, with less of that work.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

rounds=5
for engine in bt,lockstep bt,lockstep,stress=all,stress-every=256; do
	work="for i in \$(seq $rounds); do ls -lR /bin /etc | sort | md5sum
	done; exit 42"
	rounds=1
	append="panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1" \
		run_guest 2400 cloud/vmlinuz "$work" --engine "$engine"
	ok "it reaches init with $engine" is "$status" 42
	ok "no difference" stderr_has \
		'lockstep: [0-9]{7,} blocks.*no difference'
	tail -n 1 "$TMPDIR/err" | sed 's/^/# /'
done
finish
