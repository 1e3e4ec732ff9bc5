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

/*
 * A straight line of code within one page, or one instruction on two. In the
 * arena the bytes it was decoded from follow, so that what its entry looks at
 * is one or two cache lines; then its instructions.
 */
struct block {
	const uint8_t *host; /* where it was decoded from: the key, with mode */
	struct block *next; /* in the hash chain */
	/* What followed it lately: tried before the hash. A hint. */
	struct block *successor[2];
	const struct block_op *op;
	uint16_t size; /* bytes */
	uint8_t count; /* instructions, at least 1 */
	uint8_t mode; /* enum x86_mode */
	bool is_crossing; /* one instruction, continued on the next page */
	uint8_t bytes[];
};

#define BLOCK_BUCKETS 32768

struct block_cache {
	/* The block that runs and the RIP of its first instruction; NULL
	 * between blocks. For counting when a fault leaves it half-way. */
	const struct block *running;
	uint64_t start_rip;
	uint64_t decoded; /* blocks, since creation */

	uint8_t *arena;
	size_t used, limit;
	struct block_op op[BLOCK_INSNS_MAX]; /* of the block being decoded */
	interp_fn *handler[OP_COUNT];
	bool has_feature[FEAT_COUNT];
	struct block *bucket[BLOCK_BUCKETS];
};

/* NULL when out of memory. `cpuid` NULL: every feature there is. */
struct block_cache *block_cache_create(const struct cpuid_table *cpuid);
void block_cache_destroy(struct block_cache *cache);
/* For who interprets little: less memory than usual for blocks, in bytes. */
void block_cache_limit(struct block_cache *cache, size_t limit);

/*
 * The block at CS:RIP, decoded if need be; sets cpu->code_page. `previous` is
 * the block that just ran, NULL when that is not known. Faults as the fetch of
 * its first instruction does. Valid until the next call.
 */
struct block *block_find(struct interp *cpu, struct block *previous);
/* For who wants its first instruction only: no more need be decoded. */
struct block *block_find_one(struct interp *cpu);

/* Fills in handler[]; handlers.c. */
void handlers_fill(interp_fn *handler[OP_COUNT]);
