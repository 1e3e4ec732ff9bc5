/* SPDX-License-Identifier: BSD-2-Clause */
/* PKRU in an XSAVE image: its place is the host's to say. SDM 1, 13.5.7. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "x86/xsave_image.h"

static void test_pkru(void **state)
{
	uint8_t image[2696] = { 0 };

	store_u32(image + 2688, 0x55555554);
	/* In its initial state, whatever stands there. */
	assert_int_equal(xsave_image_read_pkru(image, 2688), 0);
	store_u64(image + XSAVE_HEADER, XCR0_PKRU | XCR0_SSE);
	assert_int_equal(xsave_image_read_pkru(image, 2688), 0x55555554);
	store_u64(image + XSAVE_HEADER, XCR0_SSE);
	xsave_image_write_pkru(image, 2688, 0x10);
	assert_int_equal(load_u64(image + XSAVE_HEADER), XCR0_PKRU | XCR0_SSE);
	assert_int_equal(xsave_image_read_pkru(image, 2688), 0x10);
	assert_int_equal(load_u32(image + 2684) | load_u32(image + 2692), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pkru) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
