/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block cache.
 *
 * A block is found by the host address of its first byte and the mode: two
 * linear addresses of one page share it, and a page that is mapped elsewhere
 * finds its blocks again. Nothing is ever invalidated: each entry compares the
 * bytes the block was decoded from with what is in memory now. That is a few
 * nanoseconds, and with it no write by whomever (another vCPU, a device, a
 * third process) through whatever alias leaves stale code behind.
 *
 * Within a block, code is as it was when the block was entered. The processor
 * promises no more to cross-modifying code without serialization (SDM 3,
 * 8.1.3); for its own stores it does, so a store to cpu->code_page ends the
 * block. An instruction on two pages is a block of its own and compares both
 * parts.
 *
 * Blocks are allocated from one arena; when it is full everything is dropped.
 * Decoding again what is in use costs less than keeping track of it.
 */
#include "engine/interp/block.h"

#include <emmintrin.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/interp/operand.h"
#include "x86/decode.h"

#define ARENA_SIZE (8u << 20)

/* The largest block, in the arena. */
#define BLOCK_SIZE_MAX                                           \
	(sizeof(struct block) + BLOCK_INSNS_MAX * INSN_MAX_LEN + \
	 BLOCK_INSNS_MAX * sizeof(struct block_op) + 128)

static bool feature_offered(const struct cpuid_table *cpuid,
			    enum insn_feature feature)
{
	const struct insn_feature_info *info = insn_feature_info(feature);
	const struct cpuid_leaf *leaf;
	uint32_t value;

	if (!cpuid || !info->leaf)
		return true;
	leaf = cpuid_find(cpuid, info->leaf, info->subleaf);
	if (!leaf)
		return false;
	value = info->reg == 0 ? leaf->eax :
		info->reg == 1 ? leaf->ebx :
		info->reg == 2 ? leaf->ecx :
				 leaf->edx;
	return value >> info->bit & 1;
}

struct block_cache *block_cache_create(const struct cpuid_table *cpuid)
{
	struct block_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->limit = ARENA_SIZE;
	cache->arena = aligned_alloc(64, ARENA_SIZE);
	if (!cache->arena) {
		free(cache);
		return NULL;
	}
	for (unsigned i = 0; i < FEAT_COUNT; i++)
		cache->has_feature[i] = feature_offered(cpuid, i);
	/* A 64-bit processor has it in any case (APM 3, PREFETCHW), and Linux
	 * uses it unasked on AMD's. */
	cache->has_feature[FEAT_PREFETCHW] |= cache->has_feature[FEAT_LM];
	handlers_fill(cache->handler);
	return cache;
}

void block_cache_destroy(struct block_cache *cache)
{
	if (!cache)
		return;
	free(cache->arena);
	free(cache);
}

void block_cache_limit(struct block_cache *cache, size_t limit)
{
	BUG_ON(limit > ARENA_SIZE || limit < BLOCK_SIZE_MAX);
	cache->limit = limit;
}

/* --- finding -------------------------------------------------------------- */

/* Most blocks are between 8 and 48 bytes. Overlapping loads instead of a tail:
 * nothing past `size` is touched, it may be another page. */
ALWAYS_INLINE bool bytes_equal(const uint8_t *a, const uint8_t *b,
			       unsigned size)
{
	uint64_t difference = 0;

	if (likely(size >= 16)) {
		__m128i equal = _mm_set1_epi8(-1);

		for (unsigned i = 0;; i += 16) {
			if (i + 16 > size)
				i = size - 16;
			equal = _mm_and_si128(
				equal,
				_mm_cmpeq_epi8(
					_mm_loadu_si128((const void *)(a + i)),
					_mm_loadu_si128((const void *)(b + i))));
			if (i + 16 == size)
				return _mm_movemask_epi8(equal) == 0xffff;
		}
	}
	if (size >= 8)
		return load_u64(a) == load_u64(b) &&
		       load_u64(a + size - 8) == load_u64(b + size - 8);
	if (size >= 4)
		return load_u32(a) == load_u32(b) &&
		       load_u32(a + size - 4) == load_u32(b + size - 4);
	for (unsigned i = 0; i < size; i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

ALWAYS_INLINE unsigned bucket_of(const uint8_t *host, enum x86_mode mode)
{
	uint64_t key = (uint64_t)(uintptr_t)host * 4 + mode;

	return (unsigned)(key * 0x9e3779b97f4a7c15ull >> 49);
}

_Static_assert(BLOCK_BUCKETS == 1 << (64 - 49), "bucket_of");

static gva_t code_address(const struct interp *cpu, uint64_t rip)
{
	if (likely(cpu->mode == X86_MODE_64))
		return rip;
	return (uint32_t)(cpu->s.segment[SEG_CS].base + rip);
}

/*
 * The host's address of code. Outside RAM and ROM there is none: what nobody
 * drives reads as FFh, and FF /7 is no instruction.
 */
static __attribute__((noinline)) const uint8_t *fetch_slow(struct interp *cpu,
							   gva_t gva)
{
	gpa_t gpa;
	const uint8_t *host = mem_fetch_slow(cpu, gva, &gpa);

	if (!host)
		fault_ud(cpu);
	return host;
}

ALWAYS_INLINE const uint8_t *fetch(struct interp *cpu, gva_t gva)
{
	const uint8_t *host =
		tlb_find(cpu, mem_code_view(cpu), MMU_EXEC, gva, 1);

	return likely(host) ? host : fetch_slow(cpu, gva);
}

/* The part of an instruction on the next page; faults as its fetch does. */
static const uint8_t *fetch_next_page(struct interp *cpu, gva_t gva)
{
	gva_t next = (gva | ~PAGE_MASK) + 1;

	return fetch(cpu, cpu->mode == X86_MODE_64 ? next : (uint32_t)next);
}

static bool block_is_current(struct interp *cpu, const struct block *block,
			     gva_t gva)
{
	unsigned first;

	if (likely(!block->is_crossing))
		return bytes_equal(block->bytes, block->host, block->size);
	first = (unsigned)(PAGE_SIZE - gva % PAGE_SIZE);
	return bytes_equal(block->bytes, block->host, first) &&
	       bytes_equal(block->bytes + first, fetch_next_page(cpu, gva),
			   block->size - first);
}

static struct block *block_decode(struct interp *cpu, const uint8_t *host,
				  gva_t gva, unsigned limit);

ALWAYS_INLINE bool block_is(const struct block *block, const uint8_t *host,
			    enum x86_mode mode)
{
	return block && block->host == host && block->mode == mode;
}

static struct block *block_look_up(struct interp *cpu, struct block *previous,
				   const uint8_t *host, gva_t gva,
				   unsigned limit)
{
	enum x86_mode mode = cpu->mode;
	struct block *block;

	for (block = cpu->blocks->bucket[bucket_of(host, mode)]; block;
	     block = block->next)
		if (block_is(block, host, mode))
			break;
	/* Decoding may drop every block, `previous` too. */
	if (!block || !block_is_current(cpu, block, gva))
		return block_decode(cpu, host, gva, limit);
	if (previous) {
		previous->successor[1] = previous->successor[0];
		previous->successor[0] = block;
	}
	return block;
}

ALWAYS_INLINE struct block *find(struct interp *cpu, struct block *previous,
				 unsigned limit)
{
	gva_t gva = code_address(cpu, cpu->s.rip);
	enum x86_mode mode = cpu->mode;
	const uint8_t *host;

	if (unlikely(mode != X86_MODE_64) &&
	    cpu->s.rip > cpu->s.segment[SEG_CS].limit)
		fault_gp(cpu, 0);
	host = fetch(cpu, gva);
	cpu->code_page = (const uint8_t *)((uintptr_t)host & PAGE_MASK);
	if (likely(previous))
		for (unsigned i = 0; i < 2; i++) {
			struct block *block = previous->successor[i];

			if (block_is(block, host, mode) &&
			    block_is_current(cpu, block, gva))
				return block;
		}
	return block_look_up(cpu, previous, host, gva, limit);
}

struct block *block_find(struct interp *cpu, struct block *previous)
{
	return find(cpu, previous, BLOCK_INSNS_MAX);
}

struct block *block_find_one(struct interp *cpu)
{
	return find(cpu, NULL, 1);
}

/* --- decoding ------------------------------------------------------------- */

/* More than 15 bytes, SDM 3, 6.15, #GP. */
static void exec_too_long(struct interp *cpu, const struct insn *insn)
{
	fault_gp(cpu, 0);
}

static void block_insert(struct block_cache *cache, struct block *block)
{
	struct block **link =
		&cache->bucket[bucket_of(block->host, block->mode)];

	block->next = *link;
	*link = block;
	/* An older one of the same key is out of date. */
	for (link = &block->next; *link; link = &(*link)->next)
		if ((*link)->host == block->host &&
		    (*link)->mode == block->mode) {
			*link = (*link)->next;
			return;
		}
}

/*
 * Makes a block of the instructions in cache->op and of `bytes`, and makes it
 * known. `model` is its head.
 */
static struct block *block_add(struct block_cache *cache,
			       const struct block *model, const uint8_t *bytes)
{
	size_t ops = model->count * sizeof(struct block_op);
	size_t head = align_up(sizeof(*model) + model->size, 16);
	struct block *block;
	uint8_t *place;

	if (cache->used + BLOCK_SIZE_MAX > cache->limit) {
		memset(cache->bucket, 0, sizeof(cache->bucket));
		cache->used = 0;
	}
	place = cache->arena + cache->used;
	cache->used += align_up(head + ops, 64);
	block = (struct block *)place;
	*block = *model;
	block->op = memcpy(place + head, cache->op, ops);
	memcpy(block->bytes, bytes, model->size);
	block_insert(cache, block);
	cache->decoded++;
	return block;
}

/* What the decoder refuses: an instruction that faults. All the bytes it may
 * have looked at count. */
static void refuse(struct block_cache *cache, struct block *model, int error,
		   unsigned available)
{
	cache->op[0] = (struct block_op){
		.fn = error == -INSN_LONG ? exec_too_long : exec_undefined,
		.insn = { .len = 1, .mode = model->mode },
	};
	model->count = 1;
	model->size = (uint16_t)MIN(available, INSN_MAX_LEN);
}

static struct block *decode_crossing(struct interp *cpu, struct block *model,
				     gva_t gva)
{
	unsigned first = (unsigned)(PAGE_SIZE - gva % PAGE_SIZE);
	const uint8_t *second = fetch_next_page(cpu, gva);
	struct block_op *op = cpu->blocks->op;
	uint8_t bytes[INSN_MAX_LEN];
	int length;

	memcpy(bytes, model->host, first);
	memcpy(bytes + first, second, INSN_MAX_LEN - first);
	model->is_crossing = true;
	model->count = 1;
	length = insn_decode(&op->insn, bytes, INSN_MAX_LEN, model->mode);
	if (length < 0) {
		refuse(cpu->blocks, model, length, INSN_MAX_LEN);
	} else {
		model->size = (uint16_t)length;
		op->fn = interp_handler_find(cpu, &op->insn);
	}
	return block_add(cpu->blocks, model, bytes);
}

static struct block *block_decode(struct interp *cpu, const uint8_t *host,
				  gva_t gva, unsigned limit)
{
	unsigned available = (unsigned)(PAGE_SIZE - gva % PAGE_SIZE), at = 0;
	struct block model = { .host = host, .mode = (uint8_t)cpu->mode };
	uint8_t bytes[BLOCK_INSNS_MAX * INSN_MAX_LEN];

	available = MIN(available, (unsigned)sizeof(bytes));
	/* Decode a copy: another vCPU may write meanwhile, and what was decoded
	 * must be what is compared. */
	memcpy(bytes, host, available);
	while (model.count < limit && at < available) {
		struct block_op *op = &cpu->blocks->op[model.count];
		int length = insn_decode(&op->insn, bytes + at, available - at,
					 cpu->mode);

		if (length < 0) {
			if (model.count)
				break;
			if (length == -INSN_SHORT)
				return decode_crossing(cpu, &model, gva);
			refuse(cpu->blocks, &model, length, available);
			at = model.size;
			break;
		}
		op->fn = interp_handler_find(cpu, &op->insn);
		model.count++;
		at += (unsigned)length;
		if (insn_row(&op->insn)->attrs & ROW_ENDS)
			break;
	}
	model.size = (uint16_t)at;
	return block_add(cpu->blocks, &model, bytes);
}
