/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One decoded x86 instruction, and what the instruction table knows of it.
 * Vocabulary: SDM volume 2, chapter 2 (format) and appendix A (operand
 * letters).  The table itself is table_*.def, one row per encoding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "x86/regs.h"

/*
 * The mode that instruction bytes are read in.  REAL is real-address and
 * virtual-8086 mode (16-bit code where VEX and the descriptor-table
 * instructions are #UD); the others follow CS.L and CS.D.
 */
enum x86_mode {
	X86_MODE_REAL,
	X86_MODE_16,
	X86_MODE_32,
	X86_MODE_64,
};

/*
 * Every mnemonic of the table, as OP_<mnemonic>.  A mnemonic is declared by
 * the first of its rows (NEW); the rest of its rows say ALSO.
 */
enum x86_op {
	OP_INVALID,
#define NEW(opcode, span, cond, name, ...) OP_##name,
#define ALSO(opcode, span, cond, name, ...)
#include "x86/tables.def"
#undef NEW
#undef ALSO
	OP_COUNT
};

/* Opcode maps; also how an instruction is encoded. */
enum insn_map {
	MAP_ONE, /* one-byte opcodes */
	MAP_0F,
	MAP_0F38,
	MAP_0F3A,
	MAP_5 = 5, /* EVEX only */
	MAP_6, /* EVEX only */
};

enum insn_encoding { ENC_LEGACY, ENC_VEX, ENC_EVEX };

/*
 * Numbers of general registers in operands, bases and indices: 0..15 as enum
 * gpr, and these.
 */
enum insn_reg {
	INSN_REG_AH = 16, /* byte operands without REX: */
	INSN_REG_CH, /* bits 15:8 of registers 0..3 */
	INSN_REG_DH,
	INSN_REG_BH,
	INSN_REG_RIP = 32, /* base: the address of the next instruction */
	INSN_REG_NONE = 255, /* no base, no index */
};

enum operand_kind {
	OPND_NONE,
	OPND_REG, /* general register; reg 16..19 = AH CH DH BH */
	OPND_MEM, /* memory by ModRM: seg, base, index, scale, disp */
	OPND_MOFFS, /* memory at disp alone (MOV AL,moffs), no base */
	OPND_STR_SRC, /* string source, seg:[rSI] */
	OPND_STR_DST, /* string destination, ES:[rDI] */
	OPND_IMM, /* constant in insn->imm */
	OPND_IMM2, /* second constant, in insn->imm2 (ENTER) */
	OPND_ONE, /* the constant 1 of the D0/D1 shifts */
	OPND_REL, /* branch: insn->imm from the next instruction */
	OPND_FARPTR, /* ptr16:16/32: imm2 selector, imm offset */
	OPND_SREG, /* segment register, enum segment */
	OPND_CR,
	OPND_DR,
	OPND_ST, /* x87 register ST(reg) */
	OPND_MM, /* MMX register */
	OPND_VREG, /* XMM, YMM or ZMM register by what size asks for */
	OPND_KREG, /* opmask register */
	OPND_TILE, /* AMX tile register */
};

enum operand_access {
	ACCESS_NONE = 0,
	ACCESS_R = 1,
	ACCESS_W = 2,
	ACCESS_RW = 3,
};

/*
 * size counts the bytes that are read or written: up to 512 (FXSAVE).  0
 * where the operand has no size of its own (LEA, INVLPG) or where CPUID sets
 * it (XSAVE).  A VREG lives in a register of 16, 32 or 64 bytes, the
 * smallest that holds size.
 */
struct operand {
	uint8_t kind; /* enum operand_kind */
	uint8_t reg;
	uint16_t size : 14;
	uint16_t access : 2; /* enum operand_access */
};

/* Bits of insn->prefixes.  REP and REPNE: the last one in the bytes counts. */
enum insn_prefix {
	PREFIX_LOCK = 1 << 0,
	PREFIX_REP = 1 << 1, /* F3, also where it selects the opcode */
	PREFIX_REPNE = 1 << 2, /* F2, likewise */
	PREFIX_OPSIZE = 1 << 3, /* 66 */
	PREFIX_ADSIZE = 1 << 4, /* 67 */
	PREFIX_SEG = 1 << 5, /* an override that this mode honours */
	PREFIX_REX = 1 << 6, /* a REX that counts (last before opcode) */
};

#define INSN_MAX_LEN	  15
#define INSN_MAX_OPERANDS 4

/*
 * A decoded instruction: plain data, no pointers, may be copied and cached.
 * Offsets count bytes from the first prefix; 0 means "has none".
 */
struct insn {
	uint16_t op; /* enum x86_op */
	uint16_t row; /* see insn_row() */
	uint8_t len;
	uint8_t mode; /* enum x86_mode */
	uint8_t opsize; /* 2, 4, 8: effective; also a stack slot's size */
	uint8_t adsize; /* 2, 4, 8: effective */
	uint8_t prefixes; /* enum insn_prefix */
	uint8_t rex; /* the REX byte, 0 without one */
	uint8_t seg; /* of the memory operand; default resolved */
	uint8_t nops; /* operands used */
	uint8_t base; /* 0..15 or enum insn_reg */
	uint8_t index; /* 0..15 (VSIB: 0..31) or INSN_REG_NONE */
	uint8_t scale; /* 1, 2, 4, 8 */
	uint8_t cond; /* low opcode bits: condition of JCC SETCC CMOVCC */
	uint8_t opcode; /* the last opcode byte */
	uint8_t modrm;
	uint8_t off_opcode; /* of the last opcode byte */
	uint8_t off_modrm;
	uint8_t off_disp; /* also of a moffs */
	uint8_t off_imm; /* also of a branch displacement */
	uint8_t disp_len : 4;
	uint8_t imm_len : 4; /* with imm2: both together */
	uint8_t map : 4; /* enum insn_map */
	uint8_t encoding : 4; /* enum insn_encoding */
	uint8_t vvvv; /* VEX/EVEX register, already inverted; 0..31 */
	uint8_t vl : 2; /* VEX.L, EVEX.L'L: 16 << vl bytes */
	uint8_t pp : 2; /* 0 none, 1 66, 2 F3, 3 F2 (selecting prefix) */
	uint8_t w : 1; /* REX.W, VEX.W */
	uint8_t has_sib : 1;
	uint8_t has_modrm : 1;
	uint8_t evex_k : 3; /* opmask register, 0 = no masking */
	uint8_t evex_z : 1; /* zeroing */
	uint8_t evex_b : 1; /* broadcast, rounding or SAE */
	uint8_t evex_rc : 2; /* L'L as rounding control */
	uint8_t unused;
	uint16_t imm2; /* far selector, ENTER's level, second imm8 */
	struct operand operand[INSN_MAX_OPERANDS];
	int64_t disp; /* sign-extended, EVEX disp8 scaled; moffs unsigned */
	int64_t imm; /* as the operation uses it: sign-extended where it is */
};

_Static_assert(sizeof(struct insn) == 64, "one cache line");

/* Who may execute it. */
enum insn_priv {
	PRIV_U, /* everyone */
	PRIV_K, /* CPL 0, else #GP(0) */
	PRIV_IO, /* IOPL or the I/O bitmap */
	PRIV_IF, /* IOPL (CLI, STI) */
	PRIV_UM, /* CPL 0 once CR4.UMIP is set */
	PRIV_TS, /* CPL 0 once CR4.TSD is set */
	PRIV_PC, /* CPL 0 unless CR4.PCE is set */
};

/* How the binary translator carries a row. */
enum insn_bt {
	BT_COPY, /* as it is: registers only, same meaning at CPL 3 */
	BT_MEM, /* as it is, its memory operand (if any) rewritten */
	BT_STACK, /* implicit accesses at rSP, split into moves */
	BT_BRANCH, /* near control flow */
	BT_STRING, /* implicit accesses at rSI and rDI */
	BT_SYSTEM, /* system state: a call to the engine */
	BT_RARE, /* left to the interpreter */
};

/* Properties of a row, bits of insn_row.attrs. */
enum insn_attr {
	ROW_LOCK = 1 << 0, /* LOCK allowed when operand 0 is memory */
	ROW_D64 = 1 << 1, /* 64-bit mode: operand size 64 unless 66 */
	ROW_F64 = 1 << 2, /* 64-bit mode: operand size 64 always */
	ROW_REP = 1 << 3, /* REP and REPNE repeat it */
	ROW_ALIGN = 1 << 4, /* memory operand aligned to its size or #GP */
	ROW_REGONLY = 1 << 5, /* ModRM.mod is ignored, rm is a register */
	ROW_ENDS = 1 << 6, /* may set RIP other than to the next one */
	ROW_NOSEG = 1 << 7, /* address without segment (LEA, NOP) */
	ROW_VSIB = 1 << 8, /* SIB required, vector index */
	ROW_BCST = 1 << 9, /* EVEX.b with memory: broadcast */
	ROW_ER = 1 << 10, /* EVEX.b with register: rounding */
	ROW_SAE = 1 << 11, /* EVEX.b with register: SAE */
	ROW_MASK = 1 << 12, /* EVEX.aaa allowed */
	ROW_ZERO = 1 << 13, /* EVEX.z allowed */
	ROW_NEEDK = 1 << 14, /* EVEX.aaa must not be 0 */
	ROW_VL_ANY = 1 << 15, /* scalar: L is ignored, no AVX512VL asked */
	ROW_BCST16 = 1 << 16, /* what is broadcast has 16 bits */
	ROW_TUPLE1 = 1 << 17, /* disp8 counts elements, not the operand */
	ROW_BYTES =
		1 << 18, /* elements of bytes and words, not 32 and 64 bits */
	ROW_DISTINCT = 1 << 19, /* vector operands all differ or #UD */
	ROW_DESTDIFF = 1 << 20, /* the destination is no source or #UD */
};

/* CPUID feature bits; see insn_feature_info(). */
enum insn_feature {
#define FEATURE(name, ...) FEAT_##name,
#include "x86/features.def"
#undef FEATURE
	FEAT_COUNT
};

/* State that an instruction uses, for the #NM/#UD checks; a bit set. */
enum insn_class {
	CLASS_GENERAL = 0,
	CLASS_X87 = 1 << 0,
	CLASS_MMX = 1 << 1,
	CLASS_SSE = 1 << 2,
	CLASS_AVX = 1 << 3,
	CLASS_AVX512 = 1 << 4,
	CLASS_AMX = 1 << 5,
};

/* Where CPUID shows a feature: register 0..3 is EAX EBX ECX EDX. */
struct insn_feature_info {
	const char *name;
	uint32_t leaf;
	uint8_t subleaf;
	uint8_t reg;
	uint8_t bit;
	uint8_t class; /* enum insn_class */
};

/* One row of the table: one encoding. */
struct insn_row {
	uint16_t op; /* enum x86_op */
	uint8_t map; /* enum insn_map */
	uint8_t encoding; /* enum insn_encoding */
	uint8_t opcode; /* first opcode byte of the row */
	uint8_t span; /* consecutive opcodes it covers */
	uint8_t access; /* 2 bits per operand, enum operand_access */
	uint8_t priv; /* enum insn_priv */
	uint8_t feature; /* enum insn_feature */
	uint8_t bt; /* enum insn_bt */
	uint8_t class; /* enum insn_class bits */
	uint8_t operands[4]; /* operand letters, enum operand_code */
	uint32_t attrs; /* enum insn_attr */
	uint32_t flags_read; /* RFLAGS_* */
	uint32_t flags_written; /* includes the undefined ones */
	uint32_t flags_undefined; /* any value allowed afterwards */
};

/* All rows; [0] is no instruction.  Constant data, any thread. */
extern const struct insn_row insn_rows[];
extern const unsigned int insn_row_count;

/* insn_row: the row that INSN was decoded from. */
static inline const struct insn_row *insn_row(const struct insn *insn)
{
	return &insn_rows[insn->row];
}

/* insn_feature_info: CPUID coordinates of FEATURE; leaf 0 = always there. */
const struct insn_feature_info *insn_feature_info(enum insn_feature feature);

/* insn_op_name: mnemonic in capitals, as in the enum without OP_. */
const char *insn_op_name(enum x86_op op);

/* Memory that ModRM or a moffs addresses; strings are kinds of their own. */
static inline bool operand_is_mem(const struct operand *operand)
{
	return operand->kind == OPND_MEM || operand->kind == OPND_MOFFS;
}
