/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel is told at entry: Linux's zero page (boot.rst and
 * zero-page.rst) or PVH's start info (Xen's include/public/arch-x86/hvm/
 * start_info.h).
 */
#pragma once

#include <stdint.h>

#include "boot/bzimage.h"
#include "boot/e820.h"

struct memory;

struct boot_params {
	const struct e820_map *map;
	uint64_t initrd, initrd_size; /* size 0: none */
	/* The setup header to copy; NULL: one is made up. */
	const struct bzimage *header;
	bool has_acpi; /* tables stand at BOOT_ACPI */
};

/* The command line stands at BOOT_CMDLINE. 0 or -EFAULT. */
int params_write_zero_page(struct memory *memory,
			   const struct boot_params *params);
int params_write_start_info(struct memory *memory,
			    const struct boot_params *params);
