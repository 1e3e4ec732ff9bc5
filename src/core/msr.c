/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs that belong to chips and to the paravirtual interface. */

#include "core/msr.h"

#include <errno.h>
#include <stddef.h>

#include "core/exit.h"

int msr_add(struct msr_table *table, struct exit_sources *sources,
	    const struct msr_range *range)
{
	if (table->count == MSR_RANGES_MAX)
		return -ENOSPC;
	for (unsigned i = 0; i < table->count; i++)
		if (range->first <= table->range[i].last &&
		    table->range[i].first <= range->last)
			return -EEXIST;
	table->range[table->count] = *range;
	table->range[table->count].source = exit_source(sources, range->name);
	table->count++;
	return 0;
}

const struct msr_range *msr_find(const struct msr_table *table, uint32_t index)
{
	for (unsigned i = 0; i < table->count; i++)
		if (index >= table->range[i].first &&
		    index <= table->range[i].last)
			return &table->range[i];
	return NULL;
}
