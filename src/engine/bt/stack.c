/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PUSH, POP and LEAVE: moves by way of struct bt_stack, with the guest's RSP in a
 * register that changes last. SDM 2.
 */
#include "engine/bt/translate.h"

/* --- one by one -------------------------------------------------------------- */

/* op reg, [r10] or the other way round, of the stack's size. */
static void emit_at_scratch(struct translation *t, unsigned opcode,
			    unsigned reg)
{
	struct code *c = &t->c;

	code_u8(c, 0x41 | t->wide << 3 | reg >> 3 << 2);
	code_u8(c, opcode);
	code_u8(c, (reg & 7) << 3 | 2);
}

static void emit_store_pushed(struct translation *t, const struct insn *insn)
{
	const struct operand *from = &insn->operand[0];
	struct code *c = &t->c;

	if (from->kind == OPND_IMM) {
		code_u8(c, 0x41 | t->wide << 3); /* mov [r10], imm32 */
		code_u8(c, 0xc7);
		code_u8(c, 0x02);
		code_u32(c, (uint32_t)insn->imm);
	} else if (in_memory(from->reg)) {
		code_load(c, SPARE, FIELD_GPR(from->reg));
		emit_at_scratch(t, 0x89, SPARE);
	} else {
		emit_at_scratch(t, 0x89, host_register(from->reg));
	}
}

static void emit_push(struct translation *t, unsigned i)
{
	struct code *c = &t->c;
	uint8_t *retry;

	need_flags_saved(t, t->live_after[i]);
	retry = code_here(c);
	code_lea_sized(c, t->wide, SCRATCH, GUEST_RSP, -(int)t->word);
	emit_translate_stack(t, i, t->word, retry);
	emit_store_pushed(t, &t->insn[i]);
	code_lea_sized(c, t->wide, GUEST_RSP, GUEST_RSP, -(int)t->word);
}

/* PUSH of a word in memory. */
static void emit_push_memory(struct translation *t, unsigned i)
{
	struct code *c = &t->c;

	need_flags_saved(t, t->live_after[i]);
	emit_operand_address(t, i, &t->insn[i].operand[0]);
	emit_at_scratch(t, 0x8b, SCRATCH);
	code_store(c, FIELD(spill[1]), SCRATCH);
	emit_push_spilled(t, i);
}

static void emit_pop(struct translation *t, unsigned i)
{
	unsigned reg = t->insn[i].operand[0].reg;
	struct code *c = &t->c;
	uint8_t *retry;

	need_flags_saved(t, t->live_after[i]);
	retry = code_here(c);
	code_rr(c, t->wide, 0x89, SCRATCH, GUEST_RSP);
	emit_translate_stack(t, i, t->word, retry);
	if (reg == RSP) {
		emit_at_scratch(t, 0x8b, GUEST_RSP);
		return;
	}
	if (in_memory(reg)) {
		emit_at_scratch(t, 0x8b, SCRATCH);
		code_store(c, FIELD_GPR(reg), SCRATCH);
	} else {
		emit_at_scratch(t, 0x8b, reg);
	}
	code_lea_sized(c, t->wide, GUEST_RSP, GUEST_RSP, (int)t->word);
}

static void emit_leave(struct translation *t, unsigned i)
{
	struct code *c = &t->c;
	uint8_t *retry;

	need_flags_saved(t, t->live_after[i]);
	retry = code_here(c);
	code_rr(c, t->wide, 0x89, SCRATCH, RBP);
	emit_translate_stack(t, i, t->word, retry);
	code_lea_sized(c, t->wide, GUEST_RSP, RBP, (int)t->word);
	emit_at_scratch(t, 0x8b, RBP);
}

/* --- runs ------------------------------------------------------------------- */

/* So that offsets have eight bits. */
#define RUN_MAX 16

static bool is_simple(const struct translation *t, const struct insn *insn)
{
	const struct operand *operand = &insn->operand[0];

	return insn->opsize == t->word &&
	       (operand->kind == OPND_REG || operand->kind == OPND_IMM);
}

/* How many of the kind follow one another from i on. */
static unsigned run_length(const struct translation *t, unsigned i)
{
	unsigned n = 0;

	while (n < RUN_MAX && i + n < t->count) {
		const struct insn *insn = &t->insn[i + n];

		if (insn->op != t->insn[i].op || !is_simple(t, insn) ||
		    (insn->operand[0].kind == OPND_REG &&
		     insn->operand[0].reg == RSP) ||
		    t->offset[i + n] + insn->len > t->room)
			break;
		n++;
	}
	return n;
}

static void emit_single(struct translation *t, unsigned i)
{
	if (t->insn[i].op == OP_PUSH)
		emit_push(t, i);
	else
		emit_pop(t, i);
}

/* ModRM and displacement of [r10 + offset]. */
static void at_offset(struct code *c, unsigned reg, unsigned offset)
{
	CODE(c, 0x42 | (reg & 7) << 3, offset);
}

/* Between a guest register, or from a constant, and [r10 + offset]. */
static void emit_slot(struct translation *t, unsigned i, unsigned offset)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *operand = &insn->operand[0];
	bool is_push = insn->op == OP_PUSH;
	struct code *c = &t->c;

	if (operand->kind == OPND_IMM) {
		CODE(c, 0x41 | t->wide << 3, 0xc7); /* mov, imm32 */
		at_offset(c, 0, offset);
		code_u32(c, (uint32_t)insn->imm);
	} else if (!in_memory(operand->reg)) {
		CODE(c, 0x41 | t->wide << 3 | operand->reg >> 3 << 2,
		     is_push ? 0x89 : 0x8b);
		at_offset(c, operand->reg, offset);
	} else if (is_push) { /* by the shadow stack, below RSP */
		CODE(c, 0x65, 0xff, 0x34, 0x25); /* push gs:[..] */
		code_u32(c, FIELD_GPR(operand->reg));
		CODE(c, 0x41, 0x8f); /* pop */
		at_offset(c, 0, offset);
	} else {
		CODE(c, 0x41, 0xff); /* push */
		at_offset(c, 6, offset);
		CODE(c, 0x65, 0x8f, 0x04, 0x25); /* pop gs:[..] */
		code_u32(c, FIELD_GPR(operand->reg));
	}
}

/*
 * PUSHes or POPs in a row, as functions begin and end with: one check for all.
 * Where they are not all on the page that struct bt_stack has, they go one by
 * one, in a cold part.
 */
static void emit_run(struct translation *t, unsigned i, unsigned n)
{
	bool is_push = t->insn[i].op == OP_PUSH;
	unsigned size = t->word * n;
	int32_t change = is_push ? -(int32_t)size : (int32_t)size;
	struct code *c = &t->c;
	struct cold *cold;

	need_flags_saved(t, t->live_after[i]);
	if (is_push)
		code_lea_sized(c, t->wide, SCRATCH, GUEST_RSP, change);
	else
		code_rr(c, t->wide, 0x89, SCRATCH, GUEST_RSP);
	cold = cold_add(t, COLD_RUN, emit_stack_check(t, size), insn_rip(t, i));
	cold->first = i;
	cold->count = n;
	cold->flags = t->flags;
	for (unsigned k = 0; k < n; k++)
		emit_slot(t, i + k, t->word * (is_push ? n - 1 - k : k));
	code_lea_sized(c, t->wide, GUEST_RSP, GUEST_RSP, change);
	cold->resume = code_here(c);
	t->merged = i + n;
}

void emit_cold_run(struct translation *t, const struct cold *cold)
{
	unsigned first = cold->first, count = cold->count;
	const uint8_t *resume = cold->resume;

	t->flags = cold->flags;
	for (unsigned i = first; i < first + count; i++) {
		unsigned first_cold = t->colds;

		emit_single(t, i);
		cold_resume_here(t, first_cold);
	}
	code_jump(&t->c, resume);
}

bool emit_stack(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *operand = &insn->operand[0];
	unsigned run = run_length(t, i);

	if ((insn->op == OP_PUSH || insn->op == OP_POP) && run > 1)
		emit_run(t, i, run);
	else if (insn->op == OP_PUSH && is_simple(t, insn))
		emit_push(t, i);
	else if (insn->op == OP_PUSH && t->wide && insn->opsize == 8 &&
		 operand->kind == OPND_MEM)
		emit_push_memory(t, i);
	else if (insn->op == OP_POP && is_simple(t, insn))
		emit_pop(t, i);
	else if (insn->op == OP_LEAVE && insn->opsize == t->word)
		emit_leave(t, i);
	else
		return false;
	return true;
}
