/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoded code: blocks of instructions and the cache that holds them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"

/* At most so many instructions run without a look at the outside world. */
#define BLOCK_INSNS_MAX 32

struct block_op {
	interp_fn *fn;
	struct insn insn;
};

/* A straight line of code within one page, or one instruction on two. */
struct block {
	const uint8_t *host; /* where it was decoded from: the key, with mode */
	const uint8_t *bytes; /* what it was decoded from */
	struct block *next; /* in the hash chain */
	uint16_t count; /* instructions, at least 1 */
	uint16_t size; /* bytes */
	uint8_t mode; /* enum x86_mode */
	bool is_crossing; /* one instruction, continued on the next page */
	struct block_op op[];
};

#define BLOCK_BUCKETS 32768

struct block_cache {
	/* The block that runs and the RIP of its first instruction; NULL
	 * between blocks. For counting when a fault leaves it half-way. */
	const struct block *running;
	uint64_t start_rip;
	uint64_t decoded; /* blocks, since creation */

	uint8_t *arena;
	size_t used;
	interp_fn *handler[OP_COUNT];
	bool has_feature[FEAT_COUNT];
	struct block *bucket[BLOCK_BUCKETS];
};

/* NULL when out of memory. `cpuid` NULL: every feature there is. */
struct block_cache *block_cache_create(const struct cpuid_table *cpuid);
void block_cache_destroy(struct block_cache *cache);

/*
 * The block at CS:RIP, decoded if need be; sets cpu->code_page. Faults as the
 * fetch of its first instruction does. Valid until the next call.
 */
const struct block *block_find(struct interp *cpu);

/* Fills in handler[]; handlers.c. */
void handlers_fill(interp_fn *handler[OP_COUNT]);
