/* SPDX-License-Identifier: BSD-2-Clause */
/* What is decoded by the cache is what the decoder says, bytes for bytes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../scale.h"
#include "encodings.h"
#include "x86/decode_cache.h"

#define AVAIL 48

static struct decode_cache *make(void)
{
	struct decode_cache *cache =
		aligned_alloc(_Alignof(struct decode_cache), sizeof(*cache));

	assert_non_null(cache);
	return memset(cache, 0, sizeof(*cache));
}

static void compare(struct decode_cache *cache, const uint8_t *bytes,
		    size_t avail, enum x86_mode mode)
{
	struct insn expected, found;
	char text[64];
	int length = insn_decode(&expected, bytes, avail, mode);

	if (insn_decode_cached(cache, &found, bytes, avail, mode) == length &&
	    (length <= 0 || !memcmp(&found, &expected, sizeof(found))))
		return;
	encoding_print(text, (int)mode, bytes, 15);
	fail_msg("%s", text);
}

/* Each with other bytes behind its beginning, too, so that what is kept is
 * used for displacements and immediates that it has not seen. */
static void test_random(void **state)
{
	struct decode_cache *cache = make();
	uint64_t seed = 7, other = 11;
	uint64_t cases = test_scale(100000, 2000000, 40000000);

	(void)state;
	while (cases--) {
		uint8_t bytes[AVAIL] = { 0 };

		encoding_fill(bytes, &seed);
		compare(cache, bytes, AVAIL, X86_MODE_64);
		for (unsigned i = 1; i < 4; i++) {
			unsigned from = 1 + encoding_next(&other) % 7;

			for (unsigned k = from; k < ENCODING_BYTES; k++)
				bytes[k] = (uint8_t)encoding_next(&other);
			compare(cache, bytes, AVAIL, X86_MODE_64);
		}
	}
	free(cache);
}

/* Every opcode of either map with every ModRM byte, twice. */
static void test_all(void **state)
{
	static const uint8_t prefixes[] = { 0, 0x48, 0x41, 0x66, 0xf3, 0x64 };
	struct decode_cache *cache = make();
	uint64_t seed = 3;

	(void)state;
	for (unsigned n = 0; n < 2 * 6 * 2 * 65536; n++) {
		uint8_t bytes[AVAIL], *at = bytes;

		for (unsigned i = 0; i < AVAIL; i++)
			bytes[i] = (uint8_t)encoding_next(&seed);
		if (prefixes[n / 65536 % 6])
			*at++ = prefixes[n / 65536 % 6];
		if (n / 65536 / 6 % 2)
			*at++ = 0x0f;
		at[0] = (uint8_t)(n / 256);
		at[1] = (uint8_t)n;
		compare(cache, bytes, AVAIL, X86_MODE_64);
		at[2] ^= 0x40;
		at[3]++;
		compare(cache, bytes, AVAIL, X86_MODE_64);
	}
	free(cache);
}

/* Other modes, and the end of what may be read. */
static void test_others(void **state)
{
	static const uint8_t mov[AVAIL] = { 0xb8, 1, 2, 3, 4, 5 };
	struct decode_cache *cache = make();

	(void)state;
	for (size_t avail = AVAIL; avail > 0; avail--)
		for (int mode = X86_MODE_REAL; mode <= X86_MODE_64; mode++)
			compare(cache, mov, avail, (enum x86_mode)mode);
	free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
