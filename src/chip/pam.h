/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a PC sees between A0000h and FFFFFh: RAM, ROM or nothing, by the host
 * bridge's PAM and SMRAM registers. Intel 3 Series data sheet (316966), 5.1.16
 * to 5.1.23 and 5.1.26.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"

struct vm;

/* C0000h to EFFFFh in 16 KiB, then F0000h to FFFFFh. */
#define PAM_SEGMENTS   13
#define PAM_START      0xc0000u
#define PAM_END	       0x100000u
#define PAM_READ       1u /* reads go to RAM, else to ROM */
#define PAM_WRITE      2u /* writes go to RAM, else nowhere */

#define PAM_ALIAS_SIZE 0x20000u /* of the ROM's end, below 1 MiB */

struct pam {
	pthread_mutex_t lock; /* over everything below */
	struct vm *vm;
	/* The ROM in the memfd; size 0: none. */
	uint64_t rom_offset, rom_size;
	uint8_t mode[PAM_SEGMENTS];
	int slot[PAM_SEGMENTS]; /* its memory slot, or -1 */
	int smram_slot;
	struct bus_region region;
};

/**
 * Cuts the RAM slot at 0 in pieces; every segment is RAM then. Of the ROM, at
 * rom_offset of the memfd, the end shows below 1 MiB. -errno of memory_add.
 */
int pam_init(struct pam *pam, struct vm *vm, uint64_t rom_offset,
	     uint64_t rom_size);

/** `mode` is an OR of PAM_READ and PAM_WRITE. Any thread. */
void pam_set(struct pam *pam, unsigned segment, unsigned mode);

/** SMRAM's D_OPEN: A0000h to BFFFFh is RAM rather than the VGA's. */
void pam_open_smram(struct pam *pam, bool is_open);
