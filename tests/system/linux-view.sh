#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 300
# cpus: 2
# What Linux makes of the software engines' CPU model: it pays for no
# mitigation, calibrates no clock, and uses the paravirtual features.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

report='
for f in /sys/devices/system/cpu/vulnerabilities/*; do
	echo "vulnerability: ${f##*/}: $(cat $f)"
done
echo "report: flags $(grep -m1 ^flags /proc/cpuinfo)"
echo "report: clocksource $(cat /sys/devices/system/clocksource/*/current_clocksource)"
dmesg
exit 42'

for engine in interp bt; do
	run_guest 250 cloud/vmlinuz "$report" --engine "$engine" -c 2 -m 512M
	ok "$engine: boots" is "$status" 42
	tr -d '\r' <"$TMPDIR/out" >"$TMPDIR/lines"
	mv "$TMPDIR/lines" "$TMPDIR/out"

	# Swapgs barriers are one LFENCE an entry; enhanced IBRS is set once and
	# IBPB is for those who ask.
	ok "$engine: no vulnerability costs anything" stdout_lacks \
		'^vulnerability: [^:]*: (Vulnerable|Mitigation: (PTI|Retpoline|Clear|IBRS|untrained|Microcode|.*Software loop))'
	ok "$engine: it was asked about them" \
		at_least "$(grep -c '^vulnerability: .*: Not affected' "$TMPDIR/out")" 12
	ok "$engine: no page table isolation" stdout_lacks \
		'page tables isolation: enabled'
	ok "$engine: the clock is told, not measured" stdout_has \
		'kvm-clock: Using msrs 4b564d01 and 4b564d00'
	ok "$engine: no loop is calibrated" stdout_has \
		'Calibrating delay loop \(skipped\)'
	ok "$engine: nor the TSC against a timer" stdout_lacks \
		'(PIT|HPET|PMTIMER) calibration|Fast TSC calibration|Refined TSC'
	ok "$engine: the TSC is the clock" stdout_has '^report: clocksource tsc'
	for line in 'KVM setup pv remote TLB flush' 'PV spinlocks enabled' \
		'setup PV IPIs'; do
		ok "$engine: $line" stdout_has "kvm-guest: $line"
	done
	for flag in pcid invpcid smep smap fsgsbase erms fsrm nonstop_tsc \
		tsc_deadline_timer x2apic arch_capabilities; do
		ok "$engine: $flag" stdout_has "^report: flags.* $flag( |\$)"
	done
done
finish
