/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Near branches. Direct ones are chained: the displacement first leads to code
 * that asks for the target's translation, and is then patched; within a page to
 * the target itself, into another page to its check. bt.h tells how CALL and
 * RET use the shadow stack.
 *
 * A vCPU must be reached wherever it loops. Polls stand before backward branches,
 * in the look-up and before direct calls: a chain of functions that each call
 * the next twice has no other, and runs for ever.
 */
#include "engine/bt/translate.h"

#include "x86/reencode.h"

static bool is_same_page(const struct translation *t, uint64_t rip)
{
	return !((rip ^ t->rip) & PAGE_MASK);
}

/* A displacement of this block; its number. */
static unsigned add_link(struct translation *t, const uint8_t *at,
			 enum bt_link_kind kind)
{
	struct bt_block *block = t->block;
	unsigned n = t->links++;

	BUG_ON(n >= BT_LINKS);
	block->link[n].at = (uint32_t)(at - t->bt->writable);
	block->kind[n] = (uint8_t)kind;
	return n;
}

/* Where link n leads first: to the dispatcher. */
static void emit_ask(struct translation *t, uint64_t rip, unsigned n)
{
	struct bt_block *block = t->block;
	struct code *c = &t->c;

	block->link[n].ask = (uint32_t)(c->at - t->bt->writable);
	block->link[n].rip = rip;
	code_constant(c, SCRATCH, bt_block_number(t->bt, block) * BT_LINKS + n);
	code_jump(c, t->bt->stubs.ask[block->kind[n] == LINK_RFLAGS]);
}

void emit_link_by_tlb(struct translation *t, uint64_t rip)
{
	struct code *c = &t->c;
	uint8_t *at;
	unsigned n;

	code_align_patched(c, 1);
	at = code_jump_forward(c);
	n = add_link(t, at, LINK_BY_TLB);
	code_land(c, at);
	emit_ask(t, rip, n);
}

/* The displacement that was just emitted leads to `rip`, when it is chained. */
static void link_here(struct translation *t, uint64_t rip,
		      enum bt_link_kind kind)
{
	uint8_t *at = t->c.at - 4;

	cold_add(t, COLD_ASK, at, rip)->link = add_link(t, at, kind);
}

static void emit_jcc_link(struct translation *t, unsigned condition,
			  uint64_t rip, enum bt_link_kind kind)
{
	code_align_patched(&t->c, 2);
	code_jcc_forward(&t->c, condition);
	link_here(t, rip, kind);
}

void emit_goto(struct translation *t, unsigned i, uint64_t rip)
{
	bool is_polled = rip <= insn_rip(t, i), is_near = is_same_page(t, rip);
	enum bt_link_kind kind = LINK_FAR;
	struct code *c = &t->c;

	if (!flags_needed_at(t, rip))
		t->flags = FLAGS_DEAD;
	if (is_polled || !is_near)
		need_flags_saved(t, RFLAGS_STATUS);
	if (is_near)
		kind = t->flags == FLAGS_IN_RFLAGS ? LINK_RFLAGS : LINK_SAVED;
	if (!is_polled) {
		code_align_patched(c, 1);
		code_jump_forward(c);
		link_here(t, rip, kind);
		return;
	}
	code_poll(c);
	emit_jcc_link(t, COND_AE, rip, kind);
	cold_add(t, COLD_ATTENTION, code_jump_forward(c), rip);
}

/* A conditional branch that is one: forward, within the page. */
static bool emit_jcc_direct(struct translation *t, unsigned i,
			    unsigned condition, uint64_t target)
{
	if (target <= insn_rip(t, i) || !is_same_page(t, target))
		return false;
	emit_jcc_link(t, condition, target,
		      flags_needed_at(t, target) ? LINK_RFLAGS : LINK_SAVED);
	return true;
}

/* One side of it by a branch alone, if there is one that can do without more. */
static void emit_jcc(struct translation *t, unsigned i)
{
	uint64_t target = insn_target(t, i), next = insn_next(t, i);
	unsigned condition = t->insn[i].cond;
	uint8_t *fall_through;

	need_flags_in_rflags(t);
	if (emit_jcc_direct(t, i, condition, target)) {
		emit_goto(t, i, next);
		return;
	}
	if (emit_jcc_direct(t, i, condition ^ 1, next)) {
		emit_goto(t, i, target);
		return;
	}
	fall_through = code_jcc_forward(&t->c, condition ^ 1);
	emit_goto(t, i, target);
	code_land(&t->c, fall_through);
	t->flags = FLAGS_IN_RFLAGS;
	emit_goto(t, i, next);
}

/* LOOP and JrCXZ: RCX by the size of addresses. */
static void emit_loop(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	bool is_loop = insn->op == OP_LOOP;
	unsigned wide = insn->adsize == 8;
	struct code *c = &t->c;
	enum flags_at flags;
	uint8_t *fall_through;

	need_flags_saved(t, t->live_after[i]);
	flags = t->flags;
	if (insn->adsize == 2)
		CODE(c, 0x66);
	if (is_loop)
		code_lea_sized(c, wide, RCX, RCX, -1);
	if (is_loop && insn->adsize == 2)
		CODE(c, 0x66);
	code_rr(c, wide, 0x85, RCX, RCX); /* test */
	fall_through = code_jcc_forward(c, is_loop ? COND_E : COND_NE);
	emit_goto(t, i, insn_target(t, i));
	code_land(c, fall_through);
	t->flags = flags;
	emit_goto(t, i, insn_next(t, i));
}

/* What CALL pushes. */
static void emit_push_return(struct translation *t, unsigned i, uint64_t rip)
{
	if (t->flavour.is_segmented)
		emit_push_return_legacy(t, i, rip);
	else
		stack_push_constant(t, i, rip);
	stack_settle(t);
}

/* cmp dword [rsp - 16 + offset], value; jne miss; the value is half of a
 * return address. */
static void emit_check_half(struct translation *t, int offset, uint32_t value)
{
	struct code *c = &t->c;

	code_u8(c, 0x81);
	code_u8(c, 0x7c);
	code_u8(c, 0x24);
	code_u8(c, (unsigned)(offset - 16) & 0xff);
	code_u32(c, value);
	place_note(t, offset ? PLACE_HIGH : PLACE_LOW, c->at - 4);
	code_jcc(c, COND_NE, t->bt->stubs.return_miss);
}

/*
 * Where the host's RET lands: is it where the guest's goes? And is this page
 * still there, for the RET's view and size of code, whose ids R10 chooses?
 */
static void emit_return_site(struct translation *t, unsigned i, uint64_t rip)
{
	struct code *c = &t->c;
	struct bt_vm *bt = t->bt;
	bool is_short = rip == (uint64_t)(int32_t)rip;
	unsigned first = is_short ? 15 : 28; /* bytes, of comparing addresses */

	code_align_patched(c, first + 9);
	if (is_short) {
		code_u8(c, 0x48); /* cmp qword [rsp - 16], imm32 */
		code_u8(c, 0x81);
		code_u8(c, 0x7c);
		code_u8(c, 0x24);
		code_u8(c, 0xf0);
		code_u32(c, (uint32_t)rip);
		code_jcc(c, COND_NE, bt->stubs.return_miss);
	} else {
		emit_check_half(t, 0, (uint32_t)rip);
		emit_check_half(t, 4, (uint32_t)(rip >> 32));
	}
	code_compare_indexed(c, FIELD(exec[0][bt_exec_slot(t->rip)]), t->id);
	t->block->site = (uint32_t)(c->at - 4 - bt->writable);
	place_note(t, PLACE_SLOT, c->at - 8);
	code_jcc(c, COND_NE, bt->stubs.return_miss);
	t->flags = FLAGS_SAVED;
	emit_goto(t, i, rip);
}

static void emit_call(struct translation *t, unsigned i)
{
	uint64_t next = insn_next(t, i), target = insn_target(t, i);
	struct code *c = &t->c;
	struct cold *called;

	need_flags_saved(t, t->live_after[i]);
	emit_push_return(t, i, next);
	code_poll(c);
	called = cold_add(t, COLD_CALLED, code_jcc_forward(c, COND_B), target);
	code_align_patched(c, 1);
	code_u8(c, 0xe8);
	code_u32(c, 0);
	called->resume = code_here(c);
	link_here(t, target, is_same_page(t, target) ? LINK_SAVED : LINK_FAR);
	emit_return_site(t, i, next);
}

/* For the #GP of an indirect branch to an address that is not canonical: run.c,
 * undo_branch. */
static void note_branch(struct translation *t, unsigned i, int32_t moved)
{
	t->block->branch = t->offset[i];
	t->block->moved = moved;
}

static void emit_ret(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	unsigned pop = insn->nops ? (uint16_t)insn->imm : 0;
	struct code *c = &t->c;

	note_branch(t, i, (int32_t)(t->word + pop));
	need_flags_saved(t, RFLAGS_STATUS);
	stack_leave_return(t, i, pop);
	code_constant(c, SCRATCH,
		      BT_RETURN_IDS(bt_codes(&t->flavour)) |
			      (uint64_t)(c->at - t->bt->writable) << 32);
	code_u8(c, 0xc3);
}

/* R10 = where an indirect branch goes. */
static void emit_target(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *operand = &insn->operand[0];
	struct insn_place place = AT_SCRATCH;
	struct code *c = &t->c;

	if (t->flavour.is_segmented) {
		emit_target_legacy(t, i);
		return;
	}
	if (operand->kind == OPND_REG) {
		if (in_memory(operand->reg))
			code_load(c, SCRATCH, FIELD_GPR(operand->reg));
		else
			code_rr(c, t->wide, 0x89, SCRATCH,
				host_register(operand->reg));
		return;
	}
	if (is_stack_operand(t, insn) &&
	    stack_has(t, (int32_t)insn->disp, t->word))
		stack_address(t, (int32_t)insn->disp);
	else
		place = emit_place(t, i, operand, false);
	code_memory(c, t->wide, 0x8b, SCRATCH, place.base,
		    place.index == INSN_NO_INDEX ? NO_REGISTER : place.index,
		    place.scale, place.displacement);
}

/* The push of the return address does not change it. */
static bool is_apart(const struct translation *t, const struct operand *target)
{
	return target->kind == OPND_REG && target->reg != RSP &&
	       !t->flavour.is_segmented;
}

/* The look-up stands here, so that the processor predicts each by itself. */
static void emit_indirect_jump(struct translation *t, unsigned i)
{
	const struct operand *operand = &t->insn[i].operand[0];
	unsigned target = SCRATCH;
	uint8_t *missed[2];
	struct cold *cold;

	note_branch(t, i, 0);
	need_flags_saved(t, RFLAGS_STATUS);
	if (t->wide && operand->kind == OPND_REG && !in_memory(operand->reg))
		target = host_register(operand->reg);
	else
		emit_target(t, i);
	emit_lookup(&t->c, bt_codes(&t->flavour), target, missed);
	cold = cold_add(t, COLD_BRANCHED, missed[0], insn_rip(t, i));
	cold->other = missed[1];
	cold->target = target;
	cold->resume = code_here(&t->c);
}

/* The end of the hot part tells where from, should the address be none. */
static void emit_cold_branched(struct translation *t, const struct cold *cold)
{
	struct code *c = &t->c;

	code_land(c, cold->other);
	if (cold->target != SCRATCH)
		code_move(c, SCRATCH, cold->target);
	CODE(c, 0x4c, 0x8d, 0x0d); /* lea r9, [rip + ..] */
	code_rel32(c, cold->resume);
	code_store(c, FIELD(branched), SPARE);
	code_jump(c, t->bt->stubs.missed);
}

static void emit_indirect_call(struct translation *t, unsigned i)
{
	const struct operand *operand = &t->insn[i].operand[0];
	uint64_t next = insn_next(t, i);
	const uint8_t *lookup = t->bt->stubs.lookup[bt_codes(&t->flavour)];
	struct code *c = &t->c;

	note_branch(t, i, -(int32_t)t->word);
	need_flags_saved(t, RFLAGS_STATUS);
	if (is_apart(t, operand)) {
		emit_push_return(t, i, next);
		emit_target(t, i);
	} else {
		emit_target(t, i);
		code_store(c, FIELD(spill[1]), SCRATCH);
		t->has_delta = false;
		emit_push_return(t, i, next);
		code_load(c, SCRATCH, FIELD(spill[1]));
	}
	code_u8(c, 0xe8);
	code_rel32(c, lookup);
	emit_return_site(t, i, next);
}

void emit_branch(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	bool is_direct = insn->nops && insn->operand[0].kind == OPND_REL;

	if (insn->op == OP_JCC)
		emit_jcc(t, i);
	else if (insn->op == OP_LOOP || insn->op == OP_JCXZ)
		emit_loop(t, i);
	else if (insn->op == OP_RET && t->flavour.is_segmented)
		emit_ret_legacy(t, i);
	else if (insn->op == OP_RET)
		emit_ret(t, i);
	else if (!is_direct && insn->op == OP_JMP)
		emit_indirect_jump(t, i);
	else if (!is_direct)
		emit_indirect_call(t, i);
	else if (insn->op == OP_JMP)
		emit_goto(t, i, insn_target(t, i));
	else
		emit_call(t, i);
}

/* --- cold parts ------------------------------------------------------------ */

struct cold *cold_add(struct translation *t, enum cold_kind kind,
		      uint8_t *branch, uint64_t rip)
{
	struct cold *cold = &t->cold[t->colds++];

	BUG_ON(t->colds > TRANSLATE_COLD_MAX);
	*cold = (struct cold){
		.kind = kind,
		.branch = branch,
		.rip = rip,
	};
	return cold;
}

void cold_resume_here(struct translation *t, unsigned first)
{
	if (first < t->colds) /* who comes from C has nothing in SPARE */
		t->held_at = NULL;
	for (unsigned i = first; i < t->colds; i++) {
		struct cold *cold = &t->cold[i];

		if (cold->kind > COLD_RECORD)
			continue;
		cold->resume = code_here(&t->c);
		cold->restore_flags = t->flags == FLAGS_IN_RFLAGS;
	}
}

void emit_cold(struct translation *t)
{
	struct code *c = &t->c;

	for (unsigned i = 0; i < t->colds; i++) {
		struct cold *cold = &t->cold[i];

		if (cold->branch && cold->kind != COLD_RECORD)
			code_land(c, cold->branch);
		switch (cold->kind) {
		case COLD_INTERPRET:
			emit_cold_interpret(t, cold);
			break;
		case COLD_MISS:
			emit_cold_miss(t, cold);
			break;
		case COLD_CALLED:
			CODE(c, 0x4c, 0x8d, 0x15); /* lea r10, [rip + ..] */
			code_rel32(c, cold->resume);
			CODE(c, 0x41, 0x52); /* push r10 */
			emit_rip(t, SCRATCH, cold->rip);
			code_jump(c, t->bt->stubs.attention_at);
			break;
		case COLD_PERCPU:
			emit_cold_percpu(t, cold);
			break;
		case COLD_RECORD:
			emit_cold_record(t, cold);
			break;
		case COLD_HERE:
			emit_rip(t, SCRATCH, cold->rip);
			code_jump(c, t->bt->stubs.interpret_at);
			break;
		case COLD_RUN:
			emit_cold_run(t, cold);
			break;
		case COLD_ATTENTION:
			emit_rip(t, SCRATCH, cold->rip);
			code_jump(c, t->bt->stubs.attention_at);
			break;
		case COLD_ASK:
			emit_ask(t, cold->rip, cold->link);
			break;
		case COLD_MISSED:
			emit_rip(t, SCRATCH, cold->rip);
			code_jump(c, t->bt->stubs.missed);
			break;
		case COLD_BRANCHED:
			emit_cold_branched(t, cold);
			break;
		}
	}
}
