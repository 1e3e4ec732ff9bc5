/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes the zero page and the PVH start info. */
#include "boot/params.h"

#include <string.h>

#include "base/bits.h"
#include "core/memory.h"

/* zero-page.rst */
#define ZP_ACPI_RSDP	 0x070
#define ZP_E820_COUNT	 0x1e8
#define ZP_LOADER	 0x210
#define ZP_LOADFLAGS	 0x211
#define ZP_RAMDISK_IMAGE 0x218
#define ZP_RAMDISK_SIZE	 0x21c
#define ZP_CMDLINE	 0x228
#define ZP_ALIGNMENT	 0x230
#define ZP_E820		 0x2d0
#define ZP_E820_ENTRY	 20

#define LOADER_UNDEFINED 0xff
#define LOADED_HIGH	 BIT(0)

/* For an ELF kernel without a header of its own: the fields a kernel looks
 * at, of protocol 2.12. */
static void make_header(uint8_t *page)
{
	store_u16(page + 0x1fe, 0xaa55);
	memcpy(page + 0x202, "HdrS", 4);
	store_u16(page + 0x206, 0x20c);
	page[ZP_LOADFLAGS] = LOADED_HIGH;
	store_u32(page + ZP_ALIGNMENT, 0x200000);
}

int params_write_zero_page(struct memory *memory,
			   const struct boot_params *params)
{
	const struct e820_map *map = params->map;
	uint8_t page[PAGE_SIZE] = { 0 };

	if (params->header)
		memcpy(page + BZIMAGE_HEADER_START, params->header->header,
		       params->header->header_size);
	else
		make_header(page);
	page[ZP_LOADER] = LOADER_UNDEFINED;
	store_u32(page + ZP_CMDLINE, BOOT_CMDLINE);
	store_u32(page + ZP_RAMDISK_IMAGE, params->initrd);
	store_u32(page + ZP_RAMDISK_SIZE, params->initrd_size);
	if (params->has_acpi)
		store_u64(page + ZP_ACPI_RSDP, BOOT_ACPI);
	page[ZP_E820_COUNT] = map->count;
	for (unsigned i = 0; i < map->count; i++) {
		uint8_t *entry = page + ZP_E820 + i * ZP_E820_ENTRY;

		store_u64(entry, map->entry[i].base);
		store_u64(entry + 8, map->entry[i].size);
		store_u32(entry + 16, map->entry[i].type);
	}
	return memory_write(memory, BOOT_ZERO_PAGE, page, sizeof(page));
}

#define START_INFO_MAGIC 0x336ec578

struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, memory_map;
	uint32_t memory_map_entries, reserved;
};

struct start_info_module {
	uint64_t address, size, cmdline, reserved;
};

struct start_info_range {
	uint64_t address, size;
	uint32_t type, reserved;
};

int params_write_start_info(struct memory *memory,
			    const struct boot_params *params)
{
	const gpa_t modules = BOOT_START_INFO + sizeof(struct start_info);
	const gpa_t ranges = modules + sizeof(struct start_info_module);
	struct start_info_range range[E820_ENTRIES_MAX] = { 0 };
	struct start_info_module initrd = { .address = params->initrd,
					    .size = params->initrd_size };
	struct start_info info = {
		.magic = START_INFO_MAGIC,
		.version = 1,
		.modules = params->initrd_size ? 1 : 0,
		.module_list = params->initrd_size ? modules : 0,
		.cmdline = BOOT_CMDLINE,
		.rsdp = params->has_acpi ? BOOT_ACPI : 0,
		.memory_map = ranges,
		.memory_map_entries = params->map->count,
	};
	int error;

	for (unsigned i = 0; i < params->map->count; i++)
		range[i] = (struct start_info_range){
			.address = params->map->entry[i].base,
			.size = params->map->entry[i].size,
			.type = params->map->entry[i].type,
		};
	error = memory_write(memory, BOOT_START_INFO, &info, sizeof(info));
	if (!error)
		error = memory_write(memory, modules, &initrd, sizeof(initrd));
	if (!error)
		error = memory_write(memory, ranges, range, sizeof(range));
	return error;
}
