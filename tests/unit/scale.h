/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a test with a free number of cases may run.  RINGFENCE_TEST_SCALE
 * is "quick" (before every landing; a few seconds for a program), "check" (the
 * default; a minute) or "full" (before an issue is closed; up to six minutes).
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** Returns whichever of the three numbers of cases the caller of make asked
 * for. */
static inline uint64_t test_scale(uint64_t quick, uint64_t check, uint64_t full)
{
	const char *scale = getenv("RINGFENCE_TEST_SCALE");

	if (scale && strcmp(scale, "quick") == 0)
		return quick;
	if (scale && strcmp(scale, "full") == 0)
		return full;
	return check;
}
