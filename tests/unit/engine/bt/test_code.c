/* SPDX-License-Identifier: BSD-2-Clause */
/* The assembler, by what the decoder reads; the names of stress switches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bt/code.h"
#include "x86/decode.h"
#include "x86/format.h"

struct buffer {
	uint8_t bytes[64];
	struct code code;
};

static struct code *begin(struct buffer *buffer)
{
	buffer->code = (struct code){
		.at = buffer->bytes,
		.end = buffer->bytes + sizeof(buffer->bytes),
	};
	return &buffer->code;
}

/* One instruction, all of what was emitted. */
static void reads_as(struct buffer *buffer, const char *expected)
{
	char text[INSN_TEXT_SIZE];
	struct insn insn;
	size_t size = (size_t)(buffer->code.at - buffer->bytes);

	assert_int_equal(insn_decode(&insn, buffer->bytes, size, X86_MODE_64),
			 (int)size);
	insn_format(text, sizeof(text), &insn, 0);
	assert_string_equal(text, expected);
}

static void test_moves(void **state)
{
	struct buffer b;

	code_move(begin(&b), R10, RAX);
	reads_as(&b, "mov r10, rax");
	code_move(begin(&b), RDX, R15);
	reads_as(&b, "mov rdx, r15");
	code_rr(begin(&b), OP_SIZE_32, 0x31, R9, RCX);
	reads_as(&b, "xor r9d, ecx");
	code_gs(begin(&b), OP_SIZE_64, 0x8b, R11, 0x1234);
	reads_as(&b, "mov r11, qword ptr gs:[0x1234]");
	code_gs_indexed(begin(&b), 0x3b, R10, RCX, 0x40);
	reads_as(&b, "cmp r10, qword ptr gs:[rcx+0x40]");
	code_shr32(begin(&b), R10, 8);
	reads_as(&b, "shr r10d, 0x8");
}

/* The shortest form, and each keeps all 64 bits. */
static void test_constants(void **state)
{
	struct buffer b;

	code_constant(begin(&b), R10, 0xffffffff);
	reads_as(&b, "mov r10d, 0xffffffff");
	code_constant(begin(&b), RAX, 0x123456789abcdef0);
	reads_as(&b, "mov rax, 0x123456789abcdef0");
	code_constant(begin(&b), R10, 0xffffffff80000000);
	assert_int_equal(b.code.at - b.bytes, 7);
}

static void test_addresses(void **state)
{
	struct buffer b;

	code_lea(begin(&b), R11, R11, -8);
	reads_as(&b, "lea r11, [r11-0x8]");
	code_lea(begin(&b), RAX, R12, 16);
	reads_as(&b, "lea rax, [r12+0x10]");
	code_lea(begin(&b), RAX, R13, 0);
	reads_as(&b, "lea rax, [r13]");
	code_lea_full(begin(&b), true, R10, RDI, RCX, 8, 0x20);
	reads_as(&b, "lea r10, [rdi+rcx*8+0x20]");
}

static void test_branches(void **state)
{
	struct buffer b;
	uint8_t *place;

	code_jump(begin(&b), b.bytes + 0x20);
	reads_as(&b, "jmp 0x20");
	place = code_jcc_forward(begin(&b), COND_NE);
	code_land(&b.code, place);
	reads_as(&b, "jne 0x6");
	for (unsigned pad = 0; pad < 8; pad++) {
		begin(&b);
		for (unsigned i = 0; i < pad; i++)
			code_u8(&b.code, 0x90);
		code_align_patched(&b.code, 1);
		assert_true(((uintptr_t)b.code.at + 1) % 8 <= 4);
		assert_true(b.code.at - b.bytes - pad <= 3);
	}
}

static void test_stress_names(void **state)
{
	struct bt_stress stress = { 0 };

	assert_int_equal(bt_stress_parse(&stress, "tlb+smc"), 0);
	assert_int_equal(stress.kinds, STRESS_TLB | STRESS_SMC);
	assert_int_equal(bt_stress_parse(&stress, ""), 0);
	assert_int_equal(stress.kinds, 0);
	assert_int_equal(bt_stress_parse(&stress, "tl"), -EINVAL);
	assert_int_equal(bt_stress_parse(&stress, "tlb+"), -EINVAL);
	assert_int_equal(bt_stress_parse(&stress, "tlb,smc"), -EINVAL);
	assert_int_equal(bt_stress_parse(&stress, "all"), 0);
	assert_int_equal(stress.kinds & STRESS_SHORT, STRESS_SHORT);
}

/* The same seed draws the same, and one in N is one in N. */
static void test_stress_draws(void **state)
{
	struct bt_stress a = { .kinds = STRESS_TLB, .seed = 5 };
	struct bt_stress b = { .kinds = STRESS_TLB, .seed = 5 };
	unsigned hits = 0;

	for (unsigned i = 0; i < 10000; i++) {
		bool hit = bt_stress_hits(&a, STRESS_TLB, 10);

		assert_int_equal(hit, bt_stress_hits(&b, STRESS_TLB, 10));
		hits += hit;
		assert_false(bt_stress_hits(&a, STRESS_SMC, 1));
	}
	assert_in_range(hits, 800, 1200);
	a.every = 10;
	hits = 0;
	for (unsigned i = 0; i < 10000; i++)
		hits += bt_stress_chooses(&a, STRESS_TLB, i);
	assert_in_range(hits, 800, 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_constants),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_stress_names),
		cmocka_unit_test(test_stress_draws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
