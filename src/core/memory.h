/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest physical memory: a sealed memfd and the map of slots that says where
 * it appears.
 *
 * Two views of the memfd. The host view is never protected and is what devices
 * and system calls get; the guest view belongs to the engine, which may
 * protect, watch and remap it. Both are contiguous mappings of the whole memfd:
 * a slot is an offset into them.
 *
 * Writes of ours go between memory_write_begin and memory_write_end (dma_* for
 * devices): the end marks the pages dirty and tells the engine that code may
 * have changed. The map changes under `lock` while vCPUs run; every change calls
 * the engine. Who looks something up takes no lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/addr.h"

struct vm;

enum memory_kind {
	MEMORY_RAM,
	MEMORY_ROM, /* reads and fetches; writes are lost */
	MEMORY_ROMD, /* reads and fetches; a write is an MMIO exit */
};

struct memory_slot {
	unsigned id; /* index, stable: kvm's slot number */
	bool is_used;
	bool is_logged; /* dirty log on */
	enum memory_kind kind;
	gpa_t base;
	uint64_t size; /* multiple of the page size */
	uint64_t offset; /* into the memfd and both views */
};

#define MEMORY_SLOTS_MAX 32

/* Fixed places of the map: doc/memory-map.md. */
#define MEMORY_HOLE_START 0xb0000000ull /* RAM below it, PCI above */
#define MEMORY_HOLE_END	  0x100000000ull /* the rest of RAM follows */

struct memory {
	struct vm *vm;
	int fd; /* sealed against shrinking and growing */
	uint64_t fd_size; /* bytes */
	uint64_t ram_size; /* bytes of RAM, ROM excluded */
	uint8_t *host; /* the host view, fd_size bytes */
	uint8_t *guest; /* the guest view, fd_size bytes */
	pthread_rwlock_t lock; /* over slot[]; for its changes */
	_Atomic uint32_t sequence; /* odd while slot[] changes */
	struct memory_slot slot[MEMORY_SLOTS_MAX];
	uint64_t *dirty; /* bit per page of the memfd, or NULL; atomic */
};

/*
 * Creates the memfd and the RAM slots: [0, hole) and [4 GiB, ...). `extra`
 * bytes beyond RAM are for ROMs (memory_add). -ENOMEM when the host has not so
 * much; nothing is left behind.
 */
int memory_init(struct memory *memory, struct vm *vm, uint64_t ram_size,
		uint64_t extra);
void memory_fini(struct memory *memory);

/* Adds, moves, removes a slot; tells the engine. Returns its id or -errno. */
int memory_add(struct memory *memory, gpa_t base, uint64_t size,
	       uint64_t offset, enum memory_kind kind);
int memory_change(struct memory *memory, unsigned id, gpa_t base,
		  enum memory_kind kind);
void memory_remove(struct memory *memory, unsigned id);

/*
 * Copies the slot that holds gpa; false when none does. Any thread. Inline: an
 * engine looks while the guest's vector registers are in the processor.
 */
static inline bool memory_find(struct memory *memory, gpa_t gpa,
			       struct memory_slot *slot);

/*
 * A pointer into the host view to [gpa, gpa + size), or NULL unless every byte
 * lies in one slot (for a write: a RAM slot; ROM is loaded by memory_load).
 * Reading through it is the caller's business: copy once, then check.
 */
const uint8_t *memory_read_begin(struct memory *memory, gpa_t gpa, size_t size);
uint8_t *memory_write_begin(struct memory *memory, gpa_t gpa, size_t size);
void memory_write_end(struct memory *memory, gpa_t gpa, size_t size);

/* Copies, across slots if need be; -EFAULT and nothing done when outside. */
int memory_read(struct memory *memory, gpa_t gpa, void *to, size_t size);
int memory_write(struct memory *memory, gpa_t gpa, const void *from,
		 size_t size);
int memory_fill(struct memory *memory, gpa_t gpa, uint8_t byte, size_t size);

/* As memory_write, but also into ROM: for loaders, before vCPUs run. */
int memory_load(struct memory *memory, gpa_t gpa, const void *from,
		size_t size);

/*
 * [offset, +size) of the memfd was written through the host view: marks it dirty
 * and tells the engine, wherever it appears in the map. Any thread.
 */
void memory_written(struct memory *memory, uint64_t offset, uint64_t size);

/* Marks [offset, +size) of the memfd dirty. Any thread, engines included. */
void memory_mark_dirty(struct memory *memory, uint64_t offset, uint64_t size);

/* --- the bodies of what is declared static inline above ------------------- */

#define MEMORY_LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)

static inline bool memory_slot_copy(const struct memory_slot *from, gpa_t gpa,
				    struct memory_slot *to)
{
	to->is_used = MEMORY_LOAD(from->is_used);
	if (!to->is_used)
		return false;
	to->base = MEMORY_LOAD(from->base);
	to->size = MEMORY_LOAD(from->size);
	if (gpa - to->base >= to->size)
		return false;
	to->id = MEMORY_LOAD(from->id);
	to->is_logged = MEMORY_LOAD(from->is_logged);
	to->kind = MEMORY_LOAD(from->kind);
	to->offset = MEMORY_LOAD(from->offset);
	return true;
}

static inline bool memory_find(struct memory *memory, gpa_t gpa,
			       struct memory_slot *slot)
{
	uint32_t sequence;
	bool found;

	*slot = (struct memory_slot){ 0 };
	/* Acquiring loads: each is done before the next. slot_store in memory.c
	 * is the other side. */
	do {
		sequence = atomic_load_explicit(&memory->sequence,
						memory_order_acquire);
		found = false;
		for (unsigned i = 0; i < MEMORY_SLOTS_MAX && !found; i++)
			found = memory_slot_copy(&memory->slot[i], gpa, slot);
	} while ((sequence & 1) ||
		 sequence != atomic_load_explicit(&memory->sequence,
						  memory_order_relaxed));
	return found;
}
