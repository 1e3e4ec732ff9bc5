/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stress switches: they make what seldom happens happen always, so that a short
 * run meets it. `--engine bt,stress=tlb+cache,seed=1`; doc/translator.md.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bt_vcpu;

enum bt_stress_kind {
	/* The software TLB holds one page, struct bt_stack none; when rarer:
	 * both are flushed. */
	STRESS_TLB = 1 << 0,
	/* The code cache is full at one translation in 64. */
	STRESS_CACHE = 1 << 1,
	/* Each poll finds something to look at. */
	STRESS_ATTENTION = 1 << 2,
	/* Each page of memory is taken to hold code: no right to write it is
	 * kept, a store to it drops its code, and one in 64 the code that
	 * runs. */
	STRESS_SMC = 1 << 3,
	/* Each memory operand takes the way to the interpreter. */
	STRESS_SLOW = 1 << 4,
	/* Blocks end after a random number of instructions. */
	STRESS_SHORT = 1 << 5,
};

struct bt_stress {
	uint32_t kinds;
	uint64_t seed;
	unsigned every; /* so much rarer than the list above says; 0 is 1 */
	_Atomic uint64_t draws;
};

/* "tlb+cache", "all" or "": 0 or -EINVAL. */
int bt_stress_parse(struct bt_stress *stress, const char *list);

/* True one time in `n * every` where that kind is on; on any thread. */
bool bt_stress_hits(struct bt_stress *stress, enum bt_stress_kind kind,
		    unsigned n);
/* True for one thing in `every`, always the same ones. */
bool bt_stress_chooses(const struct bt_stress *stress, enum bt_stress_kind kind,
		       uint64_t thing);
/* 1 to n, evenly. */
unsigned bt_stress_choose(struct bt_stress *stress, unsigned n);

/* Before translated code is entered from the dispatcher. */
void bt_stress_vcpu(struct bt_vcpu *vcpu);
