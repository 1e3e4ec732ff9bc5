/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction decoder (SDM volume 2, chapter 2): prefixes, opcode, ModRM
 * and displacement, the row that matches, then the row's operands.
 *
 * It runs on a window of at least WINDOW readable bytes, the caller's own
 * where that many are there and else a zero-padded copy, so that no step
 * checks for the end.  What was read past the end is noticed afterwards: a
 * result, be it good or #UD, that looked at more bytes than there are is
 * INSN_SHORT or INSN_LONG instead.
 */
#include "x86/decode.h"

#include <stdbool.h>
#include <string.h>

#include "x86/insn_table.h"

/*
 * Prefixes end at byte 15 at the latest; behind them at most 4 bytes of VEX
 * or EVEX, opcode, ModRM, SIB, displacement and immediate.
 */
#define WINDOW	    40

#define unlikely(x) __builtin_expect(!!(x), 0)

struct decoder {
	struct insn *insn;
	const uint8_t *bytes;
	const struct insn_row *row;
	unsigned int pos;
	bool is_64;
	uint8_t rex_r; /* bits 3 and 4 to add to ModRM.reg */
	uint8_t rex_x; /* bit 3 to add to the index, and 4 of an EVEX rm */
	uint8_t rex_b; /* bit 3 to add to rm, base and opcode register */
	uint8_t vsib_v; /* EVEX.V': bit 4 of a vector index */
	uint8_t vvvv; /* all bits of it: must be 0 where it names nothing */
	uint8_t size_index; /* operand size for insn_operand_sizes */
};

/* --- prefixes ------------------------------------------------------------- */

enum prefix_class {
	IS_OPCODE,
	IS_REX,
	IS_SEG, /* + segment number */
	IS_OPSIZE = IS_SEG + 6,
	IS_ADSIZE,
	IS_LOCK,
	IS_REPNE,
	IS_REP,
};

static const uint8_t prefix_classes[256] = {
	[0x26] = IS_SEG + SEG_ES, [0x2e] = IS_SEG + SEG_CS,
	[0x36] = IS_SEG + SEG_SS, [0x3e] = IS_SEG + SEG_DS,
	[0x64] = IS_SEG + SEG_FS, [0x65] = IS_SEG + SEG_GS,
	[0x66] = IS_OPSIZE,	  [0x67] = IS_ADSIZE,
	[0xf0] = IS_LOCK,	  [0xf2] = IS_REPNE,
	[0xf3] = IS_REP,	  [0x40 ... 0x4f] = IS_REX,
};

#define NO_SEG 0xff

static void set_segment(struct decoder *d, unsigned int seg)
{
	/* ES, CS, SS and DS mean nothing in 64-bit mode (SDM 2, 2.1.1) */
	if (d->is_64 && seg < SEG_FS)
		return;
	d->insn->prefixes |= PREFIX_SEG;
	d->insn->seg = seg;
}

/*
 * Returns the first byte that is no prefix, or -1 when 15 bytes are prefixes.
 * A REX counts only right before the opcode.
 */
static int read_prefixes(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned int rex = 0;

	for (;;) {
		uint8_t byte = d->bytes[d->pos];
		unsigned int class = prefix_classes[byte];

		if (class == IS_OPCODE || (class == IS_REX && !d->is_64)) {
			insn->rex = rex;
			return byte;
		}
		if (unlikely(++d->pos >= INSN_MAX_LEN))
			return -1;
		if (class == IS_REX) {
			rex = byte;
			continue;
		}
		rex = 0;
		switch (class) {
		case IS_OPSIZE:
			insn->prefixes |= PREFIX_OPSIZE;
			break;
		case IS_ADSIZE:
			insn->prefixes |= PREFIX_ADSIZE;
			break;
		case IS_LOCK:
			insn->prefixes |= PREFIX_LOCK;
			break;
		case IS_REPNE:
			insn->prefixes |= PREFIX_REPNE;
			insn->prefixes &= ~PREFIX_REP;
			break;
		case IS_REP:
			insn->prefixes |= PREFIX_REP;
			insn->prefixes &= ~PREFIX_REPNE;
			break;
		default:
			set_segment(d, class - IS_SEG);
		}
	}
}

static void apply_rex(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned int rex = insn->rex;

	if (!rex)
		return;
	insn->prefixes |= PREFIX_REX;
	insn->w = rex >> 3 & 1;
	d->rex_r = (rex & 4) << 1;
	d->rex_x = (rex & 2) << 2;
	d->rex_b = (rex & 1) << 3;
}

/* F2 and F3 select before 66 does (SDM 2, 2.1.2 and table A-3's notes). */
static unsigned int selecting_prefix(unsigned int prefixes)
{
	if (prefixes & PREFIX_REP)
		return 2;
	if (prefixes & PREFIX_REPNE)
		return 3;
	return prefixes & PREFIX_OPSIZE ? 1 : 0;
}

/* --- VEX and EVEX --------------------------------------------------------- */

#define VEX_FORBIDDEN \
	(PREFIX_LOCK | PREFIX_REP | PREFIX_REPNE | PREFIX_OPSIZE | PREFIX_REX)

/* Second byte of LES, LDS and BOUND outside of 64-bit mode: memory only. */
static bool is_vex(const struct decoder *d)
{
	if (d->is_64)
		return true;
	return d->insn->mode != X86_MODE_REAL && d->bytes[d->pos + 1] >= 0xc0;
}

static bool read_vex2(struct decoder *d)
{
	unsigned int b = d->bytes[d->pos + 1];
	struct insn *insn = d->insn;

	d->pos += 2;
	insn->encoding = ENC_VEX;
	insn->map = MAP_0F;
	d->rex_r = d->is_64 && !(b & 0x80) ? 8 : 0;
	d->vvvv = ~b >> 3 & 15;
	insn->vl = b >> 2 & 1;
	insn->pp = b & 3;
	return true;
}

static bool read_vex3(struct decoder *d)
{
	unsigned int b1 = d->bytes[d->pos + 1], b2 = d->bytes[d->pos + 2];
	struct insn *insn = d->insn;

	d->pos += 3;
	insn->encoding = ENC_VEX;
	insn->map = b1 & 7;
	insn->w = b2 >> 7;
	insn->vl = b2 >> 2 & 1;
	insn->pp = b2 & 3;
	d->vvvv = ~b2 >> 3 & 15;
	if (d->is_64) {
		d->rex_r = ~b1 >> 4 & 8;
		d->rex_x = ~b1 >> 3 & 8;
		d->rex_b = ~b1 >> 2 & 8;
	}
	return (b1 & 0x1f) >= MAP_0F && (b1 & 0x1f) <= MAP_0F3A;
}

static bool read_evex(struct decoder *d)
{
	unsigned int p0 = d->bytes[d->pos + 1], p1 = d->bytes[d->pos + 2];
	unsigned int p2 = d->bytes[d->pos + 3];
	struct insn *insn = d->insn;

	d->pos += 4;
	insn->encoding = ENC_EVEX;
	insn->map = p0 & 7;
	insn->w = p1 >> 7;
	insn->pp = p1 & 3;
	insn->vl = p2 >> 5 & 3;
	insn->evex_rc = insn->vl;
	insn->evex_k = p2 & 7;
	insn->evex_z = p2 >> 7;
	insn->evex_b = p2 >> 4 & 1;
	d->vvvv = ~p1 >> 3 & 15;
	if (d->is_64) {
		d->rex_r = (~p0 >> 4 & 8) | (~p0 & 0x10);
		d->rex_x = ~p0 >> 3 & 8;
		d->rex_b = ~p0 >> 2 & 8;
		d->vsib_v = ~p2 << 1 & 0x10;
	} else if (!(p2 & 8)) {
		return false;
	}
	return !(p0 & 8) && (p1 & 4) && (p0 & 7) >= MAP_0F && (p0 & 7) != 4;
}

/* --- ModRM ---------------------------------------------------------------- */

static int32_t read_disp(struct decoder *d, unsigned int length)
{
	const uint8_t *at = d->bytes + d->pos;
	int32_t disp32;
	int16_t disp16;

	if (!length)
		return 0;
	d->insn->off_disp = d->pos;
	d->insn->disp_len = length;
	d->pos += length;
	if (length == 1)
		return (int8_t)*at;
	if (length == 2) {
		memcpy(&disp16, at, sizeof(disp16));
		return disp16;
	}
	memcpy(&disp32, at, sizeof(disp32));
	return disp32;
}

static void read_memory16(struct decoder *d)
{
	static const uint8_t bases[8] = {
		RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX
	};
	static const uint8_t indices[8] = { RSI,	   RDI,
					    RSI,	   RDI,
					    INSN_REG_NONE, INSN_REG_NONE,
					    INSN_REG_NONE, INSN_REG_NONE };
	struct insn *insn = d->insn;
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7;

	insn->base = bases[rm];
	insn->index = indices[rm];
	if (mod == 0 && rm == 6) {
		insn->base = INSN_REG_NONE;
		insn->disp = read_disp(d, 2);
	} else {
		insn->disp = read_disp(d, mod);
	}
}

static void read_sib(struct decoder *d, unsigned int mod)
{
	struct insn *insn = d->insn;
	unsigned int sib = d->bytes[d->pos++];
	unsigned int index = (sib >> 3 & 7) | d->rex_x;

	insn->has_sib = 1;
	insn->scale = 1 << (sib >> 6);
	insn->index = index == RSP ? INSN_REG_NONE : index;
	if (mod == 0 && (sib & 7) == RBP) {
		insn->base = INSN_REG_NONE;
		insn->disp = read_disp(d, 4);
		return;
	}
	insn->base = (sib & 7) | d->rex_b;
	insn->disp = read_disp(d, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static void read_memory(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7;

	if (insn->adsize == 2) {
		read_memory16(d);
	} else if (rm == RSP) {
		read_sib(d, mod);
	} else if (mod == 0 && rm == RBP) {
		insn->base = d->is_64 ? INSN_REG_RIP : INSN_REG_NONE;
		insn->disp = read_disp(d, 4);
	} else {
		insn->base = rm | d->rex_b;
		insn->disp = read_disp(d, mod == 1 ? 1 : mod == 2 ? 4 : 0);
	}
	if (!(insn->prefixes & PREFIX_SEG))
		insn->seg = insn->base == RSP || insn->base == RBP ? SEG_SS :
								     SEG_DS;
}

/* --- the row -------------------------------------------------------------- */

static uint32_t match_key(const struct decoder *d)
{
	const struct insn *insn = d->insn;
	uint32_t key = 0;

	key |= (insn->modrm >> 3 & 7) << KEY_REG_SHIFT;
	key |= (insn->modrm & 7) << KEY_RM_SHIFT;
	key |= insn->modrm >= 0xc0 ? KEY_MOD3 : 0;
	key |= insn->pp << KEY_PP_SHIFT;
	key |= insn->w ? KEY_W : 0;
	key |= d->is_64 ? KEY_64 : 0;
	key |= insn->mode == X86_MODE_REAL ? KEY_REAL : 0;
	key |= d->rex_b ? KEY_REXB : 0;
	key |= insn->vl << KEY_L_SHIFT;
	return key;
}

/* The rows of an opcode stand together; the last one that matches counts. */
static bool find_row(struct decoder *d, unsigned int last)
{
	const struct insn_match *match = &insn_matches[last];
	uint8_t opcode = d->insn->opcode;
	uint32_t key = match_key(d);

	for (; (uint8_t)(opcode - match->opcode) < match->span; match--) {
		if ((key & match->mask) != match->value)
			continue;
		d->insn->row = match - insn_matches;
		d->row = &insn_rows[d->insn->row];
		d->insn->op = d->row->op;
		return d->insn->op != OP_INVALID;
	}
	return false;
}

static void set_sizes(struct decoder *d)
{
	struct insn *insn = d->insn;
	uint32_t attrs = d->row->attrs;
	bool is_66 = insn->prefixes & PREFIX_OPSIZE;

	if (d->is_64) {
		if (insn->w || (attrs & ROW_F64))
			insn->opsize = 8;
		else if (attrs & ROW_D64)
			insn->opsize = is_66 ? 2 : 8;
		else
			insn->opsize = is_66 ? 2 : 4;
	} else if (insn->encoding != ENC_LEGACY) {
		insn->opsize = 4;
	} else {
		insn->opsize = (insn->mode == X86_MODE_32) != is_66 ? 4 : 2;
	}
	d->size_index = insn->opsize == 8 ? 3 : insn->opsize >> 1;
}

static unsigned int address_size(const struct decoder *d)
{
	bool is_67 = d->insn->prefixes & PREFIX_ADSIZE;

	if (d->is_64)
		return is_67 ? 4 : 8;
	return (d->insn->mode == X86_MODE_32) != is_67 ? 4 : 2;
}

/* --- immediates ----------------------------------------------------------- */

static uint64_t read_bytes(struct decoder *d, unsigned int length)
{
	const uint8_t *at = d->bytes + d->pos;
	uint64_t value;
	uint32_t value32;
	uint16_t value16;

	d->pos += length;
	if (length == 1)
		return *at;
	if (length == 2) {
		memcpy(&value16, at, sizeof(value16));
		return value16;
	}
	if (length == 4) {
		memcpy(&value32, at, sizeof(value32));
		return value32;
	}
	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t read_imm(struct decoder *d, unsigned int length)
{
	if (!d->insn->off_imm)
		d->insn->off_imm = d->pos;
	d->insn->imm_len += length;
	return read_bytes(d, length);
}

static int64_t sign_extend(uint64_t value, unsigned int bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return (int64_t)(value << shift) >> shift;
}

static int64_t read_simm(struct decoder *d, unsigned int length)
{
	return sign_extend(read_imm(d, length), length);
}

/* --- operands ------------------------------------------------------------- */

static unsigned int operand_bytes(const struct decoder *d, unsigned int size)
{
	return insn_operand_sizes[size]
				 [size >= SIZE_x ? d->insn->vl : d->size_index];
}

static unsigned int z_bytes(const struct decoder *d)
{
	return d->insn->opsize == 2 ? 2 : 4;
}

/* Without a REX byte, 4 to 7 are AH CH DH BH. */
static unsigned int byte_reg(const struct decoder *d, unsigned int reg)
{
	if (reg >= 4 && reg < 8 && !d->insn->rex &&
	    d->insn->encoding == ENC_LEGACY)
		return reg - 4 + INSN_REG_AH;
	return reg;
}

static bool is_register_form(const struct decoder *d)
{
	return d->insn->modrm >= 0xc0;
}

static unsigned int modrm_reg(const struct decoder *d)
{
	return (d->insn->modrm >> 3 & 7) | d->rex_r;
}

static unsigned int modrm_rm(const struct decoder *d)
{
	return (d->insn->modrm & 7) | d->rex_b;
}

/* rm as a vector: EVEX.X is its fifth bit (SDM 2, table 2-31). */
static unsigned int vector_rm(const struct decoder *d)
{
	unsigned int rm = modrm_rm(d);

	if (d->insn->encoding == ENC_EVEX)
		rm |= d->rex_x << 1;
	return rm;
}

static void set_register(struct operand *operand, unsigned int kind,
			 unsigned int reg)
{
	operand->kind = kind;
	operand->reg = reg;
}

static void set_memory(struct decoder *d, struct operand *operand,
		       const struct operand_letters *letters)
{
	operand->kind = OPND_MEM;
	operand->size = operand_bytes(d, letters->size_mem);
	if (d->insn->evex_b && (d->row->attrs & ROW_BCST))
		operand->size = d->row->attrs & ROW_BCST16 ? 2 :
				d->insn->w		   ? 8 :
							     4;
}

/* A register or, by ModRM.mod, memory. */
static void set_rm(struct decoder *d, struct operand *operand,
		   const struct operand_letters *letters, unsigned int kind,
		   unsigned int reg)
{
	if (is_register_form(d))
		set_register(operand, kind, reg);
	else
		set_memory(d, operand, letters);
}

/* A vector index: SIB is required, all its numbers are registers. */
static bool set_vsib(struct decoder *d, struct operand *operand,
		     const struct operand_letters *letters)
{
	struct insn *insn = d->insn;
	unsigned int sib = d->bytes[insn->off_modrm + 1];

	if (!insn->has_sib || is_register_form(d))
		return false;
	insn->index = (sib >> 3 & 7) | d->rex_x | d->vsib_v;
	set_memory(d, operand, letters);
	return true;
}

static bool set_control_register(struct decoder *d, struct operand *operand)
{
	unsigned int reg = modrm_reg(d);

	set_register(operand, OPND_CR, reg);
	return reg == 0 || (reg >= 2 && reg <= 4) || reg == 8;
}

static bool set_immediate(struct decoder *d, struct operand *operand,
			  unsigned int method)
{
	struct insn *insn = d->insn;

	operand->kind = OPND_IMM;
	switch (method) {
	case METHOD_IMM8:
		insn->imm = read_imm(d, 1);
		break;
	case METHOD_IMM8S:
		insn->imm = read_simm(d, 1);
		break;
	case METHOD_IMM8_2:
		operand->kind = OPND_IMM2;
		insn->imm2 = read_imm(d, 1);
		break;
	case METHOD_IMM16:
		insn->imm = read_imm(d, 2);
		break;
	case METHOD_IMMZ:
		insn->imm = read_simm(d, z_bytes(d));
		operand->size = operand_bytes(d, SIZE_v);
		break;
	case METHOD_IMMV:
		insn->imm = read_simm(d, insn->opsize);
		break;
	case METHOD_ONE:
		operand->kind = OPND_ONE;
		insn->imm = 1;
		break;
	case METHOD_REL8:
		operand->kind = OPND_REL;
		insn->imm = read_simm(d, 1);
		break;
	case METHOD_RELZ:
		operand->kind = OPND_REL;
		insn->imm = read_simm(d, z_bytes(d));
		break;
	case METHOD_FARPTR:
		operand->kind = OPND_FARPTR;
		insn->imm = read_imm(d, z_bytes(d));
		insn->imm2 = read_imm(d, 2);
		break;
	}
	return true;
}

static bool set_moffs(struct decoder *d, struct operand *operand)
{
	struct insn *insn = d->insn;

	operand->kind = OPND_MOFFS;
	insn->off_disp = d->pos;
	insn->disp_len = insn->adsize;
	insn->disp = read_bytes(d, insn->adsize);
	if (!(insn->prefixes & PREFIX_SEG))
		insn->seg = SEG_DS;
	return true;
}

static bool set_string(struct decoder *d, struct operand *operand,
		       unsigned int method)
{
	struct insn *insn = d->insn;

	operand->kind = method == METHOD_SRC ? OPND_STR_SRC : OPND_STR_DST;
	if (!(insn->prefixes & PREFIX_SEG))
		insn->seg = SEG_DS;
	return true;
}

static bool set_opmask(struct decoder *d, struct operand *operand,
		       const struct operand_letters *letters)
{
	struct insn *insn = d->insn;

	switch (letters->method) {
	case METHOD_KREG:
		set_register(operand, OPND_KREG, modrm_reg(d));
		break;
	case METHOD_KVVVV:
		set_register(operand, OPND_KREG, insn->vvvv);
		break;
	case METHOD_KRMREG:
		set_register(operand, OPND_KREG, insn->modrm & 7);
		return is_register_form(d);
	default:
		set_rm(d, operand, letters, OPND_KREG, insn->modrm & 7);
	}
	return operand->reg < 8;
}

static bool set_tile(struct decoder *d, struct operand *operand,
		     const struct operand_letters *letters)
{
	switch (letters->method) {
	case METHOD_TREG:
		set_register(operand, OPND_TILE, modrm_reg(d));
		break;
	case METHOD_TRMREG:
		set_register(operand, OPND_TILE, modrm_rm(d));
		break;
	case METHOD_TVVVV:
		set_register(operand, OPND_TILE, d->insn->vvvv);
		break;
	default:
		operand->kind = OPND_MEM;
		return d->insn->has_sib && !is_register_form(d);
	}
	return operand->reg < 8;
}

static bool set_vector(struct decoder *d, struct operand *operand,
		       const struct operand_letters *letters)
{
	struct insn *insn = d->insn;

	switch (letters->method) {
	case METHOD_VREG:
		set_register(operand, OPND_VREG, modrm_reg(d));
		return true;
	case METHOD_VRM:
		set_rm(d, operand, letters, OPND_VREG, vector_rm(d));
		return true;
	case METHOD_VRMREG:
		set_register(operand, OPND_VREG, vector_rm(d));
		return is_register_form(d);
	case METHOD_VVVV:
		set_register(operand, OPND_VREG, insn->vvvv);
		return true;
	case METHOD_IMM_REG:
		insn->imm = read_imm(d, 1);
		set_register(operand, OPND_VREG,
			     insn->imm >> 4 & (d->is_64 ? 15 : 7));
		return true;
	case METHOD_MMREG:
		set_register(operand, OPND_MM, insn->modrm >> 3 & 7);
		return true;
	case METHOD_MMRM:
		set_rm(d, operand, letters, OPND_MM, insn->modrm & 7);
		return true;
	case METHOD_MMRMREG:
		set_register(operand, OPND_MM, insn->modrm & 7);
		return is_register_form(d);
	case METHOD_STI:
		set_register(operand, OPND_ST, insn->modrm & 7);
		return true;
	default:
		return set_vsib(d, operand, letters);
	}
}

static bool set_general(struct decoder *d, struct operand *operand,
			const struct operand_letters *letters)
{
	struct insn *insn = d->insn;

	switch (letters->method) {
	case METHOD_RM:
		set_rm(d, operand, letters, OPND_REG, modrm_rm(d));
		return true;
	case METHOD_REG:
		set_register(operand, OPND_REG, modrm_reg(d));
		return operand->reg < 16;
	case METHOD_RM_BYTE:
		set_rm(d, operand, letters, OPND_REG, byte_reg(d, modrm_rm(d)));
		return true;
	case METHOD_REG_BYTE:
		set_register(operand, OPND_REG, byte_reg(d, modrm_reg(d)));
		return true;
	case METHOD_OPCODE_BYTE:
		set_register(operand, OPND_REG,
			     byte_reg(d, (insn->opcode & 7) | d->rex_b));
		return true;
	case METHOD_OPCODE_REG:
		set_register(operand, OPND_REG, (insn->opcode & 7) | d->rex_b);
		return true;
	case METHOD_FIXED_AX:
		set_register(operand, OPND_REG, RAX);
		return true;
	case METHOD_FIXED_CX:
		set_register(operand, OPND_REG, RCX);
		return true;
	case METHOD_FIXED_DX:
		set_register(operand, OPND_REG, RDX);
		return true;
	case METHOD_MEM:
		set_memory(d, operand, letters);
		return !is_register_form(d);
	case METHOD_REG_ADDR:
		set_register(operand, OPND_REG, modrm_reg(d));
		operand->size = insn->adsize;
		return true;
	case METHOD_RMREG_ADDR:
		set_register(operand, OPND_REG, modrm_rm(d));
		operand->size = insn->adsize;
		return is_register_form(d);
	case METHOD_GPR_VVVV:
		set_register(operand, OPND_REG, insn->vvvv);
		return operand->reg < 16;
	default: /* METHOD_RMREG */
		set_register(operand, OPND_REG, modrm_rm(d));
		return is_register_form(d) || (d->row->attrs & ROW_REGONLY);
	}
}

static bool set_system(struct decoder *d, struct operand *operand,
		       unsigned int method)
{
	switch (method) {
	case METHOD_CR:
		return set_control_register(d, operand);
	case METHOD_DR:
		set_register(operand, OPND_DR, modrm_reg(d));
		return operand->reg < 8;
	case METHOD_SREG:
		set_register(operand, OPND_SREG, d->insn->modrm >> 3 & 7);
		return operand->reg < SEG_COUNT;
	case METHOD_ST0:
		set_register(operand, OPND_ST, 0);
		return true;
	case METHOD_XMM0:
		set_register(operand, OPND_VREG, 0);
		return true;
	default:
		set_register(operand, OPND_SREG, method - METHOD_SEG_ES);
		return true;
	}
}

static bool set_operand(struct decoder *d, struct operand *operand,
			const struct operand_letters *letters)
{
	unsigned int method = letters->method;

	operand->size = operand_bytes(d, letters->size_reg);
	switch (method) {
	case METHOD_RM_BYTE:
	case METHOD_RM:
	case METHOD_REG_BYTE:
	case METHOD_REG:
	case METHOD_REG_ADDR:
	case METHOD_RMREG:
	case METHOD_RMREG_ADDR:
	case METHOD_MEM:
	case METHOD_OPCODE_BYTE:
	case METHOD_OPCODE_REG:
	case METHOD_FIXED_AX:
	case METHOD_FIXED_CX:
	case METHOD_FIXED_DX:
	case METHOD_GPR_VVVV:
		return set_general(d, operand, letters);
	case METHOD_IMM8:
	case METHOD_IMM8S:
	case METHOD_IMM8_2:
	case METHOD_IMM16:
	case METHOD_IMMZ:
	case METHOD_IMMV:
	case METHOD_ONE:
	case METHOD_REL8:
	case METHOD_RELZ:
	case METHOD_FARPTR:
		return set_immediate(d, operand, method);
	case METHOD_MOFFS:
		return set_moffs(d, operand);
	case METHOD_SRC:
	case METHOD_DST:
		return set_string(d, operand, method);
	case METHOD_KREG:
	case METHOD_KVVVV:
	case METHOD_KRMREG:
	case METHOD_KRM:
		return set_opmask(d, operand, letters);
	case METHOD_TREG:
	case METHOD_TRMREG:
	case METHOD_TVVVV:
	case METHOD_TMEM:
		return set_tile(d, operand, letters);
	case METHOD_SEG_ES:
	case METHOD_SEG_CS:
	case METHOD_SEG_SS:
	case METHOD_SEG_DS:
	case METHOD_SEG_FS:
	case METHOD_SEG_GS:
	case METHOD_CR:
	case METHOD_DR:
	case METHOD_SREG:
	case METHOD_ST0:
	case METHOD_XMM0:
		return set_system(d, operand, method);
	default:
		return set_vector(d, operand, letters);
	}
}

static bool read_operands(struct decoder *d)
{
	const struct insn_row *row = d->row;
	struct insn *insn = d->insn;
	bool is_legal = true;
	unsigned int i;

	for (i = 0; i < INSN_MAX_OPERANDS && row->operands[i]; i++) {
		struct operand *operand = &insn->operand[i];

		/* go on after a bad one: the length counts first */
		if (!set_operand(d, operand,
				 &insn_operand_letters[row->operands[i]]))
			is_legal = false;
		operand->access = row->access >> 2 * i & 3;
	}
	insn->nops = i;
	/* what the mask leaves out stays (SDM 2, 2.7.6) */
	if (insn->evex_k && !insn->evex_z && insn->operand[0].kind == OPND_VREG)
		insn->operand[0].access |= ACCESS_R;
	return is_legal;
}

/* --- what is not legal ---------------------------------------------------- */

static bool is_vvvv_used(const struct insn_row *row)
{
	for (int i = 0; i < INSN_MAX_OPERANDS; i++)
		switch (insn_operand_letters[row->operands[i]].method) {
		case METHOD_VVVV:
		case METHOD_GPR_VVVV:
		case METHOD_KVVVV:
		case METHOD_TVVVV:
			return true;
		}
	return false;
}

/*
 * Gathers and AMX multiplications take no register twice; the complex
 * half-precision ones no source as destination (SDM 2, 2.3.12, VFMADDCPH).
 */
static bool is_distinct(const struct insn *insn, bool only_destination)
{
	uint32_t seen = 0;

	for (unsigned int i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];
		unsigned int reg = operand->reg;

		if (operand->kind == OPND_MEM && !only_destination)
			reg = insn->index;
		else if (operand->kind != OPND_VREG &&
			 operand->kind != OPND_TILE)
			continue;
		if (seen & 1u << reg)
			return false;
		if (i == 0 || !only_destination)
			seen |= 1u << reg;
	}
	return true;
}

static bool is_evex_legal(struct decoder *d)
{
	struct insn *insn = d->insn;
	uint32_t attrs = d->row->attrs;
	bool is_mem = !is_register_form(d);

	if (insn->evex_k ? !(attrs & ROW_MASK) : attrs & ROW_NEEDK)
		return false;
	if (insn->evex_z && (!(attrs & ROW_ZERO) || !insn->evex_k ||
			     insn->operand[0].kind == OPND_MEM))
		return false;
	if (insn->evex_b && is_mem)
		return attrs & ROW_BCST && insn->evex_rc != 3;
	if (insn->evex_b)
		return attrs & (ROW_ER | ROW_SAE);
	return insn->evex_rc != 3;
}

/* EVEX disp8 counts the operand's size, with broadcast the element's. */
static void scale_disp8(struct decoder *d)
{
	struct insn *insn = d->insn;

	if (insn->disp_len != 1)
		return;
	for (unsigned int i = 0; i < insn->nops; i++) {
		unsigned int size = insn->operand[i].size;

		if (insn->operand[i].kind != OPND_MEM)
			continue;
		if (d->row->attrs & ROW_TUPLE1)
			size = (insn->w ? 2 : 1) *
			       (d->row->attrs & ROW_BYTES ? 1 : 4);
		insn->disp *= size;
	}
}

static bool is_vector_legal(struct decoder *d)
{
	struct insn *insn = d->insn;

	if (insn->encoding == ENC_EVEX) {
		scale_disp8(d);
		if (!is_evex_legal(d))
			return false;
		if (d->vsib_v && !(d->row->attrs & ROW_VSIB) &&
		    !is_vvvv_used(d->row))
			return false;
	}
	if (d->vvvv && !is_vvvv_used(d->row))
		return false;
	if (d->row->attrs & (ROW_DISTINCT | ROW_DESTDIFF))
		return is_distinct(insn, d->row->attrs & ROW_DESTDIFF);
	return true;
}

static bool is_lock_legal(const struct decoder *d)
{
	return d->row->attrs & ROW_LOCK && d->insn->operand[0].kind == OPND_MEM;
}

/* --- all of it ------------------------------------------------------------ */

/* Opcode maps and VEX; false where there is no such map. */
static bool read_opcode(struct decoder *d, unsigned int byte)
{
	struct insn *insn = d->insn;
	bool is_legal = true;

	if (byte == 0x0f) {
		byte = d->bytes[++d->pos];
		insn->map = MAP_0F;
		if (byte == 0x38 || byte == 0x3a) {
			insn->map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
			++d->pos;
		}
	} else if (unlikely((byte & 0xfe) == 0xc4 || byte == 0x62) &&
		   is_vex(d)) {
		if (insn->rex)
			insn->prefixes |= PREFIX_REX;
		if (insn->prefixes & VEX_FORBIDDEN)
			is_legal = false;
		insn->w = 0;
		d->rex_r = d->rex_x = d->rex_b = 0;
		if (byte == 0xc5)
			is_legal &= read_vex2(d);
		else if (byte == 0xc4)
			is_legal &= read_vex3(d);
		else
			is_legal &= read_evex(d);
		/* eight registers outside of 64-bit mode: bit 3 is ignored */
		insn->vvvv = d->is_64 ? d->vvvv | d->vsib_v : d->vvvv & 7;
	}
	if (insn->encoding == ENC_LEGACY)
		insn->pp = selecting_prefix(insn->prefixes);
	insn->off_opcode = d->pos;
	insn->opcode = d->bytes[d->pos++];
	insn->cond = insn->opcode & 15;
	return is_legal;
}

static int decode_window(struct decoder *d)
{
	struct insn *insn = d->insn;
	const uint16_t *index;
	unsigned int last;
	int byte = read_prefixes(d);

	if (unlikely(byte < 0))
		return -INSN_LONG;
	apply_rex(d);
	if (!read_opcode(d, byte))
		return -INSN_UD;
	insn->adsize = address_size(d);
	index = insn_index[insn->encoding][insn->map];
	last = index ? index[insn->opcode] : 0;
	if (unlikely(!last))
		return -INSN_UD;
	if (last & INDEX_MODRM) {
		insn->has_modrm = 1;
		insn->off_modrm = d->pos;
		insn->modrm = d->bytes[d->pos++];
	}
	if (!find_row(d, last & ~INDEX_MODRM))
		return -INSN_UD;
	set_sizes(d);
	/* rounding control sits in L'L: the operation has full length */
	if (insn->encoding == ENC_EVEX && insn->evex_b && is_register_form(d))
		insn->vl = 2;
	if (insn->has_modrm && !is_register_form(d) &&
	    !(d->row->attrs & ROW_REGONLY))
		read_memory(d);
	if (!read_operands(d))
		return -INSN_UD;
	if (insn->encoding != ENC_LEGACY && !is_vector_legal(d))
		return -INSN_UD;
	if (unlikely(insn->prefixes & PREFIX_LOCK) && !is_lock_legal(d))
		return -INSN_UD;
	insn->len = d->pos;
	return d->pos;
}

int insn_decode(struct insn *out, const uint8_t *bytes, size_t avail,
		enum x86_mode mode)
{
	uint8_t copy[WINDOW];
	struct decoder decoder = {
		.insn = out,
		.bytes = bytes,
		.is_64 = mode == X86_MODE_64,
	};
	int ret;

	if (avail < WINDOW) {
		memset(copy, 0, sizeof(copy));
		memcpy(copy, bytes, avail);
		decoder.bytes = copy;
	}
	*out = (struct insn){
		.mode = mode,
		.seg = SEG_DS,
		.base = INSN_REG_NONE,
		.index = INSN_REG_NONE,
		.scale = 1,
	};
	ret = decode_window(&decoder);
	if (unlikely(decoder.pos > INSN_MAX_LEN) && avail >= INSN_MAX_LEN)
		return -INSN_LONG;
	if (unlikely(decoder.pos > avail))
		return -INSN_SHORT;
	return ret;
}
