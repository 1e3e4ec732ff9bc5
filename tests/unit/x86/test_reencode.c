/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Re-encoded instructions, decoded again: the same operation, the registers
 * that were asked for, the memory operand where it was put.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "x86/decode.h"
#include "x86/reencode.h"
#include "x86/regs.h"

static struct insn_rename rename_of(void)
{
	struct insn_rename rename = {
		.place = { .base = R10, .index = INSN_NO_INDEX, .scale = 1 },
	};

	for (unsigned i = 0; i < 16; i++)
		rename.to[i] = (uint8_t)i;
	rename.to[RSP] = R11;
	rename.to[R10] = R15;
	return rename;
}

static void decode(struct insn *insn, const uint8_t *bytes, size_t size)
{
	assert_int_equal(insn_decode(insn, bytes, size, X86_MODE_64), size);
}

/* Decodes bytes of a mode, re-encodes, decodes again into `again`. */
static void round_trip_of(enum x86_mode mode, const char *bytes, size_t size,
			  struct insn *again)
{
	const struct insn_rename rename = rename_of();
	struct insn insn;
	uint8_t out[INSN_REENCODED_MAX];
	unsigned length;

	assert_int_equal(insn_decode(&insn, (const uint8_t *)bytes, size, mode),
			 size);
	length = insn_reencode(out, &insn, (const uint8_t *)bytes, &rename);
	assert_in_range(length, 1, INSN_MAX_LEN);
	decode(again, out, length);
	assert_int_equal(again->op, insn.op);
	assert_int_equal(again->nops, insn.nops);
	assert_int_equal(again->imm, insn.imm);
	assert_int_equal(again->prefixes & PREFIX_LOCK,
			 insn.prefixes & PREFIX_LOCK);
	for (unsigned i = 0; i < insn.nops; i++) {
		assert_int_equal(again->operand[i].kind, insn.operand[i].kind);
		assert_int_equal(again->operand[i].size, insn.operand[i].size);
	}
}

#define ROUND_TRIP(bytes, again) \
	round_trip_of(X86_MODE_64, bytes, sizeof(bytes) - 1, again)
#define FROM_16(bytes, again) \
	round_trip_of(X86_MODE_16, bytes, sizeof(bytes) - 1, again)

static void test_registers_are_renamed(void **state)
{
	struct insn again;

	ROUND_TRIP("\x48\x01\xe0", &again); /* add rax, rsp */
	assert_int_equal(again.operand[0].reg, RAX);
	assert_int_equal(again.operand[1].reg, R11);
	ROUND_TRIP("\x4d\x89\xd4", &again); /* mov r12, r10 */
	assert_int_equal(again.operand[0].reg, R12);
	assert_int_equal(again.operand[1].reg, R15);
	ROUND_TRIP("\x49\xc7\xc2\x78\x56\x34\x12", &again); /* mov r10, imm */
	assert_int_equal(again.operand[0].reg, R15);
	ROUND_TRIP("\x41\xba\x01\x00\x00\x00", &again); /* mov r10d, 1 */
	assert_int_equal(again.operand[0].reg, R15);
}

static void test_memory_moves_to_the_base(void **state)
{
	struct insn again;

	/* lock add [rsp+rcx*4+0x100], eax, through GS */
	ROUND_TRIP("\x65\xf0\x01\x84\x8c\x00\x01\x00\x00", &again);
	assert_int_equal(again.base, R10);
	assert_int_equal(again.index, INSN_REG_NONE);
	assert_int_equal(again.disp, 0);
	assert_int_equal(again.seg, SEG_DS);
	ROUND_TRIP("\x48\x8b\x05\x44\x33\x22\x11", &again); /* RIP-relative */
	assert_int_equal(again.base, R10);
	/* imul r9d, [rax], 0x12345678 keeps the immediate */
	ROUND_TRIP("\x44\x69\x08\x78\x56\x34\x12", &again);
	assert_int_equal(again.operand[0].reg, R9);
	ROUND_TRIP("\x67\x8b\x03", &again); /* mov eax, [ebx] */
	assert_int_equal(again.adsize, 8);
}

/* With an index and displacements of no byte, one and four. */
static void test_memory_moves_to_a_sum(void **state)
{
	static const char *const bytes[] = {
		"\x48\x8b\x44\x24\x08", /* mov rax, [rsp+8] */
		"\xc5\xfe\x6f\x44\x24\x20", /* vmovdqu ymm0, [rsp+32] */
		"\xc7\x44\x24\x04\x78\x56\x34\x12", /* mov [rsp+4], imm32 */
		"\x66\x44\x0f\x6e\x4c\x24\x18", /* movd xmm9, [rsp+24] */
	};
	static const uint8_t size[] = { 5, 6, 8, 7 };
	static const int32_t displacement[] = { 0, -8, 127, 128, -4096 };

	for (unsigned i = 0; i < 4 * 5; i++) {
		const uint8_t *from = (const uint8_t *)bytes[i / 5];
		struct insn_rename rename = rename_of();
		uint8_t out[INSN_REENCODED_MAX];
		struct insn insn, again;
		unsigned length;

		rename.place.index = R11;
		rename.place.scale = (uint8_t)(1u << i % 4);
		rename.place.displacement = displacement[i % 5];
		decode(&insn, from, size[i / 5]);
		length = insn_reencode(out, &insn, from, &rename);
		assert_in_range(length, 1, sizeof(out));
		decode(&again, out, length);
		assert_int_equal(again.op, insn.op);
		assert_int_equal(again.imm, insn.imm);
		assert_int_equal(again.operand[0].reg, insn.operand[0].reg);
		assert_int_equal(again.base, R10);
		assert_int_equal(again.index, R11);
		assert_int_equal(again.scale, 1u << i % 4);
		assert_int_equal(again.disp, rename.place.displacement);
	}
}

static void test_vectors_keep_their_numbers(void **state)
{
	struct insn again;

	ROUND_TRIP("\x66\x44\x0f\x6f\x7c\x24\x10", &again); /* movdqa xmm15 */
	assert_int_equal(again.operand[0].reg, 15);
	ROUND_TRIP("\xc4\x41\x35\xfe\x04\x24", &again); /* vpaddd ymm8 */
	assert_int_equal(again.operand[0].reg, 8);
	assert_int_equal(again.operand[1].reg, 9);
	assert_int_equal(again.vl, 1);
	ROUND_TRIP("\xc4\xe2\xab\xf7\xc4", &again); /* shrx rax, rsp, r10 */
	assert_int_equal(again.operand[1].reg, R11);
	assert_int_equal(again.operand[2].reg, R15);
	ROUND_TRIP("\x66\x4c\x0f\x6e\xd4", &again); /* movq xmm10, rsp */
	assert_int_equal(again.operand[0].reg, 10);
	assert_int_equal(again.operand[1].reg, R11);
}

static void test_high_bytes_have_no_rex(void **state)
{
	const struct insn_rename rename = rename_of();
	static const uint8_t plain[] = { 0x88, 0xe3 }; /* mov bl, ah */
	static const uint8_t memory[] = { 0x88, 0x23 }; /* mov [rbx], ah */
	struct insn insn, again;
	uint8_t out[INSN_REENCODED_MAX];
	unsigned length;

	decode(&insn, plain, sizeof(plain));
	length = insn_reencode(out, &insn, plain, &rename);
	decode(&again, out, length);
	assert_int_equal(again.operand[1].reg, INSN_REG_AH);
	decode(&insn, memory, sizeof(memory));
	assert_int_equal(insn_reencode(out, &insn, memory, &rename), 0);
}

/* There 66 means 32 bits, where it does not say which instruction it is. */
static void test_16_bit_code_has_other_prefixes(void **state)
{
	struct insn again;

	FROM_16("\x01\xd8", &again); /* add ax, bx */
	assert_int_equal(again.prefixes, PREFIX_OPSIZE);
	FROM_16("\x66\x01\xd8", &again); /* add eax, ebx */
	assert_int_equal(again.prefixes, 0);
	FROM_16("\x8b\x40\x10", &again); /* mov ax, [bx+si+16] */
	assert_int_equal(again.base, R10);
	assert_int_equal(again.index, INSN_REG_NONE);
	FROM_16("\x67\x66\x8b\x44\x24\x04", &again); /* mov eax, [esp+4] */
	assert_int_equal(again.prefixes, PREFIX_REX);
	FROM_16("\xb8\x34\x12", &again); /* mov ax, 0x1234 */
	assert_int_equal(again.imm_len, 2);
	FROM_16("\x40", &again); /* inc ax */
	assert_int_equal(again.opcode, 0xff);
	FROM_16("\x8a\x07", &again); /* mov al, [bx] */
	assert_int_equal(again.prefixes, PREFIX_REX);
	FROM_16("\x98", &again); /* cbw */
	assert_int_equal(again.opsize, 2);
	FROM_16("\x66\x0f\x6f\x07", &again); /* movdqa xmm0, [bx] */
	FROM_16("\x0f\x28\x07", &again); /* movaps xmm0, [bx] */
	FROM_16("\x66\x0f\x38\xf6\xc3", &again); /* adcx eax, ebx */
	assert_int_equal(again.operand[0].size, 4);
	FROM_16("\xf3\x0f\xb8\xc3", &again); /* popcnt ax, bx */
	assert_int_equal(again.operand[0].size, 2);
}

static void test_registers_are_found(void **state)
{
	static const uint8_t bytes[] = { 0x4a, 0x8b, 0x44, 0xd3, 0x08 };
	struct insn insn;

	decode(&insn, bytes, sizeof(bytes)); /* mov rax, [rbx+r10*8+8] */
	assert_int_equal(insn_registers(&insn), BIT(RAX) | BIT(RBX) | BIT(R10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers_are_renamed),
		cmocka_unit_test(test_memory_moves_to_the_base),
		cmocka_unit_test(test_memory_moves_to_a_sum),
		cmocka_unit_test(test_vectors_keep_their_numbers),
		cmocka_unit_test(test_high_bytes_have_no_rex),
		cmocka_unit_test(test_16_bit_code_has_other_prefixes),
		cmocka_unit_test(test_registers_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
