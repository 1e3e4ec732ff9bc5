/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's two address spaces, kept apart by name. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address */
typedef uint64_t gva_t; /* guest virtual (linear) address */

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (~(PAGE_SIZE - 1))

/* SDM 1, 3.3.7.1: bits 63..47 equal, 4-level paging. */
static inline bool gva_is_canonical(gva_t gva)
{
	return (uint64_t)((int64_t)(gva << 16) >> 16) == gva;
}
