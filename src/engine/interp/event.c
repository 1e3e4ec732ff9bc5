/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delivery of exceptions, interrupts and INT n through the IDT, and what
 * becomes of an exception on the way: SDM 3, chapter 6.
 *
 * Which RIP is pushed: an INT n, INT3 or INTO (CPU_EVENT_SOFTWARE) returns to
 * the next instruction, interp->next_rip; all others to s.rip. A fault while
 * delivering is the instruction's: it returns to s.rip. Nothing but the new
 * stack's memory changes before the whole frame has been written.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/vm.h"
#include "engine/interp/segment.h"
#include "engine/interp/task.h"

#define ERROR_EXT BIT(0)
#define ERROR_IDT BIT(1)

/* #DE #TS #NP #SS #GP; SDM 3, table 6-4. */
#define CONTRIBUTORY                                                         \
	(BIT(VECTOR_DE) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | \
	 BIT(VECTOR_GP))

/* Faults, whose pushed image has RF set (SDM 3, 17.3.1.1). #DB is either kind
 * and traps where we raise it. */
#define FAULTS                                                               \
	(BIT(VECTOR_DE) | BIT(VECTOR_BR) | BIT(VECTOR_UD) | BIT(VECTOR_NM) | \
	 BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | \
	 BIT(VECTOR_GP) | BIT(VECTOR_PF) | BIT(VECTOR_MF) | BIT(VECTOR_AC) | \
	 BIT(VECTOR_XM))

static bool is_in(uint64_t set, const struct cpu_event *event)
{
	return event->kind == CPU_EVENT_EXCEPTION && event->vector < 64 &&
	       (set & BIT(event->vector));
}

/* EXT in the error code of what goes wrong on the way. */
static unsigned event_ext(const struct cpu_event *event)
{
	return event->kind == CPU_EVENT_SOFTWARE ? 0 : ERROR_EXT;
}

static uint64_t return_rip(const struct interp *cpu,
			   const struct cpu_event *event)
{
	return event->kind == CPU_EVENT_SOFTWARE ? cpu->next_rip : cpu->s.rip;
}

static uint64_t flags_image(const struct interp *cpu,
			    const struct cpu_event *event)
{
	return cpu->s.rflags | (is_in(FAULTS, event) ? RFLAGS_RF : 0);
}

static void set_rip(struct interp *cpu, uint64_t rip)
{
	cpu->s.rip = rip;
	cpu->next_rip = rip;
}

_Noreturn static void fault_gate(struct interp *cpu, enum vector vector,
				 const struct cpu_event *event)
{
	interp_fault(cpu, vector,
		     event->vector * 8 | ERROR_IDT | event_ext(event));
}

/* --- real mode ------------------------------------------------------------ */

/* SDM 3, 20.1.4: FLAGS, CS, IP; no error code. */
static void deliver_real(struct interp *cpu, const struct cpu_event *event)
{
	struct stack stack = stack_current(cpu);
	uint32_t entry;

	if (event->vector * 4 + 3 > cpu->s.idtr.limit)
		fault_gate(cpu, VECTOR_GP, event);
	entry = mem_read_system(cpu, cpu->s.idtr.base + event->vector * 4, 4);
	stack_put(cpu, &stack, (uint16_t)cpu->s.rflags, 2);
	stack_put(cpu, &stack, cpu->s.segment[SEG_CS].selector, 2);
	stack_put(cpu, &stack, (uint16_t)return_rip(cpu, event), 2);
	stack_commit(cpu, &stack);
	segment_load_real(cpu, SEG_CS, entry >> 16);
	cpu->s.rflags &= ~(RFLAGS_IF | RFLAGS_TF | RFLAGS_RF | RFLAGS_AC);
	set_rip(cpu, (uint16_t)entry);
	interp_mode_changed(cpu);
}

/* --- protected mode ------------------------------------------------------- */

static bool is_interrupt_gate(const struct gate *gate)
{
	unsigned type = gate->attributes & SEGMENT_TYPE;

	return type == SYSTEM_INTERRUPT_GATE16 ||
	       type == SYSTEM_INTERRUPT_GATE32;
}

/* Long mode knows the 64-bit kinds only. */
static bool is_gate_type(const struct interp *cpu, const struct gate *gate)
{
	switch (gate->attributes & (SEGMENT_TYPE | SEGMENT_S)) {
	case SYSTEM_INTERRUPT_GATE32:
	case SYSTEM_TRAP_GATE32:
		return true;
	case SYSTEM_INTERRUPT_GATE16:
	case SYSTEM_TRAP_GATE16:
	case SYSTEM_TASK_GATE:
		return !cpu_is_long_mode(&cpu->s);
	default:
		return false;
	}
}

static struct gate read_gate(struct interp *cpu, const struct cpu_event *event)
{
	bool is_long = cpu_is_long_mode(&cpu->s);
	unsigned size = is_long ? 16 : 8;
	unsigned offset = event->vector * size;
	gva_t address = cpu->s.idtr.base + offset;
	uint64_t low, high = 0;
	struct gate gate;

	if (offset + size - 1 > cpu->s.idtr.limit)
		fault_gate(cpu, VECTOR_GP, event);
	low = mem_read_system(cpu, address, 8);
	if (is_long)
		high = mem_read_system(cpu, address + 8, 8);
	gate = gate_from_descriptor(low, (uint32_t)high);
	if (!is_gate_type(cpu, &gate))
		fault_gate(cpu, VECTOR_GP, event);
	if (event->kind == CPU_EVENT_SOFTWARE &&
	    segment_dpl(gate.attributes) < cpu->cpl)
		fault_gate(cpu, VECTOR_GP, event);
	if (!(gate.attributes & SEGMENT_P))
		fault_gate(cpu, VECTOR_NP, event);
	return gate;
}

/* The stack the handler runs on; with RSP aligned to 16 in long mode. */
static struct stack handler_stack(struct interp *cpu, const struct gate *gate,
				  unsigned cpl, unsigned ext)
{
	bool is_inner = cpl < cpu->cpl;
	struct stack stack;

	if (!cpu_is_long_mode(&cpu->s)) {
		if (is_inner)
			return stack_from_tss(cpu, cpl, ext);
		stack = stack_current(cpu);
	} else if (is_inner || gate->ist) {
		stack = stack_from_tss64(cpu, cpl, gate->ist, ext);
		if (!is_inner)
			stack.segment = cpu->s.segment[SEG_SS];
	} else {
		stack = stack_current(cpu);
		stack.is_64bit = true;
		stack.mask = ~0ull;
	}
	if (cpu_is_long_mode(&cpu->s))
		stack.sp &= ~15ull;
	stack.error = stack.error ? stack.error : ext;
	return stack;
}

/* Out of virtual-8086 mode the data segments go too (SDM 3, 20.2.6). */
static void push_vm86_segments(struct interp *cpu, struct stack *stack,
			       unsigned size)
{
	static const enum segment order[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		stack_put(cpu, stack, cpu->s.segment[order[i]].selector, size);
}

static void drop_vm86_segments(struct interp *cpu)
{
	static const enum segment data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		cpu->s.segment[data[i]] =
			(struct cpu_segment){ .attributes = SEGMENT_UNUSABLE };
}

static void push_frame(struct interp *cpu, const struct cpu_event *event,
		       struct stack *stack, unsigned size, bool has_stack)
{
	const struct cpu_state *s = &cpu->s;

	if (has_stack) {
		stack_put(cpu, stack, s->segment[SEG_SS].selector, size);
		stack_put(cpu, stack, s->gpr[RSP], size);
	}
	stack_put(cpu, stack, flags_image(cpu, event), size);
	stack_put(cpu, stack, s->segment[SEG_CS].selector, size);
	stack_put(cpu, stack, return_rip(cpu, event), size);
	if (event->has_error_code)
		stack_put(cpu, stack, event->error_code, size);
}

/* Through a task gate: the error code goes on the new task's stack. */
static void deliver_task(struct interp *cpu, const struct cpu_event *event,
			 uint16_t selector)
{
	const struct task_request request = {
		.source = TASK_EVENT,
		.selector = selector,
		.rip = return_rip(cpu, event),
		.rflags = flags_image(cpu, event),
		.ext = event_ext(event),
		.has_error_code = event->has_error_code,
		.error_code = event->error_code,
	};

	task_switch(cpu, &request);
}

static void deliver_gate(struct interp *cpu, const struct cpu_event *event,
			 const struct gate *gate)
{
	unsigned ext = event_ext(event);
	bool is_long = cpu_is_long_mode(&cpu->s);
	bool is_vm86 = cpu->s.rflags & RFLAGS_VM;
	struct cpu_segment code = segment_gate_code(cpu, gate->selector, ext);
	unsigned cpl = segment_is_conforming(code.attributes) ?
			       cpu->cpl :
			       segment_dpl(code.attributes);
	unsigned size = is_long ? 8 : gate->attributes & 8 ? 4 : 2;
	bool is_inner = cpl < cpu->cpl;
	struct stack stack;

	if (is_vm86 && cpl)
		fault_selector(cpu, VECTOR_GP, gate->selector, ext);
	stack = handler_stack(cpu, gate, cpl, ext);
	if (is_vm86)
		push_vm86_segments(cpu, &stack, size);
	push_frame(cpu, event, &stack, size, is_long || is_inner);
	if (is_long ? !gva_is_canonical(gate->offset) :
		      gate->offset > code.limit)
		interp_fault(cpu, VECTOR_GP, ext);

	stack_commit(cpu, &stack);
	if (is_vm86)
		drop_vm86_segments(cpu);
	cpu->s.rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
	if (is_interrupt_gate(gate))
		cpu->s.rflags &= ~RFLAGS_IF;
	set_rip(cpu, gate->offset);
	segment_set_code(cpu, &code, cpl);
}

static void deliver_protected(struct interp *cpu, const struct cpu_event *event)
{
	struct gate gate = read_gate(cpu, event);

	if ((gate.attributes & SEGMENT_TYPE) == SYSTEM_TASK_GATE)
		deliver_task(cpu, event, gate.selector);
	else
		deliver_gate(cpu, event, &gate);
}

/* --- faults on the way ---------------------------------------------------- */

/* The jump buffer of the run loop is lent to the delivery. */
static bool try_deliver(struct interp *cpu, const struct cpu_event *event)
{
	jmp_buf outer;

	memcpy(&outer, &cpu->fault, sizeof(outer));
	if (!setjmp(cpu->fault)) {
		if (cpu->s.cr0 & CR0_PE)
			deliver_protected(cpu, event);
		else
			deliver_real(cpu, event);
		memcpy(&cpu->fault, &outer, sizeof(outer));
		return true;
	}
	memcpy(&cpu->fault, &outer, sizeof(outer));
	return false;
}

/* What the event leaves in registers, whether or not it can be delivered. */
static void commit_payload(struct interp *cpu, const struct cpu_event *event)
{
	if (event->kind != CPU_EVENT_EXCEPTION)
		return;
	if (event->vector == VECTOR_PF)
		cpu->s.cr2 = event->payload;
	if (event->vector == VECTOR_DB) {
		/* Bits 3:0 tell of this one only. The handler may use the
		 * debug registers, and is not recorded (SDM 3, 17.2.4 and
		 * 17.4.1). */
		cpu->s.dr[6] = (cpu->s.dr[6] & ~BITS(3, 0)) | event->payload;
		cpu->s.dr[7] &= ~DR7_GD;
		cpu->s.msr.debugctl &= ~BITS(1, 0);
	}
}

/* Table 6-5: what a second event during the first one makes. */
static struct cpu_event combine(const struct cpu_event *first,
				const struct cpu_event *second)
{
	bool is_double =
		is_in(CONTRIBUTORY, first) ?
			is_in(CONTRIBUTORY, second) :
			is_in(BIT(VECTOR_PF), first) &&
				is_in(CONTRIBUTORY | BIT(VECTOR_PF), second);

	if (!is_double)
		return *second;
	return (struct cpu_event){
		.is_valid = true,
		.has_error_code = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_DF,
	};
}

static void count_event(struct interp *cpu, const struct cpu_event *event)
{
	bool is_interrupt = event->kind == CPU_EVENT_INTERRUPT ||
			    event->kind == CPU_EVENT_NMI;

	if (cpu->vcpu)
		vcpu_event(cpu->vcpu,
			   is_interrupt ? INTERP_INTERRUPTS : INTERP_EXCEPTIONS,
			   1);
}

static bool is_traced(const struct interp *cpu)
{
	return cpu->vcpu && trace_is_on(&cpu->vcpu->vm->trace, TRACE_INTERRUPT);
}

static void trace_event(struct interp *cpu, const struct cpu_event *event)
{
	static const char *const kinds[] = {
		[CPU_EVENT_INTERRUPT] = "interrupt",
		[CPU_EVENT_NMI] = "NMI",
		[CPU_EVENT_EXCEPTION] = "exception",
		[CPU_EVENT_SOFTWARE] = "INT",
	};
	struct vcpu *vcpu = cpu->vcpu;
	char error[24] = "", cr2[32] = "";

	if (!is_traced(cpu))
		return;
	if (cpu->leave)
		cpu->leave(cpu);
	if (event->has_error_code)
		snprintf(error, sizeof(error), " error %" PRIx32,
			 event->error_code);
	if (event->kind == CPU_EVENT_EXCEPTION && event->vector == VECTOR_PF)
		snprintf(cr2, sizeof(cr2), " cr2 %" PRIx64, event->payload);
	trace_put(vcpu->vm, vcpu, TRACE_INTERRUPT,
		  "%s %02x%s%s at %04x:%" PRIx64, kinds[event->kind],
		  event->vector, error, cr2, cpu->s.segment[SEG_CS].selector,
		  return_rip(cpu, event));
}

static void delivered(struct interp *cpu, const struct cpu_event *event)
{
	if (event->kind == CPU_EVENT_NMI)
		cpu->s.nmi_is_blocked = true;
	cpu->s.sti_shadow = false;
	cpu->s.mov_ss_shadow = false;
	cpu->end_block = true;
}

bool event_deliver_quick(struct interp *cpu, const struct cpu_event *event)
{
	/* #DB's leaves something in DR7, which modes are derived from. */
	if (is_in(BIT(VECTOR_DB), event) || is_traced(cpu) ||
	    !event_deliver_64(cpu, event, flags_image(cpu, event)))
		return false;
	commit_payload(cpu, event);
	count_event(cpu, event);
	delivered(cpu, event);
	return true;
}

bool event_deliver(struct interp *cpu, const struct cpu_event *event)
{
	struct cpu_event current = *event;

	trace_event(cpu, event);
	if (event_deliver_quick(cpu, event))
		return true;
	count_event(cpu, event);
	commit_payload(cpu, &current);
	while (!try_deliver(cpu, &current)) {
		struct cpu_event second = cpu->pending;

		cpu->pending.is_valid = false;
		if (is_in(BIT(VECTOR_DF), &current))
			return false;
		commit_payload(cpu, &second);
		current = combine(&current, &second);
		trace_event(cpu, &current);
	}
	delivered(cpu, event);
	return true;
}
