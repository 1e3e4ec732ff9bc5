/* SPDX-License-Identifier: BSD-2-Clause */
/* Which status flags code needs: what translate.c sees when it looks ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bt/translate.h"
#include "machine.h"
#include "x86/decode.h"
#include "x86/regs.h"

#define AT  0x20000
#define ALL RFLAGS_STATUS

struct look_test {
	struct machine m;
	struct translation t;
};

static void begin(struct look_test *test)
{
	machine_init(&test->m);
	memset(&test->t, 0, sizeof(test->t));
	test->t.vcpu = test->m.vcpu;
	test->t.bt = test->m.bt;
	test->t.flavour.is_32 = true;
	test->t.mode = X86_MODE_32;
	test->t.rip = AT;
	test->t.host = test->m.ram + AT;
}

/* For code of the block's page; what is behind it reads all flags (PUSHF). */
static uint32_t needed(struct look_test *test, const char *code, size_t size)
{
	memset(test->m.ram + AT, 0x9c, PAGE_SIZE);
	memcpy(test->m.ram + AT + 0x100, code, size);
	test->t.looks = 0;
	return flags_needed_at(&test->t, AT + 0x100);
}

#define NEEDED(code) needed(&test, code, sizeof(code) - 1)

static void test_reads_and_writes(void **state)
{
	struct look_test test;

	begin(&test);
	assert_int_equal(NEEDED("\x01\xd8"), 0); /* add: writes all */
	assert_int_equal(NEEDED("\x85\xc0"), 0); /* test */
	assert_int_equal(NEEDED("\x11\xd8"), RFLAGS_CF); /* adc */
	assert_int_equal(NEEDED("\x40"), RFLAGS_CF); /* inc, then all */
	assert_int_equal(NEEDED("\x40\x01\xd8"), 0); /* inc, add */
	assert_int_equal(NEEDED("\x89\xd8\x01\xd8"), 0); /* mov, add */
	assert_int_equal(NEEDED("\x8b\x03\x01\xd8"), 0); /* mov from memory */
	assert_true(NEEDED("\x0f\x94\xc0\x01\xd8") & RFLAGS_ZF); /* sete */
	assert_int_equal(NEEDED("\x9c"), ALL); /* pushf */
	/* Shifts by 0, which CL may be, leave all as they were. */
	assert_int_equal(NEEDED("\xd3\xe0"), ALL);
	assert_int_equal(NEEDED("\xd3\xe0\x01\xd8"), 0);
	assert_int_equal(NEEDED("\xc1\xe0\x20"), ALL);
	assert_int_equal(NEEDED("\xc1\xe0\x21"), 0);
	assert_int_equal(NEEDED("\xd1\xe0"), 0);
	assert_int_equal(NEEDED("\x0f\xa4\xd8\x01"), 0); /* shld */
	assert_int_equal(NEEDED("\xc1\xc0\x01"), /* rol */
			 ALL & ~(RFLAGS_CF | RFLAGS_OF));
	assert_int_equal(NEEDED("\xd3\xc0"), ALL);
	assert_int_equal(NEEDED("\xc1\xc0\x01\x01\xd8"), 0);
	machine_fini(&test.m);
}

static void test_branches(void **state)
{
	struct look_test test;

	begin(&test);
	/* It looks no further than a branch. */
	assert_int_equal(NEEDED("\x74\x00"), ALL);
	assert_int_equal(NEEDED("\xeb\x00"), ALL);
	assert_int_equal(NEEDED("\x01\xd8\x74\x00"), 0);
	assert_int_equal(NEEDED("\xc3"), ALL);
	/* What the interpreter takes over may show them. */
	assert_int_equal(NEEDED("\xf4"), ALL);
	assert_int_equal(NEEDED("\xcd\x80"), ALL);
	/* What is no instruction faults, and shows them. */
	assert_int_equal(NEEDED("\x0f\x0b"), ALL);
	machine_fini(&test.m);
}

static void test_limits(void **state)
{
	static const char moves[] = "\x89\xd8\x89\xd8\x89\xd8\x89\xd8"
				    "\x89\xd8\x89\xd8\x89\xd8\x89\xd8"
				    "\x01\xd8";
	struct look_test test;

	begin(&test);
	assert_int_equal(NEEDED(moves), ALL); /* the ninth */
	assert_int_equal(needed(&test, moves + 2, sizeof(moves) - 3), 0);
	/* Another page may change without this block's being dropped. */
	test.m.ram[AT + PAGE_SIZE] = 0x01;
	test.m.ram[AT + PAGE_SIZE + 1] = 0xd8;
	test.t.looks = 0;
	assert_int_equal(flags_needed_at(&test.t, AT + PAGE_SIZE), ALL);
	assert_int_equal(test.t.looks, 0);
	/* An instruction that the page's end cuts. */
	memset(test.m.ram + AT + 0xff8, 0x90, 8);
	test.m.ram[AT + 0xfff] = 0x01;
	assert_int_equal(flags_needed_at(&test.t, AT + 0xffe), ALL);
	/* No room to remember more of them. */
	test.t.looks = BT_SPANS - 1;
	assert_int_equal(flags_needed_at(&test.t, AT + 0x100), ALL);
	/* flags=exact: all, always. */
	test.m.bt->has_exact_flags = true;
	assert_int_equal(NEEDED("\x01\xd8"), ALL);
	machine_fini(&test.m);
}

/* What was looked at is remembered with its bytes, by which it is compared. */
static void test_what_was_looked_at(void **state)
{
	struct look_test test;

	begin(&test);
	assert_int_equal(NEEDED("\x89\xd8\x01\xd8"), 0);
	assert_int_equal(test.t.looks, 1);
	assert_int_equal(test.t.look[0].span.offset, 0x100);
	assert_int_equal(test.t.look[0].span.size, 4);
	assert_memory_equal(test.t.look[0].bytes, "\x89\xd8\x01\xd8", 4);
	assert_int_equal(flags_needed_at(&test.t, AT + 0x100), 0);
	assert_int_equal(test.t.looks, 1);
	machine_fini(&test.m);
}

/* Where code goes on behind a block; 0: who knows. */
static uint64_t goes_on(struct look_test *test, const char *code, size_t size,
			bool *is_same_flavour)
{
	memcpy(test->m.ram + AT, code, size);
	assert_non_null(machine_translate(&test->m, AT));
	*is_same_flavour = test->m.ahead.is_same_flavour;
	return test->m.ahead.rip;
}

#define GOES_ON(code) goes_on(&test, code, sizeof(code) - 1, &is_same)

static void test_ahead(void **state)
{
	struct look_test test;
	bool is_same;

	(void)state;
	begin(&test);
	assert_int_equal(GOES_ON("\xeb\x10"), AT + 0x12); /* jmp */
	assert_true(is_same);
	assert_int_equal(GOES_ON("\x90\x75\xfd"), AT + 3); /* a loop's end */
	assert_true(is_same);
	assert_int_equal(GOES_ON("\x90\x75\x10"), 0); /* forward: either */
	assert_true(is_same);
	/* call: within the page; to another one, which returns */
	assert_int_equal(GOES_ON("\xe8\x10\0\0\0"), AT + 0x15);
	assert_int_equal(GOES_ON("\xe8\0\x20\0\0"), AT + 5);
	assert_int_equal(GOES_ON("\xff\xd0"), AT + 2); /* call eax */
	assert_int_equal(GOES_ON("\xff\xe0"), 0); /* jmp eax */
	assert_int_equal(GOES_ON("\xc3"), 0); /* ret */
	assert_int_equal(GOES_ON("\xcf"), 0); /* iret */
	assert_false(is_same);
	machine_fini(&test.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_and_writes),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_what_was_looked_at),
		cmocka_unit_test(test_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
