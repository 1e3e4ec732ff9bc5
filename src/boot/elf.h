/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels (System V ABI) with what PVH adds: the note that names the
 * 32-bit entry point (Xen's docs/misc/pvh.pandoc, XEN_ELFNOTE_PHYS32_ENTRY).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/source.h"

#define ELF_SEGMENTS_MAX 32

struct elf_segment {
	uint64_t address; /* physical */
	uint64_t memory_size; /* the part past file_size is zero */
	uint64_t offset, file_size;
	uint64_t virtual_address;
};

struct elf_image {
	bool is_64bit;
	bool has_pvh_entry;
	uint32_t pvh_entry; /* physical */
	uint64_t entry;
	uint64_t low, high; /* all segments lie in [low, high) */
	unsigned segment_count;
	struct elf_segment segment[ELF_SEGMENTS_MAX];
};

bool elf_is_likely(const struct boot_source *source);

/*
 * NULL, or why this is no kernel. Every segment then lies inside the file, is
 * in ascending order nowhere overlapping another, does not wrap and starts at
 * 1 MiB or above.
 */
const char *elf_parse(const struct boot_source *source,
		      struct elf_image *image);

/*
 * The same for a kernel that is entered where its ELF header says, whatever
 * its notes say: an entry that is a virtual address becomes a physical one.
 */
const char *elf_parse_virtual(const struct boot_source *source,
			      struct elf_image *image);
