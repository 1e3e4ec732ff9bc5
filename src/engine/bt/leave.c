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

static unsigned insn_at(const struct translation *t, uint64_t rip)
{
	unsigned i = 0;

	while (insn_rip(t, i) != rip)
		i++;
	BUG_ON(i >= t->count);
	return i;
}

static int32_t from_stop(const struct code *c, const uint8_t *target)
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

/*
 * The record, and `lea` that leads to it. Between them the way back to
 * cold->resume, where flags must be restored for it.
 */
static void emit_stop(struct translation *t, const struct cold *cold,
		      uint8_t *lea, bool has_insn)
{
	unsigned i = insn_at(t, cold->rip);
	const struct insn *insn = &t->insn[i];
	const uint8_t *resume = cold->resume;
	struct code *c = &t->c;
	struct bt_stop stop = {
		.rip = cold->rip,
		.length = insn->len,
		.access = cold->access,
		.size = cold->size,
		.is_upper = cold->is_upper,
		.has_insn = has_insn,
		.touches_vectors = touches_vectors(insn),
	};

	if (cold->restore_flags) {
		resume = code_here(c);
		code_restore_flags(c);
		code_jump(c, cold->resume);
	}
	while ((uintptr_t)c->at % _Alignof(struct bt_stop))
		code_u8(c, 0x90);
	code_land(c, lea);
	stop.resume = from_stop(c, resume);
	stop.retry = from_stop(c, cold->retry);
	memcpy(stop.bytes, insn_bytes(t, i), insn->len);
	code_bytes(c, (const uint8_t *)&stop, sizeof(stop));
	if (has_insn) {
		interp_fn *fn = interp_handler_find(&t->vcpu->cpu, insn);

		code_bytes(c, (const uint8_t *)&fn, sizeof(fn));
		code_bytes(c, (const uint8_t *)insn, sizeof(*insn));
	}
}

void emit_cold_interpret(struct translation *t, const struct cold *cold)
{
	struct code *c = &t->c;
	uint8_t *lea;

	if (cold->spilled != NO_REGISTER)
		code_load(c, cold->spilled, FIELD(spill[0]));
	lea = emit_lea_stop(c);
	code_jump(c, t->bt->stubs.interpret);
	emit_stop(t, cold, lea, cold->spilled == NO_REGISTER);
}

/*
 * The comparison left address ^ tag ^ generation of one half. It may hit with
 * the other half's; else the address is what remains without both.
 */
void emit_cold_miss(struct translation *t, const struct cold *cold)
{
	const uint32_t generation[] = { FIELD(cpu.tlb.generation[0]),
					FIELD(cpu.tlb.generation[1]) };
	struct code *c = &t->c;
	uint8_t *lea;

	code_gs(c, OP_SIZE_64, 0x33, SCRATCH, generation[!cold->is_upper]);
	code_gs(c, OP_SIZE_64, 0x33, SCRATCH, generation[cold->is_upper]);
	code_group1(c, OP_SIZE_64, 7, SCRATCH,
		    (uint32_t)PAGE_SIZE - cold->size);
	code_jcc(c, COND_BE, cold->hit);
	code_gs_indexed(c, 0x33, SCRATCH, cold->spilled, cold->tag);
	code_store(c, FIELD(address), SCRATCH);
	code_load(c, cold->spilled, FIELD(spill[0]));
	lea = emit_lea_stop(c);
	code_jump(c, t->bt->stubs.miss);
	emit_stop(t, cold, lea, false);
}

void emit_cold_stack(struct translation *t, const struct cold *cold)
{
	struct code *c = &t->c;
	uint8_t *lea;

	/* What the comparison left is the address ^ page. */
	code_gs(c, OP_SIZE_64, 0x33, SCRATCH,
		FIELD(stack[0].page) +
			t->flavour.view * (uint32_t)sizeof(struct bt_stack));
	code_store(c, FIELD(address), SCRATCH);
	CODE(c, 0x4c, 0x8d, 0x15); /* lea r10, [rip + ..] */
	code_rel32(c, cold->retry);
	code_store(c, FIELD(resume), SCRATCH);
	lea = emit_lea_stop(c);
	code_store(c, FIELD(stop), SCRATCH);
	code_jump(c, t->bt->stubs.stack_refill[t->flavour.view]);
	emit_stop(t, cold, lea, false);
}

/* For stubs that do an instruction: only the record, for their cold->branch. */
void emit_cold_record(struct translation *t, const struct cold *cold)
{
	emit_stop(t, cold, cold->branch, true);
}
