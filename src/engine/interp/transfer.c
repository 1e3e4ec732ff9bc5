/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Far transfers of control: JMP, CALL and RET to another code segment, through
 * call gates and to tasks too, and IRET. SDM 2, and SDM 3, 5.8 and 7.3.
 */
#include "engine/interp/operand.h"
#include "engine/interp/segment.h"
#include "engine/interp/task.h"
#include "engine/interp/vm86.h"

struct far_target {
	uint16_t selector;
	uint64_t offset;
};

static bool is_64bit_code(const struct interp *cpu,
			  const struct cpu_segment *code)
{
	return cpu_is_long_mode(&cpu->s) && (code->attributes & SEGMENT_L);
}

/* The new RIP lies in its segment: #GP(0). */
static void check_offset(struct interp *cpu, const struct cpu_segment *code,
			 uint64_t offset)
{
	if (is_64bit_code(cpu, code) ? !gva_is_canonical(offset) :
				       offset > code->limit)
		fault_gp(cpu, 0);
}

static void check_mode_bits(struct interp *cpu, const struct cpu_segment *code)
{
	if (is_64bit_code(cpu, code) && (code->attributes & SEGMENT_DB))
		fault_selector(cpu, VECTOR_GP, code->selector, 0);
}

static struct far_target read_target(struct interp *cpu,
				     const struct insn *insn, unsigned number)
{
	unsigned size = insn->opsize;
	uint64_t address;

	if (insn->operand[number].kind == OPND_FARPTR)
		return (struct far_target){
			.selector = insn->imm2,
			.offset = truncate((uint64_t)insn->imm, size),
		};
	address = operand_address(cpu, insn);
	return (struct far_target){
		.offset = mem_load(cpu, insn->seg, address, size),
		.selector = mem_load(cpu, insn->seg,
				     truncate(address + size, insn->adsize), 2),
	};
}

static struct descriptor read_descriptor(struct interp *cpu, uint16_t selector)
{
	struct descriptor descriptor;

	if (selector_is_null(selector))
		fault_gp(cpu, 0);
	if (!descriptor_read(cpu, selector, &descriptor))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	return descriptor;
}

/* --- JMP and CALL --------------------------------------------------------- */

/* A code segment named directly: SDM 3, 5.8.1. CPL stays. */
static struct cpu_segment direct_code(struct interp *cpu,
				      const struct far_target *target,
				      const struct descriptor *descriptor)
{
	uint16_t selector = target->selector;
	struct cpu_segment code =
		segment_from_descriptor(selector, descriptor->low);
	unsigned dpl = segment_dpl(code.attributes);

	if (segment_is_conforming(code.attributes) ?
		    dpl > cpu->cpl :
		    dpl != cpu->cpl || (selector & SELECTOR_RPL) > cpu->cpl)
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!(code.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
	check_mode_bits(cpu, &code);
	check_offset(cpu, &code, target->offset);
	descriptor_set_accessed(cpu, descriptor, &code);
	return code;
}

/* A TSS, or a task gate to one, is the target: SDM 3, 7.3. False: it is
 * neither. */
static bool transfer_task(struct interp *cpu, uint16_t selector,
			  const struct descriptor *descriptor,
			  enum task_source source)
{
	uint32_t attributes = descriptor_attributes(descriptor->low);
	struct task_request request = {
		.source = source,
		.selector = selector,
		.rip = cpu->next_rip,
		.rflags = cpu->s.rflags,
	};
	unsigned dpl = segment_dpl(attributes);

	if (cpu_is_long_mode(&cpu->s))
		return false;
	switch (attributes & (SEGMENT_TYPE | SEGMENT_S)) {
	case SYSTEM_TSS16:
	case SYSTEM_TSS32:
	case SYSTEM_TASK_GATE:
		break;
	default:
		return false;
	}
	if (dpl < cpu->cpl || dpl < (selector & SELECTOR_RPL))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!(attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
	if ((attributes & SEGMENT_TYPE) == SYSTEM_TASK_GATE)
		request.selector =
			gate_from_descriptor(descriptor->low, 0).selector;
	task_switch(cpu, &request);
	return true;
}

/* The target is no code segment and no task: a call gate. */
static struct gate read_call_gate(struct interp *cpu, uint16_t selector,
				  struct descriptor *descriptor)
{
	uint32_t attributes = descriptor_attributes(descriptor->low);
	unsigned dpl = segment_dpl(attributes);
	bool is_long = cpu_is_long_mode(&cpu->s);

	switch (attributes & (SEGMENT_TYPE | SEGMENT_S)) {
	case SYSTEM_CALL_GATE32:
		break;
	case SYSTEM_CALL_GATE16:
		if (!is_long)
			break;
		/* fall through */
	default:
		fault_selector(cpu, VECTOR_GP, selector, 0);
	}
	if (dpl < cpu->cpl || dpl < (selector & SELECTOR_RPL))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!(attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
	/* Type 0 stands in the upper half, so that it is no descriptor. */
	if (is_long && (!descriptor_read_high(cpu, selector, descriptor) ||
			bits_get(descriptor->high, 44, 40)))
		fault_selector(cpu, VECTOR_GP, selector, 0);
	return gate_from_descriptor(descriptor->low,
				    (uint32_t)descriptor->high);
}

static void transfer_real(struct interp *cpu, const struct far_target *target)
{
	if (target->offset > cpu->s.segment[SEG_CS].limit)
		fault_gp(cpu, 0);
	segment_load_real(cpu, SEG_CS, target->selector);
	cpu->next_rip = target->offset;
	interp_mode_changed(cpu);
}

static void exec_jmp_far(struct interp *cpu, const struct insn *insn)
{
	struct far_target target = read_target(cpu, insn, 0);
	struct descriptor descriptor;
	struct cpu_segment code;
	struct gate gate;

	if (!cpu_is_protected(cpu)) {
		transfer_real(cpu, &target);
		return;
	}
	descriptor = read_descriptor(cpu, target.selector);
	if (segment_is_code(descriptor_attributes(descriptor.low))) {
		code = direct_code(cpu, &target, &descriptor);
	} else if (transfer_task(cpu, target.selector, &descriptor,
				 TASK_JUMP)) {
		return;
	} else {
		gate = read_call_gate(cpu, target.selector, &descriptor);
		code = segment_gate_code(cpu, gate.selector, 0);
		if (!segment_is_conforming(code.attributes) &&
		    segment_dpl(code.attributes) != cpu->cpl)
			fault_selector(cpu, VECTOR_GP, gate.selector, 0);
		target.offset = gate.offset;
		check_offset(cpu, &code, target.offset);
	}
	cpu->next_rip = target.offset;
	segment_set_code(cpu, &code, cpu->cpl);
}

static void push_return(struct interp *cpu, struct stack *stack, unsigned size)
{
	stack_put(cpu, stack, cpu->s.segment[SEG_CS].selector, size);
	stack_put(cpu, stack, cpu->next_rip, size);
}

/* Parameters are copied from the caller's stack, first pushed first. */
static void copy_parameters(struct interp *cpu, struct stack *stack,
			    unsigned count, unsigned size)
{
	while (count--) {
		uint64_t sp = cpu->s.gpr[RSP] + count * size;

		stack_put(cpu, stack,
			  mem_load(cpu, SEG_SS, sp & stack_mask(cpu), size),
			  size);
	}
}

static void call_gate(struct interp *cpu, const struct gate *gate)
{
	struct cpu_segment code = segment_gate_code(cpu, gate->selector, 0);
	bool is_long = cpu_is_long_mode(&cpu->s);
	unsigned size = is_long ? 8 : gate->attributes & 8 ? 4 : 2;
	unsigned cpl = segment_is_conforming(code.attributes) ?
			       cpu->cpl :
			       segment_dpl(code.attributes);
	struct stack stack;

	if (cpl < cpu->cpl) {
		stack = is_long ? stack_from_tss64(cpu, cpl, 0, 0) :
				  stack_from_tss(cpu, cpl, 0);
		stack_put(cpu, &stack, cpu->s.segment[SEG_SS].selector, size);
		stack_put(cpu, &stack, cpu->s.gpr[RSP], size);
		if (!is_long)
			copy_parameters(cpu, &stack, gate->parameters, size);
	} else {
		stack = stack_current(cpu);
	}
	push_return(cpu, &stack, size);
	check_offset(cpu, &code, gate->offset);
	stack_commit(cpu, &stack);
	cpu->next_rip = gate->offset;
	segment_set_code(cpu, &code, cpl);
}

static void exec_call_far(struct interp *cpu, const struct insn *insn)
{
	struct far_target target = read_target(cpu, insn, 0);
	struct stack stack = stack_current(cpu);
	struct descriptor descriptor;
	struct cpu_segment code;
	struct gate gate;

	if (!cpu_is_protected(cpu)) {
		if (target.offset > cpu->s.segment[SEG_CS].limit)
			fault_gp(cpu, 0);
		push_return(cpu, &stack, insn->opsize);
		stack_commit(cpu, &stack);
		transfer_real(cpu, &target);
		return;
	}
	descriptor = read_descriptor(cpu, target.selector);
	if (!segment_is_code(descriptor_attributes(descriptor.low))) {
		if (transfer_task(cpu, target.selector, &descriptor, TASK_CALL))
			return;
		gate = read_call_gate(cpu, target.selector, &descriptor);
		call_gate(cpu, &gate);
		return;
	}
	code = direct_code(cpu, &target, &descriptor);
	push_return(cpu, &stack, insn->opsize);
	stack_commit(cpu, &stack);
	cpu->next_rip = target.offset;
	segment_set_code(cpu, &code, cpu->cpl);
}

/* --- RET and IRET --------------------------------------------------------- */

/* The word `number` places up the stack, of the operand size. */
static uint64_t peek(struct interp *cpu, unsigned number, unsigned size,
		     unsigned skip)
{
	uint64_t sp = cpu->s.gpr[RSP] + number * size + skip;

	return mem_load(cpu, SEG_SS, sp & stack_mask(cpu), size);
}

/* The code segment that RET or IRET goes back to: its RPL is the new CPL. */
static struct cpu_segment return_code(struct interp *cpu, uint16_t selector,
				      uint64_t offset)
{
	struct descriptor descriptor = read_descriptor(cpu, selector);
	struct cpu_segment code =
		segment_from_descriptor(selector, descriptor.low);
	unsigned dpl = segment_dpl(code.attributes);
	unsigned rpl = selector & SELECTOR_RPL;

	if (!segment_is_code(code.attributes) || rpl < cpu->cpl)
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (segment_is_conforming(code.attributes) ? dpl > rpl : dpl != rpl)
		fault_selector(cpu, VECTOR_GP, selector, 0);
	check_mode_bits(cpu, &code);
	if (!(code.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_NP, selector, 0);
	check_offset(cpu, &code, offset);
	descriptor_set_accessed(cpu, &descriptor, &code);
	return code;
}

/* The SS that comes off the stack with it. */
static struct cpu_segment return_stack(struct interp *cpu, uint16_t selector,
				       const struct cpu_segment *code)
{
	unsigned rpl = code->selector & SELECTOR_RPL;
	struct descriptor descriptor;
	struct cpu_segment stack;

	if (selector_is_null(selector)) {
		if (!is_64bit_code(cpu, code) || rpl == 3 ||
		    (selector & SELECTOR_RPL) != rpl)
			fault_gp(cpu, 0);
		return segment_null_stack(rpl);
	}
	descriptor = read_descriptor(cpu, selector);
	stack = segment_from_descriptor(selector, descriptor.low);
	if ((selector & SELECTOR_RPL) != rpl ||
	    !segment_is_writable(stack.attributes) ||
	    segment_dpl(stack.attributes) != rpl)
		fault_selector(cpu, VECTOR_GP, selector, 0);
	if (!(stack.attributes & SEGMENT_P))
		fault_selector(cpu, VECTOR_SS, selector, 0);
	descriptor_set_accessed(cpu, &descriptor, &stack);
	return stack;
}

/* Commits a return that pops SS:SP. `sp` is what was popped. */
static void return_to(struct interp *cpu, const struct cpu_segment *code,
		      uint64_t offset, const struct cpu_segment *stack,
		      uint64_t sp)
{
	unsigned cpl = code->selector & SELECTOR_RPL;
	bool is_outer = cpl > cpu->cpl;

	if (is_64bit_code(cpu, code))
		cpu->s.gpr[RSP] = sp;
	else if (stack->attributes & SEGMENT_DB)
		cpu->s.gpr[RSP] = (uint32_t)sp;
	else
		reg_write(cpu, RSP, sp, 2);
	cpu->s.segment[SEG_SS] = *stack;
	cpu->next_rip = offset;
	segment_set_code(cpu, code, cpl);
	if (is_outer)
		segments_drop_inner(cpu, cpl);
}

static void exec_ret_far(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;
	unsigned extra = insn->nops ? (uint16_t)insn->imm : 0;
	struct far_target target = {
		.offset = peek(cpu, 0, size, 0),
		.selector = peek(cpu, 1, size, 0),
	};
	struct cpu_segment code, stack;
	uint64_t sp;

	if (!cpu_is_protected(cpu)) {
		transfer_real(cpu, &target);
		stack_drop(cpu, 2 * size + extra);
		return;
	}
	code = return_code(cpu, target.selector, target.offset);
	if ((target.selector & SELECTOR_RPL) == cpu->cpl) {
		stack_drop(cpu, 2 * size + extra);
		cpu->next_rip = target.offset;
		segment_set_code(cpu, &code, cpu->cpl);
		return;
	}
	sp = peek(cpu, 2, size, extra);
	stack = return_stack(cpu, peek(cpu, 3, size, extra), &code);
	return_to(cpu, &code, target.offset, &stack, sp + extra);
}

/* What IRET may change, from the CPL that executes it: SDM 2, IRET. */
static void load_flags(struct interp *cpu, uint64_t image, unsigned size)
{
	uint64_t mask = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

	if (size > 2)
		mask |= RFLAGS_AC | RFLAGS_ID | RFLAGS_RF;
	if (!(cpu->s.cr0 & CR0_PE) ||
	    cpu->cpl <= bits_get(cpu->s.rflags, 13, 12))
		mask |= RFLAGS_IF;
	if (cpu->cpl == 0) {
		mask |= RFLAGS_IOPL;
		if (size > 2 && cpu_is_protected(cpu))
			mask |= RFLAGS_VIF | RFLAGS_VIP;
	}
	cpu->s.rflags = (cpu->s.rflags & ~mask) | (image & mask);
}

static void iret_real(struct interp *cpu, unsigned size)
{
	struct far_target target = {
		.offset = peek(cpu, 0, size, 0),
		.selector = peek(cpu, 1, size, 0),
	};
	uint64_t flags = peek(cpu, 2, size, 0);

	transfer_real(cpu, &target);
	stack_drop(cpu, 3 * size);
	load_flags(cpu, flags, size);
	interp_mode_changed(cpu);
}

/* Virtual-8086 mode without IOPL 3: SDM 3, table 20-2. */
static void iret_vif(struct interp *cpu)
{
	struct far_target target = {
		.offset = peek(cpu, 0, 2, 0),
		.selector = peek(cpu, 1, 2, 0),
	};
	uint16_t flags = peek(cpu, 2, 2, 0);

	vm86_check_flags(cpu, flags);
	transfer_real(cpu, &target);
	stack_drop(cpu, 3 * 2);
	vm86_set_flags(cpu, flags);
}

static void iret_to_vm86(struct interp *cpu, uint64_t rip, uint16_t cs,
			 uint64_t flags)
{
	struct vm86_frame frame = {
		.rip = rip,
		.rflags = flags,
		.rsp = peek(cpu, 3, 4, 0),
		.segment = {
			[SEG_CS] = cs,
			[SEG_SS] = peek(cpu, 4, 4, 0),
			[SEG_ES] = peek(cpu, 5, 4, 0),
			[SEG_DS] = peek(cpu, 6, 4, 0),
			[SEG_FS] = peek(cpu, 7, 4, 0),
			[SEG_GS] = peek(cpu, 8, 4, 0),
		},
	};

	vm86_enter(cpu, &frame);
}

/* IRET with NT set: back to the task that the TSS links to. */
static void iret_task(struct interp *cpu)
{
	const struct task_request request = {
		.source = TASK_IRET,
		.selector = mem_read_system(cpu, cpu->s.tr.base, 2),
		.rip = cpu->next_rip,
		.rflags = cpu->s.rflags & ~RFLAGS_NT,
	};

	task_switch(cpu, &request);
}

static void iret_protected(struct interp *cpu, unsigned size)
{
	struct cpu_segment code, stack;
	uint64_t offset, flags, sp;
	uint16_t selector;

	if (cpu->s.rflags & RFLAGS_NT) {
		/* Long mode has no task return: #GP(0). */
		if (cpu_is_long_mode(&cpu->s))
			fault_gp(cpu, 0);
		iret_task(cpu);
		return;
	}
	offset = peek(cpu, 0, size, 0);
	selector = peek(cpu, 1, size, 0);
	flags = peek(cpu, 2, size, 0);
	if (size == 4 && (flags & RFLAGS_VM) && cpu->cpl == 0 &&
	    !cpu_is_long_mode(&cpu->s)) {
		iret_to_vm86(cpu, offset, selector, flags);
		return;
	}
	code = return_code(cpu, selector, offset);
	/* 64-bit mode pops SS:RSP whatever the levels. */
	if (cpu->mode != X86_MODE_64 && (selector & SELECTOR_RPL) == cpu->cpl) {
		stack_drop(cpu, 3 * size);
		load_flags(cpu, flags, size);
		cpu->next_rip = offset;
		segment_set_code(cpu, &code, cpu->cpl);
		return;
	}
	sp = peek(cpu, 3, size, 0);
	stack = return_stack(cpu, peek(cpu, 4, size, 0), &code);
	load_flags(cpu, flags, size);
	return_to(cpu, &code, offset, &stack, sp);
}

static void exec_iret(struct interp *cpu, const struct insn *insn)
{
	bool uses_vif = (cpu->s.rflags & RFLAGS_VM) &&
			vm86_uses_vif(cpu, insn->opsize);

	/* Even if it faults (SDM 3, 25.3 on blocking by NMI). */
	cpu->s.nmi_is_blocked = false;
	cpu->end_block = true;
	if (uses_vif)
		iret_vif(cpu);
	else if (cpu_is_protected(cpu))
		iret_protected(cpu, insn->opsize);
	else
		iret_real(cpu, insn->opsize);
}

const struct interp_handler transfer_handlers[] = {
	{ OP_JMP_FAR, exec_jmp_far },
	{ OP_CALL_FAR, exec_call_far },
	{ OP_RET_FAR, exec_ret_far },
	{ OP_IRET, exec_iret },
	{ 0 },
};
