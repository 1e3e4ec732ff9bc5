/* SPDX-License-Identifier: BSD-2-Clause */
/* Ctrl-a and a letter, taken out of what a user types. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ESCAPE_KEY 0x01 /* Ctrl-a */

struct escape {
	bool is_pending; /* Ctrl-a was the last key */
};

enum escape_result {
	ESCAPE_BYTE, /* *byte is for the guest */
	ESCAPE_NOTHING, /* swallowed */
	ESCAPE_COMMAND, /* *command holds its letter */
	ESCAPE_UNKNOWN, /* Ctrl-a and a letter nobody knows: show the list */
};

/* The next key. */
enum escape_result escape_key(struct escape *escape, uint8_t key, uint8_t *byte,
			      char *command);

/* One line for each command, "\n" at their ends. */
extern const char escape_help[];
