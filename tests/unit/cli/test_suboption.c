/* SPDX-License-Identifier: BSD-2-Clause */
/* Sub-options: crosvm's grammar, and what is not of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cli/suboption.h"

static void test_forms(void **state)
{
	struct suboptions s;

	assert_int_equal(suboptions_parse("--engine", "kvm", &s), 0);
	assert_string_equal(s.first, "kvm");
	assert_null(s.option[0].name);

	assert_int_equal(
		suboptions_parse("--engine", "bt,cache=64M,eager,x=", &s), 0);
	assert_string_equal(s.first, "bt");
	assert_string_equal(s.option[0].name, "cache");
	assert_string_equal(s.option[0].value, "64M");
	assert_string_equal(s.option[1].name, "eager");
	assert_string_equal(s.option[1].value, "");
	assert_string_equal(s.option[2].name, "x");
	assert_string_equal(s.option[2].value, "");
	assert_null(s.option[3].name);

	/* The first key may be given, and a value may hold an '='. */
	assert_int_equal(suboptions_parse("--engine", "name=bt,a=b=c", &s), 0);
	assert_null(s.first);
	assert_string_equal(s.option[0].name, "name");
	assert_string_equal(s.option[1].value, "b=c");
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"a,", "a,,b", "a,=1", "a,b,b=2", "a,1,2,3,4,5,6,7,8,9",
	};
	struct suboptions s;
	char long_text[300];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(suboptions_parse("--engine", bad[i], &s) < 0);
	memset(long_text, 'a', sizeof(long_text));
	long_text[299] = 0;
	assert_true(suboptions_parse("--engine", long_text, &s) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
