/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest physical memory: the memfd, its two views, and the slot map. */

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/vm.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static int create_file(uint64_t size)
{
	cleanup_fd int fd = -1;

	fd = memfd_create("guest-memory",
			  MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("guest-memory",
				  MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size))
		return -errno;
	/* What is mapped can then never be cut away beneath us (SIGBUS). */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	return take_fd(&fd);
}

static uint8_t *map_view(int fd, uint64_t size)
{
	void *view = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_NORESERVE, fd, 0);

	return view == MAP_FAILED ? NULL : view;
}

int memory_init(struct memory *memory, struct vm *vm, uint64_t ram_size,
		uint64_t extra)
{
	uint64_t host_ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_SIZE;
	uint64_t low = MIN(ram_size, MEMORY_HOLE_START);
	int id;

	*memory = (struct memory){ .vm = vm, .fd = -1, .ram_size = ram_size };
	pthread_rwlock_init(&memory->lock, NULL);
	if (!ram_size || !is_aligned(ram_size | extra, PAGE_SIZE) ||
	    !checked_add(ram_size, extra, &memory->fd_size))
		return -EINVAL;
	if (ram_size > host_ram)
		return -ENOMEM;
	memory->fd = create_file(memory->fd_size);
	if (memory->fd < 0)
		return memory->fd;
	memory->host = map_view(memory->fd, memory->fd_size);
	memory->guest = map_view(memory->fd, memory->fd_size);
	if (!memory->host || !memory->guest) {
		memory_fini(memory);
		return -ENOMEM;
	}
	id = memory_add(memory, 0, low, 0, MEMORY_RAM);
	if (id >= 0 && ram_size > low)
		id = memory_add(memory, MEMORY_HOLE_END, ram_size - low, low,
				MEMORY_RAM);
	return MIN(id, 0);
}

void memory_fini(struct memory *memory)
{
	if (memory->host)
		munmap(memory->host, memory->fd_size);
	if (memory->guest)
		munmap(memory->guest, memory->fd_size);
	if (memory->fd >= 0)
		close(memory->fd);
	free(memory->dirty);
	memory->host = memory->guest = NULL;
	memory->dirty = NULL;
	memory->fd = -1;
}

/* Lock held for writing. */
static int tell_engine(struct memory *memory, const struct memory_slot *slot)
{
	const struct vm *vm = memory->vm;

	if (!vm || !vm->engine_ops || !vm->engine_ops->memory_changed ||
	    !vm->engine)
		return 0;
	return vm->engine_ops->memory_changed(memory->vm, slot);
}

static bool overlaps_another(const struct memory *memory, unsigned id,
			     gpa_t base, uint64_t size)
{
	for (unsigned i = 0; i < MEMORY_SLOTS_MAX; i++) {
		const struct memory_slot *slot = &memory->slot[i];

		if (i != id && slot->is_used &&
		    ranges_overlap(base, size, slot->base, slot->size))
			return true;
	}
	return false;
}

static struct memory_slot *free_slot(struct memory *memory)
{
	for (unsigned i = 0; i < MEMORY_SLOTS_MAX; i++)
		if (!memory->slot[i].is_used)
			return &memory->slot[i];
	return NULL;
}

#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

/* Lock held. Who looks at the same time looks again (memory_find). */
static void slot_store(struct memory *memory, struct memory_slot *to,
		       const struct memory_slot *from)
{
	uint32_t sequence = atomic_load(&memory->sequence);

	atomic_store(&memory->sequence, sequence + 1);
	STORE(to->id, from->id);
	STORE(to->is_used, from->is_used);
	STORE(to->is_logged, from->is_logged);
	STORE(to->kind, from->kind);
	STORE(to->base, from->base);
	STORE(to->size, from->size);
	STORE(to->offset, from->offset);
	atomic_store(&memory->sequence, sequence + 2);
}

static void slot_take_away(struct memory *memory, struct memory_slot *slot)
{
	struct memory_slot none = *slot;

	none.is_used = false;
	slot_store(memory, slot, &none);
}

static int add_locked(struct memory *memory, const struct memory_slot *wanted)
{
	struct memory_slot *slot = free_slot(memory), added = *wanted;
	unsigned id;
	int error;

	if (!slot)
		return -ENOSPC;
	if (overlaps_another(memory, MEMORY_SLOTS_MAX, wanted->base,
			     wanted->size))
		return -EEXIST;
	id = (unsigned)(slot - memory->slot);
	added.id = id;
	added.is_used = true;
	slot_store(memory, slot, &added);
	error = tell_engine(memory, slot);
	if (error) {
		slot_take_away(memory, slot);
		return error;
	}
	return (int)id;
}

int memory_add(struct memory *memory, gpa_t base, uint64_t size,
	       uint64_t offset, enum memory_kind kind)
{
	struct memory_slot wanted = {
		.kind = kind, .base = base, .size = size, .offset = offset
	};
	uint64_t end;
	int id;

	if (!size || !is_aligned(base | size | offset, PAGE_SIZE) ||
	    !range_inside(offset, size, memory->fd_size) ||
	    !checked_add(base, size, &end))
		return -EINVAL;
	pthread_rwlock_wrlock(&memory->lock);
	id = add_locked(memory, &wanted);
	pthread_rwlock_unlock(&memory->lock);
	return id;
}

int memory_change(struct memory *memory, unsigned id, gpa_t base,
		  enum memory_kind kind)
{
	struct memory_slot *slot, old, changed;
	uint64_t end;
	int error;

	if (id >= MEMORY_SLOTS_MAX || !is_aligned(base, PAGE_SIZE))
		return -EINVAL;
	slot = &memory->slot[id];
	pthread_rwlock_wrlock(&memory->lock);
	old = *slot;
	if (!slot->is_used || !checked_add(base, slot->size, &end)) {
		error = -EINVAL;
	} else if (overlaps_another(memory, id, base, slot->size)) {
		error = -EEXIST;
	} else {
		changed = old;
		changed.base = base;
		changed.kind = kind;
		slot_store(memory, slot, &changed);
		error = tell_engine(memory, slot);
		if (error)
			slot_store(memory, slot, &old);
	}
	pthread_rwlock_unlock(&memory->lock);
	return error;
}

void memory_remove(struct memory *memory, unsigned id)
{
	BUG_ON(id >= MEMORY_SLOTS_MAX);
	pthread_rwlock_wrlock(&memory->lock);
	slot_take_away(memory, &memory->slot[id]);
	tell_engine(memory, &memory->slot[id]);
	pthread_rwlock_unlock(&memory->lock);
}

/* Into the host view, or NULL unless the whole range lies in one slot. */
static uint8_t *find_range(struct memory *memory, gpa_t gpa, size_t size,
			   bool is_write)
{
	struct memory_slot slot;

	if (!size || !memory_find(memory, gpa, &slot) ||
	    !range_inside(gpa - slot.base, size, slot.size) ||
	    (is_write && slot.kind != MEMORY_RAM))
		return NULL;
	return memory->host + slot.offset + (gpa - slot.base);
}

const uint8_t *memory_read_begin(struct memory *memory, gpa_t gpa, size_t size)
{
	return find_range(memory, gpa, size, false);
}

uint8_t *memory_write_begin(struct memory *memory, gpa_t gpa, size_t size)
{
	return find_range(memory, gpa, size, true);
}

void memory_write_end(struct memory *memory, gpa_t gpa, size_t size)
{
	struct vm *vm = memory->vm;
	struct memory_slot slot;

	if (memory_find(memory, gpa, &slot))
		memory_mark_dirty(memory, slot.offset + (gpa - slot.base),
				  size);
	if (vm && vm->engine && vm->engine_ops->code_changed)
		vm->engine_ops->code_changed(vm, gpa, size);
}

/*
 * Calls fn for each piece of the range that lies in one slot; -EFAULT when a
 * byte lies in none, or may not be written.
 */
static int for_each_piece(struct memory *memory, gpa_t gpa, size_t size,
			  bool is_write, bool into_rom,
			  void (*fn)(struct memory *, gpa_t, uint8_t *, size_t,
				     size_t, void *),
			  void *argument)
{
	size_t done = 0;

	while (done < size) {
		struct memory_slot slot;
		uint64_t inside;
		size_t n;

		if (!memory_find(memory, gpa + done, &slot))
			return -EFAULT;
		if (is_write && !into_rom && slot.kind != MEMORY_RAM)
			return -EFAULT;
		inside = gpa + done - slot.base;
		n = MIN(size - done, slot.size - inside);
		if (fn)
			fn(memory, gpa + done,
			   memory->host + slot.offset + inside, n, done,
			   argument);
		done += n;
	}
	return 0;
}

static void piece_read(struct memory *memory, gpa_t gpa, uint8_t *host,
		       size_t size, size_t done, void *to)
{
	memcpy((uint8_t *)to + done, host, size);
}

static void piece_write(struct memory *memory, gpa_t gpa, uint8_t *host,
			size_t size, size_t done, void *from)
{
	memcpy(host, (const uint8_t *)from + done, size);
	memory_write_end(memory, gpa, size);
}

static void piece_fill(struct memory *memory, gpa_t gpa, uint8_t *host,
		       size_t size, size_t done, void *byte)
{
	memset(host, *(uint8_t *)byte, size);
	memory_write_end(memory, gpa, size);
}

/* All or nothing: a first pass that touches nothing finds what is outside. */
static int copy(struct memory *memory, gpa_t gpa, size_t size, bool is_write,
		bool into_rom,
		void (*fn)(struct memory *, gpa_t, uint8_t *, size_t, size_t,
			   void *),
		void *argument)
{
	gpa_t end;
	int error;

	if (!checked_add(gpa, size, &end))
		return -EFAULT;
	error = for_each_piece(memory, gpa, size, is_write, into_rom, NULL,
			       NULL);
	if (error)
		return error;
	return for_each_piece(memory, gpa, size, is_write, into_rom, fn,
			      argument);
}

int memory_read(struct memory *memory, gpa_t gpa, void *to, size_t size)
{
	return copy(memory, gpa, size, false, false, piece_read, to);
}

int memory_write(struct memory *memory, gpa_t gpa, const void *from,
		 size_t size)
{
	return copy(memory, gpa, size, true, false, piece_write, (void *)from);
}

int memory_fill(struct memory *memory, gpa_t gpa, uint8_t byte, size_t size)
{
	return copy(memory, gpa, size, true, false, piece_fill, &byte);
}

int memory_load(struct memory *memory, gpa_t gpa, const void *from, size_t size)
{
	return copy(memory, gpa, size, true, true, piece_write, (void *)from);
}

void memory_mark_dirty(struct memory *memory, uint64_t offset, uint64_t size)
{
	uint64_t *dirty = __atomic_load_n(&memory->dirty, __ATOMIC_ACQUIRE);
	uint64_t last;

	if (!dirty || !size)
		return;
	last = (offset + size - 1) >> PAGE_SHIFT;
	for (uint64_t page = offset >> PAGE_SHIFT; page <= last; page++)
		__atomic_fetch_or(&dirty[page / 64], BIT(page % 64),
				  __ATOMIC_RELAXED);
}

/* The part of [offset, +size) that the slot shows, by its first address. */
static uint64_t shown(const struct memory_slot *slot, uint64_t offset,
		      uint64_t size, gpa_t *gpa)
{
	uint64_t start = MAX(offset, slot->offset);
	uint64_t end = MIN(offset + size, slot->offset + slot->size);

	*gpa = slot->base + (start - slot->offset);
	return slot->is_used && end > start ? end - start : 0;
}

void memory_written(struct memory *memory, uint64_t offset, uint64_t size)
{
	struct memory_slot slot[MEMORY_SLOTS_MAX];
	struct vm *vm = memory->vm;

	memory_mark_dirty(memory, offset, size);
	if (!vm || !vm->engine || !vm->engine_ops->code_changed)
		return;
	/* Without the lock: an engine may wait for vCPUs that want it. */
	pthread_rwlock_rdlock(&memory->lock);
	memcpy(slot, memory->slot, sizeof(slot));
	pthread_rwlock_unlock(&memory->lock);
	for (unsigned i = 0; i < MEMORY_SLOTS_MAX; i++) {
		gpa_t gpa;
		uint64_t count = shown(&slot[i], offset, size, &gpa);

		if (count)
			vm->engine_ops->code_changed(vm, gpa, count);
	}
}
