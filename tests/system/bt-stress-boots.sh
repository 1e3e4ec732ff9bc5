#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# full
# time: 120
# Boots of the cloud kernel under each stress switch of the translator, struck
# each time.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

for kind in tlb cache attention smc slow short all; do
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
