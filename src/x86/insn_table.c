/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction table's rows (tables.def) turned into arrays: the rows, the
 * conditions they match on, and the index from opcode to last row.
 */
#include "x86/insn_table.h"

#include <stddef.h>

#define FL_S   (RFLAGS_STATUS)
#define FL_ALL (0x3f7fd5)
#define FL_C   (RFLAGS_CF)
#define FL_P   (RFLAGS_PF)
#define FL_A   (RFLAGS_AF)
#define FL_Z   (RFLAGS_ZF)
#define FL_N   (RFLAGS_SF)
#define FL_O   (RFLAGS_OF)

/* Flags columns: read, written (with undefined), undefined. */
#define FLAGS_NONE     0, 0, 0
#define FLAGS_ARITH    0, FL_S, 0
#define FLAGS_CARRY    FL_C, FL_S, 0
#define FLAGS_LOGIC    0, FL_S, FL_A
#define FLAGS_INCDEC   0, FL_S & ~FL_C, 0
#define FLAGS_STATUS   0, FL_S, 0
#define FLAGS_STATUSU  0, FL_S, FL_S
#define FLAGS_ZERO     0, FL_Z, 0
#define FLAGS_MUL      0, FL_S, FL_N | FL_Z | FL_A | FL_P
#define FLAGS_DIV      0, FL_S, FL_S
#define FLAGS_ROT1     0, FL_C | FL_O, 0
#define FLAGS_ROTN     FL_C | FL_O, FL_C | FL_O, FL_O
#define FLAGS_RC1      FL_C, FL_C | FL_O, 0
#define FLAGS_RCN      FL_C | FL_O, FL_C | FL_O, FL_O
#define FLAGS_SHIFT1   0, FL_S, FL_A
#define FLAGS_SHIFTN   FL_S, FL_S, FL_A | FL_O | FL_C
#define FLAGS_SHIFTD   FL_S, FL_S, FL_A | FL_O
#define FLAGS_BIT      0, FL_S & ~FL_Z, FL_O | FL_N | FL_A | FL_P
#define FLAGS_BSF      0, FL_S, FL_S & ~FL_Z
#define FLAGS_TZCNT    0, FL_S, FL_O | FL_N | FL_P | FL_A
#define FLAGS_ANDN     0, FL_S, FL_A | FL_P
#define FLAGS_BLS      0, FL_S, FL_A | FL_P
#define FLAGS_BEXTR    0, FL_S, FL_A | FL_N | FL_P
#define FLAGS_DECIMAL  FL_A | FL_C, FL_S, FL_O
#define FLAGS_ASCII    FL_A | FL_C, FL_S, FL_O | FL_N | FL_Z | FL_P
#define FLAGS_AAM      0, FL_S, FL_O | FL_A | FL_C
#define FLAGS_COND     FL_S & ~FL_A, 0, 0
#define FLAGS_READC    FL_C, 0, 0
#define FLAGS_READZ    FL_Z, 0, 0
#define FLAGS_READCZ   FL_C | FL_Z, 0, 0
#define FLAGS_READP    FL_P, 0, 0
#define FLAGS_CMC      FL_C, FL_C, 0
#define FLAGS_SETC     0, FL_C, 0
#define FLAGS_SETD     0, RFLAGS_DF, 0
#define FLAGS_SETI     0, RFLAGS_IF | RFLAGS_VIF, 0
#define FLAGS_SETAC    0, RFLAGS_AC, 0
#define FLAGS_SAHF     0, FL_S & ~FL_O, 0
#define FLAGS_LAHF     FL_S & ~FL_O, 0, 0
#define FLAGS_PUSHF    FL_ALL, 0, 0
#define FLAGS_POPF     FL_ALL, FL_ALL, 0
#define FLAGS_INTO     FL_ALL, RFLAGS_IF | RFLAGS_TF | RFLAGS_NT | RFLAGS_RF, 0
#define FLAGS_INT      FL_ALL, RFLAGS_IF | RFLAGS_TF | RFLAGS_NT | RFLAGS_RF, 0
#define FLAGS_SYSENTER 0, RFLAGS_IF | RFLAGS_VM, 0
#define FLAGS_STRING   RFLAGS_DF, 0, 0
#define FLAGS_STRCMP   RFLAGS_DF | FL_S, FL_S, 0
#define FLAGS_ADCX     FL_C, FL_C, 0
#define FLAGS_ADOX     FL_O, FL_O, 0

/* Access columns, two bits an operand from the first up. */
#define ACC(a, b, c, d) \
	(ACCESS_##a | ACCESS_##b << 2 | ACCESS_##c << 4 | ACCESS_##d << 6)
#define ACC_N	0
#define ACC_R	ACC(R, R, R, R)
#define ACC_W	ACC(W, R, R, R)
#define ACC_M	ACC(RW, R, R, R)
#define ACC_MM	ACC(RW, RW, R, R)
#define ACC_WW	ACC(W, W, R, R)
#define ACC_WA	ACC(W, NONE, R, R)
#define ACC_MRM ACC(RW, R, RW, R)

/* Conditions: mask in the upper half, value in the lower. */
#define COND(mask, value) ((uint64_t)(mask) << 32 | (uint64_t)(value))
#define ANY		  0ull
#define R(n)		  COND(7 << KEY_REG_SHIFT, (n) << KEY_REG_SHIFT)
#define RM(n)		  COND(7 << KEY_RM_SHIFT, (n) << KEY_RM_SHIFT)
#define MEM		  COND(KEY_MOD3, 0)
#define REG		  COND(KEY_MOD3, KEY_MOD3)
#define BYTE(b)		  (REG | R((b) >> 3 & 7) | RM((b)&7))
#define PP(n)		  COND(3 << KEY_PP_SHIFT, (n) << KEY_PP_SHIFT)
#define NP		  PP(0)
#define P66		  PP(1)
#define PF3		  PP(2)
#define PF2		  PP(3)
#define NF		  COND(2 << KEY_PP_SHIFT, 0)
#define W0		  COND(KEY_W, 0)
#define W1		  COND(KEY_W, KEY_W)
#define M64		  COND(KEY_64, KEY_64)
#define N64		  COND(KEY_64, 0)
#define PROT		  COND(KEY_REAL, 0)
#define REXB0		  COND(KEY_REXB, 0)
#define L(n)		  COND(3 << KEY_L_SHIFT, (n) << KEY_L_SHIFT)
#define L0		  L(0)
#define L1		  L(1)
#define L2		  L(2)

#define MODRM_BITS	  ((uint64_t)(0x3f | KEY_MOD3) << 32)

#define PASTE_(a, b, c)	  a##b##_##c
#define PASTE(a, b, c)	  PASTE_(a, b, c)

/* Rows are numbered by their place; their names are file and line. */
enum {
	ROW_NONE,
#define NEW(...)  PASTE(ROW_AT_, TABLE, __LINE__),
#define ALSO(...) PASTE(ROW_AT_, TABLE, __LINE__),
#include "x86/tables.def"
#undef NEW
#undef ALSO
	ROW_COUNT
};

_Static_assert(ROW_COUNT < INDEX_MODRM, "an index entry holds a row");

const unsigned int insn_row_count = ROW_COUNT;

#define ENC_OF_ONE	   ENC_LEGACY, MAP_ONE
#define ENC_OF_X87	   ENC_LEGACY, MAP_ONE
#define ENC_OF_0F	   ENC_LEGACY, MAP_0F
#define ENC_OF_0FV	   ENC_LEGACY, MAP_0F
#define ENC_OF_0F38	   ENC_LEGACY, MAP_0F38
#define ENC_OF_0F38V	   ENC_LEGACY, MAP_0F38
#define ENC_OF_0F3A	   ENC_LEGACY, MAP_0F3A
#define ENC_OF_VEX1	   ENC_VEX, MAP_0F
#define ENC_OF_VEX2	   ENC_VEX, MAP_0F38
#define ENC_OF_VEX3	   ENC_VEX, MAP_0F3A
#define ENC_OF_EVEX1	   ENC_EVEX, MAP_0F
#define ENC_OF_EVEX2	   ENC_EVEX, MAP_0F38
#define ENC_OF_EVEX3	   ENC_EVEX, MAP_0F3A
#define ENC_OF_EVEX5	   ENC_EVEX, MAP_5
#define ENC_OF_EVEX6	   ENC_EVEX, MAP_6
#define FIRST(a, b)	   a
#define SECOND(a, b)	   b
#define ENCODING_OF(t)	   ENC_PICK(FIRST, t)
#define MAP_OF(t)	   ENC_PICK(SECOND, t)
#define ENC_PICK(f, t)	   ENC_PICK_(f, t)
#define ENC_PICK_(f, t)	   ENC_PICK__(f, ENC_OF_##t)
#define ENC_PICK__(f, ...) f(__VA_ARGS__)

/* Attribute columns are or-ed names without their ROW_. */
#define LOCK	 ROW_LOCK
#define D64	 ROW_D64
#define F64	 ROW_F64
#define REP	 ROW_REP
#define ALIGN	 ROW_ALIGN
#define REGONLY	 ROW_REGONLY
#define ENDS	 ROW_ENDS
#define NOSEG	 ROW_NOSEG
#define VSIB	 ROW_VSIB
#define BCST	 ROW_BCST
#define BC16	 (ROW_BCST | ROW_BCST16)
#define ER	 ROW_ER
#define SAE	 ROW_SAE
#define K	 ROW_MASK
#define KZ	 (ROW_MASK | ROW_ZERO)
#define NEEDK	 (ROW_MASK | ROW_NEEDK)
#define LIG	 ROW_VL_ANY
#define TUPLE1	 ROW_TUPLE1
#define DISTINCT ROW_DISTINCT
#define DESTDIFF ROW_DESTDIFF
#define BYTES	 ROW_BYTES

enum {
#define FEATURE(name, leaf, subleaf, reg, bit, class) CLASS_OF_##name = class,
#include "x86/features.def"
#undef FEATURE
};

#define PICK1(...)	PICK1_(__VA_ARGS__)
#define PICK2(...)	PICK2_(__VA_ARGS__)
#define PICK3(...)	PICK3_(__VA_ARGS__)
#define PICK1_(a, b, c) a
#define PICK2_(a, b, c) b
#define PICK3_(a, b, c) c

#define ROW(opc, n, cond, name, o1, o2, o3, o4, acc, flags, attr, p, feat, \
	    carry)                                                         \
	[PASTE(ROW_AT_, TABLE, __LINE__)] = {                              \
		.op = OP_##name,                                           \
		.map = MAP_OF(TABLE),                                      \
		.encoding = ENCODING_OF(TABLE),                            \
		.opcode = opc,                                             \
		.span = n,                                                 \
		.access = ACC_##acc,                                       \
		.priv = PRIV_##p,                                          \
		.feature = FEAT_##feat,                                    \
		.bt = BT_##carry,                                          \
		.class = CLASS_OF_##feat,                                  \
		.operands = { OC_##o1, OC_##o2, OC_##o3, OC_##o4 },        \
		.attrs = attr,                                             \
		.flags_read = PICK1(FLAGS_##flags),                        \
		.flags_written = PICK2(FLAGS_##flags),                     \
		.flags_undefined = PICK3(FLAGS_##flags),                   \
	},
#define NEW  ROW
#define ALSO ROW
const struct insn_row insn_rows[ROW_COUNT] = {
#include "x86/tables.def"
};
#undef NEW
#undef ALSO

#define MATCH(opc, n, cond, ...)                     \
	[PASTE(ROW_AT_, TABLE, __LINE__)] = {        \
		.mask = (uint64_t)(cond) >> 32,      \
		.value = (uint32_t)(uint64_t)(cond), \
		.opcode = opc,                       \
		.span = n,                           \
	},
#define NEW  MATCH
#define ALSO MATCH
const struct insn_match insn_matches[ROW_COUNT] = {
#include "x86/tables.def"
};
#undef NEW
#undef ALSO

/*
 * The index: a later row of the same opcode overrides the earlier one, which
 * the initializer rules do for us (C11 6.7.9p19).
 */
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#endif

#define HAS_MODRM(cond, o1, o2, o3, o4)                            \
	(((cond)&MODRM_BITS) || OC_##o1 >= OC_FIRST_MODRM ||       \
	 OC_##o2 >= OC_FIRST_MODRM || OC_##o3 >= OC_FIRST_MODRM || \
	 OC_##o4 >= OC_FIRST_MODRM)
#define INDEX(opc, n, cond, name, o1, o2, o3, o4, ...) \
	[(opc)...(opc) + (n)-1] =                      \
		PASTE(ROW_AT_, TABLE, __LINE__) |      \
		(HAS_MODRM(cond, o1, o2, o3, o4) ? INDEX_MODRM : 0),
#define NEW   INDEX
#define ALSO  INDEX
#define TABLE ONE
static const uint16_t index_one[256] = {
#include "x86/table_one.def"
#undef TABLE
#define TABLE X87
#include "x86/table_x87.def"
};
#undef TABLE
#define TABLE 0F
static const uint16_t index_0f[256] = {
#include "x86/table_0f.def"
#undef TABLE
#define TABLE 0FV
#include "x86/table_0f_vector.def"
};
#undef TABLE
#define TABLE 0F38
static const uint16_t index_0f38[256] = {
#include "x86/table_0f38.def"
#undef TABLE
#define TABLE 0F38V
#include "x86/table_0f38_vector.def"
};
#undef TABLE
#define TABLE 0F3A
static const uint16_t index_0f3a[256] = {
#include "x86/table_0f3a.def"
};
#undef TABLE
#define TABLE VEX1
static const uint16_t index_vex1[256] = {
#include "x86/table_vex1.def"
};
#undef TABLE
#define TABLE VEX2
static const uint16_t index_vex2[256] = {
#include "x86/table_vex2.def"
};
#undef TABLE
#define TABLE VEX3
static const uint16_t index_vex3[256] = {
#include "x86/table_vex3.def"
};
#undef TABLE
#define TABLE EVEX1
static const uint16_t index_evex1[256] = {
#include "x86/table_evex1.def"
};
#undef TABLE
#define TABLE EVEX2
static const uint16_t index_evex2[256] = {
#include "x86/table_evex2.def"
};
#undef TABLE
#define TABLE EVEX3
static const uint16_t index_evex3[256] = {
#include "x86/table_evex3.def"
};
#undef TABLE
#define TABLE EVEX5
static const uint16_t index_evex5[256] = {
#include "x86/table_evex5.def"
};
#undef TABLE
#define TABLE EVEX6
static const uint16_t index_evex6[256] = {
#include "x86/table_evex6.def"
};
#undef TABLE
#undef NEW
#undef ALSO

const uint16_t *const insn_index[3][8] = {
	[ENC_LEGACY] = {
		[MAP_ONE] = index_one,
		[MAP_0F] = index_0f,
		[MAP_0F38] = index_0f38,
		[MAP_0F3A] = index_0f3a,
	},
	[ENC_VEX] = {
		[MAP_0F] = index_vex1,
		[MAP_0F38] = index_vex2,
		[MAP_0F3A] = index_vex3,
	},
	[ENC_EVEX] = {
		[MAP_0F] = index_evex1,
		[MAP_0F38] = index_evex2,
		[MAP_0F3A] = index_evex3,
		[MAP_5] = index_evex5,
		[MAP_6] = index_evex6,
	},
};

#define FORM(k, s)                   \
	{                            \
		.kind = k, .size = s \
	}
#define FORMS(...) FORMS_(__VA_ARGS__)
#define FORMS_(knd, num, flg, spc, im, r0, r1, r2, r3, m0, m1, m2, m3)      \
	{                                                                   \
		.forms = { { FORM(knd, r0), FORM(knd, r1), FORM(knd, r2) }, \
			   { FORM(OPND_MEM, m0), FORM(OPND_MEM, m1),        \
			     FORM(OPND_MEM, m2) } },                        \
		.by_length = { r3, m3 }, .number = num, .flags = flg,       \
		.special = spc, .imm = im,                                  \
	}

const struct operand_letters insn_operand_letters[OC_COUNT] = {
#define OPERAND(letters, from, reg, mem) \
	[OC_##letters] = FORMS(FROM_##from, SIZE_##reg, SIZE_##mem),
#include "x86/operands.def"
#undef OPERAND
};

const struct insn_feature_info *insn_feature_info(enum insn_feature feature)
{
	static const struct insn_feature_info features[] = {
#define FEATURE(name, leaf, subleaf, reg, bit, class) \
	[FEAT_##name] = { #name, leaf, subleaf, reg, bit, class },
#include "x86/features.def"
#undef FEATURE
	};

	return &features[feature];
}

const char *insn_op_name(enum x86_op op)
{
	static const char *const names[] = {
		[OP_INVALID] = "INVALID",
#define NEW(opcode, span, cond, name, ...) [OP_##name] = #name,
#define ALSO(...)
#include "x86/tables.def"
#undef NEW
#undef ALSO
	};

	return op < OP_COUNT ? names[op] : names[OP_INVALID];
}
