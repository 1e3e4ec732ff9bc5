/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory operands: the effective address, the software TLB inline, and the way
 * to the interpreter for what the TLB does not hold. interp.h tells how one
 * comparison checks page, canonical form and page crossing.
 *
 * The comparison needs the address, the access does not: it is made with the
 * entry's addend and the instruction's own registers, so that it waits for
 * the addend alone.
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

/* to = the sum, of 32 bits unless `wide`. SCRATCH goes if both base and index
 * live in memory, or `to` is not SPARE. */
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
		base = to == SPARE ? SPARE : SCRATCH;
		code_load(c, base, FIELD_GPR(insn->base));
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

/* The address, or that of its page; of 32 bits unless `wide`. What is relative to
 * RIP moves with the block, if it is all of an address. */
static void emit_constant_address(struct translation *t,
				  const struct insn *insn, uint64_t address,
				  unsigned to, bool wide)
{
	if (insn->base == INSN_REG_RIP && wide && insn->adsize == 8) {
		emit_rip(t, to, address);
		return;
	}
	if (insn->base == INSN_REG_RIP)
		t->has_places = false;
	code_constant(&t->c, to, wide ? address : (uint32_t)address);
}

/* ADD to the address: SDM 1, 3.3.7 */
static void emit_segment_base(struct translation *t, const struct insn *insn)
{
	code_gs(&t->c, t->wide, 0x03, SCRATCH,
		FIELD(cpu.s.segment[0].base) +
			insn->seg * (uint32_t)sizeof(struct cpu_segment));
}

/* What misses begins here again; R10 is about to go. */
static void begin_access(struct translation *t)
{
	t->has_delta = false;
	t->retry = code_here(&t->c);
}

void emit_address(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];

	begin_access(t);
	if (is_constant_address(insn))
		emit_constant_address(t, insn, constant_address(t, i), SCRATCH,
				      true);
	else
		emit_sum(t, insn, SCRATCH, insn->adsize == 8);
	if (insn->adsize == 2)
		CODE(&t->c, 0x45, 0x0f, 0xb7, 0xd2); /* movzx r10d, r10w */
	if (insn->seg >= SEG_FS && !t->flavour.is_segmented)
		emit_segment_base(t, insn);
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
		emit_constant_address(t, insn, constant_address(t, i), to,
				      wide);
	if (to == SCRATCH)
		code_store(&t->c, FIELD_GPR(operand->reg), SCRATCH);
}

uint8_t *emit_branch_slow(struct translation *t, unsigned condition)
{
	if (likely(!bt_stress_hits(&t->bt->stress, STRESS_SLOW, 1)))
		return code_jcc_forward(&t->c, condition);
	return code_jump_forward(&t->c);
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

/* --- the TLB ---------------------------------------------------------------- */

/* Of its first entry in the table. */
static uint32_t tlb_field(const struct translation *t, enum mmu_access access,
			  size_t field)
{
	return field_tlb(t->flavour.view, access, field);
}

/* Where a comparison with an entry fails; `offset`: of the operand, from what
 * SCRATCH is then. */
static void miss(struct translation *t, unsigned i, unsigned condition,
		 unsigned size, enum mmu_access access, int32_t offset)
{
	struct cold *cold;

	if (bt_stress_hits(&t->bt->stress, STRESS_SLOW, 1)) {
		cold_add(t, COLD_INTERPRET, code_jump_forward(&t->c),
			 insn_rip(t, i));
		return;
	}
	cold = cold_add(t, COLD_MISS, code_jcc_forward(&t->c, condition),
			insn_rip(t, i));
	cold->access = (uint8_t)access;
	cold->size = (uint16_t)size;
	cold->offset = offset;
	cold->retry = t->retry;
	t->retry = NULL;
}

/* SPARE = the place of the entry for the address in host register `reg`. */
static void emit_entry_place(const struct translation *t, struct code *c,
			     unsigned reg)
{
	_Static_assert(sizeof(struct tlb_entry) == 16, "index shifted by 8");
	if (t->bt->has_bmi2) {
		code_rorx32(c, SPARE, reg, PAGE_SHIFT - 4);
	} else {
		code_rr(c, OP_SIZE_32, 0x89, SPARE, reg);
		code_shr32(c, SPARE, PAGE_SHIFT - 4);
	}
	code_group1(c, OP_SIZE_32, 4, SPARE, (TLB_ENTRIES - 1) << 4);
}

/* The address is in `reg`. SCRATCH becomes its offset in the page, SPARE the
 * entry's place. */
static void emit_lookup_entry(struct translation *t, unsigned i, unsigned reg,
			      unsigned size, enum mmu_access access,
			      unsigned alignment)
{
	uint32_t tag = tlb_field(t, access, TLB_TAG);
	struct code *c = &t->c;

	emit_entry_place(t, c, reg);
	if (reg == SCRATCH) {
		code_gs_indexed(c, 0x33, SCRATCH, SPARE, tag);
	} else {
		code_gs_indexed(c, 0x8b, SCRATCH, SPARE, tag);
		code_rr(c, OP_SIZE_64, 0x31, SCRATCH, reg);
	}
	code_group1(c, OP_SIZE_64, 7, SCRATCH, (uint32_t)PAGE_SIZE - size);
	miss(t, i, COND_A, size, access, COLD_BY_ENTRY);
	if (alignment > 1) { /* of at most 64 bytes */
		CODE(c, 0x41, 0xf6, 0xc2, alignment - 1); /* test r10b, .. */
		slow(t, COND_NE, i);
	}
}

void emit_translate(struct translation *t, unsigned i, unsigned size,
		    enum mmu_access access, unsigned alignment)
{
	struct code *c = &t->c;

	emit_lookup_entry(t, i, SCRATCH, size, access, alignment);
	code_gs_indexed(c, 0x33, SCRATCH, SPARE, tlb_field(t, access, TLB_TAG));
	code_gs_indexed(c, 0x03, SCRATCH, SPARE,
			tlb_field(t, access, TLB_ADDEND));
}

/* --- operands --------------------------------------------------------------- */

static enum mmu_access access_of(const struct operand *memory)
{
	return memory->access & ACCESS_W ? MMU_WRITE : MMU_READ;
}

static unsigned alignment_of(const struct insn *insn,
			     const struct operand *memory)
{
	return insn_row(insn)->attrs & ROW_ALIGN ? memory->size : 1;
}

/* Its address is known, and it is on one page. */
static bool is_on_known_page(const struct translation *t, unsigned i,
			     const struct operand *memory)
{
	const struct insn *insn = &t->insn[i];
	uint64_t address = constant_address(t, i);

	return is_constant_address(insn) && insn->seg < SEG_FS &&
	       insn->adsize >= 4 && !t->flavour.is_segmented &&
	       (address & ~PAGE_MASK) + memory->size <= PAGE_SIZE &&
	       !(address % alignment_of(insn, memory));
}

/* op r10, gs:[a field of the page's entry] */
static void emit_with_entry(struct translation *t, unsigned i, unsigned opcode,
			    uint32_t field)
{
	uint64_t address = constant_address(t, i);

	code_gs(&t->c, OP_SIZE_64, opcode, SCRATCH,
		field + tlb_index(address) *
				(uint32_t)sizeof(struct tlb_entry));
	if (t->insn[i].base == INSN_REG_RIP)
		place_note(t, PLACE_TLB, t->c.at - 4);
}

/* SCRATCH is the host's page. */
static int32_t emit_known_page(struct translation *t, unsigned i,
			       const struct operand *memory)
{
	enum mmu_access access = access_of(memory);
	uint64_t address = constant_address(t, i);
	int32_t offset = (int32_t)(address & ~PAGE_MASK);

	begin_access(t);
	emit_constant_address(t, &t->insn[i], address & PAGE_MASK, SCRATCH,
			      true);
	emit_with_entry(t, i, 0x3b, tlb_field(t, access, TLB_TAG));
	miss(t, i, COND_NE, memory->size, access, offset);
	emit_with_entry(t, i, 0x03, tlb_field(t, access, TLB_ADDEND));
	return offset;
}

void emit_memory(struct translation *t, unsigned i,
		 const struct operand *memory)
{
	const struct insn *insn = &t->insn[i];

	if (is_on_known_page(t, i, memory)) {
		int32_t offset = emit_known_page(t, i, memory);

		if (offset)
			code_lea(&t->c, SCRATCH, SCRATCH, offset);
		return;
	}
	emit_address(t, i);
	if (t->flavour.is_segmented)
		emit_operand_segment(t, i, memory);
	emit_translate(t, i, memory->size, access_of(memory),
		       alignment_of(insn, memory));
}

/* One register at most makes up the address, of all its bits. */
static bool is_one_register(const struct translation *t,
			    const struct insn *insn)
{
	return t->wide && insn->adsize == 8 && insn->base != INSN_REG_RIP &&
	       (insn->base == INSN_REG_NONE || insn->index == INSN_REG_NONE);
}

/* What may be done with the addend and the address's parts once more. */
static bool may_add(const struct translation *t, const struct insn *insn)
{
	if (insn->seg >= SEG_FS ? !t->wide || insn->base == INSN_REG_RIP :
				  is_constant_address(insn))
		return false;
	return !t->flavour.is_segmented && insn->adsize >= 4 &&
	       insn->disp == (int32_t)insn->disp &&
	       !(insn->base < 16 && in_memory(insn->base) &&
		 insn->index != INSN_REG_NONE && in_memory(insn->index));
}

/* The parts behind SCRATCH, the addend; true: SPARE is among them. */
static bool emit_parts(struct translation *t, const struct insn *insn,
		       struct insn_place *place)
{
	unsigned reg = insn->base != INSN_REG_NONE ? insn->base : insn->index;
	struct code *c = &t->c;

	if (!is_one_register(t, insn)) {
		emit_sum(t, insn, SPARE, insn->adsize == 8);
		place->index = SPARE;
		return true;
	}
	place->displacement = (int32_t)insn->disp;
	if (reg == INSN_REG_NONE)
		return false;
	if (insn->base == INSN_REG_NONE)
		place->scale = insn->scale;
	place->index = (uint8_t)host_register(reg);
	if (!in_memory(reg))
		return false;
	code_load(c, SPARE, FIELD_GPR(reg));
	place->index = SPARE;
	return true;
}

/* The host register that the address is in, or SCRATCH, where it is now. */
static unsigned emit_address_in(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];

	if (!is_one_register(t, insn) || insn->base == INSN_REG_NONE ||
	    in_memory(insn->base) || insn->disp || insn->seg >= SEG_FS) {
		emit_address(t, i);
		return SCRATCH;
	}
	begin_access(t);
	return host_register(insn->base);
}

struct insn_place emit_place(struct translation *t, unsigned i,
			     const struct operand *memory, bool keeps_spare)
{
	struct insn_place place = AT_SCRATCH;
	const struct insn *insn = &t->insn[i];
	enum mmu_access access = access_of(memory);
	struct code *c = &t->c;

	if (is_on_known_page(t, i, memory)) {
		place.displacement = emit_known_page(t, i, memory);
		return place;
	}
	if (!may_add(t, insn)) {
		emit_memory(t, i, memory);
		return place;
	}
	emit_lookup_entry(t, i, emit_address_in(t, i), memory->size, access,
			  alignment_of(insn, memory));
	code_gs_indexed(c, 0x8b, SCRATCH, SPARE,
			tlb_field(t, access, TLB_ADDEND));
	if (insn->seg >= SEG_FS)
		emit_segment_base(t, insn);
	if (emit_parts(t, insn, &place) && keeps_spare) {
		code_lea_full(c, true, SCRATCH, SCRATCH, SPARE, place.scale,
			      place.displacement);
		place = AT_SCRATCH;
	}
	return place;
}
