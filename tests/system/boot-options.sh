#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 1200
# cpus: 2
# full
# Debian's cloud kernel on the translator with the options that change what its
# entry code and page tables do.
# usage: tests/system/boot-options.sh [OPTION...]
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- pti=on nokaslr nosmap nosmep nopcid noxsave nofsgsbase \
	mitigations=auto mitigations=off nox2apic no-kvmclock nopv lapic=notscdeadline \
	"pti=on nopcid" "spectre_v2=retpoline,generic" spec_store_bypass_disable=on

work='echo "report: $(cat /proc/cmdline)"
i=0
while [ $i -lt 40 ]; do
	sh -c "echo $i | md5sum" >/dev/null || echo "report: failed"
	i=$((i + 1))
done
echo "report: done $i"
exit 42'

for option; do
	append=$option run_guest 200 cloud/vmlinuz "$work" --engine bt -c 2 \
		-m 512M
	ok "$option: boots" is "$status" 42
	ok "$option: works" stdout_has '^report: done 40'
	ok "$option: nothing fails" stdout_lacks '^report: failed'
	ok "$option: no complaint" stdout_lacks \
		'WARNING:|BUG:|Oops|Call Trace|general protection'
done
finish
