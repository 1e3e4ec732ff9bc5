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

#include "engine/interp/operand.h"
#include "x86/decode.h"

#define ARENA_SIZE (8u << 20)

/* The largest block, its bytes included. */
#define BLOCK_SIZE_MAX          \
	(sizeof(struct block) + \
	 BLOCK_INSNS_MAX * (sizeof(struct block_op) + INSN_MAX_LEN) + 16)

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
	cache->arena = malloc(ARENA_SIZE);
	if (!cache->arena) {
		free(cache);
		return NULL;
	}
	for (unsigned i = 0; i < FEAT_COUNT; i++)
		cache->has_feature[i] = feature_offered(cpuid, i);
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

/* The part of an instruction on the next page; faults as its fetch does. */
static const uint8_t *fetch_next_page(struct interp *cpu, gva_t gva)
{
	gva_t next = (gva | ~PAGE_MASK) + 1;
	const uint8_t *host;
	gpa_t gpa;

	if (cpu->mode != X86_MODE_64)
		next = (uint32_t)next;
	host = mem_fetch(cpu, next, &gpa);
	if (!host)
		fault_ud(cpu);
	return host;
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

static const struct block *block_decode(struct interp *cpu, const uint8_t *host,
					gva_t gva);

const struct block *block_find(struct interp *cpu)
{
	gva_t gva = code_address(cpu, cpu->s.rip);
	enum x86_mode mode = cpu->mode;
	const struct block *block;
	const uint8_t *host;
	gpa_t gpa;

	if (unlikely(mode != X86_MODE_64) &&
	    cpu->s.rip > cpu->s.segment[SEG_CS].limit)
		fault_gp(cpu, 0);
	host = mem_fetch(cpu, gva, &gpa);
	/* Code outside RAM and ROM: what nobody drives reads as FFh, and FF
	 * /7 is no instruction. */
	if (unlikely(!host))
		fault_ud(cpu);
	cpu->code_page = (const uint8_t *)((uintptr_t)host & PAGE_MASK);
	for (block = cpu->blocks->bucket[bucket_of(host, mode)]; block;
	     block = block->next)
		if (block->host == host && block->mode == mode)
			break;
	if (likely(block && block_is_current(cpu, block, gva)))
		return block;
	return block_decode(cpu, host, gva);
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

static struct block *block_allocate(struct block_cache *cache)
{
	struct block *block;

	if (cache->used + BLOCK_SIZE_MAX > ARENA_SIZE) {
		memset(cache->bucket, 0, sizeof(cache->bucket));
		cache->used = 0;
	}
	block = (struct block *)(cache->arena + cache->used);
	cache->decoded++;
	return block;
}

/* Appends the bytes and makes the block known. */
static void block_finish(struct block_cache *cache, struct block *block,
			 const uint8_t *bytes)
{
	uint8_t *copy = (uint8_t *)&block->op[block->count];
	size_t size = sizeof(*block) + block->count * sizeof(block->op[0]) +
		      block->size;

	memcpy(copy, bytes, block->size);
	block->bytes = copy;
	cache->used += align_up(size, 16);
	block_insert(cache, block);
}

/* What the decoder refuses: an instruction that faults. All the bytes it may
 * have looked at count. */
static void block_refused(struct block *block, int error, unsigned available)
{
	block->op[0] = (struct block_op){
		.fn = error == -INSN_LONG ? exec_too_long : exec_undefined,
		.insn = { .len = 1, .mode = block->mode },
	};
	block->count = 1;
	block->size = (uint16_t)MIN(available, INSN_MAX_LEN);
}

static void decode_crossing(struct interp *cpu, struct block *block,
			    const uint8_t *host, gva_t gva)
{
	unsigned first = (unsigned)(PAGE_SIZE - gva % PAGE_SIZE);
	const uint8_t *second = fetch_next_page(cpu, gva);
	uint8_t bytes[INSN_MAX_LEN];
	int length;

	memcpy(bytes, host, first);
	memcpy(bytes + first, second, INSN_MAX_LEN - first);
	block->is_crossing = true;
	block->count = 1;
	length = insn_decode(&block->op[0].insn, bytes, INSN_MAX_LEN,
			     block->mode);
	if (length < 0) {
		block_refused(block, length, INSN_MAX_LEN);
	} else {
		block->size = (uint16_t)length;
		block->op[0].fn = interp_handler_find(cpu, &block->op[0].insn);
	}
	block_finish(cpu->blocks, block, bytes);
}

static const struct block *block_decode(struct interp *cpu, const uint8_t *host,
					gva_t gva)
{
	unsigned available = (unsigned)(PAGE_SIZE - gva % PAGE_SIZE), at = 0;
	struct block *block = block_allocate(cpu->blocks);
	uint8_t bytes[BLOCK_INSNS_MAX * INSN_MAX_LEN];

	*block = (struct block){ .host = host, .mode = (uint8_t)cpu->mode };
	available = MIN(available, (unsigned)sizeof(bytes));
	/* Decode a copy: another vCPU may write meanwhile, and what was decoded
	 * must be what is compared. */
	memcpy(bytes, host, available);
	while (block->count < BLOCK_INSNS_MAX && at < available) {
		struct block_op *op = &block->op[block->count];
		int length = insn_decode(&op->insn, bytes + at, available - at,
					 cpu->mode);

		if (length < 0) {
			if (block->count)
				break;
			if (length == -INSN_SHORT) {
				decode_crossing(cpu, block, host, gva);
				return block;
			}
			block_refused(block, length, available);
			at = block->size;
			break;
		}
		op->fn = interp_handler_find(cpu, &op->insn);
		block->count++;
		at += (unsigned)length;
		if (insn_row(&op->insn)->attrs & ROW_ENDS)
			break;
	}
	block->size = (uint16_t)at;
	block_finish(cpu->blocks, block, bytes);
	return block;
}
