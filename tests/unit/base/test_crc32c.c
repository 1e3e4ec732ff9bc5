/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32C against the examples of RFC 3720 B.4, and the two ways to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"

static void test_examples(void **state)
{
	uint8_t bytes[32];

	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
	assert_int_equal(crc32c_plain(0, bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void test_both_ways_and_in_parts(void **state)
{
	uint8_t bytes[300];

	srandom(1);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random();
	for (unsigned size = 0; size < sizeof(bytes); size += 7)
		for (unsigned cut = 0; cut <= size; cut += 5) {
			uint32_t whole = crc32c_plain(0, bytes, size);
			uint32_t part = crc32c(0, bytes, cut);

			assert_int_equal(crc32c(0, bytes, size), whole);
			assert_int_equal(crc32c(part, bytes + cut, size - cut),
					 whole);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_both_ways_and_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
