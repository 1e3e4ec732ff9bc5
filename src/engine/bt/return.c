/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What IRET's stub (syscall.c) knows of the segments to return to: those that
 * the interpreter's last IRET to each privilege level loaded.
 */
#include "engine/bt/bt.h"
#include "engine/interp/segment.h"

void bt_forget_returns(struct bt_vcpu *vcpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vcpu->iret); i++)
		vcpu->iret[i].selectors = ~0ull;
}

/* The descriptor of a selector of the GDT, where the TLB has it. */
static bool find_descriptor(struct interp *cpu, uint16_t selector,
			    gva_t *address, uint64_t *descriptor)
{
	enum mmu_view view = cpu->s.cr4 & CR4_SMAP ? MMU_SMAP : MMU_SUPERVISOR;
	const uint8_t *host;

	*address = cpu->s.gdtr.base + (selector & ~7u);
	host = tlb_find(cpu, view, MMU_READ, *address, 8);
	if (!host || (selector & SELECTOR_TI))
		return false;
	*descriptor = load_u64(host);
	return true;
}

void bt_note_return(struct bt_vcpu *vcpu)
{
	struct interp *cpu = &vcpu->cpu;
	const struct cpu_segment *cs = &cpu->s.segment[SEG_CS];
	const struct cpu_segment *ss = &cpu->s.segment[SEG_SS];
	struct bt_return *to = &vcpu->iret[cpu->cpl == 3];
	uint16_t second = ss->selector;

	to->selectors = ~0ull;
	if (cpu->mode != X86_MODE_64 || (cpu->cpl && cpu->cpl != 3))
		return;
	if (selector_is_null(second))
		second = cs->selector;
	if (!find_descriptor(cpu, cs->selector, &to->address[0],
			     &to->descriptor[0]) ||
	    !find_descriptor(cpu, second, &to->address[1], &to->descriptor[1]))
		return;
	to->gdt_base = cpu->s.gdtr.base;
	to->gdt_limit = cpu->s.gdtr.limit;
	to->code = *cs;
	to->stack = *ss;
	to->selectors = cs->selector | (uint64_t)ss->selector << 16;
}
