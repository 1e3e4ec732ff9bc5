/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks: where they are found, what their pages' ids are, which branches are
 * chained to them, and how they go.
 *
 * What may lead to a block: a chained branch, a vCPU's jump table, a return
 * address on a shadow stack (of the site at its end), and a vCPU that is about
 * to go on in it. Dropping takes back the first by the list of incoming links,
 * and makes the next two harmless by BT_NO_ID in the code, in one store.
 * So no vCPU has to stop. One that is inside runs to the end of the block,
 * as a processor may that has not serialized (SDM 3, 8.1.3); where it is its
 * own store that changed the code, the dispatcher has it leave the block.
 */
#include <stdlib.h>

#include "engine/bt/code.h"

/* --- the table ------------------------------------------------------------ */

#define RUN 64 /* buckets that a page's blocks have, one after the other */

/*
 * Where a block is listed: a bucket, whose lower half is the first's number, and
 * a bit of the upper half, set if one like it is in the list. What is not there,
 * as before every translation, is mostly known so without a look at others.
 */
struct slot {
	unsigned bucket;
	uint64_t bit;
};

/* What is looked for next is mostly near what was looked for last. */
static struct slot hash(uint32_t page, uint64_t rip, uint32_t flavour)
{
	uint64_t x = rip >> PAGE_SHIFT ^ (uint64_t)page << 28 ^
		     (uint64_t)flavour << 58;
	unsigned run, place = (unsigned)(rip ^ rip >> 6) % RUN;

	x *= 0x9e3779b97f4a7c15ull;
	run = (unsigned)(x >> 40) % (BT_BUCKETS / RUN);
	return (struct slot){
		.bucket = run * RUN + place,
		.bit = BIT(32 + ((x >> 32 ^ rip ^ rip >> 7) & 31)),
	};
}

struct bt_block *bt_block_find(struct bt_vm *bt, uint32_t page, uint64_t rip,
			       uint32_t flavour)
{
	struct slot slot = hash(page, rip, flavour);
	uint64_t bucket =
		__atomic_load_n(&bt->bucket[slot.bucket], __ATOMIC_ACQUIRE);
	uint32_t number = bucket & slot.bit ? (uint32_t)bucket : 0;

	while (number) {
		struct bt_block *block = &bt->block[number];

		if (block->rip == rip && block->page == page &&
		    block->flavour == flavour)
			return block;
		number = __atomic_load_n(&block->next, __ATOMIC_ACQUIRE);
	}
	return NULL;
}

static void enter(struct bt_vm *bt, struct bt_block *block)
{
	struct slot slot = hash(block->page, block->rip, block->flavour);
	uint64_t *bucket = &bt->bucket[slot.bucket];
	uint64_t bits = (*bucket & ~(uint64_t)UINT32_MAX) | slot.bit;

	block->next = (uint32_t)*bucket;
	__atomic_store_n(bucket, bits | bt_block_number(bt, block),
			 __ATOMIC_RELEASE);
}

/* Its bit stays, which others may share, until the list is empty. */
static void unhash(struct bt_vm *bt, const struct bt_block *block)
{
	struct slot slot = hash(block->page, block->rip, block->flavour);
	uint64_t *bucket = &bt->bucket[slot.bucket];
	uint32_t number = bt_block_number(bt, block);
	uint64_t bits = *bucket & ~(uint64_t)UINT32_MAX;
	uint32_t *link;

	if ((uint32_t)*bucket == number) {
		__atomic_store_n(bucket, block->next ? bits | block->next : 0,
				 __ATOMIC_RELEASE);
		return;
	}
	link = &bt->block[(uint32_t)*bucket].next;
	while (*link != number)
		link = &bt->block[*link].next;
	__atomic_store_n(link, block->next, __ATOMIC_RELEASE);
}

/* --- ids ------------------------------------------------------------------ */

/* A page may be at as many addresses as a guest likes. */
static struct bt_mapping **find_mapping(struct bt_vm *bt, uint32_t page,
					uint64_t rip, uint32_t flavour)
{
	uint64_t x = rip >> PAGE_SHIFT ^ (uint64_t)page << 28 ^
		     (uint64_t)flavour << 58;
	struct bt_mapping **link =
		&bt->mapping[x * 0x9e3779b97f4a7c15ull >> 40 &
			     (BT_MAPPINGS - 1)];

	while (*link && ((*link)->rip != (rip & PAGE_MASK) ||
			 (*link)->page != page || (*link)->flavour != flavour))
		link = &(*link)->next;
	return link;
}

struct bt_mapping *bt_mapping_find(struct bt_vm *bt, uint32_t page,
				   uint64_t rip, uint32_t flavour)
{
	return *find_mapping(bt, page, rip, flavour);
}

uint32_t bt_mapping_move(struct bt_vm *bt, struct bt_mapping *mapping,
			 uint64_t rip)
{
	struct bt_mapping **link =
		find_mapping(bt, mapping->page, mapping->rip, mapping->flavour);

	*link = mapping->next;
	mapping->rip = rip;
	mapping->id = ++bt->last_id;
	link = find_mapping(bt, mapping->page, rip, mapping->flavour);
	mapping->next = *link;
	*link = mapping;
	return mapping->id;
}

uint32_t bt_block_id(struct bt_vcpu *vcpu, uint32_t page, uint64_t rip,
		     uint32_t flavour)
{
	struct bt_vm *bt = vcpu->bt;
	struct bt_mapping **link = find_mapping(bt, page, rip, flavour);
	struct bt_mapping *mapping = *link;

	if (mapping)
		return mapping->id;
	bt_vectors_leave(vcpu);
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return 0;
	*mapping = (struct bt_mapping){
		.rip = rip & PAGE_MASK,
		.page = page,
		.flavour = flavour,
		.id = ++bt->last_id,
		.root = vcpu->cpu.s.cr3 & BITS(51, 12),
	};
	*link = mapping;
	return mapping->id;
}

static void put_id(struct bt_vm *bt, const struct bt_block *block)
{
	struct bt_mapping **link = find_mapping(bt, block->page, block->rip,
						bt_id_flavour(block->flavour));
	struct bt_mapping *mapping = *link;

	if (--mapping->blocks)
		return;
	*link = mapping->next;
	free(mapping);
}

/* --- links ---------------------------------------------------------------- */

/* Whoever runs it sees the old value or the new: code_align_patched. */
static void patch(struct bt_vm *bt, uint32_t at, uint32_t value)
{
	__asm__ volatile("movl %1, (%0)"
			 :
			 : "r"(bt->writable + at), "r"(value)
			 : "memory");
}

static void lead(struct bt_vm *bt, const struct bt_link *link, uint32_t target)
{
	patch(bt, link->at, target - (link->at + 4));
}

static uint32_t entry_of(const struct bt_block *block, enum bt_link_kind kind)
{
	if (kind == LINK_FAR)
		return block->code;
	return block->code +
	       (uint32_t)(kind == LINK_RFLAGS ? block->entry : BT_CHECK_SIZE);
}

/* Out of its target's list, and back to the dispatcher. */
void bt_link_unchain(struct bt_vm *bt, struct bt_link *link)
{
	if (!link->to)
		return;
	if (link->prev)
		bt_link(bt, link->prev)->next = link->next;
	else
		bt->block[link->to].incoming = link->next;
	if (link->next)
		bt_link(bt, link->next)->prev = link->prev;
	link->to = link->next = link->prev = 0;
	lead(bt, link, link->ask);
}

void bt_link_chain(struct bt_vm *bt, uint32_t number,
		   const struct bt_block *block)
{
	struct bt_link *link = bt_link(bt, number);
	struct bt_block *from = &bt->block[number / BT_LINKS];
	uint32_t to = bt_block_number(bt, block);

	/* Another vCPU may have been quicker, dropped it or moved it. */
	if (!from->code || !block->code || link->to == to ||
	    link->rip != block->rip)
		return;
	/* The page changed while this vCPU was in the block: no way within a
	 * page leads to another. */
	if (from->kind[number % BT_LINKS] != LINK_FAR &&
	    from->page != block->page)
		return;
	bt_link_unchain(bt, link);
	link->to = to;
	link->next = block->incoming;
	if (link->next)
		bt_link(bt, link->next)->prev = number;
	bt->block[to].incoming = number;
	lead(bt, link, entry_of(block, from->kind[number % BT_LINKS]));
}

/* --- from code back to guest code --------------------------------------------- */

/* In a region, code is in the order of the blocks' numbers. */
const struct bt_block *bt_block_at(const struct bt_vm *bt, uint32_t place)
{
	unsigned i = place / (BT_CACHE_SIZE / BT_REGIONS);
	const struct bt_block *first = &bt->block[1 + i * BT_BLOCKS_MAX];
	uint32_t from = 0, to;

	if (i >= BT_REGIONS || place < bt->region[i].start)
		return NULL;
	to = bt->region[i].blocks;
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (first[middle].end < place)
			from = middle + 1;
		else
			to = middle;
	}
	return from < bt->region[i].blocks ? &first[from] : NULL;
}

/* --- life ----------------------------------------------------------------- */

struct bt_block *bt_block_new(struct bt_vm *bt)
{
	struct bt_block *block = &bt->block[1 + bt->current * BT_BLOCKS_MAX +
					    bt_region(bt)->blocks];

	*block = (struct bt_block){ 0 };
	return block;
}

void bt_block_add(struct bt_vm *bt, struct bt_block *block)
{
	struct bt_page *page = bt->page[block->page];
	uint32_t number = bt_block_number(bt, block);

	bt_region(bt)->blocks++;
	(*find_mapping(bt, block->page, block->rip,
		       bt_id_flavour(block->flavour)))
		->blocks++;
	block->page_next = page->blocks;
	if (block->page_next)
		bt->block[block->page_next].page_prev = number;
	page->blocks = number;
	page->writes = 0;
	enter(bt, block);
}

void bt_block_rename(struct bt_vm *bt, struct bt_block *block, uint64_t rip)
{
	unhash(bt, block);
	block->rip = rip;
	enter(bt, block);
}

static void unlist(struct bt_vm *bt, struct bt_page *page,
		   const struct bt_block *block)
{
	if (block->page_prev)
		bt->block[block->page_prev].page_next = block->page_next;
	else
		page->blocks = block->page_next;
	if (block->page_next)
		bt->block[block->page_next].page_prev = block->page_prev;
}

void bt_block_drop(struct bt_vm *bt, struct bt_block *block)
{
	struct bt_page *page = bt->page[block->page];

	unhash(bt, block);
	unlist(bt, page, block);
	put_id(bt, block);
	patch(bt, block->code + BT_CHECK_ID, BT_NO_ID);
	if (block->site)
		patch(bt, block->site, BT_NO_ID);
	while (block->incoming)
		bt_link_unchain(bt, bt_link(bt, block->incoming));
	for (unsigned i = 0; i < BT_LINKS; i++)
		bt_link_unchain(bt, &block->link[i]);
	__atomic_store_n(&block->code, 0, __ATOMIC_RELEASE);
	atomic_fetch_add(&bt->drops, 1);
}
