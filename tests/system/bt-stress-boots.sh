#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# full
# time: 300
# Boots of the cloud kernel under each stress switch of the translator, struck
# each time; but smc at one page in eight. When every store of a boot is the
# interpreter's and drops its page's code, at more than a microsecond each, it
# takes five minutes of a processor's time.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

for kind in tlb cache attention slow short smc,stress-every=8 \
	all,stress-every=8
do
	for cpus in 1 4; do
		# Work piles up behind a guest that is so slow; RCU and the
		# watchdog are told to be patient.
		append="panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1" \
			run_guest 1200 cloud/vmlinuz 'exit 42' -c $cpus \
			--engine "bt,stress=$kind"
		ok "it reaches init with $kind, $cpus processors" \
			is "$status" 42
		ok "no oops" stdout_lacks 'WARNING:|BUG:|Oops|Call Trace'
	done
done
finish
