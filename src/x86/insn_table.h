/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the decoder and the formatter know of the table beyond insn.h: operand
 * letters, the conditions of a row, and the index from opcode to rows.
 */
#pragma once

#include <stdint.h>

#include "x86/insn.h"

/* The letters of a row's operand columns. */
enum operand_code {
	OC___,
#define OPERAND(letters, ...) OC_##letters,
#include "x86/operands.def"
#undef OPERAND
	OC_COUNT,
	OC_FIRST_MODRM = OC_Cy,
};

/* Where an operand comes from: one case in the decoder each. */
enum operand_method {
	METHOD_NONE,
	METHOD_IMM8,
	METHOD_IMM8S,
	METHOD_IMM8_2,
	METHOD_IMM16,
	METHOD_IMMZ,
	METHOD_IMMV,
	METHOD_ONE,
	METHOD_REL8,
	METHOD_RELZ,
	METHOD_FARPTR,
	METHOD_MOFFS,
	METHOD_SRC,
	METHOD_DST,
	METHOD_OPCODE_BYTE,
	METHOD_OPCODE_REG,
	METHOD_FIXED_AX,
	METHOD_FIXED_CX,
	METHOD_FIXED_DX,
	METHOD_SEG_ES,
	METHOD_SEG_CS,
	METHOD_SEG_SS,
	METHOD_SEG_DS,
	METHOD_SEG_FS,
	METHOD_SEG_GS,
	METHOD_ST0,
	METHOD_XMM0,
	METHOD_CR,
	METHOD_DR,
	METHOD_SREG,
	METHOD_RM_BYTE,
	METHOD_RM,
	METHOD_REG_BYTE,
	METHOD_REG,
	METHOD_REG_ADDR,
	METHOD_RMREG,
	METHOD_RMREG_ADDR,
	METHOD_MEM,
	METHOD_VSIB_X,
	METHOD_VSIB_H,
	METHOD_STI,
	METHOD_MMREG,
	METHOD_MMRM,
	METHOD_MMRMREG,
	METHOD_VREG,
	METHOD_VRM,
	METHOD_VRMREG,
	METHOD_VVVV,
	METHOD_IMM_REG,
	METHOD_GPR_VVVV,
	METHOD_KREG,
	METHOD_KVVVV,
	METHOD_KRMREG,
	METHOD_KRM,
	METHOD_TREG,
	METHOD_TRMREG,
	METHOD_TVVVV,
	METHOD_TMEM,
};

/* Sizes: fixed, by operand size, and from SIZE_x on by vector length. */
enum operand_size {
	SIZE_none,
	SIZE_b,
	SIZE_w,
	SIZE_d,
	SIZE_q,
	SIZE_t,
	SIZE_dq,
	SIZE_qq,
	SIZE_zz,
	SIZE_fx,
	SIZE_v,
	SIZE_z,
	SIZE_y,
	SIZE_p,
	SIZE_a,
	SIZE_s,
	SIZE_env,
	SIZE_st,
	SIZE_x,
	SIZE_h,
	SIZE_f,
	SIZE_e,
	SIZE_dup,
	SIZE_COUNT,
};

struct operand_letters {
	uint8_t method; /* enum operand_method */
	uint8_t size_reg; /* enum operand_size */
	uint8_t size_mem;
};

extern const struct operand_letters insn_operand_letters[OC_COUNT];

/* Bytes by operand size (2, 4, 8) or by vector length (16, 32, 64). */
extern const uint16_t insn_operand_sizes[SIZE_COUNT][4];

/* What a row's conditions look at, packed by the decoder. */
enum insn_key {
	KEY_REG_SHIFT = 0, /* ModRM.reg */
	KEY_RM_SHIFT = 3, /* ModRM.rm */
	KEY_MOD3 = 1 << 6, /* ModRM.mod == 3 */
	KEY_PP_SHIFT = 7, /* insn.pp */
	KEY_W = 1 << 9,
	KEY_64 = 1 << 10, /* 64-bit mode */
	KEY_REAL = 1 << 11, /* real or virtual-8086 mode */
	KEY_REXB = 1 << 12,
	KEY_L_SHIFT = 13, /* vector length, 2 bits */
};

struct insn_match {
	uint32_t mask;
	uint32_t value;
	uint8_t opcode;
	uint8_t span;
};

extern const struct insn_match insn_matches[];

/* In an index entry: the opcode has a ModRM byte. */
#define INDEX_MODRM 0x8000

/*
 * Last row of each opcode, 0 for none; the rows before it follow downwards as
 * long as they cover the opcode.  By encoding and map, NULL for no such map.
 */
extern const uint16_t *const insn_index[3][8];
