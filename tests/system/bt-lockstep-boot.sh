#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# full
# time: 120
# Every block of a boot of the cloud kernel, and of some work in its user space,
# in lockstep with the interpreter.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

work='for i in 1 2 3 4 5; do ls -lR /bin /etc | sort | md5sum; done; exit 42'
for engine in bt,lockstep bt,lockstep,stress=all,stress-every=256; do
	append="panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1" \
		run_guest 2400 cloud/vmlinuz "$work" --engine "$engine"
	ok "it reaches init with $engine" is "$status" 42
	ok "no difference" stderr_has \
		'lockstep: [0-9]{7,} blocks.*no difference'
	tail -n 1 "$TMPDIR/err" | sed 's/^/# /'
done
finish
