/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE, SDM 2; SDM 1, chapter 6.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"
#include "engine/interp/vm86.h"

/* --- PUSH and POP --------------------------------------------------------- */

static void exec_push_reg_8(struct interp *cpu, const struct insn *insn)
{
	stack_push(cpu, cpu->s.gpr[insn->operand[0].reg & 15], 8);
}

static void exec_pop_reg_8(struct interp *cpu, const struct insn *insn)
{
	uint64_t value = stack_peek(cpu, 8);

	stack_drop(cpu, 8);
	cpu->s.gpr[insn->operand[0].reg & 15] = value;
}

interp_fn *stack_specialize(const struct insn *insn)
{
	if (insn->opsize != 8 || insn->operand[0].kind != OPND_REG)
		return NULL;
	if (insn->op == OP_PUSH)
		return exec_push_reg_8;
	return insn->op == OP_POP ? exec_pop_reg_8 : NULL;
}

static void exec_push(struct interp *cpu, const struct insn *insn)
{
	stack_push(cpu, operand_read(cpu, insn, 0, insn->opsize), insn->opsize);
}

/*
 * The address of a destination in memory that rSP is part of is taken after
 * the pop (SDM 2, POP); the pop itself must not show when the write faults.
 */
static void exec_pop(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;
	uint64_t value = stack_peek(cpu, size), address, old, new;

	old = cpu->s.gpr[RSP];
	stack_drop(cpu, size);
	if (insn->operand[0].kind == OPND_REG) {
		reg_write(cpu, insn->operand[0].reg, value, size);
		return;
	}
	address = operand_address(cpu, insn);
	new = cpu->s.gpr[RSP];
	cpu->s.gpr[RSP] = old;
	mem_store(cpu, insn->seg, address, value, size);
	cpu->s.gpr[RSP] = new;
}

static void exec_pusha(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;
	uint64_t mask = stack_mask(cpu), sp = cpu->s.gpr[RSP];

	/* One by one, as the host does it: what came before a fault stays. */
	for (unsigned i = 0; i < 8; i++)
		mem_store(cpu, SEG_SS, (sp - (i + 1) * size) & mask,
			  cpu->s.gpr[i], size);
	cpu->s.gpr[RSP] = stack_pointer(cpu, sp - 8 * size);
}

static void exec_popa(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;
	uint64_t mask = stack_mask(cpu), sp = cpu->s.gpr[RSP];

	/* One by one, as the host does it: what came before a fault stays. */
	for (unsigned i = 0; i < 8; i++) {
		uint64_t value =
			mem_load(cpu, SEG_SS, (sp + i * size) & mask, size);

		if (7 - i != RSP)
			reg_write(cpu, 7 - i, value, size);
	}
	cpu->s.gpr[RSP] = stack_pointer(cpu, sp + 8 * size);
}

/* --- the flags ------------------------------------------------------------ */

static bool uses_vif(struct interp *cpu, unsigned size)
{
	return (cpu->s.rflags & RFLAGS_VM) && vm86_uses_vif(cpu, size);
}

static void exec_pushf(struct interp *cpu, const struct insn *insn)
{
	uint64_t flags = cpu->s.rflags & ~(RFLAGS_VM | RFLAGS_RF);

	if (uses_vif(cpu, insn->opsize))
		flags = vm86_flags(cpu);
	stack_push(cpu, flags, insn->opsize);
}

/* Which bits POPF may change: SDM 2, POPF, table 4-16. */
static uint64_t popf_mask(const struct interp *cpu, unsigned size)
{
	uint64_t mask = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT |
			RFLAGS_AC | RFLAGS_ID;

	if (cpu->cpl <= bits_get(cpu->s.rflags, 13, 12))
		mask |= RFLAGS_IF;
	if (cpu->cpl == 0)
		mask |= RFLAGS_IOPL | RFLAGS_VIF | RFLAGS_VIP;
	return size == 2 ? mask & 0xffff : mask;
}

static void exec_popf(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;
	uint64_t mask, value, changed;

	if (uses_vif(cpu, size)) {
		value = stack_peek(cpu, 2);
		vm86_check_flags(cpu, value);
		stack_drop(cpu, 2);
		vm86_set_flags(cpu, value);
		cpu->end_block = true;
		return;
	}
	mask = popf_mask(cpu, size);
	value = stack_peek(cpu, size) & ~(RFLAGS_VIF | RFLAGS_VIP);
	stack_drop(cpu, size);
	changed = (cpu->s.rflags ^ value) & mask;
	cpu->s.rflags ^= changed;
	if (changed & RFLAGS_AC)
		interp_mode_changed(cpu);
	if (changed & (RFLAGS_IF | RFLAGS_TF))
		cpu->end_block = true;
}

/* --- ENTER and LEAVE ------------------------------------------------------ */

/* What has been pushed stays in memory when a later part faults; registers
 * change last. The frame's last word must be writable (SDM 2, ENTER). */
static void exec_enter(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize, level = insn->imm2 % 32;
	uint64_t mask = stack_mask(cpu), bp = cpu->s.gpr[RBP];
	uint64_t sp = (cpu->s.gpr[RSP] - size) & mask, value;
	/* Of a 16-bit stack the upper half of ESP, too. */
	uint64_t frame = stack_pointer(cpu, sp);

	mem_store(cpu, SEG_SS, sp, bp, size);
	for (unsigned i = 1; i < level; i++) {
		value = mem_load(cpu, SEG_SS, (bp - i * size) & mask, size);
		sp = (sp - size) & mask;
		mem_store(cpu, SEG_SS, sp, value, size);
	}
	if (level) {
		sp = (sp - size) & mask;
		mem_store(cpu, SEG_SS, sp, frame, size);
	}
	sp = (sp - (uint16_t)insn->imm) & mask;
	mem_check_write(cpu, SEG_SS, sp, size);
	reg_write(cpu, RBP, frame, size);
	cpu->s.gpr[RSP] = stack_pointer(cpu, sp);
}

static void exec_leave(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;
	uint64_t bp = cpu->s.gpr[RBP];
	uint64_t value = mem_load(cpu, SEG_SS, bp & stack_mask(cpu), size);

	cpu->s.gpr[RSP] = stack_pointer(cpu, bp + size);
	reg_write(cpu, RBP, value, size);
}

const struct interp_handler stack_handlers[] = {
	{ OP_PUSH, exec_push },
	{ OP_POP, exec_pop },
	{ OP_PUSHA, exec_pusha },
	{ OP_POPA, exec_popa },
	{ OP_PUSHF, exec_pushf },
	{ OP_POPF, exec_popf },
	{ OP_ENTER, exec_enter },
	{ OP_LEAVE, exec_leave },
	{ 0 },
};
