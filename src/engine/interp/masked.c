/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector accesses that touch only some of their elements: MASKMOVQ,
 * MASKMOVDQU, VMASKMOV, VPMASKMOV and the gathers. An element that is masked
 * off is not accessed and cannot fault. SDM 2, the pages of each.
 */
#include "engine/interp/fpu.h"

#include <string.h>

#include "x86/regs.h"

/* --- MASKMOVQ, MASKMOVDQU ------------------------------------------------- */

/*
 * Bytes at seg:rDI; a byte is stored when bit 7 of its mask is set. Whether
 * bytes that are not stored can fault is the implementation's choice (SDM 2,
 * MASKMOVQ): Intel's look at whole quadwords, the upper one first.
 */
static void store_bytes(struct interp *cpu, const struct insn *insn,
			const uint8_t *bytes, const uint8_t *mask,
			unsigned count)
{
	uint64_t offset = cpu->s.gpr[RDI];
	uint64_t limit = size_mask(insn->adsize);

	for (unsigned i = count; i > 0; i -= 8)
		mem_check_write(cpu, insn->seg, (offset + i - 8) & limit, 8);
	for (unsigned i = 0; i < count; i++)
		if (mask[i] & 0x80)
			mem_write(cpu, insn->seg, (offset + i) & limit,
				  bytes[i], 1);
}

void exec_maskmovdqu(struct interp *cpu, const struct insn *insn)
{
	const uint8_t *bytes = cpu->s.fpu.ymm[insn->operand[0].reg];
	const uint8_t *mask = cpu->s.fpu.ymm[insn->operand[1].reg];

	check_class(cpu, insn_row(insn));
	store_bytes(cpu, insn, bytes, mask, 16);
}

void exec_maskmovq(struct interp *cpu, const struct insn *insn)
{
	struct cpu_fpu *fpu = &cpu->s.fpu;

	check_mmx(cpu);
	check_x87_pending(cpu);
	x87_enter_mmx(fpu);
	fpu->ftw = 0xff;
	store_bytes(cpu, insn,
		    (uint8_t *)&fpu->st[insn->operand[0].reg & 7].mantissa,
		    (uint8_t *)&fpu->st[insn->operand[1].reg & 7].mantissa, 8);
}

/* --- VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ ----------------------- */

static bool is_selected(const uint8_t *mask, unsigned element, unsigned size)
{
	return mask[(element + 1) * size - 1] & 0x80;
}

static unsigned maskmov_element(const struct insn *insn)
{
	switch (insn->op) {
	case OP_VMASKMOVPD:
	case OP_VPMASKMOVQ:
		return 8;
	default:
		return 4;
	}
}

static void maskmov_load(struct interp *cpu, const struct insn *insn,
			 const uint8_t *mask, uint64_t offset)
{
	unsigned size = maskmov_element(insn);
	unsigned count = (16u << insn->vl) / size;
	uint64_t limit = size_mask(insn->adsize);
	uint8_t result[32] = { 0 };

	for (unsigned i = 0; i < count; i++)
		if (is_selected(mask, i, size))
			mem_read_bytes(cpu, insn->seg,
				       (offset + i * size) & limit,
				       result + i * size, size);
	memcpy(cpu->s.fpu.ymm[insn->operand[0].reg], result, 32);
	cpu->s.fpu.xstate_bv |= XCR0_SSE | XCR0_AVX;
}

static void maskmov_store(struct interp *cpu, const struct insn *insn,
			  const uint8_t *mask, uint64_t offset)
{
	unsigned size = maskmov_element(insn);
	unsigned count = (16u << insn->vl) / size;
	uint64_t limit = size_mask(insn->adsize);
	const uint8_t *bytes = cpu->s.fpu.ymm[insn->operand[2].reg];

	for (unsigned i = 0; i < count; i++)
		if (is_selected(mask, i, size))
			mem_check_write(cpu, insn->seg,
					(offset + i * size) & limit, size);
	for (unsigned i = 0; i < count; i++)
		if (is_selected(mask, i, size))
			mem_write_bytes(cpu, insn->seg,
					(offset + i * size) & limit,
					bytes + i * size, size);
}

void exec_vmaskmov(struct interp *cpu, const struct insn *insn)
{
	uint64_t offset = vector_operand_offset(cpu, insn);
	uint8_t mask[32];

	check_avx(cpu);
	memcpy(mask, cpu->s.fpu.ymm[insn->operand[1].reg], sizeof(mask));
	if (operand_is_mem(&insn->operand[0]))
		maskmov_store(cpu, insn, mask, offset);
	else
		maskmov_load(cpu, insn, mask, offset);
}

/* --- gathers -------------------------------------------------------------- */

struct gather {
	unsigned count, element, index;
	unsigned size; /* of the vectors */
	uint8_t *to, *mask;
	const uint8_t *indices;
};

static uint64_t gather_offset(const struct interp *cpu, const struct insn *insn,
			      const struct gather *gather, unsigned i)
{
	uint64_t offset = insn->disp;
	int64_t index;

	if (gather->index == 8)
		index = (int64_t)load_u64(gather->indices + 8 * i);
	else
		index = (int32_t)load_u32(gather->indices + 4 * i);
	if (insn->base < GPR_COUNT)
		offset += cpu->s.gpr[insn->base];
	offset += (uint64_t)index * insn->scale;
	return offset & size_mask(insn->adsize);
}

/* Each element of the mask becomes all ones or zeros, at the very start. */
static void gather_expand_mask(struct gather *gather)
{
	unsigned size = gather->element;

	for (unsigned i = 0; i < gather->size / size; i++)
		memset(gather->mask + i * size,
		       is_selected(gather->mask, i, size) ? 0xff : 0, size);
	memset(gather->mask + gather->size, 0, 32 - gather->size);
}

/*
 * Elements complete from the lowest up, each with its mask cleared, so that a
 * fault leaves an instruction that goes on where it stopped when it is
 * restarted: here, as in REP, half-done work is architectural.
 */
void exec_gather(struct interp *cpu, const struct insn *insn)
{
	unsigned element = insn->w ? 8 : 4;
	unsigned index = insn->opcode & 1 ? 8 : 4;
	struct gather gather = {
		.count = (16u << insn->vl) / MAX(element, index),
		.element = element,
		.index = index,
		.size = 16u << insn->vl,
		.to = cpu->s.fpu.ymm[insn->operand[0].reg],
		.mask = cpu->s.fpu.ymm[insn->operand[2].reg],
		.indices = cpu->s.fpu.ymm[insn->index & 15],
	};

	check_avx(cpu);
	gather_expand_mask(&gather);
	for (unsigned i = 0; i < gather.count; i++) {
		uint64_t value;

		if (!is_selected(gather.mask, i, element))
			continue;
		value = mem_read(cpu, insn->seg,
				 gather_offset(cpu, insn, &gather, i), element);
		memcpy(gather.to + i * element, &value, element);
		memset(gather.mask + i * element, 0, element);
		memset(gather.to + gather.size, 0, 32 - gather.size);
	}
	memset(gather.to + gather.count * element, 0,
	       32 - gather.count * element);
	memset(gather.mask, 0, 32);
	cpu->s.fpu.xstate_bv |= XCR0_SSE | XCR0_AVX;
}
