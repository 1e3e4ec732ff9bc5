/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out of translated code for one instruction, and what C needs to know
 * there: struct bt_stop, which stands behind the code that leaves. A page that
 * misses the software TLB is filled in and the access is done again; everything
 * else is the interpreter's function for that instruction.
 */
#include "engine/bt/translate.h"

#include <string.h>

#include "x86/decode.h"

/* lea r10, [rip + ..]: the record's address, which code_land sets. */
static uint8_t *emit_lea_stop(struct code *c)
{
	CODE(c, 0x4c, 0x8d, 0x15, 0, 0, 0, 0);
	return c->at - 4;
}

/* push imm32: the record's place in the cache, below the shadow stack's top; and
 * in a stub, from there. SCRATCH and SPARE go. */
static uint8_t *emit_push_stop(struct code *c)
{
	CODE(c, 0x68, 0, 0, 0, 0);
	return c->at - 4;
}

static void pop_stop(struct code *c, const struct bt_vm *bt)
{
	CODE(c, 0x41, 0x58 | (SPARE & 7));
	CODE(c, 0x4c, 0x8d, 0x15); /* lea r10, [rip + ..] */
	code_rel32(c, bt->executable);
	code_rr(c, OP_SIZE_64, 0x01, SCRATCH, SPARE);
	code_store(c, FIELD(stop), SCRATCH);
}

static unsigned insn_at(const struct translation *t, uint64_t rip)
{
	unsigned i = 0;

	while (insn_rip(t, i) != rip)
		i++;
	BUG_ON(i >= t->count);
	return i;
}

static int32_t from_here(const struct code *c, const uint8_t *target)
{
	return target ? (int32_t)(target - code_here(c)) : 0;
}

static bool touches_vectors(const struct insn *insn)
{
	switch (insn->op) {
	case OP_FXSAVE:
	case OP_FXRSTOR:
	case OP_XSAVE:
	case OP_XSAVEC:
	case OP_XSAVEOPT:
	case OP_XSAVES:
	case OP_XRSTOR:
	case OP_XRSTORS:
	case OP_XGETBV:
	case OP_XSETBV:
		return true;
	default:
		return insn_row(insn)->class != CLASS_GENERAL;
	}
}

/* A #PF of its memory operand goes before all else that it does: others may have
 * an operand that is not aligned, mask it, or change the units' state first. */
static bool faults_first(const struct insn *insn)
{
	switch (insn->op) {
	case OP_MOVUPS:
	case OP_MOVDQU:
	case OP_VMOVUPS:
	case OP_VMOVDQU:
		return true;
	case OP_PUSHA: /* which begins at the other end */
		return false;
	default:
		return insn_row(insn)->class == CLASS_GENERAL &&
		       !(insn_row(insn)->attrs & ROW_ALIGN);
	}
}

_Static_assert(sizeof(struct bt_stop) % _Alignof(struct bt_stop_insn) == 0,
	       "one right behind the other");

/* The record. Without its instruction, which seldom needs to be done, that is
 * decoded when it must. */
static uint8_t *emit_stop(struct translation *t, const struct cold *cold)
{
	unsigned i = insn_at(t, cold->rip);
	const struct insn *insn = &t->insn[i];
	/* The copies of the block's bytes end with its page. */
	bool has_insn = cold->kind == COLD_RECORD ||
			(t->interpreted & BIT(i)) ||
			t->offset[i] + insn->len > t->room;
	struct code *c = &t->c;
	struct bt_stop stop;
	uint8_t *at;

	stop = (struct bt_stop){
		.rip = cold->rip,
		.bytes = t->block->bytes + t->offset[i],
		.length = insn->len,
		.access = cold->access,
		.size = (uint8_t)cold->size,
		.touches_vectors = touches_vectors(insn),
		.restores_flags = cold->restore_flags,
		.has_insn = has_insn,
		.faults_first = faults_first(insn),
	};

	while (has_insn && (uintptr_t)c->at % _Alignof(struct bt_stop_insn))
		code_u8(c, 0x90);
	at = c->at;
	stop.resume = from_here(c, cold->resume);
	stop.retry = from_here(c, cold->retry);
	place_note(t, PLACE_ADDRESS, c->at + offsetof(struct bt_stop, rip));
	code_bytes(c, (const uint8_t *)&stop, sizeof(stop));
	if (has_insn) {
		interp_fn *fn = interp_handler_find(&t->vcpu->cpu, insn);

		code_bytes(c, (const uint8_t *)&fn, sizeof(fn));
		code_bytes(c, (const uint8_t *)insn, sizeof(*insn));
	}
	return at;
}

/* The same for a LEA with that displacement. */
static void emit_stop_at(struct translation *t, const struct cold *cold,
			 uint8_t *lea)
{
	uint8_t *stop = emit_stop(t, cold);

	store_u32(lea, (uint32_t)(stop - (lea + 4)));
}

void emit_cold_interpret(struct translation *t, const struct cold *cold)
{
	struct code *c = &t->c;
	uint8_t *lea = emit_lea_stop(c);

	code_jump(c, t->bt->stubs.interpret);
	emit_stop_at(t, cold, lea);
}

void emit_cold_miss(struct translation *t, const struct cold *cold)
{
	const struct bt_stubs *stubs = &t->bt->stubs;
	bool is_by_entry = cold->offset == COLD_BY_ENTRY;
	struct code *c = &t->c;
	uint8_t *push;

	if (!is_by_entry && cold->offset)
		code_lea(c, SCRATCH, SCRATCH, cold->offset);
	push = emit_push_stop(c);
	code_jump(c, is_by_entry ? stubs->miss[t->flavour.view]
					      [cold->access == MMU_WRITE] :
				   stubs->miss_at);
	store_u32(push, (uint32_t)(emit_stop(t, cold) - t->bt->writable));
}

/* bt_vcpu.address is set. */
void emit_cold_stack(struct translation *t, const struct cold *cold)
{
	struct code *c = &t->c;
	uint8_t *lea;

	lea = emit_lea_stop(c);
	code_jump(c, t->bt->stubs.stack_refill[t->flavour.view]);
	emit_stop_at(t, cold, lea);
}

void emit_cold_percpu(struct translation *t, const struct cold *cold)
{
	struct code *c = &t->c;
	uint8_t *lea;

	code_gs_imm(c, OP_SIZE_64, 0xc7, 0, FIELD(address), cold->percpu);
	lea = emit_lea_stop(c);
	code_jump(c, t->bt->stubs.call[BT_FILL_PERCPU]);
	emit_stop_at(t, cold, lea);
}

/* For stubs that do an instruction: only the record, for their cold->branch. */
void emit_cold_record(struct translation *t, const struct cold *cold)
{
	emit_stop_at(t, cold, cold->branch);
}

/* --- stubs ------------------------------------------------------------------ */

void bt_miss_stubs_make(struct code *c, struct bt_vm *bt)
{
	struct bt_stubs *stubs = &bt->stubs;

	stubs->miss_at = code_here(c);
	code_store(c, FIELD(address), SCRATCH);
	pop_stop(c, bt);
	code_jump(c, stubs->missed_page);
	for (unsigned table = 0; table < MMU_VIEWS * 2; table++) {
		unsigned view = table / 2, is_write = table % 2;
		enum mmu_access access = is_write ? MMU_WRITE : MMU_READ;

		stubs->miss[view][is_write] = code_here(c);
		code_gs_indexed(c, 0x33, SCRATCH, SPARE,
				field_tlb(view, access, TLB_TAG));
		code_jump(c, stubs->miss_at);
	}
}
