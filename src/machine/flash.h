/* SPDX-License-Identifier: BSD-2-Clause */
/* The flash chips that a machine was given files for: chip/pflash.h over
 * host/flash_file.h. */
#pragma once

#include <stdint.h>

#include "host/flash_file.h"
#include "machine/pc.h"

struct memory;

struct flash_set {
	unsigned count;
	char *path[PC_FLASH_MAX]; /* owned */
	struct flash_file file[PC_FLASH_MAX];
};

/**
 * Opens what "FILE[,readonly]" names, beside a ROM of rom_size bytes. What is
 * wrong has been logged; -errno, and flash_set_close is due either way.
 */
int flash_set_open(struct flash_set *set, const char *const *text,
		   unsigned count, uint64_t rom_size);

/** Chips without files, as a saved machine had them. */
void flash_set_empty(struct flash_set *set, const uint64_t size[PC_FLASH_MAX],
		     const bool is_readonly[PC_FLASH_MAX]);

/** For the board: the set outlives it. */
void flash_set_describe(struct flash_set *set, struct pc_host *host);

uint64_t flash_set_size(const struct flash_set *set);

/** The files' bytes go to the memfd, from `offset` on. 0 or -errno, logged. */
int flash_set_load(const struct flash_set *set, struct memory *memory,
		   uint64_t offset);

/** -EINVAL, logged, unless the files hold what stands there. */
int flash_set_check(const struct flash_set *set, const struct memory *memory,
		    uint64_t offset);

void flash_set_close(struct flash_set *set); /* all zero is fine */
