/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder on chosen encodings: what struct insn says, what is #UD, and
 * that it never looks past the end.  test_decode_zydis.c and
 * test_decode_cpu.c cover the breadth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "x86/decode.h"
#include "x86/insn_table.h"

struct sample {
	const char *bytes;
	size_t length;
	enum x86_mode mode;
	enum x86_op op;
	uint8_t opsize;
	uint8_t nops;
};

#define B(text) text, sizeof(text) - 1

static const struct sample samples[] = {
	{ B("\x90"), X86_MODE_64, OP_NOP, 4, 0 },
	{ B("\xf3\x90"), X86_MODE_64, OP_PAUSE, 4, 0 },
	{ B("\x41\x90"), X86_MODE_64, OP_XCHG, 4, 2 },
	{ B("\xf3\x41\x90"), X86_MODE_64, OP_PAUSE, 4, 0 },
	{ B("\x66\x63\xc8"), X86_MODE_64, OP_MOVSXD, 2, 2 },
	{ B("\x00\xc0"), X86_MODE_64, OP_ADD, 4, 2 },
	{ B("\x48\x01\xd8"), X86_MODE_64, OP_ADD, 8, 2 },
	{ B("\x66\x01\xd8"), X86_MODE_64, OP_ADD, 2, 2 },
	{ B("\x66\x01\xd8"), X86_MODE_16, OP_ADD, 4, 2 },
	{ B("\x01\xd8"), X86_MODE_REAL, OP_ADD, 2, 2 },
	{ B("\x50"), X86_MODE_64, OP_PUSH, 8, 1 },
	{ B("\x66\x50"), X86_MODE_64, OP_PUSH, 2, 1 },
	{ B("\x66\xe8\0\0\0\0"), X86_MODE_64, OP_CALL, 8, 1 },
	{ B("\x66\xe8\0\0"), X86_MODE_32, OP_CALL, 2, 1 },
	{ B("\x48\xb8\1\2\3\4\5\6\7\x08"), X86_MODE_64, OP_MOV, 8, 2 },
	{ B("\xa1\1\2\3\4\5\6\7\x08"), X86_MODE_64, OP_MOV, 4, 2 },
	{ B("\xa1\1\2"), X86_MODE_REAL, OP_MOV, 2, 2 },
	{ B("\x63\xc8"), X86_MODE_32, OP_ARPL, 4, 2 },
	{ B("\x48\x63\xc8"), X86_MODE_64, OP_MOVSXD, 8, 2 },
	{ B("\x40"), X86_MODE_32, OP_INC, 4, 1 },
	{ B("\xc4\x00"), X86_MODE_32, OP_LES, 4, 2 },
	{ B("\xc8\1\2\3"), X86_MODE_64, OP_ENTER, 8, 2 },
	{ B("\x9a\1\2\3\4\5\6"), X86_MODE_32, OP_CALL_FAR, 4, 1 },
	{ B("\xf0\x0f\xb1\x0f"), X86_MODE_64, OP_CMPXCHG, 4, 2 },
	{ B("\x0f\xc7\x0f"), X86_MODE_64, OP_CMPXCHG8B, 4, 1 },
	{ B("\x48\x0f\xc7\x0f"), X86_MODE_64, OP_CMPXCHG16B, 8, 1 },
	{ B("\x0f\x20\xc0"), X86_MODE_64, OP_MOV_CR, 8, 2 },
	{ B("\x0f\x22\xd8"), X86_MODE_32, OP_MOV_CR, 4, 2 },
	{ B("\xf3\x48\xab"), X86_MODE_64, OP_STOS, 8, 2 },
	{ B("\xf3\x0f\x1e\xfa"), X86_MODE_64, OP_NOP, 4, 1 },
	{ B("\x0f\x01\xf8"), X86_MODE_64, OP_SWAPGS, 4, 0 },
	{ B("\x0f\x01\xca"), X86_MODE_64, OP_CLAC, 4, 0 },
	{ B("\xd9\xe8"), X86_MODE_64, OP_FLD1, 4, 0 },
	{ B("\x66\xf2\x0f\x38\xf1\xc1"), X86_MODE_64, OP_CRC32, 2, 2 },
	{ B("\xf3\x66\x0f\xb8\xc1"), X86_MODE_64, OP_POPCNT, 2, 2 },
};

static void decodes_samples(void **state)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct insn insn;
		int ret = insn_decode(&insn, (const uint8_t *)s->bytes,
				      s->length, s->mode);

		if (ret != (int)s->length || insn.op != s->op ||
		    insn.opsize != s->opsize || insn.nops != s->nops)
			fail_msg("sample %zu: %s: length %d operand size %d "
				 "operands %d",
				 i, insn_op_name(s->op), ret, insn.opsize,
				 insn.nops);
		/* every shorter piece lacks something */
		for (size_t n = 0; n < s->length; n++)
			assert_int_equal(insn_decode(&insn,
						     (const uint8_t *)s->bytes,
						     n, s->mode),
					 -INSN_SHORT);
	}
}

static const struct sample illegal[] = {
	{ B("\x06"), X86_MODE_64, OP_PUSH_SREG },
	{ B("\x82\xc0\x01"), X86_MODE_64, OP_ADD },
	{ B("\x9a\1\2\3\4\5\6"), X86_MODE_64, OP_CALL_FAR },
	{ B("\xf0\x90"), X86_MODE_64, OP_NOP },
	{ B("\xf0\x01\xc0"), X86_MODE_64, OP_ADD },
	{ B("\xf0\x39\x00"), X86_MODE_64, OP_CMP },
	{ B("\x8e\xc8"), X86_MODE_64, OP_MOV_SREG },
	{ B("\x8e\xf8"), X86_MODE_64, OP_MOV_SREG },
	{ B("\x0f\x20\xc8"), X86_MODE_64, OP_MOV_CR },
	{ B("\x44\x0f\x21\xc0"), X86_MODE_64, OP_MOV_DR },
	{ B("\x63\xc8"), X86_MODE_REAL, OP_ARPL },
	{ B("\x0f\x00\xd0"), X86_MODE_REAL, OP_LLDT },
	{ B("\x8d\xc0"), X86_MODE_64, OP_LEA },
	{ B("\x66\xc5\xf8\x77"), X86_MODE_64, OP_INVALID },
	{ B("\x48\xc5\xf8\x77"), X86_MODE_64, OP_INVALID },
	{ B("\x0f\x04"), X86_MODE_64, OP_INVALID },
};

static void refuses_illegal(void **state)
{
	for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
		const struct sample *s = &illegal[i];
		struct insn insn;
		int ret = insn_decode(&insn, (const uint8_t *)s->bytes,
				      s->length, s->mode);

		if (ret != -INSN_UD)
			fail_msg("illegal sample %zu: %s: %d", i,
				 insn_op_name(s->op), ret);
	}
}

static void limits_length(void **state)
{
	uint8_t bytes[20];
	struct insn insn;

	memset(bytes, 0x66, sizeof(bytes));
	assert_int_equal(insn_decode(&insn, bytes, 14, X86_MODE_64),
			 -INSN_SHORT);
	assert_int_equal(insn_decode(&insn, bytes, 20, X86_MODE_64),
			 -INSN_LONG);
	bytes[14] = 0x90;
	assert_int_equal(insn_decode(&insn, bytes, 20, X86_MODE_64), 15);
	bytes[14] = 0x04;
	assert_int_equal(insn_decode(&insn, bytes, 20, X86_MODE_64),
			 -INSN_LONG);
}

static void describes_memory(void **state)
{
	/* lock add dword fs:[r12+rax*4-8], imm32 */
	static const uint8_t bytes[] = { 0x64, 0xf0, 0x41, 0x81, 0x44, 0x84,
					 0xf8, 0xff, 0xff, 0xff, 0xff };
	/* mov eax, [rip+0x10] */
	static const uint8_t rip[] = { 0x8b, 0x05, 0x10, 0, 0, 0 };
	struct insn insn;

	assert_int_equal(insn_decode(&insn, bytes, sizeof(bytes), X86_MODE_64),
			 sizeof(bytes));
	assert_int_equal(insn.base, R12);
	assert_int_equal(insn.index, RAX);
	assert_int_equal(insn.scale, 4);
	assert_int_equal(insn.disp, -8);
	assert_int_equal(insn.imm, -1);
	assert_int_equal(insn.seg, SEG_FS);
	assert_int_equal(insn.off_opcode, 3);
	assert_int_equal(insn.off_modrm, 4);
	assert_int_equal(insn.off_disp, 6);
	assert_int_equal(insn.off_imm, 7);
	assert_int_equal(insn.imm_len, 4);
	assert_int_equal(insn.operand[0].kind, OPND_MEM);
	assert_int_equal(insn.operand[0].size, 4);
	assert_int_equal(insn.operand[0].access, ACCESS_RW);
	assert_true(insn.prefixes & PREFIX_LOCK);
	assert_int_equal(insn_row(&insn)->flags_written, RFLAGS_STATUS);

	assert_int_equal(insn_decode(&insn, rip, sizeof(rip), X86_MODE_64), 6);
	assert_int_equal(insn.base, INSN_REG_RIP);
	assert_int_equal(insn_decode(&insn, rip, sizeof(rip), X86_MODE_32), 6);
	assert_int_equal(insn.base, INSN_REG_NONE);
}

/* find_row() walks down from an opcode's last row over its neighbours. */
static void rows_of_an_opcode_stand_together(void **state)
{
	for (int encoding = ENC_LEGACY; encoding <= ENC_EVEX; encoding++)
		for (int map = MAP_ONE; map <= MAP_6; map++) {
			unsigned int found = 0, wanted = 0;

			for (unsigned int row = 1; row < insn_row_count; row++)
				if (insn_rows[row].encoding == encoding &&
				    insn_rows[row].map == map)
					wanted += insn_rows[row].span;
			for (int opcode = 0; opcode < 256; opcode++) {
				unsigned int row;

				if (!insn_index[encoding][map])
					continue;
				row = insn_index[encoding][map][opcode] &
				      ~INDEX_MODRM;
				for (; row; row--, found++)
					if ((uint8_t)(opcode -
						      insn_rows[row].opcode) >=
					    insn_rows[row].span)
						break;
					else if (insn_rows[row].map != map)
						fail_msg("row %u", row);
			}
			assert_int_equal(found, wanted);
		}
}

static bool touches_memory(const struct insn_row *row)
{
	for (int i = 0; i < INSN_MAX_OPERANDS; i++) {
		const struct operand_letters *letters =
			&insn_operand_letters[row->operands[i]];
		unsigned int kind = letters->forms[0][0].kind;

		if (letters->flags & OPERAND_RM || kind == OPND_MOFFS ||
		    kind == OPND_STR_SRC || kind == OPND_STR_DST)
			return true;
	}
	return false;
}

/* What one column says must not contradict another. */
static void rows_are_consistent(void **state)
{
	for (unsigned int i = 1; i < insn_row_count; i++) {
		const struct insn_row *row = &insn_rows[i];
		const char *name = insn_op_name(row->op);

		if (row->flags_undefined & ~row->flags_written)
			fail_msg("%s: undefined flags are written", name);
		if (row->bt == BT_COPY && touches_memory(row))
			fail_msg("%s: COPY with a memory operand", name);
		if ((row->bt == BT_COPY || row->bt == BT_MEM) &&
		    row->attrs & ROW_ENDS)
			fail_msg("%s: copied, but goes elsewhere", name);
		if ((row->bt == BT_COPY || row->bt == BT_MEM) &&
		    row->priv != PRIV_U)
			fail_msg("%s: copied, but privileged", name);
		if (row->attrs & ROW_REP && row->bt != BT_STRING &&
		    row->bt != BT_SYSTEM)
			fail_msg("%s: repeated, but no string", name);
		if (row->attrs & ROW_LOCK && (row->access & 3) != ACCESS_RW)
			fail_msg("%s: LOCK without a read and write", name);
		if (row->encoding == ENC_EVEX && row->bt != BT_RARE)
			fail_msg("%s: EVEX is not offered", name);
		if (row->encoding != ENC_EVEX &&
		    row->attrs & (ROW_MASK | ROW_ZERO | ROW_BCST | ROW_ER))
			fail_msg("%s: EVEX attributes", name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_samples),
		cmocka_unit_test(refuses_illegal),
		cmocka_unit_test(limits_length),
		cmocka_unit_test(describes_memory),
		cmocka_unit_test(rows_of_an_opcode_stand_together),
		cmocka_unit_test(rows_are_consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
