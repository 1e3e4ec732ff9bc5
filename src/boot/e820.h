/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory map as a guest is told it, and the fixed places below 1 MiB that
 * boot uses. doc/memory-map.md is the board; the map's form is ACPI 6.4, 15.
 */
#pragma once

#include <stdint.h>

#include "x86/addr.h"

enum e820_type {
	E820_RAM = 1,
	E820_RESERVED = 2,
	E820_ACPI = 3, /* tables: RAM once they have been read */
	E820_NVS = 4,
};

struct e820_entry {
	uint64_t base, size;
	uint32_t type;
};

#define E820_ENTRIES_MAX 8

struct e820_map {
	unsigned count;
	struct e820_entry entry[E820_ENTRIES_MAX];
};

/* Conventional memory, before the kernel takes it over. */
#define BOOT_GDT	 0x0500ull
#define BOOT_TSS	 0x0600ull
#define BOOT_START_INFO	 0x6000ull /* PVH */
#define BOOT_ZERO_PAGE	 0x7000ull
#define BOOT_STACK_TOP	 0x9000ull
#define BOOT_PAGE_TABLES 0x9000ull /* six pages */
#define BOOT_CMDLINE	 0x20000ull
/* Of a kernel that is entered in real mode: its setup code, with a stack from
 * there; one that is loaded low stands below its setup code. */
#define BOOT_SETUP	     0x10000ull
#define BOOT_ZIMAGE	     0x10000ull
#define BOOT_SETUP_LOW	     0x90000ull
#define BOOT_CMDLINE_LOW     0x99000ull
#define BOOT_REAL_MODE_STACK 0x9000u
#define BOOT_CMDLINE_ROOM    0x10000u /* with the NUL */
#define BOOT_EBDA	     0x9fc00ull /* 1 KiB, holds the FACS */
#define BOOT_FACS	     0x9fd00ull
#define BOOT_ACPI	     0xe0000ull /* RSDP first, then the tables */
#define BOOT_ACPI_ROOM	     0x20000u
#define BOOT_MPTABLE	     0xf0000ull /* where there is no ACPI */
#define BOOT_KERNEL_LOW	     0x100000ull

#define BOARD_ECAM_BASE	     0xb0000000ull
#define BOARD_ECAM_SIZE	     0x10000000ull

/* Where RAM below the hole ends, for this much RAM. */
uint64_t e820_low_end(uint64_t ram_size);

/* Where RAM ends: above 4 GiB when there is more than fits below the hole. */
uint64_t e820_high_end(uint64_t ram_size);

/* The 64-bit window for PCI memory: behind RAM, 1 GiB aligned. */
#define BOARD_WINDOW64_SIZE (64ull << 30)
uint64_t board_window64_base(uint64_t ram_size);

/* ram_size is at least 1 MiB. */
void e820_build(struct e820_map *map, uint64_t ram_size);
