/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A parallel NOR flash chip, x8, with Intel's command set: JEDEC JEP137B's
 * primary command set 0001h, Common Flash Interface (JESD68.01).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"

struct vm;

#define PFLASH_BLOCK	  0x1000u /* what is erased and locked at a time */
#define PFLASH_SIZE_MAX	  (16u << 20)
#define PFLASH_BUFFER	  32 /* bytes of a buffered program, aligned */
#define PFLASH_BLOCKS_MAX (PFLASH_SIZE_MAX / PFLASH_BLOCK)

/** Copied by pflash_init. */
struct pflash_config {
	const char *name; /* of the device: "pflash0" */
	uint64_t base, size; /* of whole blocks, in the physical map */
	uint64_t offset; /* of its bytes in the memfd */
	bool is_readonly; /* the whole chip is write-protected */
	/**
	 * Keeps bytes that are about to change; 0 or -errno, after which they
	 * are as they were and the guest is told. Comes with the chip's lock
	 * held, on a vCPU's thread. NULL: nobody keeps them.
	 */
	int (*write)(void *argument, uint64_t offset, const uint8_t *bytes,
		     size_t size);
	void *argument;
};

struct pflash {
	pthread_mutex_t lock; /* over everything below */
	struct vm *vm;
	struct pflash_config config;
	uint8_t mode; /* what reads give: enum pflash_mode */
	uint8_t pending; /* what the next write is: enum pflash_pending */
	uint8_t status;
	uint8_t locked[PFLASH_BLOCKS_MAX / 8]; /* a bit a block */
	/* A buffered program: where, how many of how many bytes are here. */
	uint32_t buffer_start, buffer_count, buffer_left;
	uint8_t buffer[PFLASH_BUFFER];
	uint32_t buffer_mask; /* bytes that were written */
	int slot; /* memory slot while the array is read; or -1 */
	struct bus_region region;
	struct device device;
};

/**
 * The chip, with what the memfd holds. While nothing but the array is read its
 * bytes are a memory slot, and code may run there. -errno of bus_add.
 */
int pflash_init(struct pflash *flash, struct vm *vm,
		const struct pflash_config *config);
