/* SPDX-License-Identifier: BSD-2-Clause */
/* The letters of -d, and the lines of exits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/vm.h"

static void test_letters(void **unused)
{
	uint32_t kinds, all = 0;
	char wrong, text[2] = "";

	assert_true(trace_kinds_parse("", &kinds, &wrong));
	assert_int_equal(kinds, 0);
	assert_true(trace_kinds_parse("ep", &kinds, &wrong));
	assert_int_equal(kinds, BIT(TRACE_EXIT) | BIT(TRACE_PORT));
	assert_false(trace_kinds_parse("e?", &kinds, &wrong));
	assert_int_equal(wrong, '?');
	/* No two have the same letter. */
	for (unsigned i = 0; i < TRACE_KIND_COUNT; i++) {
		text[0] = trace_kind_infos[i].letter;
		assert_true(trace_kinds_parse(text, &kinds, &wrong));
		assert_int_equal(kinds, BIT(i));
		assert_false(all & kinds);
		all |= kinds;
	}
}

struct lines {
	char text[2048];
	size_t length;
};

static void put(void *sink, const char *line, size_t length)
{
	struct lines *lines = sink;

	assert_true(lines->length + length < sizeof(lines->text));
	memcpy(lines->text + lines->length, line, length);
	lines->length += length;
	lines->text[lines->length] = 0;
}

static void test_exits(void **unused)
{
	static const struct engine_ops engine = { .name = "none" };
	static struct vm vm;
	static struct lines lines;
	struct vcpu vcpu = { .vm = &vm, .index = 3 };
	struct exit out = { .reason = EXIT_IO,
			    .io = { .port = 0x3f8,
				    .access = { .size = 1,
						.value = 0x141,
						.is_write = true } } };
	struct exit hlt = { .reason = EXIT_HLT };

	assert_int_equal(vm_init(&vm, "test", &engine), 0);
	vm.trace.put = put;
	vm.trace.sink = &lines;
	exit_handle(&vcpu, &hlt);
	assert_int_equal(lines.length, 0);
	vm.trace.kinds = BIT(TRACE_PORT);
	exit_handle(&vcpu, &hlt);
	assert_int_equal(lines.length, 0);
	exit_handle(&vcpu, &out);
	assert_string_equal(lines.text,
			    "   0.000000 3 p io port 3f8 write 1 = 41 -\n");
	lines.length = 0;
	vm.trace.kinds = BIT(TRACE_EXIT);
	exit_handle(&vcpu, &hlt);
	exit_handle(&vcpu, &out);
	assert_string_equal(lines.text,
			    "   0.000000 3 e hlt -\n"
			    "   0.000000 3 e io port 3f8 write 1 = 41 -\n");
	/* However long, it is cut, and ends with a newline. */
	lines.length = 0;
	trace_put(&vm, NULL, TRACE_STEP, "%*d", 2000, 1);
	assert_int_equal(lines.length, TRACE_LINE_MAX - 1);
	assert_int_equal(lines.text[lines.length - 1], '\n');
	vm_fini(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
