/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands and their options as data. One table drives parsing, help and shell
 * completion.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
	OPTION_FLAG, /* bare */
	OPTION_TEXT,
	OPTION_FILE, /* text; completion offers files */
	OPTION_LIST, /* a file that may be given again and again */
	OPTION_WORD, /* one of `words` */
	OPTION_NUMBER, /* min to max */
	OPTION_SIZE, /* bytes, with a suffix K, M, G or T; min to max */
};

struct option_type {
	const char *name; /* without its dashes */
	char letter; /* of the short form; 0: none */
	enum option_kind kind;
	const char *value; /* how help calls the value: "FILE" */
	const char *words; /* of OPTION_WORD, and what completion offers */
	const char *fallback; /* used when the option is not given */
	uint64_t min, max;
	const char *help;
};

#define OPTIONS_MAX  32
#define OPERANDS_MAX 4
#define LIST_MAX     32

/* What was given, by the options' places in the command's table. */
struct arguments {
	bool is_given[OPTIONS_MAX];
	const char *text[OPTIONS_MAX]; /* given or the fallback, or NULL */
	uint64_t number[OPTIONS_MAX]; /* of numbers and sizes; flags: 1 */
	struct option_list {
		unsigned count;
		const char *item[LIST_MAX];
	} list[OPTIONS_MAX]; /* of OPTION_LIST, in their order */
	unsigned operand_count;
	const char *operand[OPERANDS_MAX];
	bool wants_help;
};

struct command {
	const char *name, *summary;
	const char *operands; /* "PID|NAME", or "" */
	unsigned operands_min, operands_max;
	const struct option_type *options; /* ends with name NULL */
	const char *text; /* more of what help says; or NULL */
	/* The process's exit status; 125 after an error, which has been said. */
	int (*run)(const struct arguments *arguments);
};

/* 0, or -EINVAL when one line has said what is wrong. */
int arguments_parse(const struct command *command, int argc, char **argv,
		    struct arguments *arguments);

/* The whole text is a size in bytes: "512M". */
bool size_parse(const char *text, uint64_t *size);

/*
 * The word of `candidates` (called until NULL comes) that `word` may have been
 * meant to be, or NULL when none is near.
 */
const char *nearest_word(const char *word,
			 const char *(*candidate)(const void *from, unsigned i),
			 const void *from);
