/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's stack: PUSH, POP, LEAVE, what CALL and RET do there, and operands
 * relative to RSP (SDM 2).
 *
 * Where RSP changes by constants alone, one comparison with the page that
 * struct bt_stack holds checks all the accesses of such a run (at most a block)
 * at once, before the first. Each is then the host's own instruction at
 *	[R10 + R11 + displacement]	R10 = bt_stack.delta
 * and can neither fault nor touch the flags. R11, the guest's RSP, may lag
 * behind in a run, until an instruction comes that can leave the block.
 *
 *	plan	what each instruction does there; which runs there are
 *	emit	an access is by its run only if it lies in what was checked
 *
 * A run that is not on the page goes on in another translation, of the same
 * code from the check on, in which every access is by the TLB: it is on two
 * pages, or may not be written, or is not there, and then each access faults
 * in its own turn. For a run on a page that struct bt_stack has not got a stub
 * fetches it from the TLB first.
 */
#include "engine/bt/translate.h"

#include "x86/reencode.h"

/* --- plan ------------------------------------------------------------------- */

static void use_range(struct stack_use *use, int32_t low, unsigned size)
{
	int32_t high = low + (int32_t)size;
	bool is_first = use->low == use->high;

	use->low = is_first ? low : MIN(use->low, low);
	use->high = is_first ? high : MAX(use->high, high);
}

static bool is_rsp(const struct translation *t, const struct operand *operand)
{
	return operand->kind == OPND_REG && operand->reg == RSP &&
	       operand->size == t->word;
}

/* Sums of so few as a block has do not overflow. */
static bool is_short(int64_t change)
{
	return change > INT16_MIN && change <= INT16_MAX;
}

/* ADD, SUB of a constant; LEA. */
static bool find_change(const struct translation *t, const struct insn *insn,
			int32_t *change)
{
	if (insn->nops != 2 || !is_rsp(t, &insn->operand[0]))
		return false;
	if (insn->op == OP_LEA) {
		*change = (int32_t)insn->disp;
		return insn->base == RSP && insn->index == INSN_REG_NONE &&
		       insn->adsize == t->word && is_short(insn->disp);
	}
	if (insn->operand[1].kind != OPND_IMM || !is_short(insn->imm))
		return false;
	*change = (int32_t)(insn->op == OP_SUB ? -insn->imm : insn->imm);
	return insn->op == OP_ADD || insn->op == OP_SUB;
}

static bool writes_rsp(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->operand[i].kind == OPND_REG &&
		    insn->operand[i].reg == RSP &&
		    (insn->operand[i].access & ACCESS_W))
			return true;
	return false;
}

static void use_operands(const struct translation *t, const struct insn *insn,
			 struct stack_use *use)
{
	const struct insn_row *row = insn_row(insn);

	if (!is_stack_operand(t, insn) ||
	    row->attrs & (ROW_NOSEG | ROW_ALIGN) || !is_short(insn->disp))
		return;
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->operand[i].kind == OPND_MEM &&
		    insn->operand[i].size <= 64)
			use_range(use, (int32_t)insn->disp,
				  insn->operand[i].size);
}

static bool is_simple(const struct translation *t, const struct insn *insn)
{
	const struct operand *operand = &insn->operand[0];

	return insn->opsize == t->word &&
	       (operand->kind == OPND_REG || operand->kind == OPND_IMM);
}

static bool is_push_of_memory(const struct translation *t,
			      const struct insn *insn)
{
	return insn->op == OP_PUSH && t->wide && insn->opsize == 8 &&
	       insn->operand[0].kind == OPND_MEM;
}

static struct stack_use find_use(const struct translation *t,
				 const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn);
	int32_t word = (int32_t)t->word;
	struct stack_use use = { .is_lost = true };

	switch (insn->op) {
	case OP_PUSH:
		if (!is_simple(t, insn) && !is_push_of_memory(t, insn))
			return use;
		use = (struct stack_use){ .low = -word, .change = -word };
		use_operands(t, insn, &use);
		return use;
	case OP_POP:
		if (!is_simple(t, insn))
			return use;
		return (struct stack_use){
			.high = word,
			.change = word,
			.is_lost = is_rsp(t, &insn->operand[0]),
		};
	case OP_LEAVE:
		if (insn->opsize != t->word)
			return use;
		return (struct stack_use){
			.high = word,
			.change = word,
			.is_leave = true,
		};
	case OP_CALL:
		if (insn->opsize != t->word)
			return use;
		use.low = -word;
		use_operands(t, insn, &use);
		return use;
	case OP_RET:
		use.high = insn->opsize == t->word ? word : 0;
		return use;
	case OP_PUSHF:
		if (!t->wide || insn->opsize != 8)
			return use;
		return (struct stack_use){ .low = -8, .change = -8 };
	case OP_POPF:
		if (!t->wide || insn->opsize != 8)
			return use;
		return (struct stack_use){ .high = 8, .change = 8 };
	default:
		break;
	}
	if (find_change(t, insn, &use.change))
		return (struct stack_use){ .change = use.change };
	if (row->bt == BT_STRING || row->bt == BT_BRANCH)
		use.is_lost = false;
	if (row->bt == BT_COPY || row->bt == BT_MEM)
		use.is_lost = writes_rsp(insn);
	use_operands(t, insn, &use);
	return use;
}

/* So that it is on one page, mostly. */
#define RUN_BYTES 1024

/* Where RSP is known since, while the plan is made. */
struct stretch {
	int32_t at[TRANSLATE_INSNS_MAX]; /* RSP less that at `first` */
	unsigned first;
	unsigned used; /* behind the last access */
};

static uint32_t live_before(const struct translation *t, unsigned i)
{
	return i ? t->live_after[i - 1] : t->live;
}

/*
 * The check clobbers the flags: it goes before the instruction that sets them,
 * if they are live at the first access.
 */
static unsigned check_place(const struct translation *t,
			    const struct stretch *stretch, unsigned i)
{
	unsigned place = i;

	while (live_before(t, place) && place > stretch->used)
		place--;
	return live_before(t, place) ? i : place;
}

static bool extend_run(struct stack_run *run, int32_t low, int32_t high)
{
	low = MIN(low, run->low);
	high = MAX(high, run->high);
	if (high - low > RUN_BYTES)
		return false;
	run->low = low;
	run->high = high;
	return true;
}

static struct stack_run *start_run(struct translation *t,
				   const struct stretch *stretch, unsigned i,
				   const struct stack_use *use)
{
	unsigned place = use->is_leave ? i : check_place(t, stretch, i);
	int32_t change = use->is_leave ? 0 :
					 stretch->at[i] - stretch->at[place];
	struct stack_run *run;

	/* One instruction may use two places: PUSH and CALL of an operand. */
	if (t->runs == STACK_RUNS || use->high - use->low > RUN_BYTES)
		return NULL;
	run = &t->run[t->runs++];
	*run = (struct stack_run){
		.first = place,
		.low = change + use->low,
		.high = change + use->high,
		.origin = use->is_leave ? 0 : stretch->at[place],
		.is_leave = use->is_leave,
	};
	return run;
}

void stack_plan(struct translation *t)
{
	struct stretch stretch = { .first = 0, .used = 0 };
	struct stack_run *run = NULL;
	int32_t at = 0;

	t->runs = 0;
	t->next_run = 0;
	t->current_run = NULL;
	t->lag = 0;
	t->has_delta = false;
	if (t->flavour.by_tlb || t->flavour.is_segmented)
		return;
	for (unsigned i = 0; i < t->count; i++) {
		struct stack_use use = find_use(t, &t->insn[i]);
		int32_t rsp;

		t->use[i] = use;
		if (use.is_leave) {
			run = NULL;
			at = 0;
		}
		stretch.at[i] = at;
		/* 32-bit code: RSP itself is in the run too, so that no sum
		 * with it wraps. */
		if (!t->wide && use.low != use.high) {
			use.low = MIN(use.low, 0);
			use.high = MAX(use.high, 0);
		}
		if (use.low != use.high) {
			rsp = run ? at - run->origin : 0;
			if (!run ||
			    !extend_run(run, rsp + use.low, rsp + use.high))
				run = start_run(t, &stretch, i, &use);
			stretch.used = i + 1;
		}
		at += use.change;
		if (use.is_lost || !is_short(at)) {
			run = NULL;
			at = 0;
			stretch.used = i + 1;
		}
	}
}

/* --- the check -------------------------------------------------------------- */

static uint32_t stack_field(const struct translation *t)
{
	return FIELD(stack[0]) +
	       t->flavour.view * (uint32_t)sizeof(struct bt_stack);
}

/* R10 becomes address ^ page: an offset, where it is this page. */
static void emit_check(struct translation *t, const struct stack_run *run)
{
	unsigned base = run->is_leave ? RBP : GUEST_RSP;
	unsigned size = (unsigned)(run->high - run->low);
	struct code *c = &t->c;
	struct cold *cold;

	BUG_ON(size > PAGE_SIZE);
	if (!t->wide) /* the upper half means nothing */
		code_rr(c, OP_SIZE_32, 0x89, base, base);
	if (run->low)
		code_lea(c, SCRATCH, base, run->low);
	else
		code_move(c, SCRATCH, base);
	code_gs(c, OP_SIZE_64, 0x33, SCRATCH,
		stack_field(t) + (uint32_t)offsetof(struct bt_stack, page));
	code_group1(c, OP_SIZE_64, 7, SCRATCH, (uint32_t)PAGE_SIZE - size);
	cold = cold_add(t, COLD_RUN, emit_branch_slow(t, COND_A),
			insn_rip(t, run->first));
	cold->size = (uint16_t)size;
}

static void begin_run(struct translation *t, unsigned i)
{
	struct stack_run *run = &t->run[t->next_run];
	uint8_t *retry;

	if (t->next_run == t->runs || run->first != i)
		return;
	stack_settle(t);
	need_flags_saved(t, live_before(t, i));
	t->next_run++;
	t->current_run = run;
	t->rsp = 0;
	t->has_delta = false;
	retry = code_here(&t->c);
	emit_check(t, run);
	t->cold[t->colds - 1].retry = retry;
}

void stack_end(struct translation *t, unsigned i)
{
	const struct stack_use *use = &t->use[i];

	if (!t->current_run)
		return;
	t->rsp += use->change;
	if (use->is_lost || !is_short(t->rsp) ||
	    use->is_leave !=
		    (t->current_run->is_leave && t->current_run->first == i))
		t->current_run = NULL;
}

void stack_settle(struct translation *t)
{
	if (t->lag)
		code_lea_sized(&t->c, t->wide, GUEST_RSP, GUEST_RSP, t->lag);
	t->lag = 0;
}

/* RSP changes by a constant, in a run later. */
static void change_rsp(struct translation *t, int32_t change)
{
	t->lag += change;
	if (!t->current_run || !t->wide)
		stack_settle(t);
}

bool stack_has(const struct translation *t, int32_t offset, unsigned size)
{
	const struct stack_run *run = t->current_run;

	return run && t->rsp + offset >= run->low &&
	       t->rsp + offset + (int32_t)size <= run->high;
}

/* --- one access ------------------------------------------------------------- */

int32_t stack_delta(struct translation *t, int32_t offset)
{
	if (!t->has_delta)
		code_load(&t->c, SCRATCH,
			  stack_field(t) +
				  (uint32_t)offsetof(struct bt_stack, delta));
	t->has_delta = true;
	return t->lag + offset;
}

void stack_address(struct translation *t, int32_t offset)
{
	int32_t displacement = stack_delta(t, offset);

	code_lea_full(&t->c, true, SCRATCH, SCRATCH, GUEST_RSP, 1,
		      displacement);
	t->has_delta = false;
}

/* [R10] or [R10 + R11 + displacement]. */
struct place {
	bool is_sum;
	int32_t displacement;
};

/* A word of the stack at RSP + offset, for instruction i. */
static struct place find_word(struct translation *t, unsigned i, int32_t offset,
			      enum mmu_access access)
{
	struct code *c = &t->c;

	if (stack_has(t, offset, t->word))
		return (struct place){
			.is_sum = true,
			.displacement = stack_delta(t, offset),
		};
	stack_settle(t);
	t->retry = code_here(c);
	code_lea_sized(c, t->wide, SCRATCH, GUEST_RSP, offset);
	emit_translate(t, i, t->word, access, 1);
	t->has_delta = false;
	return (struct place){ .is_sum = false };
}

/* An instruction of one byte, of the stack's size or 64 bits, with ModRM. */
static void emit_at(struct code *c, unsigned wide, unsigned opcode,
		    unsigned reg, const struct place *place)
{
	int32_t displacement = place->displacement;
	unsigned mod = code_mod(SCRATCH, displacement);

	CODE(c, 0x41 | wide << 3 | reg >> 3 << 2 | place->is_sum << 1, opcode);
	if (!place->is_sum) {
		code_u8(c, (reg & 7) << 3 | (SCRATCH & 7));
		return;
	}
	CODE(c, mod | (reg & 7) << 3 | 4, (GUEST_RSP & 7) << 3 | (SCRATCH & 7));
	code_displacement(c, mod, displacement);
}

void stack_push_constant(struct translation *t, unsigned i, uint64_t value)
{
	struct place at = find_word(t, i, -(int32_t)t->word, MMU_WRITE);
	struct code *c = &t->c;

	if (!t->wide || value == (uint64_t)(int32_t)value) {
		emit_at(c, t->wide, 0xc7, 0, &at);
		code_u32(c, (uint32_t)value);
	} else {
		emit_rip(t, SPARE, value);
		emit_at(c, t->wide, 0x89, SPARE, &at);
	}
	change_rsp(t, -(int32_t)t->word);
}

static void emit_push(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *from = &insn->operand[0];
	struct code *c = &t->c;
	struct place at;

	if (from->kind == OPND_IMM) {
		stack_push_constant(t, i, (uint64_t)insn->imm);
		return;
	}
	if (from->reg == RSP)
		stack_settle(t);
	at = find_word(t, i, -(int32_t)t->word, MMU_WRITE);
	if (in_memory(from->reg)) {
		code_load(c, SPARE, FIELD_GPR(from->reg));
		emit_at(c, t->wide, 0x89, SPARE, &at);
	} else {
		emit_at(c, t->wide, 0x89, host_register(from->reg), &at);
	}
	change_rsp(t, -(int32_t)t->word);
}

void emit_push_spilled(struct translation *t, unsigned i)
{
	struct place at = find_word(t, i, -8, MMU_WRITE);

	code_load(&t->c, SPARE, FIELD(spill[1]));
	emit_at(&t->c, OP_SIZE_64, 0x89, SPARE, &at);
	change_rsp(t, -8);
}

/* PUSH of a word in memory. */
static void emit_push_memory(struct translation *t, unsigned i)
{
	struct code *c = &t->c;

	emit_operand_address(t, i, &t->insn[i].operand[0]);
	CODE(c, 0x4d, 0x8b, 0x12); /* mov r10, [r10] */
	code_store(c, FIELD(spill[1]), SCRATCH);
	emit_push_spilled(t, i);
	/* Where the interpreter did it, RSP does not lag. */
	stack_settle(t);
}

void stack_load(struct translation *t, unsigned i)
{
	struct place at = find_word(t, i, 0, MMU_READ);

	emit_at(&t->c, t->wide, 0x8b, SCRATCH, &at);
	t->has_delta = false;
}

void stack_leave_return(struct translation *t, unsigned i, unsigned more)
{
	struct place at = find_word(t, i, 0, MMU_READ);
	struct code *c = &t->c;

	if (t->wide) {
		emit_at(c, OP_SIZE_32, 0xff, 6, &at); /* push qword */
	} else {
		emit_at(c, OP_SIZE_32, 0x8b, SCRATCH, &at);
		CODE(c, 0x41, 0x52); /* push r10 */
	}
	code_lea(c, RSP, RSP, 8);
	t->lag += (int32_t)(t->word + more);
	stack_settle(t);
}

static void emit_pop(struct translation *t, unsigned i)
{
	unsigned reg = t->insn[i].operand[0].reg;
	struct code *c = &t->c;
	struct place at;

	if (in_memory(reg)) {
		stack_load(t, i);
		code_store(c, FIELD_GPR(reg), SCRATCH);
		change_rsp(t, (int32_t)t->word);
		return;
	}
	at = find_word(t, i, 0, MMU_READ);
	if (reg == RSP) {
		emit_at(c, t->wide, 0x8b, GUEST_RSP, &at);
		t->lag = 0;
		return;
	}
	emit_at(c, t->wide, 0x8b, reg, &at);
	change_rsp(t, (int32_t)t->word);
}

static void emit_leave(struct translation *t, unsigned i)
{
	const struct stack_run *run = t->current_run;
	struct code *c = &t->c;
	struct place at;

	if (run && run->is_leave && run->first == i) {
		code_rr(c, t->wide, 0x89, GUEST_RSP, RBP);
		at = find_word(t, i, 0, MMU_READ);
		emit_at(c, t->wide, 0x8b, RBP, &at);
		change_rsp(t, (int32_t)t->word);
		return;
	}
	t->retry = code_here(c);
	code_rr(c, t->wide, 0x89, SCRATCH, RBP);
	emit_translate(t, i, t->word, MMU_READ, 1);
	at.is_sum = false;
	code_lea_sized(c, t->wide, GUEST_RSP, RBP, (int)t->word);
	emit_at(c, t->wide, 0x8b, RBP, &at);
}

/* ADD, SUB, LEA, where nobody reads the flags of them. */
bool emit_stack_change(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	int32_t change;

	if (!t->current_run || !find_change(t, insn, &change) ||
	    (insn->op != OP_LEA && (t->live_after[i] & RFLAGS_STATUS)))
		return false;
	change_rsp(t, change);
	return true;
}

/* --- all -------------------------------------------------------------------- */

/* Its accesses are all checked, and its rule above knows of the lag. */
static bool may_lag(const struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	int32_t change;

	if (t->offset[i] + insn->len > t->room)
		return false;
	switch (insn->op) {
	case OP_PUSH:
		return is_simple(t, insn);
	case OP_POP:
		return is_simple(t, insn);
	case OP_RET:
		return insn->opsize == t->word;
	case OP_CALL:
		return insn->opsize == t->word &&
		       insn->operand[0].kind == OPND_REL;
	case OP_ADD:
	case OP_SUB:
	case OP_LEA:
		if (find_change(t, insn, &change))
			return insn->op == OP_LEA ||
			       !(t->live_after[i] & RFLAGS_STATUS);
		break;
	default:
		break;
	}
	return insn_may_lag(t, insn);
}

void stack_prepare(struct translation *t, unsigned i)
{
	begin_run(t, i);
	if (t->lag && !may_lag(t, i))
		stack_settle(t);
}

/* What the access itself needs, where it is not by a run. */
static void save_flags(struct translation *t, unsigned i, int32_t offset)
{
	if (!stack_has(t, offset, t->word))
		need_flags_saved(t, t->live_after[i]);
}

bool emit_stack(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	int32_t below = -(int32_t)t->word;

	switch (insn->op) {
	case OP_PUSH:
		if (is_simple(t, insn)) {
			save_flags(t, i, below);
			emit_push(t, i);
			return true;
		}
		if (!is_push_of_memory(t, insn))
			return false;
		need_flags_saved(t, t->live_after[i]);
		emit_push_memory(t, i);
		return true;
	case OP_POP:
		if (!is_simple(t, insn))
			return false;
		save_flags(t, i, 0);
		emit_pop(t, i);
		return true;
	case OP_LEAVE:
		if (insn->opsize != t->word)
			return false;
		save_flags(t, i, 0);
		emit_leave(t, i);
		return true;
	default:
		return false;
	}
}

/* --- the cold part ------------------------------------------------------------ */

/* Its link is to the block that has every access by the TLB. */
void emit_cold_run(struct translation *t, const struct cold *cold)
{
	struct code *c = &t->c;
	uint8_t *spans;

	code_gs(c, OP_SIZE_64, 0x33, SCRATCH,
		stack_field(t) + (uint32_t)offsetof(struct bt_stack, page));
	code_store(c, FIELD(address), SCRATCH);
	code_group1(c, OP_SIZE_32, 4, SCRATCH, (uint32_t)~PAGE_MASK);
	code_group1(c, OP_SIZE_32, 7, SCRATCH,
		    (uint32_t)PAGE_SIZE - cold->size);
	spans = code_jcc_forward(c, COND_A);
	/* Under stress no check is ever passed. */
	if (!(t->bt->stress.kinds & STRESS_SLOW))
		emit_cold_stack(t, cold);
	code_land(c, spans);
	emit_link_by_tlb(t, cold->rip);
}
