/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "x86/decode.h"
#include "x86/format.h"

struct sample {
	const char *bytes;
	size_t length;
	enum x86_mode mode;
	const char *text;
};

#define B(text) text, sizeof(text) - 1

static const struct sample samples[] = {
	{ B("\x90"), X86_MODE_64, "nop" },
	{ B("\x48\x89\xe5"), X86_MODE_64, "mov rbp, rsp" },
	{ B("\x88\xe0"), X86_MODE_64, "mov al, ah" },
	{ B("\x40\x88\xe0"), X86_MODE_64, "mov al, spl" },
	{ B("\x74\xfe"), X86_MODE_64, "je 0x1000" },
	{ B("\x0f\x94\xc0"), X86_MODE_64, "sete al" },
	{ B("\xf3\x48\xab"), X86_MODE_64, "rep stos qword ptr es:[rdi], rax" },
	{ B("\x64\xf0\x41\x81\x44\x84\xf8\xff\xff\xff\xff"), X86_MODE_64,
	  "lock add dword ptr fs:[r12+rax*4-0x8], 0xffffffff" },
	{ B("\x8b\x05\x10\0\0\0"), X86_MODE_64,
	  "mov eax, dword ptr [rip+0x10]" },
	{ B("\xa0\x34\x12"), X86_MODE_REAL, "mov al, byte ptr [0x1234]" },
	{ B("\xea\x5b\xe0\x00\xf0"), X86_MODE_REAL, "jmp far 0xf000:0xe05b" },
	{ B("\x48\x98"), X86_MODE_64, "cdqe" },
	{ B("\x0f\x22\xd8"), X86_MODE_64, "mov cr3, rax" },
	{ B("\xd8\xc1"), X86_MODE_64, "fadd st(0), st(1)" },
	{ B("\xc5\xf5\x58\xc2"), X86_MODE_64, "vaddpd ymm0, ymm1, ymm2" },
	{ B("\x62\xf1\x7e\x2a\x6f\x06"), X86_MODE_64,
	  "vmovdqu32 ymm0{k2}, ymmword ptr [rsi]" },
	{ B("\x67\xe3\x00"), X86_MODE_64, "jecxz 0x1003" },
};

static void formats_samples(void **state)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		char text[INSN_TEXT_SIZE];
		struct insn insn;

		assert_int_equal(insn_decode(&insn, (const uint8_t *)s->bytes,
					     s->length, s->mode),
				 s->length);
		assert_int_equal(insn_format(text, sizeof(text), &insn, 0x1000),
				 strlen(s->text));
		assert_string_equal(text, s->text);
	}
}

static void truncates(void **state)
{
	static const uint8_t bytes[] = { 0x48, 0x89, 0xe5 };
	struct insn insn;
	char text[8] = "#######";

	insn_decode(&insn, bytes, sizeof(bytes), X86_MODE_64);
	assert_int_equal(insn_format(text, 4, &insn, 0), 12);
	assert_memory_equal(text, "mov\0###", 8);
	assert_int_equal(insn_format(NULL, 0, &insn, 0), 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_samples),
		cmocka_unit_test(truncates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
