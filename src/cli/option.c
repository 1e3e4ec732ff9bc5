/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parses a command's arguments: --name value, --name=value, -n value, -nvalue,
 * bare flags, and "--" before operands that look like options.
 */
#include "cli/option.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/log.h"

#define WORD_MAX 32

bool size_parse(const char *text, uint64_t *size)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*size = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (!*end)
		return true;
	suffix = strchr(suffixes, toupper((unsigned char)*end));
	if (!suffix || end[1])
		return false;
	return checked_mul(*size, 1ull << (10 * (suffix - suffixes + 1)), size);
}

static bool number_parse(const char *text, uint64_t *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && !*end;
}

/* Levenshtein's distance, of words that are not too long. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1], length = strlen(b);

	if (strlen(a) > WORD_MAX || length > WORD_MAX)
		return ~0u;
	for (unsigned j = 0; j <= length; j++)
		row[j] = j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= length; j++) {
			unsigned change = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[length];
}

const char *nearest_word(const char *word,
			 const char *(*candidate)(const void *, unsigned),
			 const void *from)
{
	unsigned best = 3 + strlen(word) / 8, d;
	const char *nearest = NULL, *next;

	/* A third of the letters wrong is another word. */
	best = MIN(best, strlen(word) / 3 + 2);
	for (unsigned i = 0; (next = candidate(from, i)); i++) {
		d = distance(word, next);
		if (d < best) {
			best = d;
			nearest = next;
		}
	}
	return nearest;
}

static const char *option_name(const void *options, unsigned i)
{
	return ((const struct option_type *)options)[i].name;
}

static int unknown_option(const struct command *command, const char *name)
{
	const char *nearest = nearest_word(name, option_name, command->options);

	if (nearest)
		log_error("%s: no option --%s; did you mean --%s?",
			  command->name, name, nearest);
	else
		log_error("%s: no option --%s; `ringfence help %s` lists them",
			  command->name, name, command->name);
	return -EINVAL;
}

static bool is_one_of(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = words; length && (at = strstr(at, word)); at++)
		if ((at == words || at[-1] == ' ') &&
		    (at[length] == ' ' || !at[length]))
			return true;
	return false;
}

/* As the user wrote it, for messages: "-m" or "--memory". */
static int take_value(const struct option_type *option, const char *written,
		      const char *value, struct arguments *arguments,
		      unsigned index)
{
	uint64_t *number = &arguments->number[index];
	struct option_list *list = &arguments->list[index];

	arguments->text[index] = value;
	switch (option->kind) {
	case OPTION_FLAG:
		*number = 1;
		return 0;
	case OPTION_TEXT:
	case OPTION_FILE:
		return 0;
	case OPTION_LIST:
		if (list->count == LIST_MAX) {
			log_error("%s: more than %d", written, LIST_MAX);
			return -EINVAL;
		}
		list->item[list->count++] = value;
		return 0;
	case OPTION_WORD:
		if (is_one_of(option->words, value))
			return 0;
		log_error("%s %s: it is one of: %s", written, value,
			  option->words);
		return -EINVAL;
	case OPTION_NUMBER:
		if (number_parse(value, number) && *number >= option->min &&
		    *number <= option->max)
			return 0;
		log_error("%s %s: not a number from %" PRIu64 " to %" PRIu64,
			  written, value, option->min, option->max);
		return -EINVAL;
	case OPTION_SIZE:
		if (!size_parse(value, number) || *number < option->min) {
			log_error("%s %s: not a size such as 512M or 2G",
				  written, value);
			return -EINVAL;
		}
		if (*number > option->max) {
			log_error("%s %s: at most %" PRIu64 "G", written, value,
				  option->max >> 30);
			return -EINVAL;
		}
		return 0;
	}
	return -EINVAL;
}

static int find_long(const struct command *command, const char *name,
		     size_t length)
{
	for (int i = 0; command->options[i].name; i++)
		if (strlen(command->options[i].name) == length &&
		    memcmp(command->options[i].name, name, length) == 0)
			return i;
	return -1;
}

static int find_short(const struct command *command, char letter)
{
	for (int i = 0; command->options[i].name; i++)
		if (letter && command->options[i].letter == letter)
			return i;
	return -1;
}

/*
 * argv[at] is "--name..". Returns how many arguments it took, or -EINVAL.
 */
static int parse_long(const struct command *command, int argc, char **argv,
		      int at, struct arguments *arguments)
{
	const char *name = argv[at] + 2, *value = strchr(name, '=');
	size_t length = value ? (size_t)(value - name) : strlen(name);
	const struct option_type *option;
	char written[WORD_MAX + 3];
	int index, took = 1;

	snprintf(written, sizeof(written), "--%.*s", (int)MIN(length, 30),
		 name);
	index = find_long(command, name, length);
	if (index < 0)
		return unknown_option(command, written + 2);
	option = &command->options[index];
	if (option->kind == OPTION_FLAG) {
		if (value) {
			log_error("%s: %s takes no value", command->name,
				  written);
			return -EINVAL;
		}
		value = "";
	} else if (value) {
		value++;
	} else if (at + 1 < argc) {
		value = argv[at + 1];
		took = 2;
	} else {
		log_error("%s: %s needs a value: %s", command->name, written,
			  option->value);
		return -EINVAL;
	}
	arguments->is_given[index] = true;
	if (take_value(option, written, value, arguments, index))
		return -EINVAL;
	return took;
}

/* argv[at] is "-n" or "-nvalue"; short forms do not pile up. */
static int parse_short(const struct command *command, int argc, char **argv,
		       int at, struct arguments *arguments)
{
	const struct option_type *option;
	char written[] = { '-', argv[at][1], 0 };
	const char *value = argv[at] + 2;
	int index = find_short(command, written[1]), took = 1;

	if (index < 0) {
		log_error("%s: no option %s; `ringfence help %s` lists them",
			  command->name, written, command->name);
		return -EINVAL;
	}
	option = &command->options[index];
	if (option->kind != OPTION_FLAG && !*value) {
		if (at + 1 == argc) {
			log_error("%s: %s needs a value: %s", command->name,
				  written, option->value);
			return -EINVAL;
		}
		value = argv[at + 1];
		took = 2;
	} else if (option->kind == OPTION_FLAG && *value) {
		log_error("%s: %s takes no value", command->name, written);
		return -EINVAL;
	}
	arguments->is_given[index] = true;
	if (take_value(option, written, value, arguments, index))
		return -EINVAL;
	return took;
}

static void take_fallbacks(const struct command *command,
			   struct arguments *arguments)
{
	for (unsigned i = 0; command->options[i].name; i++) {
		const struct option_type *option = &command->options[i];

		BUG_ON(i >= OPTIONS_MAX);
		if (!option->fallback)
			continue;
		BUG_ON(take_value(option, option->name, option->fallback,
				  arguments, i));
	}
}

static int take_operand(const struct command *command, const char *text,
			struct arguments *arguments)
{
	if (arguments->operand_count == command->operands_max) {
		log_error("%s: one argument too many: %s", command->name, text);
		return -EINVAL;
	}
	arguments->operand[arguments->operand_count++] = text;
	return 0;
}

static bool asks_for_help(const char *text)
{
	return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

int arguments_parse(const struct command *command, int argc, char **argv,
		    struct arguments *arguments)
{
	bool options_ended = false;
	int n;

	memset(arguments, 0, sizeof(*arguments));
	take_fallbacks(command, arguments);
	for (int at = 0; at < argc; at += n) {
		const char *text = argv[at];

		n = 1;
		if (options_ended || text[0] != '-' || !text[1]) {
			if (take_operand(command, text, arguments))
				return -EINVAL;
		} else if (strcmp(text, "--") == 0) {
			options_ended = true;
		} else if (asks_for_help(text)) {
			arguments->wants_help = true;
			return 0;
		} else {
			n = text[1] == '-' ? parse_long(command, argc, argv, at,
							arguments) :
					     parse_short(command, argc, argv,
							 at, arguments);
			if (n < 0)
				return n;
		}
	}
	if (arguments->operand_count < command->operands_min) {
		log_error("%s: %s is missing", command->name,
			  command->operands);
		return -EINVAL;
	}
	return 0;
}
