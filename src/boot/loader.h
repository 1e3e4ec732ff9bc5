/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside boot/: what loader.c found out of the files and chose, and apply.c
 * writes to the guest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot.h"
#include "boot/bzimage.h"
#include "boot/elf.h"
#include "boot/entry.h"
#include "boot/multiboot.h"
#include "boot/source.h"

enum boot_kind {
	BOOT_BZIMAGE,
	BOOT_ELF,
	BOOT_MULTIBOOT,
	BOOT_FIRMWARE, /* no image: the ROM at the reset vector loads one */
};

/* The initrd, or one of a multiboot kernel's modules. */
struct boot_module {
	char *path;
	char *string; /* path and arguments, as a multiboot kernel sees it */
	struct boot_source source; /* fd -1: not open */
	uint64_t address;
};

struct boot {
	char *kernel_path; /* beside firmware: what that shall boot, or NULL */
	char *rom_path;
	struct boot_source rom; /* of firmware; size 0: nothing to load */
	char *cmdline;
	bool has_acpi;
	uint64_t ram_size;
	struct boot_source kernel;
	unsigned module_count;
	struct boot_module module[BOOT_MODULES_MAX];

	enum boot_kind kind;
	bool has_header; /* a kernel for firmware is a bzImage */
	bool is_unpacked_here; /* a bzImage's payload */
	struct bzimage bzimage;
	struct elf_image elf; /* what of the image is loaded where */
	int unpacked; /* memfd with a bzImage's payload, or -1 */
	bool was_applied; /* memory is not all zero any more */

	enum entry_protocol protocol;
	uint64_t entry;
	uint64_t kernel_end; /* its memory is [1 MiB, kernel_end) */
	char description[80];
};

/* Logs "path: ..." and returns error. */
__attribute__((format(printf, 3, 4))) int
boot_refuse(const char *path, int error, const char *format, ...);

/* Unpacks and parses a bzImage's payload, unless that has been done. */
int boot_unpack(struct boot *boot);
