/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a boot loader writes into a kernel's real-mode setup code before it
 * enters that: boot.rst, "Loading The Rest of The Kernel" and "The Kernel
 * Command Line".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct realmode {
	uint32_t setup; /* where the boot sector and setup code will stand */
	uint32_t heap_end; /* of the setup code's heap, from there */
	uint32_t cmdline;
	uint32_t initrd, initrd_size; /* size 0: none */
};

/** `setup` has at least the boot sector and the header behind it. */
void realmode_fill_header(uint8_t *setup, size_t size,
			  const struct realmode *where);

struct e820_map;
struct memory;

/**
 * Interrupt vectors and the BIOS services behind them (realmode_bios.S), with
 * this map. 0 or -EFAULT.
 */
int realmode_write_bios(struct memory *memory, const struct e820_map *map);

/** The option ROM by which a BIOS boots what fw_cfg has: realmode_rom.S. */
#define REALMODE_ROM_SIZE 0x200u

/** One of its copies: an item of fw_cfg to an address. */
struct realmode_copy {
	uint16_t key;
	uint32_t address, size;
};

#define REALMODE_COPIES 4

/** Fills in `rom` for a kernel whose setup code stands at `setup`. */
void realmode_build_rom(uint8_t rom[REALMODE_ROM_SIZE], uint32_t setup,
			const struct realmode_copy copy[REALMODE_COPIES]);
