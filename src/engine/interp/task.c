/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardware task switches: SDM 3, 7.3, whose numbered steps the functions
 * follow. Steps 1 to 4 check in the old task; from there to step 13 nothing can
 * fault, since all that is written has been translated; the new task's segments
 * come last and fault in the new task (table 7-1).
 */
#include "engine/interp/task.h"

#include "engine/interp/mmu.h"
#include "engine/interp/segment.h"

#define TSS_LINK  0
#define TSS_CR3	  0x1c
#define TSS_TRAP  0x64

#define TYPE_BUSY 2

/* Offsets in the two kinds of TSS, SDM 3, figures 7-2 and 7-10. General and
 * segment registers lie in the order of their numbers. */
struct tss_layout {
	uint8_t word; /* size of a register */
	uint8_t ip, flags, gpr, segment, ldt;
	uint8_t segments; /* how many */
	uint8_t limit; /* the least */
};

static const struct tss_layout tss16 = {
	.word = 2,
	.ip = 0x0e,
	.flags = 0x10,
	.gpr = 0x12,
	.segment = 0x22,
	.ldt = 0x2a,
	.segments = 4,
	.limit = 0x2b,
};

static const struct tss_layout tss32 = {
	.word = 4,
	.ip = 0x20,
	.flags = 0x24,
	.gpr = 0x28,
	.segment = 0x48,
	.ldt = 0x60,
	.segments = 6,
	.limit = 0x67,
};

static const struct tss_layout *layout_of(const struct cpu_segment *tss)
{
	return tss->attributes & 8 ? &tss32 : &tss16;
}

/* What a TSS holds, and a switch loads. */
struct task {
	uint64_t cr3, ip, flags, gpr[8];
	uint16_t segment[SEG_COUNT], ldt;
	bool traps;
};

/* --- steps 1 to 4: may it be ---------------------------------------------- */

/* An IRET goes back to a busy task, all others to one that is not. */
static struct cpu_segment find_tss(struct interp *cpu,
				   const struct task_request *request,
				   struct descriptor *descriptor)
{
	bool is_return = request->source == TASK_IRET;
	enum vector bad = is_return ? VECTOR_TS : VECTOR_GP;
	uint16_t selector = request->selector;
	struct cpu_segment tss;
	unsigned type;

	if (selector_is_null(selector) || (selector & SELECTOR_TI) ||
	    !descriptor_read(cpu, selector, descriptor))
		fault_selector(cpu, bad, selector, request->ext);
	tss = segment_from_descriptor(selector, descriptor->low);
	type = tss.attributes & (SEGMENT_TYPE | SEGMENT_S);
	if (type != (is_return ? SYSTEM_TSS16_BUSY : SYSTEM_TSS16) &&
	    type != (is_return ? SYSTEM_TSS32_BUSY : SYSTEM_TSS32))
		fault_selector(cpu, bad, selector, request->ext);
	if (!(tss.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, request->ext);
	if (tss.limit < layout_of(&tss)->limit)
		fault_selector(cpu, VECTOR_TS, selector, request->ext);
	return tss;
}

static uint64_t read_word(struct interp *cpu, const struct cpu_segment *tss,
			  unsigned offset, unsigned size)
{
	return mem_read_system(cpu, tss->base + offset, size);
}

static void read_task(struct interp *cpu, const struct cpu_segment *tss,
		      struct task *task)
{
	const struct tss_layout *layout = layout_of(tss);
	unsigned word = layout->word;

	*task = (struct task){
		.ip = read_word(cpu, tss, layout->ip, word),
		.flags = read_word(cpu, tss, layout->flags, word),
		.ldt = read_word(cpu, tss, layout->ldt, 2),
	};
	for (unsigned i = 0; i < 8; i++)
		task->gpr[i] =
			read_word(cpu, tss, layout->gpr + i * word, word);
	for (unsigned i = 0; i < layout->segments; i++)
		task->segment[i] =
			read_word(cpu, tss, layout->segment + i * word, 2);
	if (layout == &tss32) {
		task->cr3 = read_word(cpu, tss, TSS_CR3, 4);
		task->traps = read_word(cpu, tss, TSS_TRAP, 2) & 1;
	}
}

static gva_t descriptor_type_byte(const struct interp *cpu, uint16_t selector)
{
	return cpu->s.gdtr.base + (selector & ~7u) + 5;
}

/* Everything the switch writes is writable. */
static void check_writes(struct interp *cpu, const struct task_request *request,
			 const struct cpu_segment *tss)
{
	const struct cpu_segment *old = &cpu->s.tr;
	const struct tss_layout *layout = layout_of(old);

	mem_check_system(cpu, old->base + layout->ip, layout->ldt - layout->ip,
			 MMU_WRITE);
	mem_check_system(cpu, descriptor_type_byte(cpu, old->selector), 1,
			 MMU_WRITE);
	mem_check_system(cpu, descriptor_type_byte(cpu, request->selector), 1,
			 MMU_WRITE);
	if (request->source == TASK_CALL || request->source == TASK_EVENT)
		mem_check_system(cpu, tss->base + TSS_LINK, 2, MMU_WRITE);
}

/* --- steps 5 to 12: the switch -------------------------------------------- */

static void save_task(struct interp *cpu, const struct task_request *request)
{
	const struct cpu_segment *tss = &cpu->s.tr;
	const struct tss_layout *layout = layout_of(tss);
	unsigned word = layout->word;

	mem_write_system(cpu, tss->base + layout->ip, request->rip, word);
	mem_write_system(cpu, tss->base + layout->flags, request->rflags, word);
	for (unsigned i = 0; i < 8; i++)
		mem_write_system(cpu, tss->base + layout->gpr + i * word,
				 cpu->s.gpr[i], word);
	for (unsigned i = 0; i < layout->segments; i++)
		mem_write_system(cpu, tss->base + layout->segment + i * word,
				 cpu->s.segment[i].selector, 2);
}

static void set_busy(struct interp *cpu, uint16_t selector, bool is_busy)
{
	gva_t address = descriptor_type_byte(cpu, selector);
	uint64_t type = mem_read_system(cpu, address, 1);

	type = is_busy ? type | TYPE_BUSY : type & ~(uint64_t)TYPE_BUSY;
	mem_write_system(cpu, address, type, 1);
}

#define TASK_FLAGS                                                         \
	(RFLAGS_STATUS | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | \
	 RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC | RFLAGS_VIF |      \
	 RFLAGS_VIP | RFLAGS_ID)

/* L0 to L3 and LE: breakpoints of the old task alone (SDM 3, 17.2.4). */
#define DR7_LOCAL (BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(8))

static void load_registers(struct interp *cpu, const struct task *task)
{
	struct cpu_state *s = &cpu->s;

	memcpy(s->gpr, task->gpr, sizeof(task->gpr));
	s->rflags = (task->flags & TASK_FLAGS) | RFLAGS_FIXED1;
	s->rip = cpu->next_rip = task->ip;
	s->cr0 |= CR0_TS;
	s->dr[7] &= ~DR7_LOCAL;
}

/* Visible parts come first: a fault finds the new task's selectors. */
static void load_selectors(struct interp *cpu, const struct task *task)
{
	struct cpu_state *s = &cpu->s;
	unsigned cpl = task->segment[SEG_CS] & SELECTOR_RPL;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->segment[i] = (struct cpu_segment){
			.selector = task->segment[i],
			.attributes = SEGMENT_UNUSABLE |
				      cpl << SEGMENT_DPL_SHIFT,
		};
	s->ldtr = (struct cpu_segment){
		.selector = task->ldt,
		.attributes = SEGMENT_UNUSABLE,
	};
	interp_mode_changed(cpu);
}

/* --- from step 13: the new task's segments, table 7-1 --------------------- */

static void load_ldt(struct interp *cpu, uint16_t selector)
{
	struct descriptor descriptor;
	struct cpu_segment ldt;

	if (selector_is_null(selector))
		return;
	if ((selector & SELECTOR_TI) ||
	    !descriptor_read(cpu, selector, &descriptor))
		fault_selector(cpu, VECTOR_TS, selector, 0);
	ldt = segment_from_descriptor(selector, descriptor.low);
	if ((ldt.attributes & (SEGMENT_TYPE | SEGMENT_S)) != SYSTEM_LDT ||
	    !(ldt.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_TS, selector, 0);
	cpu->s.ldtr = ldt;
}

static struct cpu_segment task_segment(struct interp *cpu, uint16_t selector,
				       struct descriptor *descriptor)
{
	if (!descriptor_read(cpu, selector, descriptor))
		fault_selector(cpu, VECTOR_TS, selector, 0);
	return segment_from_descriptor(selector, descriptor->low);
}

static void load_code(struct interp *cpu, uint16_t selector)
{
	unsigned rpl = selector & SELECTOR_RPL, dpl;
	struct descriptor descriptor;
	struct cpu_segment code;

	if (selector_is_null(selector))
		fault_selector(cpu, VECTOR_TS, selector, 0);
	code = task_segment(cpu, selector, &descriptor);
	dpl = segment_dpl(code.attributes);
	if (!segment_is_code(code.attributes) ||
	    (segment_is_conforming(code.attributes) ? dpl > rpl : dpl != rpl))
		fault_selector(cpu, VECTOR_TS, selector, 0);
	if (!(code.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
	descriptor_set_accessed(cpu, &descriptor, &code);
	cpu->s.segment[SEG_CS] = code;
}

static void load_stack(struct interp *cpu, uint16_t selector, unsigned cpl)
{
	struct descriptor descriptor;
	struct cpu_segment stack;

	if (selector_is_null(selector))
		fault_selector(cpu, VECTOR_TS, selector, 0);
	stack = task_segment(cpu, selector, &descriptor);
	if (!segment_is_writable(stack.attributes) ||
	    segment_dpl(stack.attributes) != cpl ||
	    (selector & SELECTOR_RPL) != cpl)
		fault_selector(cpu, VECTOR_TS, selector, 0);
	if (!(stack.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_SS, selector, 0);
	descriptor_set_accessed(cpu, &descriptor, &stack);
	cpu->s.segment[SEG_SS] = stack;
}

static void load_data(struct interp *cpu, enum segment index, uint16_t selector,
		      unsigned cpl)
{
	struct descriptor descriptor;
	struct cpu_segment data;
	unsigned dpl;

	if (selector_is_null(selector))
		return;
	data = task_segment(cpu, selector, &descriptor);
	dpl = segment_dpl(data.attributes);
	if (!segment_is_readable(data.attributes) ||
	    (!segment_is_conforming(data.attributes) &&
	     (dpl < cpl || dpl < (selector & SELECTOR_RPL))))
		fault_selector(cpu, VECTOR_TS, selector, 0);
	if (!(data.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
	descriptor_set_accessed(cpu, &descriptor, &data);
	cpu->s.segment[index] = data;
}

static void load_segments(struct interp *cpu, const struct task *task)
{
	static const enum segment data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	unsigned cpl = task->segment[SEG_CS] & SELECTOR_RPL;

	load_ldt(cpu, task->ldt);
	if (cpu->s.rflags & RFLAGS_VM) {
		for (unsigned i = 0; i < SEG_COUNT; i++)
			segment_load_vm86(cpu, i, task->segment[i]);
	} else {
		load_stack(cpu, task->segment[SEG_SS], cpl);
		for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
			load_data(cpu, data[i], task->segment[data[i]], cpl);
		load_code(cpu, task->segment[SEG_CS]);
	}
	interp_mode_changed(cpu);
	if (task->ip > cpu->s.segment[SEG_CS].limit)
		fault_gp(cpu, 0);
}

static void push_error_code(struct interp *cpu,
			    const struct task_request *request, unsigned size)
{
	struct stack stack = stack_current(cpu);

	stack.error = request->ext;
	stack_put(cpu, &stack, request->error_code, size);
	stack_commit(cpu, &stack);
}

/* The T flag: a trap before the new task's first instruction (17.3.1.5). */
static void set_trap(struct interp *cpu)
{
	cpu->s.event = (struct cpu_event){
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_DB,
		.payload = DR6_BT,
	};
}

void task_switch(struct interp *cpu, const struct task_request *request)
{
	bool is_nested = request->source == TASK_CALL ||
			 request->source == TASK_EVENT;
	uint16_t old = cpu->s.tr.selector;
	struct descriptor descriptor;
	struct cpu_segment tss = find_tss(cpu, request, &descriptor);
	struct task task;

	read_task(cpu, &tss, &task);
	check_writes(cpu, request, &tss);

	save_task(cpu, request);
	if (is_nested) {
		mem_write_system(cpu, tss.base + TSS_LINK, old, 2);
		task.flags |= RFLAGS_NT;
	} else {
		set_busy(cpu, old, false);
	}
	if (request->source != TASK_IRET)
		set_busy(cpu, request->selector, true);
	tss.attributes |= TYPE_BUSY;
	cpu->s.tr = tss;
	load_registers(cpu, &task);
	load_selectors(cpu, &task);
	if (layout_of(&tss) == &tss32 && (cpu->s.cr0 & CR0_PG))
		interp_load_cr3(cpu, task.cr3);
	load_segments(cpu, &task);
	if (request->has_error_code)
		push_error_code(cpu, request, layout_of(&tss)->word);
	if (task.traps)
		set_trap(cpu);
}
