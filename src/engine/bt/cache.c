/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of translated code: one memfd mapped twice, writable here and
 * executable there, filled in regions that are used in turn. Stubs stand before
 * the first.
 *
 * When a region is used again, its blocks are dropped as those of a written
 * page are, and then nobody may be in them or come back to them: the world is
 * stopped, jump tables lose what leads there, and shadow stacks start anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/vm.h"
#include "engine/bt/code.h"
#include "x86/decode_cache.h"

/* --- life ----------------------------------------------------------------- */

/* The file: code, the table of blocks, the buckets. */
#define BLOCKS_SIZE                                           \
	align_up((BT_REGIONS * (uint64_t)BT_BLOCKS_MAX + 1) * \
			 sizeof(struct bt_block),             \
		 PAGE_SIZE)
#define BUCKETS_SIZE (BT_BUCKETS * sizeof(uint64_t))

/* NULL if there is no room. */
static void *map_file(const struct bt_vm *bt, uint64_t offset, uint64_t size,
		      int protection)
{
	void *at = mmap(NULL, size, protection, MAP_SHARED | MAP_NORESERVE,
			bt->fd, (off_t)offset);

	return at == MAP_FAILED ? NULL : at;
}

static int map_cache(struct bt_vm *bt)
{
	const int writable = PROT_READ | PROT_WRITE;
	uint64_t buckets = BT_CACHE_SIZE + BLOCKS_SIZE;

	bt->fd = memfd_create("code-cache", MFD_CLOEXEC);
	if (bt->fd < 0 || ftruncate(bt->fd, (off_t)(buckets + BUCKETS_SIZE)))
		return -errno;
	bt->writable = map_file(bt, 0, BT_CACHE_SIZE, writable);
	bt->executable = map_file(bt, 0, BT_CACHE_SIZE, PROT_READ | PROT_EXEC);
	bt->block = map_file(bt, BT_CACHE_SIZE, BLOCKS_SIZE, writable);
	bt->bucket = map_file(bt, buckets, BUCKETS_SIZE, writable);
	if (!bt->writable || !bt->executable || !bt->block || !bt->bucket)
		return -ENOMEM;
	return 0;
}

static void unmap(void *at, uint64_t size)
{
	if (at)
		munmap(at, size);
}

static uint32_t region_start(unsigned i)
{
	return i ? i * (BT_CACHE_SIZE / BT_REGIONS) : BT_STUBS_ROOM;
}

static uint32_t region_end(unsigned i)
{
	return (i + 1) * (BT_CACHE_SIZE / BT_REGIONS);
}

/* Where the cold parts begin. */
static uint32_t region_cold(unsigned i)
{
	return i * (BT_CACHE_SIZE / BT_REGIONS) +
	       BT_CACHE_SIZE / BT_REGIONS / 2;
}

static void region_clear(struct bt_vm *bt, unsigned i)
{
	bt->region[i] = (struct bt_region){
		.start = region_start(i),
		.used = region_start(i),
		.cold = region_cold(i),
	};
}

static struct decode_cache *make_decode_cache(void)
{
	struct decode_cache *cache =
		aligned_alloc(_Alignof(struct decode_cache), sizeof(*cache));

	if (cache)
		memset(cache, 0, sizeof(*cache));
	return cache;
}

int bt_vm_init(struct bt_vm *bt, struct vm *vm)
{
	uint64_t pages = vm->memory.fd_size >> PAGE_SHIFT;
	int error;

	memset(bt, 0, sizeof(*bt));
	bt->vm = vm;
	bt->fd = -1;
	bt->memory = vm->memory.guest;
	bt->has_tsc = vm->clock.has_host_tsc;
	pthread_mutex_init(&bt->lock, NULL);
	bt->page = calloc(pages, sizeof(*bt->page));
	bt->has_code = calloc(pages, sizeof(*bt->has_code));
	bt->writers = calloc(pages, sizeof(*bt->writers));
	bt->mapping = calloc(BT_MAPPINGS, sizeof(struct bt_mapping *));
	bt->decoded = make_decode_cache();
	error = map_cache(bt);
	if (error || !bt->page || !bt->has_code || !bt->writers ||
	    !bt->mapping || !bt->decoded)
		return error ? error : -ENOMEM;
	for (unsigned i = 0; i < BT_REGIONS; i++)
		region_clear(bt, i);
	bt_stubs_make(bt);
	return 0;
}

static void free_mappings(struct bt_vm *bt)
{
	for (unsigned i = 0; bt->mapping && i < BT_MAPPINGS; i++) {
		struct bt_mapping *mapping = bt->mapping[i], *next;

		for (; mapping; mapping = next) {
			next = mapping->next;
			free(mapping);
		}
	}
	free(bt->mapping);
}

void bt_vm_fini(struct bt_vm *bt)
{
	uint64_t pages = bt->vm->memory.fd_size >> PAGE_SHIFT;

	for (uint64_t i = 0; bt->page && i < pages; i++)
		free(bt->page[i]);
	free(bt->page);
	free_mappings(bt);
	free((void *)bt->has_code);
	free((void *)bt->writers);
	free(bt->decoded);
	unmap(bt->block, BLOCKS_SIZE);
	unmap(bt->bucket, BUCKETS_SIZE);
	unmap(bt->writable, BT_CACHE_SIZE);
	unmap(bt->executable, BT_CACHE_SIZE);
	if (bt->fd >= 0)
		close(bt->fd);
	pthread_mutex_destroy(&bt->lock);
}

/* --- regions -------------------------------------------------------------- */

static void drop_blocks(struct bt_vm *bt, unsigned region)
{
	struct bt_block *block = &bt->block[1 + region * BT_BLOCKS_MAX];

	for (uint32_t i = 0; i < bt->region[region].blocks; i++, block++) {
		uint32_t page = block->page;

		if (!block->code)
			continue;
		bt_block_drop(bt, block);
		if (!bt->page[page]->blocks)
			atomic_store(&bt->has_code[page], false);
	}
}

/* World stopped. */
static void empty_region(struct bt_vm *bt, unsigned i)
{
	struct bt_region *region = &bt->region[i];
	struct vm *vm = bt->vm;

	drop_blocks(bt, i);
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		struct bt_vcpu *vcpu = vm->vcpus[n]->engine;

		if (!vcpu)
			continue;
		bt_shadow_reset(vcpu);
		bt_jumps_forget(vcpu, bt_code(bt, region->start),
				bt_code(bt, region_end(i)));
	}
	region_clear(bt, i);
	/* Also where every block of it was dropped before. */
	atomic_fetch_add(&bt->drops, 1);
}

void bt_cache_drop_all(struct bt_vcpu *self)
{
	struct bt_vm *bt = self->bt;

	bt_stop_world(bt, self);
	for (unsigned i = 0; i < BT_REGIONS; i++)
		empty_region(bt, i);
	bt_start_world(bt);
}

/* With no block left, no id is in any code, and none may stay in a slot. */
static void start_ids_anew(struct bt_vcpu *self)
{
	struct bt_vm *bt = self->bt;
	struct vm *vm = bt->vm;

	bt_vectors_leave(self);
	bt_stop_world(bt, self);
	for (unsigned i = 0; i < BT_REGIONS; i++)
		empty_region(bt, i);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->engine)
			bt_exec_forget(vm->vcpus[i]->engine);
	bt->last_id = 0;
	bt_start_world(bt);
}

void bt_cache_make_room(struct bt_vcpu *vcpu)
{
	struct bt_vm *bt = vcpu->bt;
	const struct bt_region *region = bt_region(bt);

	if (unlikely(bt->last_id >= BT_IDS_MAX))
		start_ids_anew(vcpu);
	if (region->used + BT_BLOCK_ROOM <= region_cold(bt->current) &&
	    region->cold + BT_BLOCK_ROOM <= region_end(bt->current) &&
	    region->blocks < BT_BLOCKS_MAX &&
	    !bt_stress_hits(&bt->stress, STRESS_CACHE, 64))
		return;
	bt->current = (bt->current + 1) % BT_REGIONS;
	if (!bt_region(bt)->blocks)
		return;
	bt_vectors_leave(vcpu);
	bt_stop_world(bt, vcpu);
	empty_region(bt, bt->current);
	bt_start_world(bt);
	vcpu_event(vcpu->vcpu, BT_EVICTIONS, 1);
}
