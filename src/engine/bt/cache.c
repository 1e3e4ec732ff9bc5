/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The code cache: where translations are, who may run them, and how they go.
 *
 * Self-modifying code. A page of guest memory that has translated code is
 * never entered into a TLB for writing (interp_ops.dirty refuses), so that every
 * store to it, through whatever linear address, goes to the interpreter and is
 * noted here; the page's code is dropped before this vCPU runs translated code
 * again. When a page gets its first code, the right to write it that vCPUs
 * already hold is taken away while the world is stopped.
 *
 * Dropping a page's blocks: they are taken out of the tables, their return sites
 * are made to jump to the look-up, and their memory is used again only when the
 * whole cache is emptied. Both happen with all vCPUs outside, and both count
 * in bt_vm.drops: a vCPU that was about to go on inside a block looks there.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/vm.h"
#include "engine/bt/code.h"

uint64_t bt_page_index(struct bt_vm *bt, gpa_t gpa)
{
	struct memory_slot slot;

	if (!memory_find(&bt->vm->memory, gpa, &slot))
		return ~0ull;
	return (slot.offset + (gpa - slot.base)) >> PAGE_SHIFT;
}

/* --- life ----------------------------------------------------------------- */

static int map_cache(struct bt_vm *bt)
{
	bt->fd = memfd_create("code-cache", MFD_CLOEXEC);
	if (bt->fd < 0 || ftruncate(bt->fd, BT_CACHE_SIZE))
		return -errno;
	bt->writable = mmap(NULL, BT_CACHE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_NORESERVE, bt->fd, 0);
	bt->executable = mmap(NULL, BT_CACHE_SIZE, PROT_READ | PROT_EXEC,
			      MAP_SHARED | MAP_NORESERVE, bt->fd, 0);
	if (bt->writable == MAP_FAILED || bt->executable == MAP_FAILED)
		return -ENOMEM;
	return 0;
}

int bt_vm_init(struct bt_vm *bt, struct vm *vm)
{
	uint64_t pages = vm->memory.fd_size >> PAGE_SHIFT;
	int error;

	memset(bt, 0, sizeof(*bt));
	bt->vm = vm;
	bt->fd = -1;
	bt->has_tsc = vm->clock.has_host_tsc;
	pthread_mutex_init(&bt->lock, NULL);
	bt->page = calloc(pages, sizeof(*bt->page));
	bt->has_code = calloc(pages, sizeof(*bt->has_code));
	bt->site = calloc(BT_SITES_MAX, sizeof(*bt->site));
	bt->nowhere = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	error = map_cache(bt);
	if (error || !bt->page || !bt->has_code || !bt->site || !bt->nowhere)
		return error ? error : -ENOMEM;
	bt_stubs_make(bt);
	return 0;
}

static void free_blocks(struct bt_vm *bt)
{
	for (unsigned i = 0; i < BT_BUCKETS; i++) {
		struct bt_block *block = bt->bucket[i], *next;

		for (; block; block = next) {
			next = block->next;
			free(block);
		}
		bt->bucket[i] = NULL;
	}
}

void bt_vm_fini(struct bt_vm *bt)
{
	uint64_t pages = bt->vm->memory.fd_size >> PAGE_SHIFT;

	free_blocks(bt);
	for (uint64_t i = 0; bt->page && i < pages; i++)
		free(bt->page[i]);
	free(bt->page);
	free((void *)bt->has_code);
	free(bt->site);
	free(bt->nowhere);
	if (bt->writable && bt->writable != MAP_FAILED)
		munmap(bt->writable, BT_CACHE_SIZE);
	if (bt->executable && bt->executable != MAP_FAILED)
		munmap(bt->executable, BT_CACHE_SIZE);
	if (bt->fd >= 0)
		close(bt->fd);
	pthread_mutex_destroy(&bt->lock);
}

/* --- the world ------------------------------------------------------------ */

/*
 * in_guest and is_stopped are a pair: each side sets its own, then looks at the
 * other's, both sequentially consistent, so that at least one sees the other.
 */
void bt_enter_guest(struct bt_vcpu *vcpu)
{
	struct bt_vm *bt = vcpu->bt;

	for (;;) {
		atomic_store(&vcpu->in_guest, true);
		if (!atomic_load(&bt->is_stopped))
			return;
		atomic_store(&vcpu->in_guest, false);
		/* Held by who stopped the world. */
		pthread_mutex_lock(&bt->lock);
		pthread_mutex_unlock(&bt->lock);
	}
}

void bt_leave_guest(struct bt_vcpu *vcpu)
{
	atomic_store(&vcpu->in_guest, false);
}

void bt_stop_world(struct bt_vm *bt, struct bt_vcpu *self)
{
	struct vm *vm = bt->vm;

	atomic_store(&bt->is_stopped, true);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct bt_vcpu *other = vm->vcpus[i]->engine;

		if (!other || other == self)
			continue;
		while (atomic_load(&other->in_guest)) {
			atomic_store(&other->cpu.attention, true);
			sched_yield();
		}
	}
}

void bt_start_world(struct bt_vm *bt)
{
	atomic_store(&bt->is_stopped, false);
}

/* --- blocks --------------------------------------------------------------- */

static unsigned hash(gpa_t gpa, uint64_t rip, uint32_t flavour)
{
	uint64_t x = gpa ^ (rip << 20) ^ ((uint64_t)flavour << 44);

	x *= 0x9e3779b97f4a7c15ull;
	return (unsigned)(x >> 48) % BT_BUCKETS;
}

struct bt_block *bt_block_find(struct bt_vm *bt, gpa_t gpa, uint64_t rip,
			       uint32_t flavour)
{
	struct bt_block *block = bt->bucket[hash(gpa, rip, flavour)];

	while (block && (block->gpa != gpa || block->rip != rip ||
			 block->flavour != flavour))
		block = block->next;
	return block;
}

void bt_block_add(struct bt_vm *bt, struct bt_block *block)
{
	unsigned bucket = hash(block->gpa, block->rip, block->flavour);

	block->next = bt->bucket[bucket];
	bt->bucket[bucket] = block;
	list_add(&bt->page[bt_page_index(bt, block->gpa)]->blocks,
		 &block->page_link);
}

static void unhash(struct bt_vm *bt, struct bt_block *block)
{
	struct bt_block **link =
		&bt->bucket[hash(block->gpa, block->rip, block->flavour)];

	while (*link != block)
		link = &(*link)->next;
	*link = block->next;
}

/*
 * World stopped. Blocks of a page are dropped together and are chained to none
 * but each other, so what still leads here is return addresses on shadow
 * stacks: their sites go to the look-up instead.
 */
static void cut_off(struct bt_vm *bt, const struct bt_block *block)
{
	unsigned view = block->flavour & 3;

	for (uint32_t i = 0; i < block->sites; i++) {
		uint8_t *at =
			bt_writable(bt, bt->site[block->first_site + i].code);
		struct code c = { .at = at,
				  .end = at + 5,
				  .delta = bt->executable - bt->writable };

		code_jump(&c, bt->stubs.return_miss[view]);
	}
}

static void drop_block(struct bt_vm *bt, struct bt_block *block)
{
	cut_off(bt, block);
	unhash(bt, block);
	list_remove(&block->page_link);
	free(block);
}

/*
 * [guard | ... grows down ... | bottom frame | guard]. Below the bottom frame
 * RET leaves the guest's address as everywhere; above it there is room for what
 * the return stubs read.
 */
static uint8_t *shadow_top(const struct bt_vcpu *vcpu)
{
	return vcpu->shadow + BT_SHADOW_GUARD + BT_SHADOW_SIZE - 64;
}

void bt_shadow_reset(struct bt_vcpu *vcpu)
{
	uint64_t *top = (uint64_t *)shadow_top(vcpu);

	*top = (uint64_t)vcpu->bt->stubs.return_bottom[vcpu->cpu.view];
	vcpu->shadow_rsp = (uint64_t)top;
}

void bt_forget_jumps(struct bt_vcpu *vcpu)
{
	const struct bt_jump none = { BT_NO_RIP, vcpu->bt->stubs.no_rip };

	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned i = 0; i < BT_JUMPS; i++)
			vcpu->jump[view][i] = none;
	memset(vcpu->jump_pages, 0, sizeof(vcpu->jump_pages));
}

/* World stopped: jumps and stacks of every vCPU that may lead to dropped code
 * or to a page that may no longer be written. */
static void forget_jumps(struct bt_vm *bt)
{
	struct vm *vm = bt->vm;

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct bt_vcpu *vcpu = vm->vcpus[i]->engine;

		if (vcpu)
			bt_forget_jumps(vcpu);
	}
}

/* --- pages ---------------------------------------------------------------- */

void bt_forget_stack(struct bt_vcpu *vcpu, unsigned view)
{
	vcpu->stack[view] = (struct bt_stack){ .page = BT_NO_PAGE,
					       .host = vcpu->bt->nowhere };
}

/* World stopped: nobody keeps the right to write this page. */
static void forbid_writing(struct bt_vcpu *vcpu, const uint8_t *host)
{
	for (unsigned view = 0; view < MMU_VIEWS; view++) {
		struct tlb_entry *entry = vcpu->cpu.tlb.entry[view][MMU_WRITE];

		for (unsigned i = 0; i < TLB_ENTRIES; i++)
			if (entry[i].host == host)
				entry[i].tag = (uint64_t)i << PAGE_SHIFT;
		if (vcpu->stack[view].host == host)
			bt_forget_stack(vcpu, view);
	}
}

int bt_watch_page(struct bt_vcpu *vcpu, gpa_t gpa)
{
	struct bt_vm *bt = vcpu->bt;
	struct vm *vm = bt->vm;
	uint64_t index = bt_page_index(bt, gpa);
	const uint8_t *host = vm->memory.guest + (index << PAGE_SHIFT);

	if (index == ~0ull)
		return -EFAULT;
	if (!bt->page[index]) {
		bt->page[index] = calloc(1, sizeof(*bt->page[index]));
		if (!bt->page[index])
			return -ENOMEM;
		list_init(&bt->page[index]->blocks);
	}
	if (atomic_load(&bt->has_code[index]))
		return 0;
	bt_stop_world(bt, vcpu);
	atomic_store(&bt->has_code[index], true);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->engine)
			forbid_writing(vm->vcpus[i]->engine, host);
	bt_start_world(bt);
	return 0;
}

void bt_drop_page(struct bt_vm *bt, struct bt_vcpu *vcpu, gpa_t gpa)
{
	uint64_t index = bt_page_index(bt, gpa);
	struct list *blocks;
	LOCKED(&bt->lock);

	if (index == ~0ull || !atomic_load(&bt->has_code[index]))
		return;
	bt_stop_world(bt, vcpu);
	blocks = &bt->page[index]->blocks;
	while (!list_is_empty(blocks))
		drop_block(bt, container_of(blocks->next, struct bt_block,
					    page_link));
	forget_jumps(bt);
	atomic_store(&bt->has_code[index], false);
	atomic_fetch_add(&bt->drops, 1);
	bt_start_world(bt);
}

/* --- the whole ------------------------------------------------------------ */

bool bt_cache_is_full(struct bt_vm *bt)
{
	return bt->used + BT_BLOCK_ROOM > BT_CACHE_SIZE ||
	       bt->sites + 64 > BT_SITES_MAX ||
	       bt_stress_hits(&bt->stress, STRESS_CACHE, 64);
}

void bt_cache_drop_all(struct bt_vcpu *self)
{
	struct bt_vm *bt = self->bt;
	struct vm *vm = bt->vm;
	uint64_t pages = vm->memory.fd_size >> PAGE_SHIFT;

	bt_stop_world(bt, self);
	for (uint64_t i = 0; i < pages; i++) {
		if (bt->page[i])
			list_init(&bt->page[i]->blocks);
		atomic_store(&bt->has_code[i], false);
	}
	free_blocks(bt);
	bt->used = bt->stubs_end;
	bt->sites = 0;
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->engine)
			bt_shadow_reset(vm->vcpus[i]->engine);
	forget_jumps(bt);
	atomic_fetch_add(&bt->drops, 1);
	bt_start_world(bt);
}
