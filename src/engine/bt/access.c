/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory operands: the effective address, the software TLB inline, and the way
 * to the interpreter for what the TLB does not hold. interp.h tells how one
 * comparison checks page, generation, canonical form and page crossing.
 */
#include "engine/bt/translate.h"

#include "x86/reencode.h"

bool is_stack_operand(const struct translation *t, const struct insn *insn)
{
	return !t->flavour.is_segmented && insn->base == RSP &&
	       insn->index == INSN_REG_NONE && insn->seg < SEG_FS &&
	       insn->adsize == t->word;
}

static uint64_t constant_address(const struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	uint64_t address = (uint64_t)insn->disp;

	if (insn->base == INSN_REG_RIP)
		address += insn_rip(t, i) + insn->len;
	return insn->adsize == 4 ? (uint32_t)address : address;
}

/* to = the sum, of 32 bits unless `wide`. */
static void emit_sum(struct translation *t, const struct insn *insn,
		     unsigned to, bool wide)
{
	struct code *c = &t->c;
	bool has_base = insn->base != INSN_REG_NONE;
	bool has_index = insn->index != INSN_REG_NONE;
	unsigned base = NO_REGISTER, index = NO_REGISTER;

	if (has_base)
		base = host_register(insn->base);
	if (has_index)
		index = host_register(insn->index);
	if (has_base && in_memory(insn->base)) {
		code_load(c, SCRATCH, FIELD_GPR(insn->base));
		base = SCRATCH;
	}
	if (has_index && in_memory(insn->index)) {
		code_load(c, SPARE, FIELD_GPR(insn->index));
		index = SPARE;
	}
	if (index != NO_REGISTER || insn->disp)
		code_lea_full(c, wide, to, base, index, insn->scale,
			      (int32_t)insn->disp);
	else if (base != to || !wide)
		code_rr(c, wide, 0x89, to, base);
}

static bool is_constant_address(const struct insn *insn)
{
	return insn->base == INSN_REG_RIP ||
	       (insn->base == INSN_REG_NONE && insn->index == INSN_REG_NONE);
}

/* Of 32 bits unless `wide`. What is relative to RIP moves with the block, if it
 * is all of an address. */
static void emit_constant_address(struct translation *t, unsigned i,
				  unsigned to, bool wide)
{
	const struct insn *insn = &t->insn[i];
	uint64_t address = constant_address(t, i);

	if (insn->base == INSN_REG_RIP && wide && insn->adsize == 8) {
		emit_rip(t, to, address);
		return;
	}
	if (insn->base == INSN_REG_RIP)
		t->has_places = false;
	code_constant(&t->c, to, wide ? address : (uint32_t)address);
}

void emit_address(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];

	t->has_delta = false;
	t->retry = code_here(&t->c);
	t->is_constant = is_constant_address(insn) && insn->seg < SEG_FS;
	t->is_relative = insn->base == INSN_REG_RIP;
	t->address = constant_address(t, i);
	if (is_constant_address(insn))
		emit_constant_address(t, i, SCRATCH, true);
	else
		emit_sum(t, insn, SCRATCH, insn->adsize == 8);
	if (insn->adsize == 2)
		CODE(&t->c, 0x45, 0x0f, 0xb7, 0xd2); /* movzx r10d, r10w */
	/* ADD to the address: SDM 1, 3.3.7 */
	if (insn->seg >= SEG_FS && !t->flavour.is_segmented)
		code_gs(&t->c, t->wide, 0x03, SCRATCH,
			FIELD(cpu.s.segment[0].base) +
				insn->seg *
					(uint32_t)sizeof(struct cpu_segment));
}

void emit_lea(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *operand = &insn->operand[0];
	unsigned to = host_register(operand->reg);
	bool wide = insn->adsize == 8 && operand->size == 8;

	t->has_delta = false;
	if (in_memory(operand->reg))
		to = SCRATCH;
	if (!is_constant_address(insn))
		emit_sum(t, insn, to, wide);
	else
		emit_constant_address(t, i, to, wide);
	if (to == SCRATCH)
		code_store(&t->c, FIELD_GPR(operand->reg), SCRATCH);
}

uint8_t *emit_branch_slow(struct translation *t, unsigned condition)
{
	if (likely(!bt_stress_hits(&t->bt->stress, STRESS_SLOW, 1)))
		return code_jcc_forward(&t->c, condition);
	code_u8(&t->c, 0xe9);
	code_u32(&t->c, 0);
	return t->c.at - 4;
}

/*
 * The half of the linear address space that this operand is most likely in:
 * its generation is compared, the other's in the cold part. Code between STAC
 * and CLAC is after user memory.
 */
static bool is_likely_upper(const struct translation *t)
{
	return !t->flavour.is_32 &&
	       (t->flavour.view == MMU_SMAP ||
		(t->flavour.view == MMU_SUPERVISOR && !t->flavour.has_smap));
}

static void slow(struct translation *t, unsigned condition, unsigned i)
{
	cold_add(t, COLD_INTERPRET, emit_branch_slow(t, condition),
		 insn_rip(t, i));
}

void interpret_if(struct translation *t, unsigned i, unsigned condition)
{
	cold_add(t, COLD_INTERPRET, code_jcc_forward(&t->c, condition),
		 insn_rip(t, i));
}

/* Where the comparison of emit_translate fails. */
static void miss(struct translation *t, unsigned i, const struct cold *model)
{
	struct cold *cold;

	if (bt_stress_hits(&t->bt->stress, STRESS_SLOW, 1)) {
		code_u8(&t->c, 0xe9);
		code_u32(&t->c, 0);
		cold_add(t, COLD_INTERPRET, t->c.at - 4, insn_rip(t, i));
		return;
	}
	cold = cold_add(t, COLD_MISS, code_jcc_forward(&t->c, COND_A),
			insn_rip(t, i));
	cold->access = model->access;
	cold->size = model->size;
	cold->is_upper = model->is_upper;
	cold->entry = model->entry;
	cold->is_relative = model->is_relative;
	cold->retry = t->retry;
	cold->hit = code_here(&t->c);
}

/* op r10, gs:[a field of the entry] */
static void emit_with_entry(struct translation *t, unsigned opcode,
			    uint32_t field, const struct cold *model)
{
	struct code *c = &t->c;

	if (model->entry < 0) {
		code_gs_indexed(c, opcode, SCRATCH, SPARE, field);
		return;
	}
	code_gs(c, OP_SIZE_64, opcode, SCRATCH, field + (uint32_t)model->entry);
	if (model->is_relative)
		place_note(t, PLACE_TLB, c->at - 4);
}

static void emit_entry_place(const struct translation *t, struct code *c)
{
	_Static_assert(sizeof(struct tlb_entry) == 16, "index shifted by 8");
	if (t->bt->has_bmi2) {
		code_rorx32(c, SPARE, SCRATCH, PAGE_SHIFT - 4);
	} else {
		code_rr(c, OP_SIZE_32, 0x89, SPARE, SCRATCH);
		code_shr32(c, SPARE, PAGE_SHIFT - 4);
	}
	code_group1(c, OP_SIZE_32, 4, SPARE, (TLB_ENTRIES - 1) << 4);
}

void emit_translate(struct translation *t, unsigned i, unsigned size,
		    enum mmu_access access, unsigned alignment)
{
	struct code *c = &t->c;
	uint32_t table =
		FIELD(cpu.tlb.entry[0][0][0]) +
		((t->flavour.view * MMU_ACCESSES + access) * TLB_ENTRIES) *
			(uint32_t)sizeof(struct tlb_entry);
	struct cold model = {
		.access = (uint8_t)access,
		.size = (uint16_t)size,
		.is_upper = is_likely_upper(t),
		.entry = -1,
	};

	if (t->is_constant) {
		model.is_upper = t->address >> 63;
		model.is_relative = t->is_relative;
		model.entry = (int32_t)(tlb_index(t->address) *
					sizeof(struct tlb_entry));
	} else {
		emit_entry_place(t, c);
	}
	/* While the entry's place is not known yet. */
	code_gs(c, OP_SIZE_64, 0x33, SCRATCH,
		model.is_upper ? FIELD(cpu.tlb.generation[1]) :
				 FIELD(cpu.tlb.generation[0]));
	emit_with_entry(t, 0x33, table + offsetof(struct tlb_entry, tag),
			&model);
	code_group1(c, OP_SIZE_64, 7, SCRATCH, (uint32_t)PAGE_SIZE - size);
	miss(t, i, &model);
	t->retry = NULL;
	if (alignment > 1) { /* of at most 64 bytes */
		CODE(c, 0x41, 0xf6, 0xc2, alignment - 1); /* test r10b, .. */
		slow(t, COND_NE, i);
	}
	emit_with_entry(t, 0x03, table + offsetof(struct tlb_entry, host),
			&model);
}
