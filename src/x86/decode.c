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
#define WINDOW 40

/*
 * What is known so far.  It lives in registers as far as the compiler can
 * (decode() has everything inlined into it), and goes to struct insn at the
 * end: writing bit fields one by one costs more than all the rest.
 */
struct decoder {
	struct insn *insn;
	const uint8_t *bytes;
	const struct insn_row *row;
	unsigned int pos;
	unsigned int mode, encoding, map, opcode, modrm;
	unsigned int prefixes, rex, seg;
	unsigned int pp, w, vl;
	unsigned int opsize, adsize;
	unsigned int vvvv; /* a register; raw_vvvv: all bits, 0 for unused */
	unsigned int raw_vvvv;
	unsigned int rex_r; /* bits 3 and 4 to add to ModRM.reg */
	unsigned int rex_x; /* bit 3 to add to the index, 4 of an EVEX rm */
	unsigned int rex_b; /* bit 3 to add to rm, base, opcode register */
	unsigned int vsib_v; /* EVEX.V': bit 4 of a vector index */
	bool is_64;
	bool has_modrm;
	bool is_mem; /* ModRM addresses memory */
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

#define LEGACY_PREFIXES                                                         \
	[0x26] = IS_SEG + SEG_ES, [0x2e] = IS_SEG + SEG_CS,                     \
	[0x36] = IS_SEG + SEG_SS, [0x3e] = IS_SEG + SEG_DS,                     \
	[0x64] = IS_SEG + SEG_FS, [0x65] = IS_SEG + SEG_GS, [0x66] = IS_OPSIZE, \
	[0x67] = IS_ADSIZE, [0xf0] = IS_LOCK, [0xf2] = IS_REPNE, [0xf3] = IS_REP

/* Outside of 64-bit mode and in it. */
static const uint8_t prefix_classes[2][256] = {
	{ LEGACY_PREFIXES },
	{ LEGACY_PREFIXES, [0x40 ... 0x4f] = IS_REX },
};

static void set_segment(struct decoder *d, unsigned int seg)
{
	/* ES, CS, SS and DS mean nothing in 64-bit mode (SDM 2, 2.1.1) */
	if (d->is_64 && seg < SEG_FS)
		return;
	d->prefixes |= PREFIX_SEG;
	d->seg = seg;
}

static void read_legacy_prefix(struct decoder *d, unsigned int class)
{
	switch (class) {
	case IS_OPSIZE:
		d->prefixes |= PREFIX_OPSIZE;
		break;
	case IS_ADSIZE:
		d->prefixes |= PREFIX_ADSIZE;
		break;
	case IS_LOCK:
		d->prefixes |= PREFIX_LOCK;
		break;
	case IS_REPNE:
		d->prefixes |= PREFIX_REPNE;
		d->prefixes &= ~PREFIX_REP;
		break;
	case IS_REP:
		d->prefixes |= PREFIX_REP;
		d->prefixes &= ~PREFIX_REPNE;
		break;
	default:
		set_segment(d, class - IS_SEG);
	}
}

/*
 * Returns the first byte that is no prefix, or -1 when 15 bytes are prefixes.
 * A REX counts only right before the opcode.
 */
static int read_prefixes(struct decoder *d)
{
	const uint8_t *classes = prefix_classes[d->is_64];
	unsigned int rex;

	for (;;) {
		unsigned int byte = d->bytes[d->pos], class;

		rex = classes[byte] == IS_REX ? byte : 0;
		d->pos += rex != 0;
		byte = d->bytes[d->pos];
		class = classes[byte];
		if (class == IS_OPCODE) {
			d->rex = rex;
			return d->pos < INSN_MAX_LEN ? (int)byte : -1;
		}
		/* of several REX the last one counts: it is read again */
		if (class != IS_REX) {
			d->pos++;
			read_legacy_prefix(d, class);
		}
		if (unlikely(d->pos >= INSN_MAX_LEN))
			return -1;
	}
}

static void apply_rex(struct decoder *d)
{
	unsigned int rex = d->rex;

	d->prefixes |= rex ? PREFIX_REX : 0;
	d->w = rex >> 3 & 1;
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
	return d->mode != X86_MODE_REAL && d->bytes[d->pos + 1] >= 0xc0;
}

static bool read_vex2(struct decoder *d)
{
	unsigned int b = d->bytes[d->pos + 1];

	d->pos += 2;
	d->encoding = ENC_VEX;
	d->map = MAP_0F;
	d->rex_r = d->is_64 && !(b & 0x80) ? 8 : 0;
	d->raw_vvvv = ~b >> 3 & 15;
	d->vl = b >> 2 & 1;
	d->pp = b & 3;
	return true;
}

static bool read_vex3(struct decoder *d)
{
	unsigned int b1 = d->bytes[d->pos + 1], b2 = d->bytes[d->pos + 2];

	d->pos += 3;
	d->encoding = ENC_VEX;
	d->map = b1 & 7;
	d->w = b2 >> 7;
	d->vl = b2 >> 2 & 1;
	d->pp = b2 & 3;
	d->raw_vvvv = ~b2 >> 3 & 15;
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
	d->encoding = ENC_EVEX;
	d->map = p0 & 7;
	d->w = p1 >> 7;
	d->pp = p1 & 3;
	d->vl = p2 >> 5 & 3;
	insn->evex_rc = d->vl;
	insn->evex_k = p2 & 7;
	insn->evex_z = p2 >> 7;
	insn->evex_b = p2 >> 4 & 1;
	d->raw_vvvv = ~p1 >> 3 & 15;
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

/* The low LENGTH bytes of VALUE, sign-extended; 0 for none. */
static int64_t sign_extend(uint64_t value, unsigned int length)
{
	unsigned int unused = 64 - 8 * length;

	return length ? (int64_t)(value << unused) >> unused : 0;
}

/* The caller picks the low bytes that it wants. */
static uint64_t peek_bytes(const struct decoder *d)
{
	uint64_t value;

	memcpy(&value, d->bytes + d->pos, sizeof(value));
	return value;
}

static void read_disp(struct decoder *d, unsigned int length)
{
	struct insn *insn = d->insn;

	insn->disp = sign_extend(peek_bytes(d), length);
	insn->off_disp = length ? d->pos : 0;
	insn->disp_len = length;
	d->pos += length;
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
	unsigned int mod = d->modrm >> 6, rm = d->modrm & 7;
	bool has_base = mod != 0 || rm != 6;

	insn->base = has_base ? bases[rm] : INSN_REG_NONE;
	insn->index = indices[rm];
	read_disp(d, has_base ? mod : 2);
}

/* SDM 2, tables 2-2 and 2-3; written without branches. */
static void read_memory32(struct decoder *d)
{
	static const uint8_t lengths[4] = { 0, 1, 4, 0 };
	struct insn *insn = d->insn;
	unsigned int mod = d->modrm >> 6, rm = d->modrm & 7;
	unsigned int has_sib = rm == RSP;
	unsigned int sib = has_sib ? d->bytes[d->pos] : 4 << 3;
	unsigned int base = has_sib ? sib & 7 : rm;
	unsigned int index = (sib >> 3 & 7) | (has_sib ? d->rex_x : 0);
	bool has_base = mod != 0 || base != RBP;
	unsigned int other = has_sib || !d->is_64 ? INSN_REG_NONE :
						    INSN_REG_RIP;

	d->pos += has_sib;
	insn->has_sib = has_sib;
	insn->scale = 1 << (sib >> 6);
	insn->index = index == RSP ? INSN_REG_NONE : index;
	insn->base = has_base ? base | d->rex_b : other;
	read_disp(d, has_base ? lengths[mod] : 4);
}

static void read_memory(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned int seg;

	if (d->adsize == 2)
		read_memory16(d);
	else
		read_memory32(d);
	seg = insn->base == RSP || insn->base == RBP ? SEG_SS : SEG_DS;
	d->seg = d->prefixes & PREFIX_SEG ? d->seg : seg;
}

/* --- the row -------------------------------------------------------------- */

static uint32_t match_key(const struct decoder *d)
{
	return d->modrm | (d->modrm >= 0xc0) * KEY_MOD3 |
	       d->pp << KEY_PP_SHIFT | d->vl << KEY_L_SHIFT | d->w * KEY_W |
	       d->is_64 * KEY_64 | (d->mode == X86_MODE_REAL) * KEY_REAL |
	       (d->rex_b != 0) * KEY_REXB;
}

/* The rows of an opcode stand together; the last one that matches counts. */
static bool find_row(struct decoder *d, unsigned int last)
{
	const struct insn_match *match = &insn_matches[last];

	if (match->mask) {
		uint32_t key = match_key(d);

		while ((key & match->mask) != match->value) {
			match = &insn_matches[--last];
			if ((uint8_t)(d->opcode - match->opcode) >= match->span)
				return false;
		}
	}
	d->row = &insn_rows[last];
	return d->row->op != OP_INVALID;
}

static unsigned int operand_size(const struct decoder *d)
{
	uint32_t attrs = d->row->attrs;
	bool is_66 = d->prefixes & PREFIX_OPSIZE;

	if (d->is_64) {
		if (d->w || (attrs & ROW_F64))
			return 8;
		return is_66 ? 2 : attrs & ROW_D64 ? 8 : 4;
	}
	if (d->encoding != ENC_LEGACY)
		return 4;
	return (d->mode == X86_MODE_32) != is_66 ? 4 : 2;
}

static unsigned int address_size(const struct decoder *d)
{
	bool is_67 = d->prefixes & PREFIX_ADSIZE;

	if (d->is_64)
		return is_67 ? 4 : 8;
	return (d->mode == X86_MODE_32) != is_67 ? 4 : 2;
}

/* --- immediates ----------------------------------------------------------- */

/* By enum operand_imm and operand size: bytes. */
static const uint8_t imm_lengths[IMM_COUNT][3] = {
	[IMM_NONE] = { 0, 0, 0 }, [IMM_8] = { 1, 1, 1 },
	[IMM_8S] = { 1, 1, 1 },	  [IMM_16] = { 2, 2, 2 },
	[IMM_ZS] = { 2, 4, 4 },	  [IMM_VS] = { 2, 4, 8 },
};

static void read_imm(struct decoder *d, unsigned int type)
{
	struct insn *insn = d->insn;
	unsigned int length = imm_lengths[type][d->opsize >> 2];
	int64_t value = sign_extend(peek_bytes(d), length);

	if (type == IMM_8 || type == IMM_16)
		value &= 0xffff >> (16 - 8 * length);
	insn->imm = value;
	insn->off_imm = length ? d->pos : 0;
	insn->imm_len = length;
	d->pos += length;
}

/* --- operands ------------------------------------------------------------- */

static bool set_vsib(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned int sib = d->bytes[insn->off_modrm + 1];

	insn->index = (sib >> 3 & 7) | d->rex_x | d->vsib_v;
	return insn->has_sib;
}

static bool set_moffs(struct decoder *d)
{
	struct insn *insn = d->insn;
	unsigned int length = d->adsize;

	read_disp(d, length);
	if (length < 8)
		insn->disp &= (1ull << 8 * length) - 1;
	return true;
}

/* What follows the first immediate: ENTER's level, a far selector. */
static bool read_imm2(struct decoder *d, unsigned int length)
{
	d->insn->imm2 = peek_bytes(d) & 0xffff >> (16 - 8 * length);
	d->insn->imm_len += length;
	d->pos += length;
	return true;
}

static bool set_far_pointer(struct decoder *d)
{
	unsigned int length = d->opsize == 2 ? 2 : 4;

	read_imm(d, IMM_ZS);
	d->insn->imm &= (1ull << 8 * length) - 1;
	return read_imm2(d, 2);
}

/* Operands that are more than a register or an immediate; false for #UD. */
static bool set_special(struct decoder *d, struct operand *operand,
			unsigned int special)
{
	struct insn *insn = d->insn;

	switch (special) {
	case SPECIAL_ENTER:
		read_imm(d, IMM_16);
		return true;
	case SPECIAL_IMM8_2:
		return read_imm2(d, 1);
	case SPECIAL_ONE:
		insn->imm = 1;
		return true;
	case SPECIAL_FARPTR:
		return set_far_pointer(d);
	case SPECIAL_MOFFS:
		return set_moffs(d);
	case SPECIAL_ADDRESS:
		operand->size = d->adsize;
		return true;
	case SPECIAL_CR:
		return operand->reg == 0 || operand->reg == 8 ||
		       (operand->reg >= 2 && operand->reg <= 4);
	case SPECIAL_SREG:
		return operand->reg < SEG_COUNT;
	case SPECIAL_SIB:
		return insn->has_sib;
	case SPECIAL_VSIB:
		return set_vsib(d);
	default: /* SPECIAL_IMM_REG */
		read_imm(d, IMM_8);
		operand->reg = insn->imm >> 4 & (d->is_64 ? 15 : 7);
		return true;
	}
}

/* Every register number that an operand may have, by enum operand_number. */
static uint64_t collect_numbers(const struct decoder *d)
{
	uint64_t reg = d->modrm >> 3 & 7, rm = d->modrm & 7;
	uint64_t full_rm = rm | d->rex_b;
	/* EVEX.X is the fifth bit of rm as a vector (SDM 2, table 2-31) */
	uint64_t vector = d->encoding == ENC_EVEX ? d->rex_x << 1 : 0;

	return (reg | d->rex_r) << 8 * NUMBER_REG | reg << 8 * NUMBER_REG3 |
	       full_rm << 8 * NUMBER_RM | rm << 8 * NUMBER_RM3 |
	       (full_rm | vector) << 8 * NUMBER_RM_VECTOR |
	       (uint64_t)((d->opcode & 7) | d->rex_b) << 8 * NUMBER_OPCODE |
	       (uint64_t)d->vvvv << 8 * NUMBER_VVVV;
}

/*
 * All operands of the row, with few branches: which operands an instruction
 * has is what a processor predicts worst.
 */
static bool read_operands(struct decoder *d)
{
	const struct insn_row *row = d->row;
	struct insn *insn = d->insn;
	uint64_t numbers = collect_numbers(d);
	/* which of three sizes: by operand size, by vector length */
	unsigned int sizes = d->opsize >> 2 | (d->vl < 2 ? d->vl : 2) << 8;
	unsigned int wrong = d->is_mem ? OPERAND_ONLY_REG : OPERAND_ONLY_MEM;
	unsigned int high = d->rex || d->encoding ? 0 : OPERAND_BYTE;
	unsigned int imm = IMM_NONE, access = row->access, i;
	bool is_legal = true;

	for (i = 0; i < INSN_MAX_OPERANDS && row->operands[i]; i++) {
		const struct operand_letters *letters =
			&insn_operand_letters[row->operands[i]];
		unsigned int number = letters->number;
		unsigned int reg =
			(numbers >> 8 * (number & 15) & 255) + (number >> 4);
		unsigned int flags = letters->flags;
		bool is_mem = flags & d->is_mem; /* OPERAND_RM is 1 */
		bool is_high = (flags & high) && (reg & 0x1c) == 4;
		struct operand operand =
			letters->forms[is_mem]
				      [sizes >> 8 * letters->by_length[is_mem] &
				       3];

		operand.reg = is_mem ? 0 : reg + (is_high ? 12 : 0);
		operand.access = access;
		access >>= 2;
		insn->operand[i] = operand;
		imm |= letters->imm;
		if (likely(!(flags & (wrong | OPERAND_RARE))))
			continue;
		/* go on after a bad one: the length counts first */
		if (flags & wrong)
			is_legal = false;
		if (flags & OPERAND_BELOW8 && !is_mem && reg >= 8)
			is_legal = false;
		if (flags & OPERAND_SPECIAL)
			is_legal &= set_special(d, &insn->operand[i],
						letters->special);
	}
	insn->nops = i;
	if (imm)
		read_imm(d, imm);
	return is_legal;
}

/* --- what is not legal ---------------------------------------------------- */

static bool is_vvvv_used(const struct insn_row *row)
{
	for (int i = 0; i < INSN_MAX_OPERANDS; i++)
		if (insn_operand_letters[row->operands[i]].number ==
		    NUMBER_VVVV)
			return true;
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

static bool is_evex_legal(const struct decoder *d)
{
	const struct insn *insn = d->insn;
	uint32_t attrs = d->row->attrs;

	if (insn->evex_k ? !(attrs & ROW_MASK) : attrs & ROW_NEEDK)
		return false;
	if (insn->evex_z && (!(attrs & ROW_ZERO) || !insn->evex_k ||
			     insn->operand[0].kind == OPND_MEM))
		return false;
	if (d->vsib_v && !(attrs & ROW_VSIB) && !is_vvvv_used(d->row))
		return false;
	for (unsigned int i = 0; i < insn->nops; i++)
		if (insn->operand[i].kind == OPND_REG &&
		    insn->operand[i].reg > R15)
			return false;
	if (insn->evex_b && d->is_mem)
		return attrs & ROW_BCST && insn->evex_rc != 3;
	if (insn->evex_b)
		return attrs & (ROW_ER | ROW_SAE);
	return insn->evex_rc != 3;
}

/*
 * What EVEX changes about operands: broadcasts read one element, disp8 counts
 * the operand's size or its elements (SDM 2, 2.7.5), and what the mask leaves
 * out stays (2.7.6).
 */
static void adjust_evex_operands(struct decoder *d)
{
	struct insn *insn = d->insn;
	uint32_t attrs = d->row->attrs;
	unsigned int element = d->w ? 8 : 4;

	if (attrs & ROW_BCST16)
		element = 2;
	if (attrs & ROW_BYTES)
		element = d->w ? 2 : 1;
	for (unsigned int i = 0; i < insn->nops; i++) {
		struct operand *operand = &insn->operand[i];

		if (operand->kind != OPND_MEM)
			continue;
		if (insn->evex_b)
			operand->size = element;
		if (insn->disp_len == 1)
			insn->disp *= attrs & ROW_TUPLE1 ? element :
							   operand->size;
	}
	if (insn->evex_k && !insn->evex_z && insn->operand[0].kind == OPND_VREG)
		insn->operand[0].access |= ACCESS_R;
}

static bool is_vector_legal(struct decoder *d)
{
	struct insn *insn = d->insn;

	if (d->encoding == ENC_EVEX) {
		adjust_evex_operands(d);
		if (!is_evex_legal(d))
			return false;
	}
	if (d->raw_vvvv && !is_vvvv_used(d->row))
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
		d->map = MAP_0F;
		if (byte == 0x38 || byte == 0x3a) {
			d->map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
			++d->pos;
		}
	} else if (unlikely((byte & 0xfe) == 0xc4 || byte == 0x62) &&
		   is_vex(d)) {
		if (d->rex)
			d->prefixes |= PREFIX_REX;
		if (d->prefixes & VEX_FORBIDDEN)
			is_legal = false;
		d->w = 0;
		d->rex_r = d->rex_x = d->rex_b = 0;
		if (byte == 0xc5)
			is_legal &= read_vex2(d);
		else if (byte == 0xc4)
			is_legal &= read_vex3(d);
		else
			is_legal &= read_evex(d);
		/* eight registers outside of 64-bit mode: bit 3 is ignored */
		d->vvvv = d->is_64 ? d->raw_vvvv | d->vsib_v : d->raw_vvvv & 7;
	}
	if (d->encoding == ENC_LEGACY)
		d->pp = selecting_prefix(d->prefixes);
	insn->off_opcode = d->pos;
	d->opcode = d->bytes[d->pos++];
	return is_legal;
}

static void store(const struct decoder *d)
{
	struct insn *insn = d->insn;

	insn->op = d->row->op;
	insn->row = d->row - insn_rows;
	insn->len = d->pos;
	insn->mode = d->mode;
	insn->opsize = d->opsize;
	insn->adsize = d->adsize;
	insn->prefixes = d->prefixes;
	insn->rex = d->rex;
	insn->seg = d->seg;
	insn->cond = d->opcode & 15;
	insn->opcode = d->opcode;
	insn->modrm = d->modrm;
	insn->map = d->map;
	insn->encoding = d->encoding;
	insn->vvvv = d->vvvv;
	insn->vl = d->vl;
	insn->pp = d->pp;
	insn->w = d->w;
	insn->has_modrm = d->has_modrm;
}

/* The opcode's rows, as the index has them; 0 where there are none. */
static unsigned int look_up(const struct decoder *d)
{
	const uint16_t *index = insn_index[d->encoding][d->map];

	return index ? index[d->opcode] : 0;
}

static bool read_modrm(struct decoder *d, unsigned int last)
{
	d->has_modrm = last & INDEX_MODRM;
	if (d->has_modrm) {
		d->insn->off_modrm = d->pos;
		d->modrm = d->bytes[d->pos++];
	}
	if (!last || !find_row(d, last & ~INDEX_MODRM))
		return false;
	d->opsize = operand_size(d);
	d->adsize = address_size(d);
	d->is_mem = d->has_modrm && d->modrm < 0xc0 &&
		    !(d->row->attrs & ROW_REGONLY);
	/* rounding control sits in L'L: the operation has full length */
	if (unlikely(d->encoding == ENC_EVEX) && d->insn->evex_b && !d->is_mem)
		d->vl = 2;
	if (d->is_mem)
		read_memory(d);
	return true;
}

static bool read_insn(struct decoder *d, unsigned int byte)
{
	apply_rex(d);
	if (!read_opcode(d, byte) || !read_modrm(d, look_up(d)) ||
	    !read_operands(d))
		return false;
	if (d->encoding != ENC_LEGACY && !is_vector_legal(d))
		return false;
	if (unlikely(d->prefixes & PREFIX_LOCK) && !is_lock_legal(d))
		return false;
	store(d);
	return true;
}

/* BYTES may be read as far as WINDOW goes; AVAIL of them count. */
__attribute__((flatten)) static int
decode(struct insn *out, const uint8_t *bytes, size_t avail, enum x86_mode mode)
{
	struct decoder decoder = {
		.insn = out,
		.bytes = bytes,
		.mode = mode,
		.seg = SEG_DS,
		.is_64 = mode == X86_MODE_64,
	};
	bool is_legal;
	int byte;

	*out = (struct insn){
		.base = INSN_REG_NONE,
		.index = INSN_REG_NONE,
		.scale = 1,
	};
	byte = read_prefixes(&decoder);
	is_legal = byte >= 0 && read_insn(&decoder, byte);
	if (unlikely(decoder.pos > INSN_MAX_LEN || byte < 0) &&
	    avail >= INSN_MAX_LEN)
		return -INSN_LONG;
	if (unlikely(decoder.pos > avail || byte < 0))
		return -INSN_SHORT;
	return is_legal ? (int)decoder.pos : -INSN_UD;
}

__attribute__((noinline)) static int decode_copy(struct insn *out,
						 const uint8_t *bytes,
						 size_t avail,
						 enum x86_mode mode)
{
	uint8_t copy[WINDOW];

	/* Not memcpy: vector registers may be a guest's. */
	for (size_t i = 0; i < WINDOW; i++)
		copy[i] = i < avail ? bytes[i] : 0;
	return decode(out, copy, avail, mode);
}

int insn_decode(struct insn *out, const uint8_t *bytes, size_t avail,
		enum x86_mode mode)
{
	if (avail < WINDOW)
		return decode_copy(out, bytes, avail, mode);
	return decode(out, bytes, avail, mode);
}
