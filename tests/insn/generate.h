/* SPDX-License-Identifier: BSD-2-Clause */
/* Random instructions, taken evenly from the rows of the instruction table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sandbox.h"
#include "x86/insn.h"

/* Deterministic numbers: splitmix64 of a seed and a counter. */
struct random {
	uint64_t state;
	const struct code_kind *kind; /* what the trials are of */
};

struct random random_from(uint64_t seed, uint64_t number,
			  const struct code_kind *kind);
uint64_t random_next(struct random *random);

/* The row is one whose outcome can be compared: user mode, offered, and the
 * same whenever and wherever it runs. */
bool row_is_comparable(const struct cpuid_table *cpuid,
		       const struct code_kind *kind, unsigned row);

/* Fills the memory that a batch's trials begin with. */
void memory_generate(struct random *random, uint8_t *memory);

/* An instruction of that row with registers to go with it. False: the dice
 * gave none. */
bool trial_generate(struct random *random, unsigned row, const uint8_t *memory,
		    struct trial *trial, struct insn *insn);
