/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values with keys of their own, in crosvm's grammar: "interp,key=value,flag".
 * The first key may be left out; a key without a value is a flag.
 */
#pragma once

#include "machine/machine.h"

#define SUBOPTIONS_MAX	   8
#define SUBOPTION_TEXT_MAX 256

struct suboptions {
	char text[SUBOPTION_TEXT_MAX]; /* cut into the strings below */
	const char *first; /* the value whose key was left out, or NULL */
	/* Ends with name NULL. A flag's value is "". */
	struct machine_option option[SUBOPTIONS_MAX + 1];
};

/* `written` is the option's name for messages. 0, or -EINVAL when one line has
 * said what is wrong. */
int suboptions_parse(const char *written, const char *text,
		     struct suboptions *suboptions);
