/* SPDX-License-Identifier: BSD-2-Clause */
/* An instruction once more, with other registers: SDM 2, 2.1 to 2.3. */

#include "x86/reencode.h"

#include <string.h>

#include "base/bits.h"
#include "x86/insn_table.h"
#include "x86/regs.h"

#define NO_ENCODING ~0u

/* The encoding's register fields, four bits each. */
struct fields {
	unsigned reg, rm, vvvv;
	bool has_high_byte; /* AH CH DH BH somewhere */
	bool is_memory;
	bool is_opcode_register;
};

static unsigned renamed(const struct operand *operand,
			const struct insn_rename *rename, struct fields *fields)
{
	if (operand->reg >= INSN_REG_AH) {
		fields->has_high_byte = true;
		return operand->reg - INSN_REG_AH + 4u;
	}
	return rename->to[operand->reg];
}

static void place_operand(struct fields *fields, const struct insn *insn,
			  unsigned n, const struct insn_rename *rename)
{
	const struct operand *operand = &insn->operand[n];
	unsigned reg = operand->reg;

	if (operand_is_mem(operand)) {
		fields->is_memory = true;
		fields->rm = rename->base;
		return;
	}
	if (operand->kind == OPND_REG)
		reg = renamed(operand, rename, fields);
	switch (insn_operand_letters[insn_row(insn)->operands[n]].number) {
	case NUMBER_REG:
	case NUMBER_REG3:
		fields->reg = reg;
		break;
	case NUMBER_RM:
	case NUMBER_RM3:
	case NUMBER_RM_VECTOR:
		fields->rm = reg;
		break;
	case NUMBER_OPCODE:
		fields->rm = reg;
		fields->is_opcode_register = true;
		break;
	case NUMBER_VVVV:
		fields->vvvv = reg;
		break;
	default:
		break;
	}
}

static struct fields find_fields(const struct insn *insn,
				 const struct insn_rename *rename)
{
	struct fields fields = {
		.reg = bits_get(insn->modrm, 5, 3),
		.rm = bits_get(insn->modrm, 2, 0),
		.vvvv = insn->vvvv,
	};

	for (unsigned i = 0; i < insn->nops; i++)
		place_operand(&fields, insn, i, rename);
	return fields;
}

/* Prefixes that mean something without segment and address size. */
static unsigned copy_prefixes(uint8_t *out, const struct insn *insn,
			      const uint8_t *bytes)
{
	unsigned n = 0;

	for (unsigned i = 0; i < insn->off_opcode; i++) {
		uint8_t byte = bytes[i];

		if (byte == 0x66 || byte == 0xf2 || byte == 0xf3 ||
		    byte == 0xf0)
			out[n++] = byte;
		else if (byte == 0x0f)
			break;
	}
	return n;
}

static unsigned put_legacy(uint8_t *out, const struct insn *insn,
			   const uint8_t *bytes, const struct fields *fields)
{
	unsigned n = copy_prefixes(out, insn, bytes);
	uint8_t rex = (insn->rex & 0x48) | (insn->rex ? 0x40 : 0) |
		      fields->rm >> 3;

	if (insn->has_modrm)
		rex |= (fields->reg >> 3) << 2;
	if (rex) {
		if (fields->has_high_byte)
			return NO_ENCODING;
		out[n++] = rex | 0x40;
	}
	if (insn->map != MAP_ONE)
		out[n++] = 0x0f;
	if (insn->map == MAP_0F38)
		out[n++] = 0x38;
	if (insn->map == MAP_0F3A)
		out[n++] = 0x3a;
	return n;
}

static unsigned put_vex(uint8_t *out, const struct insn *insn,
			const struct fields *fields)
{
	out[0] = 0xc4;
	out[1] = (uint8_t)(!(fields->reg & 8) << 7 | 1 << 6 |
			   !(fields->rm & 8) << 5 |
			   (insn->map == MAP_0F	  ? 1 :
			    insn->map == MAP_0F38 ? 2 :
						    3));
	out[2] = (uint8_t)(insn->w << 7 | (~fields->vvvv & 15) << 3 |
			   insn->vl << 2 | insn->pp);
	return 3;
}

unsigned insn_reencode(uint8_t *out, const struct insn *insn,
		       const uint8_t *bytes, const struct insn_rename *rename)
{
	struct fields fields = find_fields(insn, rename);
	uint8_t opcode = insn->opcode;
	unsigned n;

	if (insn->encoding == ENC_VEX)
		n = put_vex(out, insn, &fields);
	else
		n = put_legacy(out, insn, bytes, &fields);
	if (n == NO_ENCODING)
		return 0;
	if (fields.is_opcode_register)
		opcode = (opcode & 0xf8) | (fields.rm & 7);
	out[n++] = opcode;
	if (insn->has_modrm)
		out[n++] = (uint8_t)((fields.is_memory ? 0 : 0xc0) |
				     (fields.reg & 7) << 3 | (fields.rm & 7));
	memcpy(out + n, bytes + insn->off_imm, insn->imm_len);
	return n + insn->imm_len;
}

uint32_t insn_registers(const struct insn *insn)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];

		if (operand->kind == OPND_REG)
			mask |= BIT(operand->reg >= INSN_REG_AH ?
					    operand->reg - INSN_REG_AH :
					    operand->reg);
		if (operand->kind != OPND_MEM)
			continue;
		if (insn->base < 16)
			mask |= BIT(insn->base);
		if (insn->index < 16)
			mask |= BIT(insn->index);
	}
	return mask;
}
