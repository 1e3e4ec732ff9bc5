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

/*
 * Which number an operand's register has: a byte of the 64 bits that the
 * decoder collects them in, plus a constant 0 to 5 in the upper half.
 */
enum operand_number {
	NUMBER_0, /* a byte that is 0 */
	NUMBER_REG, /* ModRM.reg, extended */
	NUMBER_REG3, /* ModRM.reg alone */
	NUMBER_RM, /* ModRM.rm, extended */
	NUMBER_RM3,
	NUMBER_RM_VECTOR, /* with EVEX.X */
	NUMBER_OPCODE, /* the low bits of the opcode, extended */
	NUMBER_VVVV,
	NUMBER_1 = 1 << 4,
	NUMBER_2 = 2 << 4,
	NUMBER_3 = 3 << 4,
	NUMBER_4 = 4 << 4,
	NUMBER_5 = 5 << 4,
};

/* What else there is to do for an operand. */
enum operand_flag {
	OPERAND_RM = 1 << 0, /* memory where ModRM.mod says so */
	OPERAND_ONLY_MEM = 1 << 1,
	OPERAND_ONLY_REG = 1 << 2,
	OPERAND_BYTE = 1 << 3, /* 4 to 7 are AH CH DH BH without REX */
	OPERAND_BELOW8 = 1 << 4, /* no more registers than 8, else #UD */
	OPERAND_SPECIAL = 1 << 5, /* see enum operand_special */
	OPERAND_RARE = OPERAND_BELOW8 | OPERAND_SPECIAL,
};

/* Operands that need more than a number; a case in the decoder each. */
enum operand_special {
	SPECIAL_NONE,
	SPECIAL_ENTER, /* 16 bits that another immediate follows */
	SPECIAL_IMM8_2, /* and that one */
	SPECIAL_ONE,
	SPECIAL_FARPTR,
	SPECIAL_MOFFS,
	SPECIAL_ADDRESS, /* a register of address size */
	SPECIAL_CR,
	SPECIAL_SREG,
	SPECIAL_SIB, /* memory with a SIB byte */
	SPECIAL_VSIB, /* and a vector index */
	SPECIAL_IMM_REG, /* vector register in imm8 bits 7:4 */
};

/* The immediate at the end: its length, and S where its sign is extended. */
enum operand_imm {
	IMM_NONE,
	IMM_8,
	IMM_8S,
	IMM_16,
	IMM_ZS,
	IMM_VS,
	IMM_COUNT,
};

/* The second column of operands.def: kind, number, flags, special, imm. */
#define FROM_IMM8  OPND_IMM, NUMBER_0, 0, SPECIAL_NONE, IMM_8
#define FROM_IMM8S OPND_IMM, NUMBER_0, 0, SPECIAL_NONE, IMM_8S
#define FROM_IMM16 OPND_IMM, NUMBER_0, 0, SPECIAL_NONE, IMM_16
#define FROM_IMMZ  OPND_IMM, NUMBER_0, 0, SPECIAL_NONE, IMM_ZS
#define FROM_IMMV  OPND_IMM, NUMBER_0, 0, SPECIAL_NONE, IMM_VS
#define FROM_REL8  OPND_REL, NUMBER_0, 0, SPECIAL_NONE, IMM_8S
#define FROM_RELZ  OPND_REL, NUMBER_0, 0, SPECIAL_NONE, IMM_ZS
#define FROM_ENTER OPND_IMM, NUMBER_0, OPERAND_SPECIAL, SPECIAL_ENTER, IMM_NONE
#define FROM_IMM8_2 \
	OPND_IMM2, NUMBER_0, OPERAND_SPECIAL, SPECIAL_IMM8_2, IMM_NONE
#define FROM_ONE OPND_ONE, NUMBER_0, OPERAND_SPECIAL, SPECIAL_ONE, IMM_NONE
#define FROM_FARPTR \
	OPND_FARPTR, NUMBER_0, OPERAND_SPECIAL, SPECIAL_FARPTR, IMM_NONE
#define FROM_MOFFS \
	OPND_MOFFS, NUMBER_0, OPERAND_SPECIAL, SPECIAL_MOFFS, IMM_NONE
#define FROM_SRC OPND_STR_SRC, NUMBER_0, 0, SPECIAL_NONE, IMM_NONE
#define FROM_DST OPND_STR_DST, NUMBER_0, 0, SPECIAL_NONE, IMM_NONE
#define FROM_OPCODE_BYTE \
	OPND_REG, NUMBER_OPCODE, OPERAND_BYTE, SPECIAL_NONE, IMM_NONE
#define FROM_OPCODE_REG OPND_REG, NUMBER_OPCODE, 0, SPECIAL_NONE, IMM_NONE
#define FROM_FIXED_AX	OPND_REG, NUMBER_0, 0, SPECIAL_NONE, IMM_NONE
#define FROM_FIXED_CX	OPND_REG, NUMBER_1, 0, SPECIAL_NONE, IMM_NONE
#define FROM_FIXED_DX	OPND_REG, NUMBER_2, 0, SPECIAL_NONE, IMM_NONE
#define FROM_SEG_ES	OPND_SREG, NUMBER_0, 0, SPECIAL_NONE, IMM_NONE
#define FROM_SEG_CS	OPND_SREG, NUMBER_1, 0, SPECIAL_NONE, IMM_NONE
#define FROM_SEG_SS	OPND_SREG, NUMBER_2, 0, SPECIAL_NONE, IMM_NONE
#define FROM_SEG_DS	OPND_SREG, NUMBER_3, 0, SPECIAL_NONE, IMM_NONE
#define FROM_SEG_FS	OPND_SREG, NUMBER_4, 0, SPECIAL_NONE, IMM_NONE
#define FROM_SEG_GS	OPND_SREG, NUMBER_5, 0, SPECIAL_NONE, IMM_NONE
#define FROM_ST0	OPND_ST, NUMBER_0, 0, SPECIAL_NONE, IMM_NONE
#define FROM_XMM0	OPND_VREG, NUMBER_0, 0, SPECIAL_NONE, IMM_NONE
#define FROM_CR		OPND_CR, NUMBER_REG, OPERAND_SPECIAL, SPECIAL_CR, IMM_NONE
#define FROM_DR		OPND_DR, NUMBER_REG, OPERAND_BELOW8, SPECIAL_NONE, IMM_NONE
#define FROM_SREG \
	OPND_SREG, NUMBER_REG3, OPERAND_SPECIAL, SPECIAL_SREG, IMM_NONE
#define FROM_RM_BYTE \
	OPND_REG, NUMBER_RM, OPERAND_RM | OPERAND_BYTE, SPECIAL_NONE, IMM_NONE
#define FROM_RM	      OPND_REG, NUMBER_RM, OPERAND_RM, SPECIAL_NONE, IMM_NONE
#define FROM_REG_BYTE OPND_REG, NUMBER_REG, OPERAND_BYTE, SPECIAL_NONE, IMM_NONE
#define FROM_REG      OPND_REG, NUMBER_REG, 0, SPECIAL_NONE, IMM_NONE
#define FROM_REG_ADDR \
	OPND_REG, NUMBER_REG, OPERAND_SPECIAL, SPECIAL_ADDRESS, IMM_NONE
#define FROM_RMREG OPND_REG, NUMBER_RM, OPERAND_ONLY_REG, SPECIAL_NONE, IMM_NONE
#define FROM_RMREG_ADDR                                          \
	OPND_REG, NUMBER_RM, OPERAND_ONLY_REG | OPERAND_SPECIAL, \
		SPECIAL_ADDRESS, IMM_NONE
#define FROM_MEM                                                         \
	OPND_MEM, NUMBER_0, OPERAND_RM | OPERAND_ONLY_MEM, SPECIAL_NONE, \
		IMM_NONE
#define FROM_VSIB                                                            \
	OPND_MEM, NUMBER_0, OPERAND_RM | OPERAND_ONLY_MEM | OPERAND_SPECIAL, \
		SPECIAL_VSIB, IMM_NONE
#define FROM_STI   OPND_ST, NUMBER_RM3, 0, SPECIAL_NONE, IMM_NONE
#define FROM_MMREG OPND_MM, NUMBER_REG3, 0, SPECIAL_NONE, IMM_NONE
#define FROM_MMRM  OPND_MM, NUMBER_RM3, OPERAND_RM, SPECIAL_NONE, IMM_NONE
#define FROM_MMRMREG \
	OPND_MM, NUMBER_RM3, OPERAND_ONLY_REG, SPECIAL_NONE, IMM_NONE
#define FROM_VREG OPND_VREG, NUMBER_REG, 0, SPECIAL_NONE, IMM_NONE
#define FROM_VRM  OPND_VREG, NUMBER_RM_VECTOR, OPERAND_RM, SPECIAL_NONE, IMM_NONE
#define FROM_VRMREG \
	OPND_VREG, NUMBER_RM_VECTOR, OPERAND_ONLY_REG, SPECIAL_NONE, IMM_NONE
#define FROM_VVVV OPND_VREG, NUMBER_VVVV, 0, SPECIAL_NONE, IMM_NONE
#define FROM_IMM_REG \
	OPND_VREG, NUMBER_0, OPERAND_SPECIAL, SPECIAL_IMM_REG, IMM_NONE
#define FROM_GPR_VVVV OPND_REG, NUMBER_VVVV, 0, SPECIAL_NONE, IMM_NONE
#define FROM_KREG     OPND_KREG, NUMBER_REG, OPERAND_BELOW8, SPECIAL_NONE, IMM_NONE
#define FROM_KVVVV \
	OPND_KREG, NUMBER_VVVV, OPERAND_BELOW8, SPECIAL_NONE, IMM_NONE
#define FROM_KRMREG \
	OPND_KREG, NUMBER_RM3, OPERAND_ONLY_REG, SPECIAL_NONE, IMM_NONE
#define FROM_KRM  OPND_KREG, NUMBER_RM3, OPERAND_RM, SPECIAL_NONE, IMM_NONE
#define FROM_TREG OPND_TILE, NUMBER_REG, OPERAND_BELOW8, SPECIAL_NONE, IMM_NONE
#define FROM_TRMREG                                                            \
	OPND_TILE, NUMBER_RM, OPERAND_ONLY_REG | OPERAND_BELOW8, SPECIAL_NONE, \
		IMM_NONE
#define FROM_TVVVV \
	OPND_TILE, NUMBER_VVVV, OPERAND_BELOW8, SPECIAL_NONE, IMM_NONE
#define FROM_TMEM                                                            \
	OPND_MEM, NUMBER_0, OPERAND_RM | OPERAND_ONLY_MEM | OPERAND_SPECIAL, \
		SPECIAL_SIB, IMM_NONE

/*
 * Sizes in bytes, by operand size (2, 4, 8), or by vector length (16, 32, 64)
 * where the last number says so.
 */
#define SIZE_none 0, 0, 0, 0
#define SIZE_b	  1, 1, 1, 0
#define SIZE_w	  2, 2, 2, 0
#define SIZE_d	  4, 4, 4, 0
#define SIZE_q	  8, 8, 8, 0
#define SIZE_t	  10, 10, 10, 0
#define SIZE_dq	  16, 16, 16, 0
#define SIZE_qq	  32, 32, 32, 0
#define SIZE_zz	  64, 64, 64, 0
#define SIZE_fx	  512, 512, 512, 0
#define SIZE_v	  2, 4, 8, 0
#define SIZE_z	  2, 4, 4, 0
#define SIZE_y	  4, 4, 8, 0
#define SIZE_p	  4, 6, 10, 0
#define SIZE_a	  4, 8, 16, 0
#define SIZE_s	  6, 6, 10, 0
#define SIZE_env  14, 28, 28, 0
#define SIZE_st	  94, 108, 108, 0
#define SIZE_x	  16, 32, 64, 1
#define SIZE_h	  8, 16, 32, 1
#define SIZE_f	  4, 8, 16, 1
#define SIZE_e	  2, 4, 8, 1
#define SIZE_dup  8, 32, 64, 1

/*
 * An operand letter, ready to copy: forms[0] as register, [1] as memory, each
 * for three sizes, the register's number and the access still missing.
 */
struct operand_letters {
	struct operand forms[2][3];
	uint8_t by_length[2]; /* the size goes by vector length */
	uint8_t number; /* enum operand_number */
	uint8_t flags; /* enum operand_flag */
	uint8_t special; /* enum operand_special */
	uint8_t imm; /* enum operand_imm */
} __attribute__((aligned(32)));

extern const struct operand_letters insn_operand_letters[OC_COUNT];

/* What a row's conditions look at: the ModRM byte below, above it these. */
enum insn_key {
	KEY_RM_SHIFT = 0,
	KEY_REG_SHIFT = 3,
	KEY_MOD3 = 1 << 8, /* ModRM.mod == 3 */
	KEY_PP_SHIFT = 9, /* insn.pp */
	KEY_W = 1 << 11,
	KEY_64 = 1 << 12, /* 64-bit mode */
	KEY_REAL = 1 << 13, /* real or virtual-8086 mode */
	KEY_REXB = 1 << 14,
	KEY_L_SHIFT = 15, /* vector length, 2 bits */
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
