/* SPDX-License-Identifier: BSD-2-Clause */
/* The MP table, read as a guest reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/bits.h"
#include "boot/mptable.h"

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total += *bytes++;
	return total;
}

static void check(unsigned vcpus)
{
	const struct mptable_board board = {
		.vcpu_count = vcpus,
		.signature = 0xa06f3,
		.features = 0x1783fbfd,
		.base = 0xf0000,
	};
	static const uint8_t lengths[] = { 20, 8, 8, 8, 8 };
	uint8_t bytes[MPTABLE_ROOM], *table = bytes + 16, *entry = table + 44;
	unsigned count[5] = { 0 }, size = mptable_build(&board, bytes);
	bool has_timer = false, has_extint = false, has_pci = false;

	assert_memory_equal(bytes, "_MP_", 4);
	assert_int_equal(load_u32(bytes + 4), 0xf0010);
	assert_int_equal(sum(bytes, 16), 0);
	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(load_u16(table + 4), size - 16);
	assert_int_equal(sum(table, size - 16), 0);
	assert_int_equal(load_u32(table + 36), 0xfee00000);
	for (unsigned i = load_u16(table + 34); i; i--) {
		assert_true(entry[0] < 5);
		if (entry[0] == 0) {
			assert_int_equal(entry[1], count[0]);
			assert_int_equal(entry[3], count[0] ? 1 : 3);
			assert_int_equal(load_u32(entry + 4), 0xa06f3);
		}
		has_timer |= entry[0] == 3 && entry[4] == 1 && entry[5] == 0 &&
			     entry[7] == 2;
		has_extint |= entry[0] == 4 && entry[1] == 3 && entry[7] == 0;
		/* INTB of slot 3 is PIRQE, input 20. */
		has_pci |= entry[0] == 3 && entry[4] == 0 &&
			   entry[5] == (3 << 2 | 1) && entry[7] == 20;
		count[entry[0]]++;
		entry += lengths[entry[0]];
	}
	assert_ptr_equal(entry, bytes + size);
	assert_int_equal(count[0], vcpus);
	assert_int_equal(count[1], 2);
	assert_int_equal(count[2], 1);
	assert_int_equal(count[3], 15 + 31 * 4);
	assert_true(has_timer && has_extint && has_pci);
}

static void test_table(void **state)
{
	check(1);
	check(2);
	check(32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
