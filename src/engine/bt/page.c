/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code and the memory it came from: self-modifying code.
 *
 * A page of guest memory that has translated code is never entered into a TLB
 * for writing (interp_ops.dirty refuses), so that every store to it, through
 * whatever linear address, goes to the interpreter and is noted. Before this
 * vCPU runs translated code again, the page's blocks are compared with what
 * they were made from, and those that differ are dropped: data beside code, and
 * patches of some instructions, leave the rest alone. Where store follows store
 * and nothing is translated in between, as when a kernel patches itself at boot,
 * the page's code goes altogether and stores are fast again; each time that
 * takes longer, so that a page of code and data comes to rest. When a page gets
 * its first code, the right to write it that vCPUs already hold is taken away while the
 * world is stopped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/vm.h"
#include "engine/bt/code.h"
#include "engine/interp/mmu.h"

#define PATIENCE_LEAST 4
#define PATIENCE_MOST  4096

uint64_t bt_page_index(struct bt_vm *bt, gpa_t gpa)
{
	struct memory_slot slot;

	if (!memory_find(&bt->vm->memory, gpa, &slot))
		return ~0ull;
	return (slot.offset + (gpa - slot.base)) >> PAGE_SHIFT;
}

/* World stopped: nobody keeps the right to write this page. */
static void forbid_writing(struct bt_vcpu *vcpu, const uint8_t *host)
{
	tlb_forget_host(&vcpu->cpu, host);
	bt_percpu_forget_host(vcpu, host);
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		if (bt_stack_host(&vcpu->stack[view]) == host)
			bt_forget_stack(vcpu, view);
}

int bt_page_watch(struct bt_vcpu *vcpu, uint32_t page)
{
	struct bt_vm *bt = vcpu->bt;
	struct vm *vm = bt->vm;
	const uint8_t *host = vm->memory.guest + ((uint64_t)page << PAGE_SHIFT);
	uint32_t set;

	if (!bt->page[page]) {
		bt_vectors_leave(vcpu);
		bt->page[page] = calloc(1, sizeof(*bt->page[page]));
		if (!bt->page[page])
			return -ENOMEM;
		bt->page[page]->patience = PATIENCE_LEAST;
	}
	if (atomic_load(&bt->has_code[page]))
		return 0;
	/* Who comes for the right from here on sees it; and who had it is seen
	 * here: a pair with world.c, dirty. */
	atomic_store(&bt->has_code[page], true);
	set = atomic_load(&bt->writers[page]);
	if (!set)
		return 0;
	bt_stop_some(bt, vcpu, set);
	atomic_store(&bt->writers[page], 0);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->engine && set >> i & 1)
			forbid_writing(vm->vcpus[i]->engine, host);
	bt_start_world(bt);
	return 0;
}

static bool is_as_it_was(const struct bt_vm *bt, const struct bt_block *block)
{
	const uint8_t *now =
		bt->vm->memory.guest + ((uint64_t)block->page << PAGE_SHIFT);
	const uint8_t *then = bt->writable + block->bytes;

	for (unsigned i = 0; i < BT_SPANS; i++) {
		const struct bt_span *span = &block->span[i];

		if (memcmp(now + span->offset, then, span->size))
			return false;
		then += span->size;
	}
	return true;
}

/* Lock held. */
static unsigned drop_blocks(struct bt_vm *bt, uint32_t page, bool only_changed)
{
	uint32_t number = bt->page[page]->blocks;
	unsigned dropped = 0;

	while (number) {
		struct bt_block *block = &bt->block[number];

		number = block->page_next;
		if (only_changed && is_as_it_was(bt, block))
			continue;
		bt_block_drop(bt, block);
		dropped++;
	}
	if (!bt->page[page]->blocks)
		atomic_store(&bt->has_code[page], false);
	return dropped;
}

static bool is_out_of_patience(struct bt_page *page)
{
	if (page->writes++ < page->patience)
		return false;
	if (page->patience < PATIENCE_MOST)
		page->patience *= 2;
	return true;
}

unsigned bt_page_written(struct bt_vm *bt, uint32_t page)
{
	LOCKED(&bt->lock);

	if (!atomic_load(&bt->has_code[page]))
		return 0;
	return drop_blocks(bt, page,
			   !is_out_of_patience(bt->page[page]) &&
				   !(bt->stress.kinds & STRESS_SMC));
}

void bt_page_drop(struct bt_vm *bt, gpa_t gpa)
{
	uint64_t page = bt_page_index(bt, gpa);
	LOCKED(&bt->lock);

	if (page != ~0ull && atomic_load(&bt->has_code[page]))
		drop_blocks(bt, (uint32_t)page, false);
}
