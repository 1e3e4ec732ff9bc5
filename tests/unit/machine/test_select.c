/* SPDX-License-Identifier: BSD-2-Clause */
/* The choice of an engine, and its own options. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/vm.h"
#include "machine/machine.h"
#include "machine/select.h"

static char last[32];

static int set_size(struct vm *vm, const char *value)
{
	if (*value < '0' || *value > '9')
		return -EINVAL;
	strncpy(last, value, sizeof(last) - 1);
	return 0;
}

static const struct engine_option options[] = {
	{ "size", "a number", set_size },
	{ 0 },
};

static const struct engine_ops with_options = { .name = "fake",
						.options = options };
static const struct engine_ops without = { .name = "plain" };

static int apply(const struct engine_ops *engine, const char *name,
		 const char *value)
{
	struct vm vm = { .engine_ops = engine };
	const struct machine_option list[] = { { name, value }, { 0 } };

	return engine_apply_options(&vm, list);
}

static void test_options(void **state)
{
	struct vm vm = { .engine_ops = &without };

	assert_int_equal(engine_apply_options(&vm, NULL), 0);
	assert_int_equal(apply(&with_options, "size", "7"), 0);
	assert_string_equal(last, "7");
	assert_int_equal(apply(&with_options, "size", "x"), -EINVAL);
	assert_int_equal(apply(&with_options, "siz", "7"), -EINVAL);
	assert_int_equal(apply(&without, "size", "7"), -EINVAL);
}

static void test_by_name(void **state)
{
	assert_null(engine_select("warp"));
	assert_null(engine_select(""));
	assert_string_equal(engine_select("interp")->name, "interp");
	/* Whatever this host is, the interpreter runs. */
	assert_non_null(engine_select("auto"));
	assert_non_null(engine_select(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
