#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 240
# cpus: 2
# A machine without ACPI: processors and IOAPIC by the MP table, interrupts by
# the i8259s where the IOAPIC is not wanted; and the PCI test device.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

report='echo "report: cpus $(nproc)"
grep -c IO-APIC /proc/interrupts | sed "s/^/report: ioapic /"
for d in /sys/bus/pci/devices/*; do
	echo "report: $(cat $d/vendor $d/device $d/resource $d/irq | tr "\n" " ")"
done
exit 42'

run_guest 200 generic/vmlinuz "$report" --engine interp -m 256M -c 2 \
	--machine acpi=off,testdev
ok "reaches init without ACPI" stdout_has '^ringfence: init reached'
ok "the MP table gives it two processors" stdout_has '^report: cpus 2\b'
ok "and the IOAPIC" stdout_has '^report: ioapic [2-9]'
ok "the test device has memory and ports" stdout_has \
	'^report: 0x1b36 0x0005 0x0*c0[0-9a-f]{3}000 0x0*c0[0-9a-f]{3}fff .* 0x0*c000 0x0*c0ff '
ok "the educational device has its MiB" stdout_has \
	'^report: 0x1234 0x11e8 0x0*c0[0-9a-f]00000 0x0*c0[0-9a-f]fffff '
ok "it ends as told" is "$status" 42

append=noapic run_guest 200 cloud/vmlinuz "$report" --engine interp -m 256M
ok "reaches init by the i8259s" stdout_has '^ringfence: init reached'
ok "with ACPI's word on them" stdout_lacks 'ACPI (Error|Warning)'
ok "it has no IOAPIC" stdout_has '^report: ioapic 0'
finish
