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
	unsigned index; /* 0: none */
	bool has_high_byte; /* AH CH DH BH somewhere */
	bool is_memory;
	bool is_opcode_register;
	uint8_t opcode;
	bool has_modrm;
	uint8_t imm_register; /* in bits 7:4 of the immediate */
	bool has_imm_register;
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
	const struct operand_letters *letters;
	unsigned reg = operand->reg;

	if (operand_is_mem(operand)) {
		fields->is_memory = true;
		fields->rm = rename->place.base;
		fields->index = rename->place.index;
		return;
	}
	if (operand->kind == OPND_REG)
		reg = renamed(operand, rename, fields);
	letters = &insn_operand_letters[insn_row(insn)->operands[n]];
	if (letters->special == SPECIAL_IMM_REG) {
		fields->imm_register = (uint8_t)reg;
		fields->has_imm_register = true;
	}
	switch (letters->number) {
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
		.opcode = insn->opcode,
		.has_modrm = insn->has_modrm,
		.index = INSN_NO_INDEX,
	};

	for (unsigned i = 0; i < insn->nops; i++)
		place_operand(&fields, insn, i, rename);
	return fields;
}

/* 66 says which instruction it is, where it stands. */
static bool has_selecting_66(const struct insn *insn)
{
	return insn_row(insn)->class != CLASS_GENERAL || insn->op == OP_ADCX ||
	       insn->op == OP_CLWB || insn->op == OP_CLFLUSHOPT;
}

/* From 16-bit code, where it is the other way round: does the operand size
 * matter, and is it 16 bits? */
static bool has_16_bits(const struct insn *insn)
{
	if (insn->opsize != 2 || insn->op == OP_CBW || insn->op == OP_CWD)
		return insn->opsize == 2;
	for (unsigned i = 0; i < insn->nops; i++)
		if ((insn->operand[i].kind == OPND_REG ||
		     operand_is_mem(&insn->operand[i])) &&
		    insn->operand[i].size == 2)
			return true;
	return false;
}

/* Prefixes that mean something without segment and address size. */
static unsigned copy_prefixes(uint8_t *out, const struct insn *insn,
			      const uint8_t *bytes)
{
	bool is_16bit = insn->mode == X86_MODE_REAL ||
			insn->mode == X86_MODE_16;
	bool copies_66 = !is_16bit || has_selecting_66(insn);
	unsigned n = 0;

	if (!copies_66 && has_16_bits(insn))
		out[n++] = 0x66;
	for (unsigned i = 0; i < insn->off_opcode; i++) {
		uint8_t byte = bytes[i];

		if ((byte == 0x66 && copies_66) || byte == 0xf2 ||
		    byte == 0xf3 || byte == 0xf0)
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
		      fields->rm >> 3 | (fields->index >> 3) << 1;

	if (fields->has_modrm)
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

/* VEX.W, which means nothing to the size of general registers outside 64-bit
 * mode (SDM 2, 2.3.5.5): there is then none of 8 bytes, but one of 4. */
static unsigned vex_w(const struct insn *insn)
{
	bool has_4 = false, has_8 = false;

	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];

		if (operand->kind != OPND_REG && operand->kind != OPND_MEM)
			continue;
		has_4 |= operand->size == 4;
		has_8 |= operand->kind == OPND_REG && operand->size == 8;
	}
	return has_4 && !has_8 ? 0 : insn->w;
}

static unsigned put_vex(uint8_t *out, const struct insn *insn,
			const struct fields *fields)
{
	out[0] = 0xc4;
	out[1] = (uint8_t)(!(fields->reg & 8) << 7 | !(fields->index & 8) << 6 |
			   !(fields->rm & 8) << 5 |
			   (insn->map == MAP_0F	  ? 1 :
			    insn->map == MAP_0F38 ? 2 :
						    3));
	out[2] = (uint8_t)(vex_w(insn) << 7 | (~fields->vvvv & 15) << 3 |
			   insn->vl << 2 | insn->pp);
	return 3;
}

/*
 * Those that 64-bit mode has not, or not with a base register, by the general
 * form that says the same.
 */
static void generalize(struct fields *fields, const struct insn *insn)
{
	if (insn->encoding != ENC_LEGACY || insn->map != MAP_ONE)
		return;
	if ((insn->opcode & 0xf0) == 0x40) { /* INC and DEC r: FF /0, /1 */
		fields->opcode = 0xff;
		fields->reg = insn->opcode >> 3 & 1;
	} else if ((insn->opcode & 0xfc) == 0xa0) { /* MOV moffs: 88 to 8B */
		fields->opcode = 0x88 | (insn->opcode & 1) |
				 (insn->opcode & 2 ? 0 : 2);
		fields->reg = 0;
	} else if (insn->opcode == 0x82) {
		fields->opcode = 0x80;
		return;
	} else {
		return;
	}
	fields->is_opcode_register = false;
	fields->has_modrm = true;
}

/* ModRM, SIB where there is an index, displacement. */
static unsigned put_memory(uint8_t *out, const struct fields *fields,
			   const struct insn_place *place)
{
	int32_t displacement = place->displacement;
	bool is_byte = displacement == (int8_t)displacement;
	unsigned mod = !displacement ? 0 : is_byte ? 1 : 2, n = 0;
	bool has_index = place->index != INSN_NO_INDEX;

	out[n++] = (uint8_t)(mod << 6 | (fields->reg & 7) << 3 |
			     (has_index ? 4 : fields->rm & 7));
	if (has_index)
		out[n++] =
			(uint8_t)((unsigned)__builtin_ctz(place->scale) << 6 |
				  (fields->index & 7) << 3 | (fields->rm & 7));
	if (mod == 1)
		out[n++] = (uint8_t)displacement;
	if (mod == 2) {
		store_u32(out + n, (uint32_t)displacement);
		n += 4;
	}
	return n;
}

unsigned insn_reencode(uint8_t *out, const struct insn *insn,
		       const uint8_t *bytes, const struct insn_rename *rename)
{
	struct fields fields = find_fields(insn, rename);
	unsigned n;

	generalize(&fields, insn);
	if (insn->encoding == ENC_VEX)
		n = put_vex(out, insn, &fields);
	else
		n = put_legacy(out, insn, bytes, &fields);
	if (n == NO_ENCODING)
		return 0;
	if (fields.is_opcode_register)
		fields.opcode = (fields.opcode & 0xf8) | (fields.rm & 7);
	out[n++] = fields.opcode;
	if (fields.has_modrm && fields.is_memory)
		n += put_memory(out + n, &fields, &rename->place);
	else if (fields.has_modrm)
		out[n++] = (uint8_t)(0xc0 | (fields.reg & 7) << 3 |
				     (fields.rm & 7));
	for (unsigned i = 0; i < insn->imm_len; i++)
		out[n + i] = bytes[insn->off_imm + i];
	if (fields.has_imm_register)
		out[n] = (uint8_t)(fields.imm_register << 4 | (out[n] & 15));
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
		if (!operand_is_mem(operand))
			continue;
		if (insn->base < 16)
			mask |= BIT(insn->base);
		if (insn->index < 16)
			mask |= BIT(insn->index);
	}
	return mask;
}
