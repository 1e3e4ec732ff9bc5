/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MOVS, STOS and LODS (SDM 2). REP MOVS and REP STOS go in stubs, one for each
 * view and element size: source and destination are looked up in the TLB, the
 * host's own instruction does what lies in both pages, and on to the next, with
 * a poll in between. After each part the guest's RCX, RSI and RDI are those of
 * an interrupted instruction; what the TLB does not hold, and an element on
 * two pages, is the interpreter's, which goes on from there.
 *
 * An operand may lie in either half of the linear address space: copies between
 * kernel and user have one in each.
 */
#include "engine/bt/translate.h"

/* --- the TLB, in stubs ------------------------------------------------------ */

/* op to, from with 64 bits, the other way round from code_rr: 8B MOV, 33 XOR */
static void add_rr(struct code *c, unsigned to, unsigned from)
{
	code_rr(c, OP_SIZE_64, 0x01, to, from);
}

static void shift(struct code *c, unsigned digit, unsigned reg, unsigned count)
{
	CODE(c, 0x48 | reg >> 3, 0xc1, 0xc0 | digit << 3 | (reg & 7), count);
}

enum { SHIFT_LEFT = 4, SHIFT_RIGHT = 5 };

uint8_t *bt_stub_translate(struct code *c, unsigned view,
			   enum mmu_access access, unsigned address,
			   unsigned host, unsigned offset)
{
	code_move(c, offset, address);
	code_rr(c, OP_SIZE_32, 0x89, host, address);
	code_shr32(c, host, PAGE_SHIFT - 4);
	code_group1(c, OP_SIZE_32, 4, host, (TLB_ENTRIES - 1) << 4);
	code_gs_indexed(c, 0x33, offset, host,
			field_tlb(view, access, TLB_TAG));
	code_gs_indexed(c, 0x8b, host, host,
			field_tlb(view, access, TLB_ADDEND));
	add_rr(c, host, address);
	code_group1(c, OP_SIZE_64, 7, offset, (uint32_t)PAGE_SIZE - 1);
	return code_jcc_forward(c, COND_A);
}

/* --- REP MOVS, REP STOS ----------------------------------------------------- */

enum { KEEP_RAX = 0, KEEP_RDX = 1, KEEP_RBX = 3, KEEP_RSI, KEEP_RDI, KEEP_RCX };

static void keep(struct code *c, unsigned slot, unsigned reg)
{
	code_store(c, FIELD(spill[0]) + 8 * slot, reg);
}

static void back(struct code *c, unsigned slot, unsigned reg)
{
	code_load(c, reg, FIELD(spill[0]) + 8 * slot);
}

static void back_all(struct code *c, bool is_movs)
{
	if (is_movs)
		back(c, KEEP_RAX, RAX);
	back(c, KEEP_RDX, RDX);
	back(c, KEEP_RBX, RBX);
}

/* to = the smaller of to and from, unsigned. */
static void smaller(struct code *c, unsigned to, unsigned from)
{
	code_rr(c, OP_SIZE_64, 0x39, to, from); /* cmp to, from */
	CODE(c, 0x48 | to >> 3 << 2 | from >> 3, 0x0f, 0x47, /* cmova */
	     0xc0 | (to & 7) << 3 | (from & 7));
}

/* reg = PAGE_SIZE - reg */
static void left_in_page(struct code *c, unsigned reg)
{
	CODE(c, 0x48 | reg >> 3, 0xf7, 0xd8 | (reg & 7)); /* neg */
	code_group1(c, OP_SIZE_64, 0, reg, PAGE_SIZE);
}

static void host_string(struct code *c, bool is_movs, unsigned log)
{
	CODE(c, 0xf3);
	if (log == 1)
		CODE(c, 0x66);
	if (log == 3)
		CODE(c, 0x48);
	CODE(c, (is_movs ? 0xa4 : 0xaa) | !!log);
}

/* RBX = the elements to do at once; R10 = where they are read, RDX written. */
static void find_part(struct code *c, unsigned view, bool is_movs, unsigned log,
		      uint8_t **slow)
{
	if (is_movs) {
		*slow++ =
			bt_stub_translate(c, view, MMU_READ, RSI, SCRATCH, RAX);
		left_in_page(c, RAX);
	}
	*slow++ = bt_stub_translate(c, view, MMU_WRITE, RDI, RDX, RBX);
	left_in_page(c, RBX);
	if (is_movs)
		smaller(c, RBX, RAX);
	if (log)
		shift(c, SHIFT_RIGHT, RBX, log);
	else
		code_rr(c, OP_SIZE_64, 0x85, RBX, RBX);
	*slow = code_jcc_forward(c, COND_E);
	smaller(c, RBX, RCX);
}

static void do_part(struct code *c, bool is_movs, unsigned log)
{
	keep(c, KEEP_RDI, RDI);
	keep(c, KEEP_RCX, RCX);
	if (is_movs) {
		keep(c, KEEP_RSI, RSI);
		code_move(c, RSI, SCRATCH);
	}
	code_move(c, RDI, RDX);
	code_move(c, RCX, RBX);
	host_string(c, is_movs, log);
	back(c, KEEP_RDI, RDI);
	back(c, KEEP_RCX, RCX);
	code_rr(c, OP_SIZE_64, 0x29, RCX, RBX); /* sub */
	if (log)
		shift(c, SHIFT_LEFT, RBX, log);
	add_rr(c, RDI, RBX);
	if (is_movs) {
		back(c, KEEP_RSI, RSI);
		add_rr(c, RSI, RBX);
	}
}

/* Up to so many elements are stored one by one: the host's REP STOS takes some
 * 30 cycles before its first. */
#define FEW 24

/* mov [r10 + rcx], rAX of the element's size */
static void store_element(struct code *c, unsigned log)
{
	if (log == 1)
		CODE(c, 0x66);
	CODE(c, 0x41 | (log == 3) << 3, 0x88 | !!log, 0x04, 0x0a);
}

/* REP STOS of a few elements in one page; else it goes on behind. */
static void make_few(struct code *c, unsigned view, unsigned log)
{
	uint8_t *other, *miss, *crosses, *loop;

	code_lea(c, SCRATCH, RCX, -1);
	code_group1(c, OP_SIZE_64, 7, SCRATCH, FEW - 1);
	other = code_jcc_forward(c, COND_A);
	miss = bt_stub_translate(c, view, MMU_WRITE, RDI, SPARE, SCRATCH);
	if (log)
		shift(c, SHIFT_LEFT, RCX, log);
	add_rr(c, SCRATCH, RCX);
	code_group1(c, OP_SIZE_64, 7, SCRATCH, PAGE_SIZE);
	crosses = code_jcc_forward(c, COND_A);
	add_rr(c, RDI, RCX);
	code_lea_full(c, true, SCRATCH, SPARE, RCX, 1, 0);
	CODE(c, 0x48, 0xf7, 0xd9); /* neg rcx */
	loop = code_here(c);
	store_element(c, log);
	CODE(c, 0x48, 0x83, 0xc1, (uint8_t)BIT(log)); /* add rcx, .. */
	code_jcc(c, COND_NE, loop);
	CODE(c, 0x65, 0xff, 0x24, 0x25); /* jmp gs:[resume] */
	code_u32(c, FIELD(resume));
	code_land(c, crosses);
	if (log)
		shift(c, SHIFT_RIGHT, RCX, log);
	code_land(c, other);
	code_land(c, miss);
}

/* Flags saved; s.rip, resume and stop are set. */
static void make_repeat(struct code *c, struct bt_vm *bt, unsigned view,
			bool is_movs, unsigned log)
{
	uint8_t *slow[3] = { NULL }, *done, *again, *attention;

	bt->stubs.repeat[view][is_movs][log] = code_here(c);
	if (!is_movs)
		make_few(c, view, log);
	if (is_movs)
		keep(c, KEEP_RAX, RAX);
	keep(c, KEEP_RDX, RDX);
	keep(c, KEEP_RBX, RBX);
	code_rr(c, OP_SIZE_64, 0x85, RCX, RCX); /* test */
	done = code_jcc_forward(c, COND_E);
	again = code_here(c);
	find_part(c, view, is_movs, log, slow);
	do_part(c, is_movs, log);
	code_rr(c, OP_SIZE_64, 0x85, RCX, RCX);
	attention = code_jcc_forward(c, COND_NE);
	code_land(c, done);
	back_all(c, is_movs);
	CODE(c, 0x65, 0xff, 0x24, 0x25); /* jmp gs:[resume] */
	code_u32(c, FIELD(resume));
	code_land(c, attention);
	code_poll(c);
	code_jcc(c, COND_AE, again);
	back_all(c, is_movs);
	code_jump(c, bt->stubs.attention);
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
		if (slow[i])
			code_land(c, slow[i]);
	back_all(c, is_movs);
	code_jump(c, bt->stubs.repeat_miss);
}

void bt_string_stubs_make(struct code *c, struct bt_vm *bt)
{
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned log = 0; log < 4; log++) {
			make_repeat(c, bt, view, false, log);
			make_repeat(c, bt, view, true, log);
		}
}

/* --- in blocks -------------------------------------------------------------- */

static unsigned log2_of(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

static void emit_repeated(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	struct code *c = &t->c;
	uint8_t *resume, *stub;

	emit_rip(t, SCRATCH, insn_rip(t, i));
	code_store(c, FIELD_RIP, SCRATCH);
	CODE(c, 0x4c, 0x8d, 0x15, 0, 0, 0, 0); /* lea r10, [rip + ..] */
	resume = c->at - 4;
	code_store(c, FIELD(resume), SCRATCH);
	stub = t->bt->stubs.repeat[t->flavour.view][insn->op == OP_MOVS]
				  [log2_of(insn->operand[0].size)];
	CODE(c, 0x4c, 0x8d, 0x15, 0, 0, 0, 0);
	cold_add(t, COLD_RECORD, c->at - 4, insn_rip(t, i))->retry = stub;
	code_store(c, FIELD(stop), SCRATCH);
	code_jump(c, stub);
	code_land(c, resume);
}

/* MOV between RAX and [R10]. */
static void move_element(struct code *c, bool is_store, unsigned size)
{
	if (size == 2)
		CODE(c, 0x66);
	CODE(c, 0x41 | (size == 8) << 3);
	CODE(c, (is_store ? 0x88 : 0x8a) | (size > 1), 0x02);
}

static void emit_single(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	bool is_store = insn->op == OP_STOS;
	unsigned size = insn->operand[0].size, reg = is_store ? RDI : RSI;
	struct code *c = &t->c;

	t->retry = code_here(c);
	code_move(c, SCRATCH, reg);
	emit_translate(t, i, size, is_store ? MMU_WRITE : MMU_READ, 1);
	move_element(c, is_store, size);
	code_lea(c, reg, reg, (int32_t)size);
}

/* mov r9, [r10], or the other way round, of `size`. */
static void move_spare(struct code *c, bool is_store, unsigned size)
{
	if (size == 2)
		CODE(c, 0x66);
	CODE(c, 0x45 | (size == 8) << 3, (is_store ? 0x88 : 0x8a) | (size > 1),
	     0x0a);
}

/* What misses for the destination is done again from the start. */
static void emit_move(struct translation *t, unsigned i)
{
	unsigned size = t->insn[i].operand[0].size;
	struct code *c = &t->c;
	uint8_t *start = code_here(c);

	t->retry = start;
	code_move(c, SCRATCH, RSI);
	emit_translate(t, i, size, MMU_READ, 1);
	move_spare(c, false, size);
	code_store(c, FIELD(spill[1]), SPARE);
	t->retry = start;
	code_move(c, SCRATCH, RDI);
	emit_translate(t, i, size, MMU_WRITE, 1);
	code_load(c, SPARE, FIELD(spill[1]));
	move_spare(c, true, size);
	code_lea(c, RSI, RSI, (int32_t)size);
	code_lea(c, RDI, RDI, (int32_t)size);
}

enum carried emit_string(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	bool is_repeated = insn->prefixes & (PREFIX_REP | PREFIX_REPNE);

	if (insn->adsize != 8 || insn->seg >= SEG_FS)
		return CARRIED_NOT;
	if (is_repeated && insn->op == OP_LODS)
		return CARRIED_NOT;
	need_flags_saved(t, t->live_after[i]);
	if (is_repeated)
		emit_repeated(t, i);
	else if (insn->op == OP_MOVS)
		emit_move(t, i);
	else
		emit_single(t, i);
	return CARRIED;
}
