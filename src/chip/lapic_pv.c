/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EOI without an exit: Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_EOI.
 *
 * When an interrupt is taken and nothing else waits behind it, we set bit 0 of
 * a word of the guest's. A guest that finds it set clears it in place of the
 * EOI; so a clear bit where we left a set one is an EOI that we hear of late,
 * when the state of the local APIC matters again: at the next interrupt, at an
 * access to its registers, when the machine is saved. What arrives meanwhile
 * from other threads makes the vCPU look (lapic_update), for what they see in
 * service may be over already.
 *
 * The word is read and written on the vCPU's own thread only, or while it is
 * parked, and never under the lapic's lock, which comes before memory's.
 */
#include "chip/lapic_internal.h"

#include "core/vm.h"

#define EOI_OFFERED BIT(0)

static gpa_t word_gpa(const struct lapic *lapic)
{
	return lapic->vcpu->paravirt.eoi & ~BITS(1, 0);
}

void lapic_pv_offer(struct lapic *lapic)
{
	const uint8_t offered = EOI_OFFERED;
	struct memory *memory = &lapic->vcpu->vm->memory;

	if (!memory_write(memory, word_gpa(lapic), &offered, 1))
		return;
	/* Not RAM: the guest will send its EOIs. */
	atomic_store(&lapic->has_offered_eoi, false);
}

void lapic_pv_sync(struct lapic *lapic)
{
	struct memory *memory = &lapic->vcpu->vm->memory;
	const uint8_t none = 0;
	uint8_t word = EOI_OFFERED;

	if (!atomic_load_explicit(&lapic->has_offered_eoi,
				  memory_order_relaxed))
		return;
	atomic_store(&lapic->has_offered_eoi, false);
	memory_read(memory, word_gpa(lapic), &word, 1);
	if (word & EOI_OFFERED)
		memory_write(memory, word_gpa(lapic), &none, 1);
	else
		lapic_end_of_interrupt(lapic);
}
