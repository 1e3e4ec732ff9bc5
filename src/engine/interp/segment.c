/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor tables and loading segment registers: SDM 3, chapter 5. */
#include "engine/interp/segment.h"

_Noreturn void fault_selector(struct interp *cpu, enum vector vector,
			      uint16_t selector, unsigned ext)
{
	interp_fault(cpu, vector, (selector & ~SELECTOR_RPL) | ext);
}

bool cpu_is_protected(const struct interp *cpu)
{
	return (cpu->s.cr0 & CR0_PE) && !(cpu->s.rflags & RFLAGS_VM);
}

/* --- tables --------------------------------------------------------------- */

/* The linear address of `size` bytes at the selector's place. */
static bool table_address(const struct interp *cpu, uint16_t selector,
			  unsigned size, gva_t *address)
{
	const struct cpu_state *s = &cpu->s;
	uint32_t offset = selector & ~7u;
	bool is_local = selector & SELECTOR_TI;

	if (is_local && (s->ldtr.attributes & SEGMENT_UNUSABLE))
		return false;
	*address = (is_local ? s->ldtr.base : s->gdtr.base) + offset;
	return offset + size - 1 <= (is_local ? s->ldtr.limit : s->gdtr.limit);
}

bool descriptor_read(struct interp *cpu, uint16_t selector,
		     struct descriptor *descriptor)
{
	if (!table_address(cpu, selector, 8, &descriptor->address))
		return false;
	descriptor->low = mem_read_system(cpu, descriptor->address, 8);
	descriptor->high = 0;
	return true;
}

bool descriptor_read_high(struct interp *cpu, uint16_t selector,
			  struct descriptor *descriptor)
{
	if (!table_address(cpu, selector, 16, &descriptor->address))
		return false;
	descriptor->high = mem_read_system(cpu, descriptor->address + 8, 8);
	return true;
}

/* A byte is written, so that nothing else of the descriptor is touched. */
void descriptor_set_accessed(struct interp *cpu,
			     const struct descriptor *descriptor,
			     struct cpu_segment *segment)
{
	if (segment->attributes & SEGMENT_ACCESSED)
		return;
	segment->attributes |= SEGMENT_ACCESSED;
	mem_write_system(cpu, descriptor->address + 5,
			 (uint8_t)segment->attributes, 1);
}

/* --- code ----------------------------------------------------------------- */

struct cpu_segment segment_gate_code(struct interp *cpu, uint16_t selector,
				     unsigned ext)
{
	struct descriptor descriptor;
	struct cpu_segment code;
	uint32_t attributes;

	if (selector_is_null(selector))
		interp_fault(cpu, VECTOR_GP, ext);
	if (!descriptor_read(cpu, selector, &descriptor))
		fault_selector(cpu, VECTOR_GP, selector, ext);
	code = segment_from_descriptor(selector, descriptor.low);
	attributes = code.attributes;
	if (!segment_is_code(attributes) || segment_dpl(attributes) > cpu->cpl)
		fault_selector(cpu, VECTOR_GP, selector, ext);
	/* Gates of long mode lead to 64-bit code only. */
	if (cpu_is_long_mode(&cpu->s) &&
	    (attributes & (SEGMENT_L | SEGMENT_DB)) != SEGMENT_L)
		fault_selector(cpu, VECTOR_GP, selector, ext);
	if (!(attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, ext);
	descriptor_set_accessed(cpu, &descriptor, &code);
	return code;
}

void segment_set_code(struct interp *cpu, const struct cpu_segment *code,
		      unsigned cpl)
{
	struct cpu_segment *cs = &cpu->s.segment[SEG_CS];
	struct cpu_segment *ss = &cpu->s.segment[SEG_SS];

	*cs = *code;
	cs->selector = (cs->selector & ~SELECTOR_RPL) | cpl;
	ss->attributes = (ss->attributes & ~SEGMENT_DPL) |
			 cpl << SEGMENT_DPL_SHIFT;
	interp_mode_changed(cpu);
}

/* --- data ----------------------------------------------------------------- */

/*
 * In real mode base alone follows the selector; limit, D/B and G stay as
 * protected mode left them (SDM 3, 9.9.2; "unreal mode").
 */
void segment_load_real(struct interp *cpu, enum segment index,
		       uint16_t selector)
{
	struct cpu_segment *segment = &cpu->s.segment[index];
	uint32_t kept = segment->attributes & (SEGMENT_DB | SEGMENT_G);

	if (cpu->s.rflags & RFLAGS_VM) {
		segment_load_vm86(cpu, index, selector);
		return;
	}
	if (segment->attributes & SEGMENT_UNUSABLE) {
		segment->limit = 0xffff;
		kept = 0;
	}
	segment->selector = selector;
	segment->base = (uint32_t)selector << 4;
	segment->attributes = kept | SEGMENT_P | SEGMENT_S | SEGMENT_ACCESSED |
			      SEGMENT_WRITABLE |
			      (index == SEG_CS ? SEGMENT_CODE : 0);
}

void segment_load_vm86(struct interp *cpu, enum segment index,
		       uint16_t selector)
{
	cpu->s.segment[index] = (struct cpu_segment){
		.selector = selector,
		.base = (uint32_t)selector << 4,
		.limit = 0xffff,
		.attributes = SEGMENT_P | SEGMENT_DPL | SEGMENT_S |
			      SEGMENT_WRITABLE | SEGMENT_ACCESSED,
	};
}

struct cpu_segment segment_null_stack(unsigned cpl)
{
	return (struct cpu_segment){
		.selector = cpl,
		.attributes = SEGMENT_UNUSABLE | cpl << SEGMENT_DPL_SHIFT,
	};
}

static void load_null(struct interp *cpu, enum segment index, uint16_t selector)
{
	struct cpu_segment null = {
		.selector = selector,
		.attributes = SEGMENT_UNUSABLE,
	};

	if (index == SEG_SS) {
		if (cpu->mode != X86_MODE_64 || cpu->cpl == 3 ||
		    (selector & SELECTOR_RPL) != cpu->cpl)
			fault_gp(cpu, 0);
		null = segment_null_stack(cpu->cpl);
	}
	cpu->s.segment[index] = null;
}

static void check_stack(struct interp *cpu, const struct cpu_segment *segment)
{
	uint16_t selector = segment->selector;

	if ((selector & SELECTOR_RPL) != cpu->cpl ||
	    !segment_is_writable(segment->attributes) ||
	    segment_dpl(segment->attributes) != cpu->cpl)
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!(segment->attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_SS, selector, 0);
}

static void check_data(struct interp *cpu, const struct cpu_segment *segment)
{
	uint16_t selector = segment->selector;
	unsigned dpl = segment_dpl(segment->attributes);

	if (!segment_is_readable(segment->attributes))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!segment_is_conforming(segment->attributes) &&
	    ((selector & SELECTOR_RPL) > dpl || cpu->cpl > dpl))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!(segment->attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
}

void segment_load(struct interp *cpu, enum segment index, uint16_t selector)
{
	struct descriptor descriptor;
	struct cpu_segment segment;

	if (!cpu_is_protected(cpu)) {
		segment_load_real(cpu, index, selector);
		return;
	}
	if (selector_is_null(selector)) {
		load_null(cpu, index, selector);
		return;
	}
	if (!descriptor_read(cpu, selector, &descriptor))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	segment = segment_from_descriptor(selector, descriptor.low);
	if (index == SEG_SS)
		check_stack(cpu, &segment);
	else
		check_data(cpu, &segment);
	descriptor_set_accessed(cpu, &descriptor, &segment);
	cpu->s.segment[index] = segment;
}

void segments_drop_inner(struct interp *cpu, unsigned cpl)
{
	static const enum segment data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		struct cpu_segment *segment = &cpu->s.segment[data[i]];
		uint32_t attributes = segment->attributes;

		/* SDM 2, IRET does not say it: the RPL of a null selector goes,
		 * and programs see it. */
		if (selector_is_null(segment->selector))
			segment->selector = 0;
		if ((attributes & SEGMENT_UNUSABLE) ||
		    segment_is_conforming(attributes) ||
		    segment_dpl(attributes) >= cpl)
			continue;
		/* The base stays: GS's is still there for the kernel that
		 * has not used SWAPGS. */
		segment->selector = 0;
		segment->attributes = SEGMENT_UNUSABLE;
	}
}

/* --- stacks --------------------------------------------------------------- */

static enum mmu_view view_of(const struct interp *cpu, unsigned cpl)
{
	if (cpl == 3)
		return MMU_USER;
	if ((cpu->s.cr4 & CR4_SMAP) && !(cpu->s.rflags & RFLAGS_AC))
		return MMU_SMAP;
	return MMU_SUPERVISOR;
}

static uint64_t stack_width(const struct cpu_segment *segment)
{
	return segment->attributes & SEGMENT_DB ? 0xffffffff : 0xffff;
}

struct stack stack_current(const struct interp *cpu)
{
	const struct cpu_segment *ss = &cpu->s.segment[SEG_SS];
	bool is_64bit = cpu->mode == X86_MODE_64;

	return (struct stack){
		.segment = *ss,
		.sp = cpu->s.gpr[RSP],
		.mask = is_64bit ? ~0ull : stack_width(ss),
		.view = cpu->view,
		.is_64bit = is_64bit,
	};
}

/* Reads SSn:ESPn; a 16-bit TSS is laid out tighter (SDM 3, figure 7-2, 7-10) */
static uint16_t read_inner_stack(struct interp *cpu, unsigned cpl, unsigned ext,
				 uint64_t *sp)
{
	const struct cpu_segment *tr = &cpu->s.tr;
	bool is_32bit = tr->attributes & 8;
	unsigned size = is_32bit ? 4 : 2;
	unsigned offset = size + cpl * size * 2;

	if (offset + size + 1 > tr->limit)
		fault_selector(cpu, VECTOR_TS, tr->selector, ext);
	*sp = mem_read_system(cpu, tr->base + offset, size);
	return mem_read_system(cpu, tr->base + offset + size, 2);
}

struct stack stack_from_tss(struct interp *cpu, unsigned cpl, unsigned ext)
{
	struct stack stack = { .view = view_of(cpu, cpl) };
	uint16_t selector = read_inner_stack(cpu, cpl, ext, &stack.sp);
	struct descriptor descriptor;
	uint32_t attributes;

	if (selector_is_null(selector))
		interp_fault(cpu, VECTOR_TS, ext);
	if ((selector & SELECTOR_RPL) != cpl ||
	    !descriptor_read(cpu, selector, &descriptor))
		fault_selector(cpu, VECTOR_TS, selector, ext);
	stack.segment = segment_from_descriptor(selector, descriptor.low);
	attributes = stack.segment.attributes;
	if (segment_dpl(attributes) != cpl || !segment_is_writable(attributes))
		fault_selector(cpu, VECTOR_TS, selector, ext);
	if (!(attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_SS, selector, ext);
	descriptor_set_accessed(cpu, &descriptor, &stack.segment);
	stack.mask = stack_width(&stack.segment);
	stack.error = (selector & ~SELECTOR_RPL) | ext;
	return stack;
}

/* 64-bit TSS: RSPn at 4 + 8n, ISTn at 24h + 8(n - 1) (SDM 3, figure 7-11). */
struct stack stack_from_tss64(struct interp *cpu, unsigned cpl, unsigned ist,
			      unsigned ext)
{
	const struct cpu_segment *tr = &cpu->s.tr;
	unsigned offset = ist ? 0x24 + 8 * (ist - 1) : 4 + 8 * cpl;
	struct stack stack = {
		.segment = segment_null_stack(cpl),
		.mask = ~0ull,
		.view = view_of(cpu, cpl),
		.error = ext,
		.is_64bit = true,
	};

	if (offset + 7 > tr->limit)
		fault_selector(cpu, VECTOR_TS, tr->selector, ext);
	stack.sp = mem_read_system(cpu, tr->base + offset, 8);
	return stack;
}

static bool stack_allows(const struct stack *stack, uint64_t sp, unsigned size)
{
	const struct cpu_segment *segment = &stack->segment;
	uint64_t last = sp + size - 1;

	if (stack->is_64bit)
		return gva_is_canonical(sp) && gva_is_canonical(last);
	if (segment->attributes & SEGMENT_EXPAND_DOWN)
		return sp > segment->limit && last <= stack->mask;
	return last <= segment->limit;
}

void stack_put(struct interp *cpu, struct stack *stack, uint64_t value,
	       unsigned size)
{
	uint64_t sp = (stack->sp - size) & stack->mask;
	gva_t gva = sp;

	if (!stack_allows(stack, sp, size))
		interp_fault(cpu, VECTOR_SS, stack->error);
	if (!stack->is_64bit)
		gva = (uint32_t)(sp + stack->segment.base);
	mem_write_linear(cpu, gva, value, size, stack->view);
	stack->sp = (stack->sp & ~stack->mask) | sp;
}

void stack_commit(struct interp *cpu, const struct stack *stack)
{
	cpu->s.gpr[RSP] = stack->sp;
	cpu->s.segment[SEG_SS] = stack->segment;
}
