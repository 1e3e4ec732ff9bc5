/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From guest code to host code, a block at a time:
 *	decode	to a branch, the page's end, or what cannot be decoded
 *	flags	backwards: which status flags are live after each instruction
 *	emit	forwards: rules.c, branch.c
 *	cold	what seldom runs, behind the block
 *
 * Flags that nobody will read are not kept: an exception in such a place shows
 * the guest stale values of them.
 */
#include "engine/bt/translate.h"

#include <stdlib.h>

#include "x86/decode.h"

/* --- decode ------------------------------------------------------------------ */

static bool ends_block(const struct insn *insn)
{
	return insn_row(insn)->attrs & ROW_ENDS;
}

static void decode_block(struct translation *t)
{
	unsigned offset = 0, most = TRANSLATE_INSNS_MAX;

	if (unlikely(t->bt->stress.kinds & STRESS_SHORT))
		most = bt_stress_choose(&t->bt->stress, most);
	t->count = 0;
	while (t->count < most && offset < t->room) {
		struct insn *insn = &t->insn[t->count];

		/* One that runs into the next page is the interpreter's. */
		if (insn_decode(insn, t->bytes + offset, t->room - offset,
				X86_MODE_64) <= 0)
			break;
		t->offset[t->count++] = (uint16_t)offset;
		offset += insn->len;
		if (ends_block(insn) || system_changes_view(insn))
			break;
	}
	t->offset[t->count] = (uint16_t)offset;
}

/* --- flags ------------------------------------------------------------------- */

/* The interpreter looks at all of them when it takes an instruction over, and
 * what it does then may show them (PUSHF, SYSCALL). */
uint32_t insn_reads_status(const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn);

	if (row->bt == BT_COPY || row->bt == BT_MEM || row->bt == BT_STACK ||
	    row->bt == BT_BRANCH || system_ignores_status(insn))
		return row->flags_read & RFLAGS_STATUS;
	return RFLAGS_STATUS;
}

uint32_t flags_needed_at(const struct translation *t, uint64_t rip)
{
	uint64_t start = t->rip & PAGE_MASK;
	const uint8_t *page = t->bytes - (t->rip & ~PAGE_MASK);
	uint32_t needed = 0, open = RFLAGS_STATUS;

	/* Another page may change without this block being dropped. */
	if ((rip & PAGE_MASK) != start)
		return RFLAGS_STATUS;
	for (unsigned n = 0; n < 8 && open; n++) {
		unsigned offset = (unsigned)(rip - start);
		struct insn insn;

		if (offset >= PAGE_SIZE ||
		    insn_decode(&insn, page + offset, PAGE_SIZE - offset,
				X86_MODE_64) <= 0)
			break;
		needed |= insn_reads_status(&insn) & open;
		open &= ~insn_row(&insn)->flags_written;
		if (ends_block(&insn))
			break;
		rip += insn.len;
	}
	return needed | open;
}

static uint32_t live_at_end(const struct translation *t)
{
	const struct insn *last = &t->insn[t->count - 1];
	uint64_t next = t->rip + t->offset[t->count];

	if (!ends_block(last))
		return flags_needed_at(t, next);
	if (last->op == OP_JCC)
		return flags_needed_at(t, next) |
		       flags_needed_at(t, next + (uint64_t)last->imm);
	if (last->op == OP_JMP && last->operand[0].kind == OPND_REL)
		return flags_needed_at(t, next + (uint64_t)last->imm);
	return RFLAGS_STATUS;
}

/* Returns what is live at the block's start. */
static uint32_t find_live_flags(struct translation *t)
{
	uint32_t live = live_at_end(t);

	for (unsigned i = t->count; i-- > 0;) {
		const struct insn *insn = &t->insn[i];

		t->live_after[i] = live;
		live &= ~insn_row(insn)->flags_written;
		live |= insn_reads_status(insn);
	}
	return live & RFLAGS_STATUS;
}

void need_flags_saved(struct translation *t, uint32_t live)
{
	if (t->flags != FLAGS_IN_RFLAGS)
		return;
	if (live) {
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

static void emit_entries(struct translation *t, uint32_t live)
{
	struct bt_block *block = t->block;

	block->entry_saved = code_here(&t->c);
	if (live)
		code_restore_flags(&t->c);
	block->entry = code_here(&t->c);
	t->flags = live ? FLAGS_IN_RFLAGS : FLAGS_DEAD;
}

static void emit_block(struct translation *t)
{
	bool has_ended = false;

	emit_entries(t, find_live_flags(t));
	for (unsigned i = 0; i < t->count; i++)
		has_ended = emit_insn(t, i);
	/* Also behind what the interpreter does and may return from. */
	if (!has_ended)
		emit_goto(t, t->count - 1, t->rip + t->offset[t->count]);
	emit_cold(t);
}

struct bt_block *bt_translate(struct bt_vcpu *vcpu, const uint8_t *host,
			      gpa_t gpa)
{
	struct bt_vm *bt = vcpu->bt;
	struct translation t = {
		.vcpu = vcpu,
		.bt = bt,
		.flavour = vcpu->flavour,
		.rip = vcpu->cpu.s.rip,
		.bytes = host,
		.room = (unsigned)(PAGE_SIZE - (gpa & ~PAGE_MASK)),
		.c = {
			.at = bt->writable + bt->used,
			.end = bt->writable + bt->used + BT_BLOCK_ROOM,
			.delta = bt->executable - bt->writable,
		},
	};

	/* Before its bytes are read: no write from here on is missed. */
	if (bt_watch_page(vcpu, gpa))
		return NULL;
	decode_block(&t);
	if (!t.count)
		return NULL;
	t.block = calloc(1, sizeof(*t.block));
	if (!t.block)
		return NULL;
	t.block->rip = t.rip;
	t.block->gpa = gpa;
	t.block->flavour = bt_flavour_pack(&t.flavour);
	t.block->size = t.offset[t.count];
	t.block->first_site = bt->sites;
	emit_block(&t);
	bt->used = align_up((uint64_t)(t.c.at - bt->writable), 16);
	bt_block_add(bt, t.block);
	return t.block;
}
