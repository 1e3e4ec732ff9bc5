/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 1: the header that a kernel carries within its first 8 KiB, and
 * the information it is given. Multiboot Specification 0.6.96.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/e820.h"
#include "boot/elf.h"
#include "boot/source.h"

struct memory;

#define MULTIBOOT_SEARCH     8192 /* bytes that the header lies within */
#define MULTIBOOT_BOOT_MAGIC 0x2badb002u /* in EAX at entry */

/* 3.1.1: a magic number and a checksum that agrees, 4-byte aligned. */
bool multiboot_is_likely(const struct boot_source *source);

/* Of a file that is not: why what looks like a header is none; NULL where
 * nothing does. */
const char *multiboot_why_not(const struct boot_source *source);

/*
 * NULL, or why the kernel cannot be entered. `image` then says what is loaded
 * where, with the promises of elf_parse: from the header's own addresses if it
 * has them (flag 16), else from its ELF headers.
 */
const char *multiboot_parse(const struct boot_source *source,
			    struct elf_image *image);

struct multiboot_module {
	uint32_t address, size;
	const char *string;
};

struct multiboot_params {
	const struct e820_map *map;
	uint64_t ram_size;
	const char *cmdline; /* the image's path first */
	unsigned module_count;
	const struct multiboot_module *module;
};

/*
 * Writes the information (3.3) to BOOT_START_INFO, and its strings to
 * BOOT_CMDLINE. 0, -EFAULT, or -E2BIG when the strings are more than fit.
 */
int multiboot_write_info(struct memory *memory,
			 const struct multiboot_params *params);
