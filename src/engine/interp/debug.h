/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own breakpoints, DR0 to DR3 under DR7 (SDM 3, 17.2), and those of
 * a debugger outside. While any is enabled the run loop steps and memory takes
 * the slow path; only a debugger's instruction breakpoints let blocks run.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"

struct block;

static inline bool debug_has_breakpoints(const struct cpu_state *s)
{
	return s->dr[7] & BITS(7, 0);
}

/* DR6 bits of the instruction breakpoints at a linear address. */
uint64_t debug_code_hits(const struct interp *cpu, gva_t gva);

/* Accesses of the instruction that executes: add to cpu->debug_hits. */
void debug_note_access(struct interp *cpu, gva_t gva, unsigned size,
		       enum mmu_access access);
void debug_note_port(struct interp *cpu, uint16_t port, unsigned size);

/* A debugger's set; its instruction breakpoint at CS:RIP becomes the hit. */
int debugger_set(struct interp *cpu, const struct breakpoint *list,
		 size_t count);
void debugger_fini(struct interp *cpu);
bool debugger_stops_here(struct interp *cpu);
/* How many of the block's first `count` instructions come before one. */
unsigned debugger_clip(const struct interp *cpu, const struct block *block,
		       unsigned count);
