/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel's data of its processor: operands at a constant distance from the
 * base of GS, in CPL 0, which every function of it has. bt_vcpu.percpu knows the
 * pages that follow one base, so that such an operand needs no address and no
 * look-up: the entry of its page, by a number known to the translator, and a
 * test whether there is one.
 *
 * What an entry stands for is what the TLB held for the view that may do least
 * (SMAP's, if it is on) when it was made. It goes when that may have gone: with
 * the upper half's translations (exec.c), with the right to write (page.c).
 *
 * Pages that belong to another base are not looked at: `active` leads to a table
 * without entries then. SWAPGS and WRGSBASE choose; so does run.c, after anything
 * that C has done.
 */
#include "engine/bt/translate.h"

#define WINDOW (BT_PERCPU_PAGES * PAGE_SIZE)

/* The distance from the base, if it is as above; else ~0. */
static uint64_t constant_offset(const struct translation *t, unsigned i,
				const struct operand *memory)
{
	const struct insn *insn = &t->insn[i];
	uint64_t offset = (uint64_t)insn->disp;

	if (insn->seg != SEG_GS || insn->adsize != 8 ||
	    insn->index != INSN_REG_NONE)
		return ~0ull;
	if (insn->base == INSN_REG_RIP)
		offset += insn_rip(t, i) + insn->len;
	else if (insn->base != INSN_REG_NONE)
		return ~0ull;
	if ((insn_row(insn)->attrs & ROW_ALIGN) && offset % memory->size)
		return ~0ull;
	return offset % PAGE_SIZE + memory->size > PAGE_SIZE ? ~0ull : offset;
}

bool emit_percpu(struct translation *t, unsigned i,
		 const struct operand *memory)
{
	bool is_write = memory->access & ACCESS_W;
	uint64_t offset = constant_offset(t, i, memory);
	struct code *c = &t->c;
	struct cold *cold;
	uint32_t entry;

	/* Where the base is another one now, it will not be as above later. */
	if (t->flavour.view == MMU_USER || t->flavour.is_32 ||
	    offset >= WINDOW ||
	    !bt_percpu_is_base(t->vcpu->cpu.s.segment[SEG_GS].base) ||
	    bt_stress_hits(&t->bt->stress, STRESS_SLOW, 1))
		return false;
	entry = (uint32_t)(offset / PAGE_SIZE) * 8;
	if (is_write)
		entry += MMU_WRITE * BT_PERCPU_PAGES * 8;
	if (t->insn[i].base == INSN_REG_RIP)
		t->has_places = false;
	t->has_delta = false;
	t->retry = code_here(c);
	code_load(c, SCRATCH, FIELD(percpu.active));
	CODE(c, 0x4d, 0x8b, 0x92); /* mov r10, [r10 + ..] */
	code_u32(c, entry);
	CODE(c, 0x4d, 0x85, 0xd2); /* test r10, r10 */
	cold = cold_add(t, COLD_PERCPU, code_jcc_forward(c, COND_E),
			insn_rip(t, i));
	cold->access = is_write ? MMU_WRITE : MMU_READ;
	cold->size = (uint8_t)memory->size;
	cold->retry = t->retry;
	cold->percpu = (uint32_t)offset;
	t->retry = NULL;
	if (offset % PAGE_SIZE)
		code_lea(c, SCRATCH, SCRATCH, (int32_t)(offset % PAGE_SIZE));
	return true;
}

void emit_percpu_choose(struct code *c, unsigned base, unsigned spare)
{
	code_load(c, spare, FIELD(percpu.choice[0]));
	code_gs(c, OP_SIZE_64, 0x3b, base, FIELD(percpu.base));
	/* cmove spare, gs:[..] */
	CODE(c, 0x65, 0x48 | spare >> 3 << 2, 0x0f, 0x44, (spare & 7) << 3 | 4,
	     0x25);
	code_u32(c, FIELD(percpu.choice[1]));
	code_store(c, FIELD(percpu.active), spare);
}
