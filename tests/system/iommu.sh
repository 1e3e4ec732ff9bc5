#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# time: 120
# engines: interp bt
# Linux behind the VT-d unit: it finds it by its table, translates the devices'
# DMA and remaps their interrupts and the IOAPIC's, without a fault.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

append="intel_iommu=on intremap=on" run_guest 110 cloud/vmlinuz '
grep -E "IR-IO-APIC|serial" /proc/interrupts
dmesg -r | grep -E "DMAR|iommu"
dmesg -r | grep -E "WARNING:|BUG:|Oops|Call Trace"
exit 42' --engine "$ENGINE" -m 256M -c 2 --machine iommu,testdev
ok "it reaches init and runs a command" is "$status" 42
ok "interrupts are remapped" stdout_has 'Enabled IRQ remapping'
ok "the IOAPIC's come that way" stdout_has 'IR-IO-APIC'
ok "by the queue" stdout_has 'Using Queued invalidation'
ok "DMA is translated" stdout_has 'Virtualization Technology for Directed I/O'
ok "each device is in a group" stdout_has '00:02.0: Adding to iommu group'
ok "nothing faulted" stdout_lacks 'DRHD: handling fault|fault reason'
ok "no complaint of the kernel" stdout_lacks 'WARNING:|BUG:|Oops|Call Trace'
finish
