/* SPDX-License-Identifier: BSD-2-Clause */
/* The table's parser, and what is printed from the table. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { KERNEL, MODULE, MEMORY, CPUS, QUIET, COLOUR };

static const struct option_type options[] = {
	{ "kernel", 'k', OPTION_FILE, "FILE", .help = "a file" },
	{ "module", 0, OPTION_LIST, "FILE", .help = "files" },
	{ "memory", 'm', OPTION_SIZE, "SIZE", .fallback = "512M",
	  .max = 4ull << 30, .min = 1 << 20, .help = "a size" },
	{ "cpus", 'c', OPTION_NUMBER, "N", .fallback = "1", .min = 1, .max = 32,
	  .help = "a number" },
	{ "quiet", 'q', OPTION_FLAG, .help = "a flag" },
	{ "colour", 0, OPTION_WORD, "WORD", .words = "red green",
	  .help = "a word" },
	{ 0 },
};

static const struct command command = {
	.name = "test",
	.summary = "Does nothing",
	.operands = "WHO",
	.operands_max = 1,
	.options = options,
};

/* Splits a line at its spaces; '~' stands for an empty argument. */
static int parse(const char *line, struct arguments *arguments)
{
	static char copy[256];
	char *argv[32], *word;
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = *word == '~' ? strcpy(word, "") : word;
	return arguments_parse(&command, argc, argv, arguments);
}

static void test_forms(void **state)
{
	static const char *const same[] = {
		"--kernel f --memory 2G --cpus 4 --quiet",
		"--kernel=f --memory=2048M --cpus=4 -q",
		"-k f -m 2G -c 4 -q",
		"-kf -m2g -c4 -q",
		"-q -c 9 -kf -m2097152K -c4",
	};
	struct arguments a;

	for (unsigned i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(parse(same[i], &a), 0);
		assert_string_equal(a.text[KERNEL], "f");
		assert_int_equal(a.number[MEMORY], 2ull << 30);
		assert_int_equal(a.number[CPUS], 4);
		assert_true(a.is_given[QUIET]);
		assert_null(a.text[COLOUR]);
	}
}

static void test_list_keeps_all_in_order(void **state)
{
	struct arguments a;
	char line[256] = "";

	assert_int_equal(parse("--module b -q --module=a,x", &a), 0);
	assert_int_equal(a.list[MODULE].count, 2);
	assert_string_equal(a.list[MODULE].item[0], "b");
	assert_string_equal(a.list[MODULE].item[1], "a,x");
	assert_true(a.is_given[MODULE]);
	for (int i = 0; i < 15; i++)
		strcat(line, "--module=a ");
	assert_int_equal(parse(line, &a), 0);
	assert_int_equal(a.list[MODULE].count, 15);
}

static void test_fallbacks(void **state)
{
	struct arguments a;

	assert_int_equal(parse("", &a), 0);
	assert_int_equal(a.number[MEMORY], 512 << 20);
	assert_int_equal(a.number[CPUS], 1);
	assert_false(a.is_given[CPUS]);
	assert_null(a.text[KERNEL]);
}

static void test_operands(void **state)
{
	struct arguments a;

	assert_int_equal(parse("me -q", &a), 0);
	assert_int_equal(a.operand_count, 1);
	assert_string_equal(a.operand[0], "me");
	assert_int_equal(parse("-q -- -q", &a), 0);
	assert_string_equal(a.operand[0], "-q");
	assert_int_equal(parse("-", &a), 0);
	assert_string_equal(a.operand[0], "-");
	assert_true(parse("a b", &a) < 0);
	/* A value may look like an option. */
	assert_int_equal(parse("--kernel --quiet", &a), 0);
	assert_string_equal(a.text[KERNEL], "--quiet");
	assert_false(a.is_given[QUIET]);
}

static void test_help_asked_for(void **state)
{
	struct arguments a;

	assert_int_equal(parse("--help --nonsense", &a), 0);
	assert_true(a.wants_help);
	assert_int_equal(parse("-h", &a), 0);
	assert_true(a.wants_help);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"--kernle f",
		"--kernel",
		"-k",
		"-x",
		"--quiet=1",
		"-qq",
		"-c 0",
		"-c 33",
		"-c -1",
		"-c 4x",
		"-c ~",
		"-m 3bananas",
		"-m -1",
		"-m ~",
		"-m 1MM",
		"-m 1K",
		"-m 4194305K",
		"-m 99999999999999999999",
		"-m 99999999999T",
		"--colour blue",
		"--colour re",
		"--colour ~",
		"--=x",
		"--colour red,green",
	};
	struct arguments a;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], &a) == 0)
			fail_msg("'%s' was taken", bad[i]);
}

static void test_sizes(void **state)
{
	uint64_t size;

	assert_true(size_parse("0", &size));
	assert_true(size_parse("1T", &size));
	assert_int_equal(size, 1ull << 40);
	assert_true(size_parse("3k", &size));
	assert_int_equal(size, 3072);
	assert_true(size_parse("16777215T", &size));
	assert_false(size_parse("16777216T", &size));
	assert_false(size_parse("M", &size));
	assert_false(size_parse("1.5G", &size));
	assert_false(size_parse("+1", &size));
}

static const char *word(const void *from, unsigned i)
{
	return ((const char *const *)from)[i];
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "kernel", "initrd", "append",
					     "cpus",   "cpu",	 NULL };

	assert_string_equal(nearest_word("kernle", word, words), "kernel");
	assert_string_equal(nearest_word("intrd", word, words), "initrd");
	assert_string_equal(nearest_word("cpuss", word, words), "cpus");
	assert_null(nearest_word("frobnicate", word, words));
	assert_null(nearest_word("a-word-that-is-longer-than-any-word-may-be",
				 word, words));
}

/* Every command's options fit the table's bounds and have what help needs. */
static void test_the_table(void **state)
{
	for (unsigned i = 0; cli_commands[i]; i++) {
		const struct command *c = cli_commands[i];
		unsigned count = 0;

		assert_non_null(c->run);
		assert_true(c->operands_max <= OPERANDS_MAX);
		assert_ptr_equal(cli_find(c->name), c);
		for (const struct option_type *o = c->options; o->name; o++) {
			count++;
			assert_non_null(o->help);
			assert_true(o->kind == OPTION_FLAG || o->value);
			for (const struct option_type *p = c->options; p != o;
			     p++) {
				assert_string_not_equal(o->name, p->name);
				assert_true(!o->letter ||
					    o->letter != p->letter);
			}
		}
		assert_true(count <= OPTIONS_MAX);
	}
}

/* The whole of what prints, for a look at it. */
static char *printed(void (*print)(FILE *file))
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	print(file);
	fclose(file);
	return text;
}

static void print_all_help(FILE *file)
{
	cli_print_overview(file);
	for (unsigned i = 0; cli_commands[i]; i++)
		cli_print_help(file, cli_commands[i]);
}

static void test_help_names_everything(void **state)
{
	char *text = printed(print_all_help), name[64];

	for (unsigned i = 0; cli_commands[i]; i++) {
		assert_non_null(strstr(text, cli_commands[i]->name));
		for (const struct option_type *o = cli_commands[i]->options;
		     o->name; o++) {
			snprintf(name, sizeof(name), "--%s", o->name);
			assert_non_null(strstr(text, name));
		}
	}
	free(text);
}

/* Asked of bash itself. */
static void test_completion(void **state)
{
	static const struct {
		const char *line, *wanted;
	} cases[] = {
		{ "'' '' ringfence ru", "run" },
		{ "'' '' run --ker", "--kernel" },
		{ "'' --engine run kv", "kvm" },
		{ "'' -e run int", "interp" },
		{ "'' help help doc", "doctor" },
	};
	char path[] = "/tmp/ringfence-completion-XXXXXX", command_line[400];
	char got[100], *text = printed(cli_print_completion);
	FILE *file = fdopen(mkstemp(path), "w");

	fputs(text, file);
	fclose(file);
	free(text);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* $1 nothing, $2 the word before, $3 the command, $4 this. */
		snprintf(command_line, sizeof(command_line),
			 "bash -c 'f() { COMP_WORDS=(ringfence \"$3\"); "
			 "COMP_CWORD=2; [ \"$3\" = ringfence ] && COMP_CWORD=1;"
			 " _ringfence ringfence \"$4\" \"$2\"; echo "
			 "\"${COMPREPLY[@]}\"; }; . %s; f %s'",
			 path, cases[i].line);
		/* The quotes inside are double ones for the outer shell. */
		for (char *c = strstr(command_line, "; f ") + 4; *c; c++)
			if (*c == '\'' && c[1])
				*c = '"';
		file = popen(command_line, "r");
		assert_non_null(fgets(got, sizeof(got), file));
		pclose(file);
		got[strcspn(got, "\n")] = 0;
		assert_string_equal(got, cases[i].wanted);
	}
	remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_list_keeps_all_in_order),
		cmocka_unit_test(test_fallbacks),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_help_asked_for),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_the_table),
		cmocka_unit_test(test_help_names_everything),
		cmocka_unit_test(test_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
