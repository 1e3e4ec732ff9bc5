/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What firmware was handed (a kernel, an initial RAM disk, a command line: the
 * items of fw_cfg) as sections of a state file. A machine whose firmware boots
 * by itself has none: there the items are the board's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/state_file.h"

struct fw_cfg;
struct vm;

#define STATE_ITEMS_SECTION "fw_cfg"

/* Zero-initialized; state_items_fini at the end of all sections, or before. */
struct state_items {
	struct fw_cfg *fw; /* of the machine that is restored */
	bool has_begun;
	bool is_named; /* that machine was given a kernel: it must be this */
	/* The item that is read: `at` of its `size` bytes are here. */
	uint16_t key;
	uint32_t at, size;
	uint8_t *bytes;
	char why[160]; /* of -EINVAL */
};

/* Nothing, where firmware has been handed nothing. */
void state_items_save(struct state_file_writer *file, struct vm *vm);

/* One section of that name, of a machine's own checksummed file: but believed
 * nothing. 0, -ENOMEM, or -EINVAL with the reason in why. */
int state_items_load(struct state_items *items, struct vm *vm,
		     const struct state_section *section);
/* -EINVAL: the last item is not whole. */
int state_items_finish(struct state_items *items);
void state_items_fini(struct state_items *items);
