/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Near control transfers: Jcc JMP CALL RET LOOP JrCXZ, and the instructions
 * that raise an event on purpose: INT n, INT3, INT1, INTO, BOUND, UD. SDM 2.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"
#include "engine/interp/vm86.h"

/* A target outside canonical space or the code segment's limit faults on the
 * branch itself. */
ALWAYS_INLINE uint64_t branch_target(struct interp *cpu,
				     const struct insn *insn, uint64_t target)
{
	if (likely(cpu->mode == X86_MODE_64)) {
		if (unlikely(!gva_is_canonical(target)))
			fault_gp(cpu, 0);
		return target;
	}
	target = truncate(target, insn->opsize == 2 ? 2 : 4);
	if (target > cpu->s.segment[SEG_CS].limit)
		fault_gp(cpu, 0);
	return target;
}

ALWAYS_INLINE void branch_relative(struct interp *cpu, const struct insn *insn)
{
	cpu->next_rip =
		branch_target(cpu, insn, cpu->next_rip + (uint64_t)insn->imm);
}

#define X(cond)                                              \
	static void exec_jcc_##cond(struct interp *cpu,      \
				    const struct insn *insn) \
	{                                                    \
		if (flags_condition(cpu->s.rflags, cond))    \
			branch_relative(cpu, insn);          \
	}
/* clang-format off */
X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#undef X

static interp_fn *const jcc_fn[16] = {
	exec_jcc_0,  exec_jcc_1,  exec_jcc_2,  exec_jcc_3,
	exec_jcc_4,  exec_jcc_5,  exec_jcc_6,  exec_jcc_7,
	exec_jcc_8,  exec_jcc_9,  exec_jcc_10, exec_jcc_11,
	exec_jcc_12, exec_jcc_13, exec_jcc_14, exec_jcc_15,
};
/* clang-format on */

interp_fn *branch_specialize(const struct insn *insn)
{
	return insn->op == OP_JCC ? jcc_fn[insn->cond & 15] : NULL;
}

/* Where JMP and CALL go: relative, or from a register or memory. */
ALWAYS_INLINE uint64_t near_target(struct interp *cpu, const struct insn *insn)
{
	if (insn->operand[0].kind == OPND_REL)
		return cpu->next_rip + (uint64_t)insn->imm;
	return operand_read(cpu, insn, 0, insn->opsize);
}

static void exec_jmp(struct interp *cpu, const struct insn *insn)
{
	cpu->next_rip = branch_target(cpu, insn, near_target(cpu, insn));
}

/* The return address is in memory even when the target then faults. */
ALWAYS_INLINE void call(struct interp *cpu, const struct insn *insn,
			unsigned size)
{
	uint64_t target = near_target(cpu, insn);
	uint64_t sp = (cpu->s.gpr[RSP] - size) & stack_mask(cpu);

	mem_store(cpu, SEG_SS, sp, cpu->next_rip, size);
	cpu->next_rip = branch_target(cpu, insn, target);
	cpu->s.gpr[RSP] = stack_pointer(cpu, sp);
}

static void exec_call(struct interp *cpu, const struct insn *insn)
{
	if (likely(insn->opsize == 8))
		call(cpu, insn, 8);
	else
		call(cpu, insn, insn->opsize);
}

static void exec_ret(struct interp *cpu, const struct insn *insn)
{
	uint64_t target;

	if (likely(insn->opsize == 8))
		target = stack_peek(cpu, 8);
	else
		target = stack_peek(cpu, insn->opsize);
	cpu->next_rip = branch_target(cpu, insn, target);
	stack_drop(cpu, insn->opsize + (insn->nops ? (uint16_t)insn->imm : 0));
}

/* LOOP, LOOPE, LOOPNE count rCX of the address size down. */
static void exec_loop(struct interp *cpu, const struct insn *insn)
{
	uint64_t count = truncate(cpu->s.gpr[RCX] - 1, insn->adsize);
	bool is_zero = cpu->s.rflags & RFLAGS_ZF, is_taken = count;

	if (insn->op == OP_LOOPE)
		is_taken = is_taken && is_zero;
	else if (insn->op == OP_LOOPNE)
		is_taken = is_taken && !is_zero;
	if (is_taken)
		branch_relative(cpu, insn);
	reg_write(cpu, RCX, count, insn->adsize);
}

static void exec_jcxz(struct interp *cpu, const struct insn *insn)
{
	if (!truncate(cpu->s.gpr[RCX], insn->adsize))
		branch_relative(cpu, insn);
}

/* --- events --------------------------------------------------------------- */

static void raise_event(struct interp *cpu, int kind, uint8_t vector)
{
	cpu->pending = (struct cpu_event){
		.is_valid = true,
		.kind = kind,
		.vector = vector,
	};
	longjmp(cpu->fault, 1);
}

/* In virtual-8086 mode INT n may not be for the IDT; INT3 and INTO always are
 * (SDM 3, 20.2.7). The run loop delivers it as it does a fault. */
static void exec_int(struct interp *cpu, const struct insn *insn)
{
	if ((cpu->s.rflags & RFLAGS_VM) && vm86_int(cpu, (uint8_t)insn->imm))
		return;
	raise_event(cpu, CPU_EVENT_SOFTWARE, (uint8_t)insn->imm);
}

static void exec_int3(struct interp *cpu, const struct insn *insn)
{
	raise_event(cpu, CPU_EVENT_SOFTWARE, VECTOR_BP);
}

static void exec_into(struct interp *cpu, const struct insn *insn)
{
	if (cpu->s.rflags & RFLAGS_OF)
		raise_event(cpu, CPU_EVENT_SOFTWARE, VECTOR_OF);
}

/* INT1 checks no descriptor privilege: it is delivered as hardware's #DB, but
 * as a trap (SDM 2, INT n). */
static void exec_int1(struct interp *cpu, const struct insn *insn)
{
	cpu->s.rip = cpu->next_rip;
	/* Its landing counts it; the walk over the block does too. */
	cpu->instructions--;
	raise_event(cpu, CPU_EVENT_EXCEPTION, VECTOR_DB);
}

static void exec_bound(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;
	uint64_t address = operand_address(cpu, insn);
	int64_t index =
		sign_extend(reg_read(cpu, insn->operand[0].reg, size), size);
	int64_t bound =
		sign_extend(mem_load(cpu, insn->seg, address, size), size);

	/* Below the first, the second is not looked at. */
	if (index < bound)
		interp_fault(cpu, VECTOR_BR, 0);
	address = truncate(address + size, insn->adsize);
	bound = sign_extend(mem_load(cpu, insn->seg, address, size), size);
	if (index > bound)
		interp_fault(cpu, VECTOR_BR, 0);
}

void exec_undefined(struct interp *cpu, const struct insn *insn)
{
	fault_ud(cpu);
}

const struct interp_handler branch_handlers[] = {
	{ OP_JMP, exec_jmp },	   { OP_CALL, exec_call },
	{ OP_RET, exec_ret },	   { OP_LOOP, exec_loop },
	{ OP_LOOPE, exec_loop },   { OP_LOOPNE, exec_loop },
	{ OP_JCXZ, exec_jcxz },	   { OP_INT, exec_int },
	{ OP_INT3, exec_int3 },	   { OP_INTO, exec_into },
	{ OP_INT1, exec_int1 },	   { OP_BOUND, exec_bound },
	{ OP_UD, exec_undefined }, { 0 },
};
