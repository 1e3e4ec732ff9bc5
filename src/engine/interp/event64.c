/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delivery of an event through a 64-bit gate to CPL 0 (SDM 3, 6.14) where
 * nothing can go wrong on the way: the tables, the TSS and the stack are on
 * pages that the TLB holds, and what they say is what a system that runs has
 * there. Then it is a few loads and stores, and needs no landing for faults.
 * Every other case is event.c's.
 */
#include "engine/interp/segment.h"

#define GATE_SIZE  16
#define IST_OFFSET 0x24 /* IST1 in the TSS: SDM 3, figure 7-11 */
#define RSP_OFFSET 4 /* RSP0 */

/* As the processor itself reads: AC does not lift SMAP. */
static const uint8_t *find_system(struct interp *cpu, gva_t gva, unsigned size)
{
	enum mmu_view view = cpu->s.cr4 & CR4_SMAP ? MMU_SMAP : MMU_SUPERVISOR;

	return tlb_find(cpu, view, MMU_READ, gva, size);
}

static bool find_gate(struct interp *cpu, unsigned vector, struct gate *gate)
{
	unsigned offset = vector * GATE_SIZE, type;
	const uint8_t *host;

	if (offset + GATE_SIZE - 1 > cpu->s.idtr.limit)
		return false;
	host = find_system(cpu, cpu->s.idtr.base + offset, GATE_SIZE);
	if (!host)
		return false;
	*gate = gate_from_descriptor(load_u64(host),
				     (uint32_t)load_u64(host + 8));
	type = gate->attributes & (SEGMENT_TYPE | SEGMENT_S | SEGMENT_P);
	return (type == (SYSTEM_INTERRUPT_GATE32 | SEGMENT_P) ||
		type == (SYSTEM_TRAP_GATE32 | SEGMENT_P)) &&
	       gva_is_canonical(gate->offset);
}

/* 64-bit code of level 0, not conforming, that has been used before. */
static bool find_code(struct interp *cpu, uint16_t selector,
		      struct cpu_segment *code)
{
	const uint32_t wanted = SEGMENT_P | SEGMENT_S | SEGMENT_CODE |
				SEGMENT_L | SEGMENT_ACCESSED;
	const uint32_t other = SEGMENT_DB | SEGMENT_DPL | SEGMENT_EXPAND_DOWN;
	const uint8_t *host;

	if (selector_is_null(selector) || (selector & SELECTOR_TI) ||
	    (selector | 7u) > cpu->s.gdtr.limit)
		return false;
	host = find_system(cpu, cpu->s.gdtr.base + (selector & ~7u), 8);
	if (!host)
		return false;
	*code = segment_from_descriptor(selector, load_u64(host));
	return (code->attributes & (wanted | other)) == wanted;
}

/* Where the frame ends. */
static bool find_stack(struct interp *cpu, unsigned ist, uint64_t *sp)
{
	unsigned offset = ist ? IST_OFFSET + 8 * (ist - 1) : RSP_OFFSET;
	const uint8_t *host;

	if (!ist && !cpu->cpl) {
		*sp = cpu->s.gpr[RSP] & ~15ull;
		return true;
	}
	if (offset + 7 > cpu->s.tr.limit)
		return false;
	host = find_system(cpu, cpu->s.tr.base + offset, 8);
	if (!host)
		return false;
	*sp = load_u64(host) & ~15ull;
	return true;
}

/* On which rights the frame is pushed. */
static enum mmu_view stack_view(const struct interp *cpu)
{
	if ((cpu->s.cr4 & CR4_SMAP) && !(cpu->s.rflags & RFLAGS_AC))
		return MMU_SMAP;
	return MMU_SUPERVISOR;
}

static void push_frame(struct interp *cpu, const struct cpu_event *event,
		       uint64_t flags, uint8_t *end)
{
	const struct cpu_state *s = &cpu->s;

	store_u64(end - 8, s->segment[SEG_SS].selector);
	store_u64(end - 16, s->gpr[RSP]);
	store_u64(end - 24, flags);
	store_u64(end - 32, s->segment[SEG_CS].selector);
	store_u64(end - 40, s->rip);
	if (event->has_error_code)
		store_u64(end - 48, event->error_code);
	mem_written(cpu, end - 8);
}

bool event_deliver_64(struct interp *cpu, const struct cpu_event *event,
		      uint64_t flags)
{
	struct cpu_state *s = &cpu->s;
	unsigned size = event->has_error_code ? 48 : 40;
	struct cpu_segment code;
	struct gate gate;
	uint8_t *frame;
	uint64_t sp;

	if (!cpu_is_long_mode(s) || event->kind == CPU_EVENT_SOFTWARE ||
	    !find_gate(cpu, event->vector, &gate) ||
	    !find_code(cpu, gate.selector, &code) ||
	    !find_stack(cpu, gate.ist, &sp))
		return false;
	frame = tlb_find(cpu, stack_view(cpu), MMU_WRITE, sp - size, size);
	if (!frame)
		return false;
	push_frame(cpu, event, flags, frame + size);
	s->gpr[RSP] = sp - size;
	if (cpu->cpl)
		s->segment[SEG_SS] = segment_null_stack(0);
	s->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
	if ((gate.attributes & SEGMENT_TYPE) == SYSTEM_INTERRUPT_GATE32)
		s->rflags &= ~RFLAGS_IF;
	s->rip = gate.offset;
	cpu->next_rip = gate.offset;
	segment_set_code(cpu, &code, 0);
	return true;
}
