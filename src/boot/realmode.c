/* SPDX-License-Identifier: BSD-2-Clause */
/* Fills in the header of a kernel's real-mode code, and the option ROM. */
#include "boot/realmode.h"

#include <endian.h>
#include <string.h>

#include "base/bits.h"
#include "boot/e820.h"
#include "core/memory.h"

/* Offsets in the boot sector and the header. */
#define OLD_CMDLINE_MAGIC  0x20
#define OLD_CMDLINE_OFFSET 0x22
#define BOOT_HEADER	   0x202
#define VERSION		   0x206
#define TYPE_OF_LOADER	   0x210
#define LOADFLAGS	   0x211
#define SETUP_MOVE_SIZE	   0x212
#define RAMDISK_IMAGE	   0x218
#define RAMDISK_SIZE	   0x21c
#define HEAP_END_PTR	   0x224
#define CMD_LINE_PTR	   0x228
#define HEADER_END	   0x22c

#define OLD_MAGIC	   0xa33f
#define LOADER_UNDEFINED   0xff
#define CAN_USE_HEAP	   BIT(7)
#define PROTOCOL_INITRD	   0x200
#define PROTOCOL_HEAP	   0x201
#define PROTOCOL_CMDLINE   0x202

void realmode_fill_header(uint8_t *setup, size_t size,
			  const struct realmode *where)
{
	unsigned protocol = 0;

	if (size < HEADER_END)
		return;
	if (memcmp(setup + BOOT_HEADER, "HdrS", 4) == 0)
		protocol = load_u16(setup + VERSION);
	if (protocol >= PROTOCOL_INITRD) {
		setup[TYPE_OF_LOADER] = LOADER_UNDEFINED;
		store_u32(setup + RAMDISK_IMAGE,
			  where->initrd_size ? where->initrd : 0);
		store_u32(setup + RAMDISK_SIZE, where->initrd_size);
	}
	if (protocol >= PROTOCOL_HEAP) {
		setup[LOADFLAGS] |= CAN_USE_HEAP;
		store_u16(setup + HEAP_END_PTR, where->heap_end - 0x200);
	}
	if (protocol >= PROTOCOL_CMDLINE) {
		store_u32(setup + CMD_LINE_PTR, where->cmdline);
		return;
	}
	/* Within what the kernel moves to 90000h, all up to the string's end. */
	store_u16(setup + OLD_CMDLINE_MAGIC, OLD_MAGIC);
	store_u16(setup + OLD_CMDLINE_OFFSET, where->cmdline - where->setup);
	if (protocol >= PROTOCOL_INITRD)
		store_u16(setup + SETUP_MOVE_SIZE,
			  where->cmdline - where->setup + 0x100);
}

/* --- BIOS services --------------------------------------------------------- */

#define BIOS_ADDRESS	0xff000u
#define BIOS_SEGMENT	0xf000u
#define BIOS_SIZE	0x1000u
#define BIOS_E801_LOW	0
#define BIOS_E801_HIGH	2
#define BIOS_88		4
#define BIOS_E820_COUNT 6
#define BIOS_E820	8
#define E820_SIZE	20

#define VECTORS		256
#define MIB(n)		((uint64_t)(n) << 20)

extern const uint8_t realmode_bios[BIOS_SIZE];
extern const uint16_t realmode_bios_handlers;

static void put_map(uint8_t *bios, const struct e820_map *map)
{
	uint64_t end = 0;

	store_u16(bios + BIOS_E820_COUNT, map->count);
	for (unsigned i = 0; i < map->count; i++) {
		const struct e820_entry *entry = &map->entry[i];
		uint8_t *to = bios + BIOS_E820 + i * E820_SIZE;

		store_u64(to, entry->base);
		store_u64(to + 8, entry->size);
		store_u32(to + 16, entry->type);
		if (entry->base == MIB(1) && entry->type == E820_RAM)
			end = entry->base + entry->size;
	}
	end = MAX(end, MIB(1));
	store_u16(bios + BIOS_E801_LOW, (MIN(end, MIB(16)) - MIB(1)) >> 10);
	store_u16(bios + BIOS_E801_HIGH,
		  end > MIB(16) ? (end - MIB(16)) >> 16 : 0);
	store_u16(bios + BIOS_88, (MIN(end, MIB(64)) - MIB(1)) >> 10);
}

/* The first handler's offset, then numbers with theirs until number 0. */
static int write_vectors(struct memory *memory)
{
	const uint8_t *at = realmode_bios + realmode_bios_handlers;
	uint8_t vector[VECTORS * 4];

	for (unsigned i = 0; i < VECTORS; i++) {
		store_u16(vector + 4 * i, load_u16(at));
		store_u16(vector + 4 * i + 2, BIOS_SEGMENT);
	}
	for (at += 2; load_u16(at); at += 4)
		store_u16(vector + 4 * at[0], load_u16(at + 2));
	return memory_write(memory, 0, vector, sizeof(vector));
}

int realmode_write_bios(struct memory *memory, const struct e820_map *map)
{
	uint8_t bios[BIOS_SIZE];
	int error;

	memcpy(bios, realmode_bios, sizeof(bios));
	put_map(bios, map);
	error = memory_load(memory, BIOS_ADDRESS, bios, sizeof(bios));
	return error ? error : write_vectors(memory);
}

/* --- the option ROM -------------------------------------------------------- */

extern const uint8_t realmode_rom[REALMODE_ROM_SIZE];
extern const uint16_t realmode_rom_copies, realmode_rom_entry;

#define ROM_CHECKSUM 6 /* a byte that nothing else uses */
#define DMA_READ     BIT(1)
#define DMA_SELECT   BIT(3)

static void put_copy(uint8_t *bytes, const struct realmode_copy *copy)
{
	store_u32(bytes,
		  htobe32((uint32_t)copy->key << 16 | DMA_SELECT | DMA_READ));
	store_u32(bytes + 4, htobe32(copy->size));
	store_u64(bytes + 8, htobe64(copy->address));
}

void realmode_build_rom(uint8_t rom[REALMODE_ROM_SIZE], uint32_t setup,
			const struct realmode_copy copy[REALMODE_COPIES])
{
	uint8_t sum = 0;

	memcpy(rom, realmode_rom, REALMODE_ROM_SIZE);
	for (unsigned i = 0; i < REALMODE_COPIES; i++)
		put_copy(rom + realmode_rom_copies + 16 * i, &copy[i]);
	/* The segment of the setup code: its entry is 20h above. */
	store_u16(rom + realmode_rom_entry, setup >> 4);
	for (unsigned i = 0; i < REALMODE_ROM_SIZE; i++)
		sum += rom[i];
	rom[ROM_CHECKSUM] -= sum;
}
