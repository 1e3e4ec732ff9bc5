/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel that firmware boots, which finds it in fw_cfg. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct boot;

struct boot_handover {
	/* Owned; what is not there is NULL and of size 0. */
	uint8_t *setup, *kernel, *initrd;
	uint32_t setup_size, kernel_size, initrd_size;
	char *cmdline;
	/* Where a BIOS shall put them; the setup code is told already. */
	uint32_t setup_address, kernel_address, initrd_address, cmdline_address;
	/* For a BIOS; size 0: only UEFI boots this kind of kernel. */
	uint8_t rom[512];
	uint32_t rom_size;
};

/**
 * Reads the files of a boot whose firmware is handed a kernel; with none all is
 * empty. 0 or -errno, logged. boot_handover_fini is due either way.
 */
int boot_hand_over(const struct boot *boot, struct boot_handover *handover);
void boot_handover_fini(struct boot_handover *handover);
