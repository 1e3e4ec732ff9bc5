/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the memory map of the board: doc/memory-map.md. */
#include "boot/e820.h"

#include "base/bits.h"
#include "base/log.h"
#include "core/memory.h"

#define WINDOW64_LOWEST 0x800000000ull

uint64_t e820_low_end(uint64_t ram_size)
{
	return MIN(ram_size, MEMORY_HOLE_START);
}

uint64_t e820_high_end(uint64_t ram_size)
{
	if (ram_size <= MEMORY_HOLE_START)
		return ram_size;
	return MEMORY_HOLE_END + (ram_size - MEMORY_HOLE_START);
}

uint64_t board_window64_base(uint64_t ram_size)
{
	return MAX(align_up(e820_high_end(ram_size), 1ull << 30),
		   WINDOW64_LOWEST);
}

static void add(struct e820_map *map, uint64_t base, uint64_t end,
		enum e820_type type)
{
	if (base >= end)
		return;
	BUG_ON(map->count == E820_ENTRIES_MAX);
	map->entry[map->count++] =
		(struct e820_entry){ base, end - base, type };
}

void e820_build(struct e820_map *map, uint64_t ram_size)
{
	map->count = 0;
	add(map, 0, BOOT_EBDA, E820_RAM);
	add(map, BOOT_EBDA, 0xa0000, E820_RESERVED);
	add(map, BOOT_ACPI, 0x100000, E820_RESERVED);
	add(map, 0x100000, e820_low_end(ram_size), E820_RAM);
	add(map, BOARD_ECAM_BASE, BOARD_ECAM_BASE + BOARD_ECAM_SIZE,
	    E820_RESERVED);
	add(map, MEMORY_HOLE_END, e820_high_end(ram_size), E820_RAM);
}
