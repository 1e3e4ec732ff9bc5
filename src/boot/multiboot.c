/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot kernels (Multiboot Specification 0.6.96): finding and checking the
 * header, and the information structure. The header is the file's word and
 * nothing of it is believed that the file's size does not bear out.
 */
#include "boot/multiboot.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "core/memory.h"

#define HEADER_MAGIC 0x1badb002u

/* Offsets in the header, 3.1.1. */
#define FLAGS	      4
#define CHECKSUM      8
#define HEADER_ADDR   12
#define LOAD_ADDR     16
#define LOAD_END_ADDR 20
#define BSS_END_ADDR  24
#define ENTRY_ADDR    28
#define HEADER_SHORT  12
#define HEADER_LONG   32

/* Modules on page boundaries, a memory map, a video mode: the first two are
 * always given, the third is only a wish. */
#define FLAGS_KNOWN	   BITS(2, 0)
#define FLAGS_MUST_BE_MET  BITS(15, 0)
#define FLAG_HAS_ADDRESSES BIT(16)

/* Finds the header; its offset, or -1 with what is wrong with the first that
 * looked like one, NULL where nothing did. */
static long find_header(const struct boot_source *source,
			uint8_t header[HEADER_LONG], const char **why_not)
{
	uint8_t bytes[MULTIBOOT_SEARCH] = { 0 };
	size_t size = MIN(source->size, sizeof(bytes));

	*why_not = NULL;
	if (!source_read(source, 0, bytes, size))
		return -1;
	for (size_t at = 0; at + HEADER_SHORT <= size; at += 4) {
		uint32_t flags = load_u32(bytes + at + FLAGS);
		uint32_t sum = load_u32(bytes + at + CHECKSUM);

		if (load_u32(bytes + at) != HEADER_MAGIC)
			continue;
		if (HEADER_MAGIC + flags + sum != 0) {
			*why_not = "the checksum of its multiboot header is "
				   "wrong";
			continue;
		}
		memset(header, 0, HEADER_LONG);
		memcpy(header, bytes + at, MIN(size - at, HEADER_LONG));
		if ((flags & FLAG_HAS_ADDRESSES) && size - at < HEADER_LONG) {
			*why_not = "truncated within its multiboot header";
			return -1;
		}
		return (long)at;
	}
	return -1;
}

bool multiboot_is_likely(const struct boot_source *source)
{
	uint8_t header[HEADER_LONG];
	const char *why_not;

	return find_header(source, header, &why_not) >= 0;
}

const char *multiboot_why_not(const struct boot_source *source)
{
	uint8_t header[HEADER_LONG];
	const char *why_not;

	return find_header(source, header, &why_not) < 0 ? why_not : NULL;
}

/*
 * 3.1.3, the address fields: the header stands at header_addr, so the text
 * begins at file offset (header's offset - (header_addr - load_addr)).
 */
static const char *take_addresses(const struct boot_source *source,
				  const uint8_t *header, uint64_t header_at,
				  struct elf_image *image)
{
	uint32_t header_addr = load_u32(header + HEADER_ADDR);
	uint32_t start = load_u32(header + LOAD_ADDR);
	uint32_t load_end = load_u32(header + LOAD_END_ADDR);
	uint32_t bss_end = load_u32(header + BSS_END_ADDR);
	uint64_t offset, file_size, memory_size;

	image->entry = load_u32(header + ENTRY_ADDR);
	if (header_addr < start || header_addr - start > header_at)
		return "its multiboot header lies: it is not where it says";
	offset = header_at - (header_addr - start);
	/* 0: to the end of the file. */
	file_size = load_end ? (uint64_t)load_end - start :
			       source->size - offset;
	if (load_end && load_end < start)
		return "its multiboot header lies: it ends before it starts";
	if (!range_inside(offset, file_size, source->size))
		return "truncated: its multiboot header wants more of the file "
		       "than there is";
	memory_size = bss_end ? (uint64_t)bss_end - start : file_size;
	if (bss_end && (bss_end < start || memory_size < file_size))
		return "its multiboot header lies: its memory ends before what "
		       "is loaded";
	if (start < BOOT_KERNEL_LOW)
		return "wants to be loaded below 1 MiB";
	if (!range_inside(start, memory_size, BIT(32)))
		return "its multiboot header lies: its memory ends past 4 GiB";
	if (image->entry - start >= memory_size)
		return "its multiboot header lies: its entry point lies "
		       "outside of what it loads";
	image->low = start;
	image->high = start + memory_size;
	image->segment_count = 1;
	image->segment[0] = (struct elf_segment){
		.address = start,
		.memory_size = memory_size,
		.offset = offset,
		.file_size = file_size,
	};
	return NULL;
}

const char *multiboot_parse(const struct boot_source *source,
			    struct elf_image *image)
{
	uint8_t header[HEADER_LONG];
	const char *reason;
	long at = find_header(source, header, &reason);
	uint32_t flags;

	memset(image, 0, sizeof(*image));
	if (at < 0)
		return reason ? reason : "no multiboot header";
	flags = load_u32(header + FLAGS);
	if (flags & FLAGS_MUST_BE_MET & ~FLAGS_KNOWN)
		return "its multiboot header asks for what nobody knows of";
	if (flags & FLAG_HAS_ADDRESSES)
		return take_addresses(source, header, (uint64_t)at, image);
	/* GRUB takes 64-bit files, too, and their entry for 32-bit code. */
	reason = elf_parse_virtual(source, image);
	if (reason)
		return reason;
	return image->high > BIT(32) ? "wants to be loaded above 4 GiB" : NULL;
}

/* --- the information, 3.3 -------------------------------------------------- */

#define INFO_MEMORY  BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODULES BIT(3)
#define INFO_MAP     BIT(6)
#define INFO_LOADER  BIT(9)

struct info {
	uint32_t flags;
	uint32_t memory_lower, memory_upper; /* KiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t module_count, modules;
	uint32_t symbols[4];
	uint32_t map_size, map;
	uint32_t drives_size, drives;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
};

struct module {
	uint32_t start, end, string, reserved;
};

struct __attribute__((packed)) range {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type;
};

/* Strings go one behind the other. */
struct strings {
	struct memory *memory;
	uint32_t used;
	int error;
};

static uint32_t put_string(struct strings *strings, const char *text)
{
	size_t size = strlen(text) + 1;
	uint32_t at = BOOT_CMDLINE + strings->used;

	if (size > BOOT_CMDLINE_ROOM - strings->used)
		strings->error = -E2BIG;
	if (strings->error)
		return 0;
	strings->error = memory_write(strings->memory, at, text, size);
	strings->used += size;
	return at;
}

int multiboot_write_info(struct memory *memory,
			 const struct multiboot_params *params)
{
	const gpa_t modules = BOOT_START_INFO + sizeof(struct info);
	const gpa_t map =
		modules + params->module_count * sizeof(struct module);
	struct strings strings = { .memory = memory };
	struct info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP |
			 INFO_LOADER,
		.memory_lower = BOOT_EBDA >> 10,
		.memory_upper =
			(e820_low_end(params->ram_size) - BOOT_KERNEL_LOW) >>
			10,
		.module_count = params->module_count,
		.modules = modules,
		.map_size = params->map->count * sizeof(struct range),
		.map = map,
	};

	info.cmdline = put_string(&strings, params->cmdline);
	info.loader_name = put_string(&strings, "ringfence");
	for (unsigned i = 0; i < params->module_count; i++) {
		const struct multiboot_module *m = &params->module[i];
		struct module module = {
			.start = m->address,
			.end = m->address + m->size,
			.string = put_string(&strings, m->string),
		};

		if (!strings.error)
			strings.error = memory_write(
				memory, modules + i * sizeof(module), &module,
				sizeof(module));
	}
	for (unsigned i = 0; i < params->map->count && !strings.error; i++) {
		const struct e820_entry *e = &params->map->entry[i];
		struct range range = {
			.size = sizeof(range) - sizeof(range.size),
			.base = e->base,
			.length = e->size,
			.type = e->type,
		};

		strings.error = memory_write(memory, map + i * sizeof(range),
					     &range, sizeof(range));
	}
	if (strings.error)
		return strings.error;
	return memory_write(memory, BOOT_START_INFO, &info, sizeof(info));
}
