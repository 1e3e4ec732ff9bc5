/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What translated code depends on besides its bytes: struct bt_flavour, from the
 * state of the processor.
 *
 * Outside 64-bit code that is, of the segments: whether all is flat, as systems
 * have it that protect by pages; else for each what accesses have to be checked
 * for, by its limit. Where a segment begins is not among it: the code looks that
 * up each time. So loads of segment registers in real-address mode, which change
 * nothing else, leave the flavour as it is. The limit of CS is known when code
 * is translated, so it is a part of the flavour as a number.
 */
#include "core/vm.h"
#include "engine/bt/bt.h"

/* --- segments --------------------------------------------------------------- */

#define MXCSR_MASKS 0x1f80
#define FCW_MASKS   0x3f
#define FSW_ES	    0x80

/* What decides of data whether it may be read and written. */
#define DATA_MASK                                                  \
	(SEGMENT_P | SEGMENT_S | SEGMENT_CODE | SEGMENT_WRITABLE | \
	 SEGMENT_EXPAND_DOWN)
#define DATA_RW (SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE)

/* As the interpreter loads them in real-address and in virtual-8086 mode,
 * SEGMENT_DB and SEGMENT_G aside (segment_load_real). */
#define DATA_REAL (DATA_RW | SEGMENT_ACCESSED)
#define DATA_VM86 (DATA_REAL | SEGMENT_DPL)

/* Base 0, 4 GiB, data that may be read and written: what no access can miss. */
static bool is_whole_data(const struct cpu_segment *segment)
{
	return segment->limit == UINT32_MAX &&
	       (segment->attributes & DATA_MASK) == DATA_RW;
}

/* Of 32-bit code: SDM 3, 3.2.1, the basic flat model. */
static bool segments_are_flat(const struct cpu_state *s)
{
	const struct cpu_segment *cs = &s->segment[SEG_CS];
	const struct cpu_segment *ss = &s->segment[SEG_SS];

	return !cs->base && cs->limit == UINT32_MAX && !ss->base &&
	       !s->segment[SEG_DS].base && !s->segment[SEG_ES].base &&
	       (ss->attributes & SEGMENT_DB) && is_whole_data(ss) &&
	       is_whole_data(&s->segment[SEG_DS]) &&
	       is_whole_data(&s->segment[SEG_ES]);
}

static bool is_protected(const struct cpu_state *s)
{
	return (s->cr0 & CR0_PE) && !(s->rflags & RFLAGS_VM);
}

/* May it be read and, unless it is code in protected mode, written? What a load
 * in code leaves alone must be as such a load would set it. */
static bool has_usual_type(const struct cpu_state *s, enum segment index)
{
	uint32_t attributes = s->segment[index].attributes;

	if (attributes & SEGMENT_UNUSABLE)
		return false;
	if (s->rflags & RFLAGS_VM)
		return attributes == DATA_VM86 &&
		       s->segment[index].limit == 0xffff;
	if (index == SEG_CS)
		return is_protected(s) ?
			       attributes & SEGMENT_WRITABLE :
			       (attributes & SEGMENT_CODE) ||
				       !(attributes & SEGMENT_EXPAND_DOWN);
	if (is_protected(s))
		return (attributes & DATA_MASK) == DATA_RW;
	return (attributes & ~(SEGMENT_DB | SEGMENT_G)) == DATA_REAL;
}

static enum bt_limit limit_of(const struct cpu_state *s, enum segment index)
{
	uint32_t limit = s->segment[index].limit;

	if (!has_usual_type(s, index))
		return BT_LIMIT_ODD;
	if (limit == UINT32_MAX)
		return BT_LIMIT_4G;
	return limit == 0xffff ? BT_LIMIT_64K : BT_LIMIT_ANY;
}

/* The number of a limit of CS; BT_CODE_LIMITS: there are too many. */
static unsigned code_limit_number(struct bt_vm *bt, uint32_t limit)
{
	for (unsigned i = 0; i < BT_CODE_LIMITS; i++) {
		uint32_t known = atomic_load_explicit(&bt->code_limit[i],
						      memory_order_relaxed);

		if (!known && atomic_compare_exchange_strong(&bt->code_limit[i],
							     &known, limit))
			return i;
		if (known == limit)
			return i;
	}
	return BT_CODE_LIMITS;
}

static void choose_segments(struct bt_vm *bt, const struct cpu_state *s,
			    struct bt_flavour *flavour)
{
	flavour->is_segmented = true;
	flavour->is_protected = is_protected(s);
	flavour->has_big_stack = s->segment[SEG_SS].attributes & SEGMENT_DB;
	flavour->code_limit =
		(uint8_t)code_limit_number(bt, s->segment[SEG_CS].limit);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		flavour->limit[i] = (uint8_t)limit_of(s, i);
}

/* --- the flavour ------------------------------------------------------------ */

static struct bt_flavour flavour_of(const struct bt_vcpu *vcpu)
{
	const struct interp *cpu = &vcpu->cpu;
	const struct cpu_state *s = &cpu->s;
	bool has_units = !(s->cr0 & (CR0_EM | CR0_TS));
	struct bt_flavour flavour = {
		.view = cpu->view,
		.has_smap = s->cr4 & CR4_SMAP,
		.has_x87 = has_units && (s->fpu.fcw & FCW_MASKS) == FCW_MASKS &&
			   !(s->fpu.fsw & FSW_ES),
		.has_sse = has_units && (s->cr4 & CR4_OSFXSR) &&
			   (s->fpu.mxcsr & MXCSR_MASKS) == MXCSR_MASKS,
	};

	flavour.is_checked = vcpu->is_checked;
	if (cpu->mode != X86_MODE_64) {
		flavour.is_32 = true;
		flavour.is_16 = cpu->mode != X86_MODE_32;
		if (flavour.is_16 || !segments_are_flat(s)) {
			choose_segments(vcpu->bt, s, &flavour);
		} else {
			flavour.has_fs = is_whole_data(&s->segment[SEG_FS]);
			flavour.has_gs = is_whole_data(&s->segment[SEG_GS]);
		}
	}
	flavour.has_avx = flavour.has_sse && (s->cr4 & CR4_OSXSAVE) &&
			  (s->xcr0 & (XCR0_SSE | XCR0_AVX)) ==
				  (XCR0_SSE | XCR0_AVX);
	return flavour;
}

uint32_t bt_flavour_pack(const struct bt_flavour *flavour)
{
	uint32_t packed = flavour->view | (uint32_t)flavour->has_smap << 2 |
			  (uint32_t)flavour->has_x87 << 3 |
			  (uint32_t)flavour->has_sse << 4 |
			  (uint32_t)flavour->has_avx << 5 |
			  (uint32_t)flavour->is_checked << 6 |
			  (uint32_t)flavour->is_32 << 7 |
			  (uint32_t)flavour->has_fs << 8 |
			  (uint32_t)flavour->has_gs << 9 |
			  (uint32_t)flavour->by_tlb << 10;

	if (likely(!flavour->is_segmented))
		return packed;
	packed |= 1u << 11 | (uint32_t)flavour->is_16 << 12 |
		  (uint32_t)flavour->is_protected << 13 |
		  (uint32_t)flavour->has_big_stack << 14 |
		  (uint32_t)flavour->code_limit << 15;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		packed |= (uint32_t)flavour->limit[i] << (19 + 2 * i);
	return packed;
}

/* What flavours of one view and size of code differ in: units, then segments. */
#define FLAVOUR_UNITS	 BITS(6, 2)
#define FLAVOUR_SEGMENTS (BITS(30, 11) | BITS(9, 8))

/* Ids are per view and size of code: when anything else changes, others hold. */
void bt_flavour_choose(struct bt_vcpu *vcpu)
{
	struct bt_flavour flavour;
	uint32_t packed, old = bt_flavour_pack(&vcpu->flavour);

	if (unlikely(vcpu->bt->check))
		vcpu->is_checked = bt_check_wants(vcpu);
	flavour = flavour_of(vcpu);
	flavour.by_tlb = vcpu->by_tlb_rip == vcpu->cpu.s.rip;
	vcpu->by_tlb_rip = BT_NO_PAGE;
	packed = bt_flavour_pack(&flavour);
	vcpu->flavour = flavour;
	if ((packed ^ old) & FLAVOUR_UNITS)
		bt_exec_forget(vcpu);
	if (!flavour.is_32)
		return;
	if ((packed ^ vcpu->flavour_32[flavour.is_16]) & FLAVOUR_SEGMENTS)
		bt_exec_forget_32(vcpu, flavour.is_16);
	vcpu->flavour_32[flavour.is_16] = packed;
}

bool bt_flavour_is_current(struct bt_vcpu *vcpu)
{
	struct bt_flavour flavour = flavour_of(vcpu);

	return bt_is_translatable(vcpu) &&
	       bt_flavour_pack(&flavour) == bt_flavour_pack(&vcpu->flavour);
}

/* Not 64-bit code: 32-bit code in real-address mode is the interpreter's. */
static bool is_translatable_32(struct bt_vcpu *vcpu)
{
	const struct interp *cpu = &vcpu->cpu;
	const struct cpu_segment *cs = &cpu->s.segment[SEG_CS];

	if (cpu->has_breakpoints || (cpu->s.rflags & RFLAGS_AC) ||
	    (cpu->mode == X86_MODE_32 && !is_protected(&cpu->s)))
		return false;
	return !(cs->base & 1) && cs->limit &&
	       code_limit_number(vcpu->bt, cs->limit) < BT_CODE_LIMITS;
}

bool bt_is_translatable(struct bt_vcpu *vcpu)
{
	const struct interp *cpu = &vcpu->cpu;
	bool is_flat = cpu->is_flat;

	if (cpu->mode != X86_MODE_64)
		is_flat = is_translatable_32(vcpu);
	return is_flat && (cpu->cpl == 0 || cpu->cpl == 3) &&
	       !(cpu->s.rflags & RFLAGS_DF);
}
