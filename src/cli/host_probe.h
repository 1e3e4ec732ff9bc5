/* SPDX-License-Identifier: BSD-2-Clause */
/* What the host offers besides engines, asked rather than guessed. */
#pragma once

#include <stdbool.h>

struct host_facility {
	const char *name;
	bool is_there;
	char finding[160];
	const char *cost; /* of its absence; "" when that costs nothing yet */
};

#define HOST_FACILITIES 7

/* Fills all of them; takes some milliseconds. */
void host_probe(struct host_facility facility[HOST_FACILITIES]);
