/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Direct boot of a kernel. boot_load opens and checks everything before the VM
 * exists; boot_apply writes it to guest memory and sets the first vCPU's
 * state, once at the start and again after each reset.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct boot;

#define BOOT_MODULES_MAX 32

struct boot_config {
	/* Path of a ROM that goes to the reset vector, or NULL. It then is what
	 * boots, and is handed kernel and initrd: boot/handover.h. */
	const char *firmware;
	/* The board has what is at the reset vector: as with firmware, but
	 * nothing is loaded there. */
	bool has_firmware;
	const char *kernel; /* path: bzImage, ELF, multiboot; or one of these
			     * packed with gzip */
	const char *initrd; /* path, or NULL; to multiboot, the first module */
	/* Of a multiboot kernel: paths, each with ",arguments" behind it. */
	const char *const *modules;
	unsigned module_count;
	/*
	 * "" is fine. A Linux kernel's console=ttyS0 goes before it where it
	 * names no console; before a multiboot kernel's, its path.
	 */
	const char *cmdline;
	uint64_t ram_size;
	bool no_acpi; /* no tables, and no word of any */
};

/*
 * Checks kernel, initrd, modules and command line against each other and against
 * ram_size, and unpacks the kernel. On failure one line has been logged that
 * names the file and the reason; returns a negative errno. The files stay
 * open; the strings are copied.
 */
int boot_load(const struct boot_config *config, struct boot **boot);

/*
 * Writes the image, the tables and the first vCPU's state. The VM's vCPUs and
 * devices exist and do not run (their threads do not exist or are parked). A
 * reset reads the files again. Logs one line on failure; a negative errno.
 */
int boot_apply(struct boot *boot, struct vm *vm);

/*
 * Bytes of the ROM that has to end at 4 GiB, a multiple of the page size; 0
 * when a kernel boots without firmware, or nothing (NULL). Its slot exists before boot_apply.
 */
uint64_t boot_rom_size(const struct boot *boot);

void boot_destroy(struct boot *boot);

/* One line on what was chosen, for --verbose: "bzImage 2.15, xz, 64-bit". */
const char *boot_describe(const struct boot *boot);
