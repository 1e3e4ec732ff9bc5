/* SPDX-License-Identifier: BSD-2-Clause */
/* The byte ring: order, bounds, wrapping; and the escape key's machine. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "host/escape.h"
#include "host/ring.h"

static void test_full_and_empty(void **state)
{
	struct ring ring;
	uint8_t out[16];

	assert_int_equal(ring_init(&ring, 8), 0);
	assert_int_equal(ring_peek(&ring, out, 16), 0);
	assert_int_equal(ring_put(&ring, (const uint8_t *)"0123456789", 10), 8);
	assert_int_equal(ring_room(&ring), 0);
	assert_int_equal(ring_put(&ring, (const uint8_t *)"x", 1), 0);
	assert_int_equal(ring_peek(&ring, out, 16), 8);
	assert_memory_equal(out, "01234567", 8);
	ring_drop(&ring, 8);
	assert_int_equal(ring_used(&ring), 0);
	ring_fini(&ring);
}

/* What goes in comes out in order, whatever the pieces. */
static void test_random_pieces(void **state)
{
	struct ring ring;
	uint8_t in = 0, out = 0, bytes[64];

	srand(1);
	assert_int_equal(ring_init(&ring, 32), 0);
	for (int i = 0; i < 20000; i++) {
		size_t n = rand() % sizeof(bytes), taken;

		for (size_t j = 0; j < n; j++)
			bytes[j] = in + j;
		in += ring_put(&ring, bytes, n);
		taken = ring_peek(&ring, bytes, rand() % sizeof(bytes));
		for (size_t j = 0; j < taken; j++)
			assert_int_equal(bytes[j], (uint8_t)(out + j));
		ring_drop(&ring, taken);
		out += taken;
	}
	ring_fini(&ring);
}

/* Types the keys; what the guest gets goes to `out`, commands in capitals. */
static void type(const char *keys, char *out)
{
	struct escape escape = { 0 };
	uint8_t byte;
	char command;

	for (; *keys; keys++) {
		switch (escape_key(&escape, *keys, &byte, &command)) {
		case ESCAPE_BYTE:
			*out++ = byte;
			break;
		case ESCAPE_COMMAND:
			*out++ = command - 'a' + 'A';
			break;
		case ESCAPE_UNKNOWN:
			*out++ = '?';
			break;
		case ESCAPE_NOTHING:
			break;
		}
	}
	*out = 0;
}

static void test_escape(void **state)
{
	static const char *const cases[][2] = {
		{ "ax", "ax" },	    { "\1x", "X" },    { "u\1pv", "uPv" },
		{ "\1\1x", "\1x" }, { "\1ax", "\1x" }, { "\1b\1s\1h", "BSH" },
		{ "\1cx", "?x" },   { "\1", "" },      { "\1\3\3", "?\3" },
	};
	char out[32];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		type(cases[i][0], out);
		assert_string_equal(out, cases[i][1]);
	}
	/* The list names every command there is. */
	assert_non_null(strstr(escape_help, "Ctrl-a x"));
	assert_non_null(strstr(escape_help, "Ctrl-a h"));
	assert_null(strstr(escape_help, "Ctrl-a c"));
}

static void test_zero_is_no_command(void **state)
{
	struct escape escape = { .is_pending = true };
	uint8_t byte;
	char command;

	assert_int_equal(escape_key(&escape, 0, &byte, &command),
			 ESCAPE_UNKNOWN);
	assert_false(escape.is_pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_and_empty),
		cmocka_unit_test(test_random_pieces),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_zero_is_no_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
