/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From guest code to host code, a block at a time:
 *	decode	to a branch, the page's end, or what cannot be decoded
 *	flags	backwards: which status flags are live after each instruction
 *	emit	forwards: rules.c, branch.c
 *	cold	what seldom runs, behind the block
 *
 * Flags that nobody will read are not kept: an exception or an interrupt in such a
 * place shows the guest stale values of them, unless the engine's option says
 * flags=exact. They are its own of before: all that changes the privilege level
 * loads them.
 */
#include "engine/bt/translate.h"

#include <string.h>

#include "core/vm.h"
#include "engine/bt/dump.h"
#include "x86/decode_cache.h"

/* --- decode ------------------------------------------------------------------ */

static bool ends_block(const struct insn *insn)
{
	return insn_row(insn)->attrs & ROW_ENDS;
}

/* The decoder reads so far where it can, and then checks for no end. */
#define COPY_AHEAD 40
#define COPY_STEP  64

/* Not memcpy: the guest's vectors are in the processor. */
static void copy(uint8_t *to, const uint8_t *from, uint64_t count)
{
	__asm__ volatile("rep movsb"
			 : "+D"(to), "+S"(from), "+c"(count)
			 :
			 : "memory");
}

/* Behind the page the next one's, as far as an instruction may reach. */
static void copy_beyond(struct translation *t)
{
	unsigned more =
		MIN(INSN_MAX_LEN - 1, (unsigned)sizeof(t->bytes) - t->copied);
	const uint8_t *beyond = more ? crossing_bytes(t) : NULL;

	if (!beyond)
		return;
	copy(t->bytes + t->copied, beyond, more);
	t->copied += more;
}

/* The page's bytes, a little beyond what is decoded next. */
static void copy_bytes(struct translation *t, unsigned offset)
{
	unsigned room = MIN(t->room, (unsigned)sizeof(t->bytes));

	while (t->copied < offset + COPY_AHEAD &&
	       t->copied + COPY_STEP <= room) {
		memcpy(t->bytes + t->copied, t->host + t->copied, COPY_STEP);
		t->copied += COPY_STEP;
	}
	if (likely(t->copied >= offset + COPY_AHEAD) || t->copied > room)
		return;
	copy(t->bytes + t->copied, t->host + t->copied, room - t->copied);
	t->copied = room;
	if (room == t->room)
		copy_beyond(t);
}

/* Do so many bytes not lie within the limit of CS? */
static bool is_past_limit(const struct translation *t, unsigned size)
{
	return (uint64_t)bt_rip_ip(t->rip) + size - 1 > code_limit(t);
}

static void decode_block(struct translation *t)
{
	unsigned offset = 0, most = TRANSLATE_INSNS_MAX;

	if (unlikely(t->bt->stress.kinds & STRESS_SHORT))
		most = bt_stress_choose(&t->bt->stress, most);
	t->count = t->copied = 0;
	while (t->count < most && offset < t->room) {
		struct insn *insn = &t->insn[t->count];

		copy_bytes(t, offset);
		if (insn_decode_cached(t->bt->decoded, insn, t->bytes + offset,
				       t->copied - offset, t->mode) <= 0 ||
		    (t->flavour.is_segmented &&
		     is_past_limit(t, offset + insn->len)))
			break;
		t->offset[t->count++] = (uint16_t)offset;
		offset += insn->len;
		if (ends_block(insn) || system_changes_view(insn))
			break;
	}
	t->offset[t->count] = (uint16_t)offset;
}

/* --- flags ------------------------------------------------------------------- */

/* A shift or rotation by none changes no flags; by any other number it writes all
 * that it may, those that the manual has undefined among them. */
static bool is_shift(const struct insn *insn)
{
	switch (insn->op) {
	case OP_SHL:
	case OP_SHR:
	case OP_SAR:
	case OP_SHLD:
	case OP_SHRD:
	case OP_ROL:
	case OP_ROR:
		return true;
	default:
		return false;
	}
}

uint32_t insn_keeps_status(const struct insn *insn)
{
	const struct operand *count;

	if (!is_shift(insn))
		return 0;
	count = &insn->operand[insn->nops - 1];
	if (count->kind == OPND_ONE ||
	    (count->kind == OPND_IMM &&
	     ((uint64_t)insn->imm & (insn->operand[0].size == 8 ? 63 : 31))))
		return 0;
	return RFLAGS_STATUS;
}

/* The interpreter looks at all of them when it takes an instruction over, and
 * what it does then may show them (PUSHF, SYSCALL). */
uint32_t insn_reads_status(const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn);

	if (is_shift(insn))
		return 0;
	if (row->bt == BT_COPY || row->bt == BT_MEM || row->bt == BT_STACK ||
	    row->bt == BT_BRANCH || system_ignores_status(insn))
		return row->flags_read & RFLAGS_STATUS;
	return RFLAGS_STATUS;
}

/* As copy_bytes; how many there are now. */
static unsigned copy_look(struct look *look, const uint8_t *host,
			  unsigned copied, unsigned offset, unsigned room)
{
	if (likely(copied >= offset + COPY_AHEAD) || copied == room)
		return copied;
	if (likely(!copied && room >= COPY_STEP)) {
		memcpy(look->bytes, host, COPY_STEP);
		return COPY_STEP;
	}
	copy(look->bytes + copied, host + copied, room - copied);
	return room;
}

/* MOV from and to CR and DR leaves them undefined, says the manual, but as they
 * were, say the processors. */
static uint32_t insn_writes_status(const struct insn *insn)
{
	if (insn->op == OP_MOV_CR || insn->op == OP_MOV_DR)
		return 0;
	return insn_row(insn)->flags_written & ~insn_keeps_status(insn);
}

static void look_at(struct translation *t, struct look *look, uint64_t rip)
{
	unsigned start = (unsigned)(rip & ~PAGE_MASK), offset = 0;
	const uint8_t *host = t->host - (t->rip & ~PAGE_MASK) + start;
	unsigned room = MIN((unsigned)PAGE_SIZE - start, sizeof(look->bytes));
	unsigned copied = 0;
	uint32_t needed = 0, open = RFLAGS_STATUS;

	look->span = (struct bt_span){ (uint16_t)start, 0 };
	for (unsigned n = 0; n < LOOK_INSNS && open; n++) {
		struct insn insn;

		copied = copy_look(look, host, copied, offset, room);
		if (insn_decode_cached(t->bt->decoded, &insn,
				       look->bytes + offset, copied - offset,
				       t->mode) <= 0) {
			look->span.size =
				(uint16_t)MIN(copied, offset + INSN_MAX_LEN);
			break;
		}
		needed |= insn_reads_status(&insn) & open;
		open &= ~insn_writes_status(&insn);
		offset += insn.len;
		look->span.size = (uint16_t)offset;
		if (ends_block(&insn))
			break;
	}
	look->rip = rip;
	look->needed = needed | open;
}

uint32_t flags_needed_at(struct translation *t, uint64_t rip)
{
	/* Another page may change without this block being dropped. */
	if (((rip ^ t->rip) & PAGE_MASK) || t->bt->has_exact_flags)
		return RFLAGS_STATUS;
	for (unsigned i = 0; i < t->looks; i++)
		if (t->look[i].rip == rip)
			return t->look[i].needed;
	if (t->looks == ARRAY_SIZE(t->look))
		return RFLAGS_STATUS;
	look_at(t, &t->look[t->looks], rip);
	return t->look[t->looks++].needed;
}

static uint32_t live_at_end(struct translation *t)
{
	unsigned i = t->count - 1;
	const struct insn *last = &t->insn[i];

	if (!ends_block(last))
		return flags_needed_at(t, insn_next(t, i));
	if (last->op == OP_JCC || last->op == OP_LOOP || last->op == OP_JCXZ)
		return flags_needed_at(t, insn_next(t, i)) |
		       flags_needed_at(t, insn_target(t, i));
	if ((last->op == OP_JMP || last->op == OP_CALL) &&
	    last->operand[0].kind == OPND_REL)
		return flags_needed_at(t, insn_target(t, i));
	return RFLAGS_STATUS;
}

/* Returns what is live at the block's start. */
static uint32_t find_live_flags(struct translation *t)
{
	uint32_t live = live_at_end(t);

	for (unsigned i = t->count; i-- > 0;) {
		const struct insn *insn = &t->insn[i];

		t->live_after[i] = live;
		live &= ~insn_writes_status(insn);
		live |= insn_reads_status(insn);
		if (t->bt->has_exact_flags)
			live = RFLAGS_STATUS;
	}
	return live & RFLAGS_STATUS;
}

void need_flags_saved(struct translation *t, uint32_t live)
{
	if (t->flags != FLAGS_IN_RFLAGS)
		return;
	if (live || t->bt->has_exact_flags) {
		code_save_flags(&t->c);
		t->flags = FLAGS_SAVED;
	} else {
		t->flags = FLAGS_DEAD;
	}
}

void need_flags_in_rflags(struct translation *t)
{
	if (t->flags == FLAGS_SAVED)
		code_restore_flags(&t->c);
	t->flags = FLAGS_IN_RFLAGS;
}

/* --- emit -------------------------------------------------------------------- */

/* What is first done with the flags: do they have to be in RFLAGS for that? */
static bool wants_rflags(const struct translation *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		const struct insn *insn = &t->insn[i];
		const struct insn_row *row = insn_row(insn);

		if (insn->op == OP_JCC)
			return true;
		if (row->bt != BT_COPY && row->bt != BT_MEM)
			return false;
		for (unsigned n = 0; n < insn->nops; n++)
			if (insn->operand[n].kind == OPND_MEM)
				return false;
		if ((row->flags_read | row->flags_written) & RFLAGS_STATUS)
			return true;
	}
	return false;
}

#define SAVE_AND_JUMP 20

/* Before the check, for who comes with the flags in RFLAGS. */
static void emit_entry_rflags(struct translation *t)
{
	struct code *c = &t->c;
	uint8_t *start = c->at;

	code_save_flags(c);
	code_u8(c, 0xeb); /* jmp, over the check */
	code_u8(c, BT_CHECK_SIZE);
	BUG_ON(c->at - start != SAVE_AND_JUMP);
}

/*
 * Others come with the flags saved, to the check or behind it; they stay so if
 * the block would save them first of all.
 */
static void emit_entries(struct translation *t, uint32_t live)
{
	struct bt_block *block = t->block;
	bool stay_saved = live && !wants_rflags(t);
	uint8_t *start, *differs;

	if (stay_saved)
		emit_entry_rflags(t);
	start = t->c.at;
	block->code = (uint32_t)(start - t->bt->writable);
	differs = code_check(&t->c,
			     FIELD(exec[0][bt_exec_slot(t->rip)]) +
				     BT_RETURN_IDS(bt_codes(&t->flavour)),
			     t->id);
	place_note(t, PLACE_SLOT, start + BT_CHECK_ID - 4);
	cold_add(t, COLD_MISSED, differs, t->rip);
	BUG_ON(t->c.at - start != BT_CHECK_SIZE);
	if (live && !stay_saved)
		code_restore_flags(&t->c);
	block->entry = stay_saved ? -SAVE_AND_JUMP : (int8_t)(t->c.at - start);
	t->flags = stay_saved ? FLAGS_SAVED :
		   live	      ? FLAGS_IN_RFLAGS :
				FLAGS_DEAD;
}

static void add_span(struct translation *t, unsigned i, struct bt_span span,
		     const uint8_t *bytes)
{
	t->block->span[i] = span;
	code_copy(&t->c, bytes, span.size);
}

static void emit_copies(struct translation *t)
{
	/* What lies beyond the page the code compares: crossing.c. */
	struct bt_span own = { (uint16_t)(t->rip & ~PAGE_MASK),
			       (uint16_t)MIN(t->offset[t->count], t->room) };

	t->block->bytes = (uint32_t)(t->c.at - t->bt->writable);
	add_span(t, 0, own, t->bytes);
	for (unsigned i = 0; i < t->looks; i++)
		add_span(t, 1 + i, t->look[i].span, t->look[i].bytes);
}

/* --- places ------------------------------------------------------------------ */

void place_note(struct translation *t, enum place_kind kind, const uint8_t *at)
{
	const uint8_t *code = t->bt->writable + t->block->code;
	const uint8_t *bytes = t->bt->writable + t->block->bytes;
	bool is_cold = (uint64_t)(at - code) > PLACE_OFFSET;
	uint64_t offset = (uint64_t)(at - (is_cold ? bytes : code));

	if (!t->has_places)
		return;
	if (offset > PLACE_OFFSET || t->places == TRANSLATE_PLACES_MAX)
		t->has_places = false;
	else
		t->place[t->places++] =
			(uint16_t)(kind | (is_cold ? PLACE_IS_COLD : 0) |
				   offset);
}

void emit_rip(struct translation *t, unsigned reg, uint64_t rip)
{
	uint8_t *start = t->c.at;

	code_constant(&t->c, reg, rip);
	if (t->c.at - start == 10)
		place_note(t, PLACE_ADDRESS, t->c.at - 8);
}

/* Behind the copies of its bytes: how far behind them the list is. */
static uint8_t *emit_list_place(struct translation *t)
{
	if (bt_block_may_move(&t->flavour, t->rip))
		code_word(&t->c, 0, 2);
	return t->c.at - 2;
}

static void emit_places(struct translation *t, uint8_t *place)
{
	const uint8_t *bytes = t->bt->writable + t->block->bytes;

	if (!t->has_places)
		return;
	store_u16(place, (uint16_t)(t->c.at - bytes));
	code_word(&t->c, t->places, 2);
	code_copy(&t->c, (const uint8_t *)t->place, 2 * t->places);
}

static void emit_block(struct translation *t)
{
	bool has_ended = false;

	t->live = find_live_flags(t);
	stack_plan(t);
	emit_entries(t, t->live);
	for (unsigned i = 0; i < t->count; i++)
		has_ended = emit_insn(t, i);
	/* Also behind what the interpreter does and may return from. */
	if (!has_ended) {
		stack_settle(t);
		emit_goto(t, t->count - 1, insn_next(t, t->count - 1));
	}
}

static struct code code_at(const struct bt_vm *bt, uint32_t at)
{
	return (struct code){
		.at = bt->writable + at,
		.end = bt->writable + at + BT_BLOCK_ROOM,
		.delta = bt->executable - bt->writable,
	};
}

static uint32_t used_up_to(const struct translation *t)
{
	return (uint32_t)align_up((uint64_t)(t->c.at - t->bt->writable), 16);
}

static enum x86_mode mode_of(const struct bt_flavour *flavour)
{
	if (flavour->is_16)
		return flavour->is_protected ? X86_MODE_16 : X86_MODE_REAL;
	return flavour->is_32 ? X86_MODE_32 : X86_MODE_64;
}

/* The next one's place: it is not in the processor's caches. */
static void prefetch_block(const struct bt_block *block)
{
	for (unsigned at = 0; at < sizeof(*block); at += 64)
		__builtin_prefetch((const uint8_t *)block + at, 1);
}

/* A CALL returns, a loop ends. */
static struct bt_ahead look_ahead(const struct translation *t)
{
	unsigned i = t->count - 1;
	const struct insn *last = &t->insn[i];
	struct bt_ahead ahead = { .is_same_flavour = true };
	bool is_direct = last->nops && last->operand[0].kind == OPND_REL;
	uint64_t target = is_direct ? insn_target(t, i) : 0;

	if (!ends_block(last)) {
		ahead.is_same_flavour = !system_changes_view(last);
		ahead.rip = ahead.is_same_flavour ? insn_next(t, i) : 0;
		return ahead;
	}
	switch (last->op) {
	case OP_JMP:
		ahead.rip = target;
		break;
	case OP_CALL:
		ahead.rip = (target ^ t->rip) & PAGE_MASK ? insn_next(t, i) :
							    target;
		break;
	case OP_JCC:
		ahead.rip = target <= insn_rip(t, i) ? insn_next(t, i) : 0;
		break;
	default:
		ahead.is_same_flavour = false;
		break;
	}
	return ahead;
}

struct bt_block *bt_translate(struct bt_vcpu *vcpu, uint64_t rip,
			      const uint8_t *host, struct bt_ahead *ahead)
{
	struct bt_vm *bt = vcpu->bt;
	uint32_t page = bt_page_of(bt, host);
	struct bt_region *region;
	struct translation t;
	uint8_t *places;

	/* Which may drop the page's last block, and then nobody watches it. */
	bt_cache_make_room(vcpu);
	/* Before its bytes are read: no write from here on is missed. */
	if (bt_page_watch(vcpu, page))
		return NULL;
	region = bt_region(bt);
	t.vcpu = vcpu;
	t.bt = bt;
	t.flavour = vcpu->flavour;
	t.mode = mode_of(&t.flavour);
	t.wide = t.flavour.is_32 ? OP_SIZE_32 : OP_SIZE_64;
	t.word = t.flavour.is_16 ? 2 : t.flavour.is_32 ? 4 : 8;
	t.c = code_at(bt, region->used);
	t.rip = rip;
	t.host = host;
	t.room = (unsigned)(PAGE_SIZE - (t.rip & ~PAGE_MASK));
	t.held_at = NULL;
	t.colds = t.looks = t.links = t.places = 0;
	t.has_places = bt_block_may_move(&t.flavour, t.rip);
	t.interpreted = 0;
	decode_block(&t);
	if (!t.count)
		return NULL;
	t.id = bt_block_id(vcpu, page, t.rip,
			   bt_id_flavour(bt_flavour_pack(&t.flavour)));
	if (!t.id)
		return NULL;
	t.block = bt_block_new(bt);
	t.block->rip = t.rip;
	t.block->page = page;
	t.block->flavour = bt_flavour_pack(&t.flavour);
	emit_block(&t);
	t.block->end = (uint32_t)(t.c.at - bt->writable);
	region->used = used_up_to(&t);
	t.c = code_at(bt, region->cold);
	emit_copies(&t);
	places = emit_list_place(&t);
	emit_cold(&t);
	emit_places(&t, places);
	region->cold = used_up_to(&t);
	bt_block_add(bt, t.block);
	if (unlikely(t.flavour.is_checked))
		bt_check_note(&t);
	bt_dump_block(&t);
	*ahead = look_ahead(&t);
	prefetch_block(t.block + 1);
	return t.block;
}
