/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations that move. A program's libraries are at other linear addresses
 * each time it is started, so that their pages, which stay where they are in
 * guest memory, would be translated anew. What a block's code knows of its
 * linear address are a few constants (translate.h, enum place_kind); so the
 * blocks of a page that nobody runs any more at the old address are made to
 * stand for the new one. Only user code in the lower half: kernels stay.
 *
 * 1. Which page's blocks? A process that is gone does not tell. Its blocks are
 *    taken for those that were made in the same paging structures, where the old
 *    address now means something else; and if a page has COPIES of one flavour,
 *    those whose paging structures were in use least recently. Whoever still
 *    runs there takes them back, or has its own made.
 * 2. The neighbours that a guest maps together with a page (a fault brings in
 *    16 at once) move with it, if its tables say that they are there already.
 *    It is a guess that costs nothing when it is wrong: a block is found by its
 *    page of guest memory and its linear address, whatever led it there.
 * 3. Who may get to a moved block: branches that are chained to it stay where
 *    both ends moved; jump tables lose it; a return address on a shadow stack
 *    finds its site, which now compares with the new address; ids are new. A
 *    vCPU that is inside must not go on in it: the world is stopped, and
 *    bt_vm.drops counts.
 */
#include "core/vm.h"
#include "engine/bt/translate.h"
#include "engine/interp/mmu.h"
#include "x86/paging.h"

#define COPIES 3
/* Addresses of a page that are looked at, and blocks to find them. */
#define CANDIDATES 8
#define LOOKED_AT  1024
#define TOGETHER   16

/*
 * Here constants have the same form everywhere, those that lie within 2 GiB of
 * the code included: MOV with 64 bits.
 */
static bool is_movable(uint64_t rip)
{
	return rip >= 1ull << 33 && rip < (1ull << 47) - (1ull << 33);
}

bool bt_block_may_move(const struct bt_flavour *flavour, uint64_t rip)
{
	return flavour->view == MMU_USER && !flavour->is_32 &&
	       !flavour->is_checked && is_movable(rip);
}

/* --- the guest's tables ---------------------------------------------------- */

/* Where an entry of a paging structure leads. NULL: not to memory. */
static const uint8_t *entry_host(struct bt_vcpu *vcpu, uint64_t entry)
{
	struct bt_vm *bt = vcpu->bt;
	uint64_t page = bt_page_index(bt, entry & BITS(51, 12));

	return page == ~0ull ? NULL : bt->memory + (page << PAGE_SHIFT);
}

/* The page table of gva, as it is in memory now: nothing is entered or marked.
 * NULL: there is none, or of another kind. */
static const uint8_t *find_table(struct bt_vcpu *vcpu, uint64_t gva)
{
	uint64_t entry = vcpu->cpu.s.cr3;

	for (unsigned shift = 39; shift > PAGE_SHIFT; shift -= 9) {
		const uint8_t *table = entry_host(vcpu, entry);

		if (!table)
			return NULL;
		entry = load_u64(table + (gva >> shift & 511) * 8);
		if (!(entry & PTE_P) || (shift < 39 && entry & PTE_PS))
			return NULL;
	}
	return entry_host(vcpu, entry);
}

/* The page of guest memory that gva means, by its page table; ~0: none. */
static uint32_t page_at(struct bt_vcpu *vcpu, const uint8_t *table,
			uint64_t gva)
{
	const uint8_t *host;
	uint64_t entry;

	if (!table)
		return ~0u;
	entry = load_u64(table + (gva >> PAGE_SHIFT & 511) * 8);
	if (!(entry & PTE_P) || (entry & PTE_XD))
		return ~0u;
	host = entry_host(vcpu, entry);
	return host ? bt_page_of(vcpu->bt, host) : ~0u;
}

static bool means(struct bt_vcpu *vcpu, uint64_t gva, uint32_t page)
{
	return page_at(vcpu, find_table(vcpu, gva), gva) == page;
}

/* --- which page's blocks ----------------------------------------------------- */

static uint64_t root_of(const struct bt_vcpu *vcpu)
{
	return vcpu->cpu.s.cr3 & BITS(51, 12);
}

static uint64_t last_used(const struct bt_vm *bt, uint64_t root)
{
	for (unsigned i = 0; i < BT_SPACES; i++)
		if (bt->space[i].root == root)
			return bt->space[i].used;
	return 0;
}

void bt_space_note(struct bt_vcpu *vcpu)
{
	struct bt_vm *bt = vcpu->bt;
	uint64_t root = root_of(vcpu);
	struct bt_space *oldest = &bt->space[0];

	bt->space_clock++;
	for (unsigned i = 0; i < BT_SPACES; i++) {
		struct bt_space *space = &bt->space[i];

		if (space->root == root) {
			space->used = bt->space_clock;
			return;
		}
		if (space->used < oldest->used)
			oldest = space;
	}
	*oldest = (struct bt_space){ root, bt->space_clock };
}

/* Where the page has blocks of the flavour that may move; how many places. */
static unsigned find_candidates(struct bt_vm *bt, uint32_t page, uint64_t rip,
				uint32_t flavour,
				struct bt_mapping *found[CANDIDATES])
{
	uint32_t number = bt->page[page]->blocks;
	unsigned count = 0, i;

	for (unsigned n = 0; number && n < LOOKED_AT; n++) {
		const struct bt_block *block = &bt->block[number];
		uint64_t at = block->rip & PAGE_MASK;

		number = block->page_next;
		if (bt_id_flavour(block->flavour) != flavour ||
		    !is_movable(at) || at == rip)
			continue;
		for (i = 0; i < count && found[i]->rip != at; i++)
			;
		if (i == CANDIDATES)
			break;
		if (i == count)
			found[count++] = bt_mapping_find(bt, page, at, flavour);
	}
	return count;
}

static struct bt_mapping *choose(struct bt_vcpu *vcpu, uint32_t page,
				 uint64_t rip, uint32_t flavour)
{
	struct bt_vm *bt = vcpu->bt;
	struct bt_mapping *found[CANDIDATES], *best = NULL;
	unsigned count = find_candidates(bt, page, rip, flavour, found);

	for (unsigned i = 0; i < count; i++) {
		struct bt_mapping *mapping = found[i];

		if (mapping->root == root_of(vcpu)) {
			if (!means(vcpu, mapping->rip, page))
				return mapping;
			continue;
		}
		if (!best ||
		    last_used(bt, mapping->root) < last_used(bt, best->root))
			best = mapping;
	}
	return count >= COPIES ? best : NULL;
}

/* --- moving ------------------------------------------------------------------ */

struct move {
	struct bt_vcpu *vcpu;
	uint32_t flavour;
	uint64_t delta;
	unsigned count;
	struct {
		uint32_t page;
		uint64_t rip; /* new */
	} done[TOGETHER];
};

static uint8_t *place_at(struct bt_vm *bt, const struct bt_block *block,
			 uint16_t place)
{
	uint32_t base = place & PLACE_IS_COLD ? block->bytes : block->code;

	return bt->writable + base + (place & PLACE_OFFSET);
}

/* The places that hold its address, and how many; NULL: it may not move. */
static const uint8_t *places_of(const struct bt_vm *bt,
				const struct bt_block *block, unsigned *count)
{
	const uint8_t *at = bt->writable + block->bytes;
	uint32_t list;

	for (unsigned i = 0; i < BT_SPANS; i++)
		at += block->span[i].size;
	list = load_u16(at);
	if (!list)
		return NULL;
	at = bt->writable + block->bytes + list;
	*count = load_u16(at);
	return at + 2;
}

/* The place of a TLB's entry, for an address that has moved. */
static uint32_t moved_entry(uint32_t entry, uint64_t delta)
{
	uint64_t page =
		entry / sizeof(struct tlb_entry) + (delta >> PAGE_SHIFT);

	return (uint32_t)(tlb_index(page << PAGE_SHIFT) *
			  sizeof(struct tlb_entry));
}

/* The same for the displacement of one of its fields. */
static uint32_t moved_field(uint32_t field, uint64_t delta)
{
	const uint32_t table = TLB_ENTRIES * sizeof(struct tlb_entry);
	uint32_t entry = (field - FIELD(cpu.tlb.entry[0][0][0])) % table;

	entry -= entry % sizeof(struct tlb_entry);
	return field - entry + moved_entry(entry, delta);
}

static void change_places(struct bt_vm *bt, const struct bt_block *block,
			  uint64_t delta)
{
	uint64_t to = block->rip + delta;
	uint32_t slots = (bt_exec_slot(to) - bt_exec_slot(block->rip)) * 4;
	unsigned count = 0;
	const uint8_t *list = places_of(bt, block, &count);
	uint8_t *low = NULL;

	for (unsigned i = 0; i < count; i++) {
		uint16_t place = load_u16(list + 2 * i);
		uint8_t *at = place_at(bt, block, place);
		uint64_t value;

		switch (place & PLACE_KIND) {
		case PLACE_ADDRESS:
			store_u64(at, load_u64(at) + delta);
			break;
		case PLACE_LOW:
			low = at;
			break;
		case PLACE_HIGH:
			value = load_u32(low) | (uint64_t)load_u32(at) << 32;
			value += delta;
			store_u32(low, (uint32_t)value);
			store_u32(at, (uint32_t)(value >> 32));
			break;
		case PLACE_SLOT:
			store_u32(at, load_u32(at) + slots);
			break;
		case PLACE_TLB:
			store_u32(at, moved_field(load_u32(at), delta));
			break;
		}
	}
}

/* Its old address, in whoever's jump table. */
static void forget_jumps(struct bt_vm *bt, const struct bt_block *block)
{
	unsigned index = bt_jump_index(block->rip);

	for (unsigned i = 0; i < bt->vm->vcpu_count; i++) {
		struct bt_vcpu *vcpu = bt->vm->vcpus[i]->engine;

		if (vcpu && vcpu->jump[MMU_USER][index].rip == block->rip)
			vcpu->jump[MMU_USER][index].rip = bt_no_rip(index);
	}
}

static void move_block(struct bt_vm *bt, struct bt_block *block, uint64_t delta,
		       uint32_t id)
{
	forget_jumps(bt, block);
	change_places(bt, block, delta);
	store_u32(bt->writable + block->code + BT_CHECK_ID, id);
	if (block->site)
		store_u32(bt->writable + block->site, id);
	bt_block_rename(bt, block, block->rip + delta);
	for (unsigned i = 0; i < BT_LINKS; i++)
		if (block->link[i].at)
			block->link[i].rip += delta;
}

static bool is_of(const struct bt_block *block, uint64_t rip, uint32_t flavour)
{
	return (block->rip & PAGE_MASK) == rip &&
	       bt_id_flavour(block->flavour) == flavour;
}

/* Those that may not move go. */
static void drop_fixed(struct bt_vm *bt, uint32_t page, uint64_t rip,
		       uint32_t flavour)
{
	uint32_t number = bt->page[page]->blocks;
	unsigned count = 0;

	while (number) {
		struct bt_block *block = &bt->block[number];

		number = block->page_next;
		if (is_of(block, rip, flavour) && !places_of(bt, block, &count))
			bt_block_drop(bt, block);
	}
}

/* All blocks that a page has at `rip`. */
static void move_page(struct move *move, uint32_t page, uint64_t rip)
{
	struct bt_vm *bt = move->vcpu->bt;
	struct bt_mapping *mapping;
	uint32_t number, id;

	drop_fixed(bt, page, rip, move->flavour);
	mapping = bt_mapping_find(bt, page, rip, move->flavour);
	if (!mapping)
		return;
	id = bt_mapping_move(bt, mapping, rip + move->delta);
	mapping->root = root_of(move->vcpu);
	for (number = bt->page[page]->blocks; number;) {
		struct bt_block *block = &bt->block[number];

		number = block->page_next;
		if (is_of(block, rip, move->flavour))
			move_block(bt, block, move->delta, id);
	}
	move->done[move->count].page = page;
	move->done[move->count++].rip = rip + move->delta;
}

/* What is mapped around `to` and has blocks at the same distance from there. */
static void move_together(struct move *move, uint32_t first, uint64_t to)
{
	struct bt_vm *bt = move->vcpu->bt;
	const uint8_t *table = find_table(move->vcpu, to);
	uint64_t start = to & ~(TOGETHER * PAGE_SIZE - 1);

	move_page(move, first, to - move->delta);
	for (unsigned i = 0; i < TOGETHER; i++) {
		uint64_t at = start + i * PAGE_SIZE, from = at - move->delta;
		uint32_t page = at == to ? ~0u : page_at(move->vcpu, table, at);

		if (page == ~0u || page == first || !bt->page[page] ||
		    !is_movable(from) ||
		    !bt_mapping_find(bt, page, from, move->flavour) ||
		    bt_mapping_find(bt, page, at, move->flavour))
			continue;
		move_page(move, page, from);
	}
}

/* Branches that lead elsewhere than to where they go, now that both moved or
 * one of them. */
static void unchain_parted(struct bt_vm *bt, struct bt_block *block)
{
	uint32_t number = block->incoming;

	while (number) {
		struct bt_link *link = bt_link(bt, number);

		number = link->next;
		if (link->rip != block->rip)
			bt_link_unchain(bt, link);
	}
	for (unsigned i = 0; i < BT_LINKS; i++) {
		struct bt_link *link = &block->link[i];

		if (link->to && link->rip != bt->block[link->to].rip)
			bt_link_unchain(bt, link);
	}
}

static void unchain_all_parted(const struct move *move)
{
	struct bt_vm *bt = move->vcpu->bt;

	for (unsigned i = 0; i < move->count; i++) {
		uint32_t number = bt->page[move->done[i].page]->blocks;

		while (number) {
			struct bt_block *block = &bt->block[number];

			number = block->page_next;
			if (is_of(block, move->done[i].rip, move->flavour))
				unchain_parted(bt, block);
		}
	}
}

bool bt_page_move(struct bt_vcpu *vcpu, uint32_t page)
{
	struct bt_vm *bt = vcpu->bt;
	uint64_t rip = vcpu->cpu.s.rip & PAGE_MASK;
	struct bt_mapping *from;
	struct move move = {
		.vcpu = vcpu,
		.flavour = bt_id_flavour(bt_flavour_pack(&vcpu->flavour)),
	};

	if (!bt_block_may_move(&vcpu->flavour, rip) || !bt->page[page] ||
	    !bt->page[page]->blocks || bt->last_id > BT_IDS_MAX - TOGETHER ||
	    bt_mapping_find(bt, page, rip, move.flavour))
		return false;
	from = choose(vcpu, page, rip, move.flavour);
	if (!from)
		return false;
	move.delta = rip - from->rip;
	bt_vectors_leave(vcpu); /* dropped blocks are freed */
	bt_stop_world(bt, vcpu);
	move_together(&move, page, rip);
	unchain_all_parted(&move);
	atomic_fetch_add(&bt->drops, 1);
	bt_start_world(bt);
	vcpu_event(vcpu->vcpu, BT_PAGES_MOVED, move.count);
	return move.count;
}
