/* SPDX-License-Identifier: BSD-2-Clause */
/* The names behind the ledger's device column. */

#include "core/exit.h"

#include <string.h>

void exit_sources_init(struct exit_sources *sources)
{
	*sources = (struct exit_sources){ .name = { "-" }, .count = 1 };
}

unsigned exit_source(struct exit_sources *sources, const char *name)
{
	for (unsigned i = 0; i < sources->count; i++)
		if (!strcmp(sources->name[i], name))
			return i;
	if (sources->count == EXIT_SOURCES_MAX)
		return 0;
	sources->name[sources->count] = name;
	return sources->count++;
}
