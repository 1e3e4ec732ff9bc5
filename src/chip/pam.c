/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PAM: each segment is a memory slot of its own, which is taken away and put
 * back as another kind. The one case that slots cannot carry (reads from ROM,
 * writes to RAM, how firmware shadows itself) is a slot whose writes exit, and
 * they end up here.
 *
 * On the vCPU that wrote the register the change is in force when the write
 * has completed; on others before their next TLB fill, as on hardware, where
 * nobody may run from a segment that is being remapped.
 */
#include "chip/pam.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/vm.h"

#define SEGMENT_SIZE 0x4000u
#define LAST_START   0xf0000u
#define VGA_START    0xa0000u
#define VGA_SIZE     0x20000u

static uint32_t segment_start(unsigned segment)
{
	return PAM_START + segment * SEGMENT_SIZE;
}

static uint32_t segment_size(unsigned segment)
{
	return segment_start(segment) == LAST_START ? PAM_END - LAST_START :
						      SEGMENT_SIZE;
}

static bool has_rom(const struct pam *pam, uint32_t start)
{
	return start >= PAM_END - MIN(pam->rom_size, PAM_ALIAS_SIZE);
}

static int add_slot(struct pam *pam, unsigned segment)
{
	struct memory *memory = &pam->vm->memory;
	uint32_t start = segment_start(segment), size = segment_size(segment);
	uint64_t rom = pam->rom_offset + pam->rom_size - (PAM_END - start);

	switch (pam->mode[segment]) {
	case PAM_READ | PAM_WRITE:
		return memory_add(memory, start, size, start, MEMORY_RAM);
	case PAM_READ:
		return memory_add(memory, start, size, start, MEMORY_ROM);
	default:
		/* Where there is no ROM reads exit and find nothing. */
		if (!has_rom(pam, start))
			return -1;
		return memory_add(memory, start, size, rom,
				  pam->mode[segment] ? MEMORY_ROMD :
						       MEMORY_ROM);
	}
}

void pam_set(struct pam *pam, unsigned segment, unsigned mode)
{
	LOCKED(&pam->lock);
	if (pam->mode[segment] == mode)
		return;
	if (pam->slot[segment] >= 0)
		memory_remove(&pam->vm->memory, pam->slot[segment]);
	pam->mode[segment] = mode;
	pam->slot[segment] = add_slot(pam, segment);
}

void pam_open_smram(struct pam *pam, bool is_open)
{
	LOCKED(&pam->lock);
	if (is_open && pam->smram_slot < 0) {
		pam->smram_slot = memory_add(&pam->vm->memory, VGA_START,
					     VGA_SIZE, VGA_START, MEMORY_RAM);
	} else if (!is_open && pam->smram_slot >= 0) {
		memory_remove(&pam->vm->memory, pam->smram_slot);
		pam->smram_slot = -1;
	}
}

/* Writes to a segment that is not RAM to read. */
static enum bus_result on_access(void *device, struct access *access)
{
	struct pam *pam = device;
	struct memory *memory = &pam->vm->memory;
	uint64_t gpa = PAM_START + access->offset;
	unsigned segment = MIN(access->offset / SEGMENT_SIZE, PAM_SEGMENTS - 1);

	if (!access->is_write || pam->mode[segment] != PAM_WRITE)
		return BUS_UNHANDLED;
	if (!range_inside(gpa, access->size,
			  segment_start(segment) + segment_size(segment)))
		return BUS_ERROR;
	/* No engine has code of it: that would be the ROM's. */
	memcpy(memory->host + gpa, &access->value, access->size);
	memory_mark_dirty(memory, gpa, access->size);
	return BUS_HANDLED;
}

int pam_init(struct pam *pam, struct vm *vm, uint64_t rom_offset,
	     uint64_t rom_size)
{
	struct memory *memory = &vm->memory;
	struct memory_slot low;
	int slot;

	memset(pam, 0, sizeof(*pam));
	pthread_mutex_init(&pam->lock, NULL);
	pam->vm = vm;
	pam->rom_offset = rom_offset;
	pam->rom_size = rom_size;
	pam->smram_slot = -1;
	BUG_ON(!memory_find(memory, 0, &low) || low.size < PAM_END);
	memory_remove(memory, low.id);
	slot = memory_add(memory, 0, VGA_START, 0, MEMORY_RAM);
	for (unsigned i = 0; i < PAM_SEGMENTS && slot >= 0; i++) {
		pam->mode[i] = PAM_READ | PAM_WRITE;
		pam->slot[i] = slot = add_slot(pam, i);
	}
	if (slot >= 0 && low.size > PAM_END)
		slot = memory_add(memory, PAM_END, low.size - PAM_END, PAM_END,
				  MEMORY_RAM);
	if (slot < 0)
		return slot;
	pam->region = (struct bus_region){
		.name = "pam",
		.base = PAM_START,
		.size = PAM_END - PAM_START,
		.handler = on_access,
		.device = pam,
		.lock = &pam->lock,
	};
	return bus_add(&vm->mmio, &pam->region);
}
