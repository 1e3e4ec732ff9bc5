/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world for one interpreter: an array of bytes, a log of exits, and a
 * processor in long, protected or real mode with every vector's handler a HLT.
 *
 * Memory, in long mode mapped at its own address, in 4 KiB pages that user
 * mode may read and write; the same again, without global bits, from
 * WORLD_HIGH:
 *	1000	PML4, PDPT, PD, PT (PAE and 32-bit tables: by the test)
 *	5000	GDT, then IDT, TSS
 *	8000	handlers, 16 bytes a vector
 *	10000	code, 30000 data
 *	20000	top of the stack in use; 21000 level 0's, 22000 IST 1's
 *	ff000	ROM
 * MMIO is at WORLD_MMIO, gva and gpa alike, one 2 MiB page.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/interp/interp.h"

#define WORLD_RAM_SIZE 0x100000
#define WORLD_PML4     0x1000
#define WORLD_PT       0x4000
#define WORLD_GDT      0x5000
#define WORLD_IDT      0x6000
#define WORLD_TSS      0x7000
#define WORLD_HANDLERS 0x8000
#define WORLD_CODE     0x10000
#define WORLD_STACK    0x20000
#define WORLD_STACK0   0x21000
#define WORLD_IST1     0x22000
#define WORLD_DATA     0x30000
#define WORLD_ROM      0xff000
#define WORLD_MMIO     0x40000000
#define WORLD_HIGH     0xffff800000000000ull

/* Page table bits, for world_map. */
#define WORLD_P	 BIT(0)
#define WORLD_RW BIT(1)
#define WORLD_US BIT(2)
#define WORLD_A	 BIT(5)
#define WORLD_D	 BIT(6)
#define WORLD_G	 BIT(8)
#define WORLD_XD BIT(63)

enum world_selector {
	WORLD_KERNEL_CODE = 0x08, /* 64-bit */
	WORLD_KERNEL_DATA = 0x10,
	WORLD_USER_CODE32 = 0x18 | 3,
	WORLD_USER_DATA = 0x20 | 3,
	WORLD_USER_CODE = 0x28 | 3,
	WORLD_KERNEL_CODE32 = 0x30,
	WORLD_READ_ONLY = 0x38, /* data, DPL 0 */
	WORLD_ABSENT = 0x40, /* data, DPL 0, P clear */
	WORLD_CALL_GATE = 0x48, /* 16 bytes in long mode; empty at first */
	WORLD_SMALL = 0x58, /* data, limit fffh */
	WORLD_TR = 0x60, /* 16 bytes in long mode */
};

#define WORLD_EXITS_MAX 32

struct world {
	struct interp *cpu;
	uint8_t *ram;
	struct exit exits[WORLD_EXITS_MAX];
	unsigned exit_count;
	enum exit_action action; /* of exits other than HLT */
	uint64_t mmio_value; /* what MMIO and RDMSR read as */
	unsigned dirty_count;
	gpa_t dirty_last;
	uint64_t tsc;
	uint8_t tpr;
	int interrupt; /* pending vector or -1 */
};

/* `cpuid` may be NULL: no limits on CR4. */
void world_init(struct world *world, const struct cpuid_table *cpuid);
void world_fini(struct world *world);

/* At WORLD_CODE, with CPL 0 or 3. */
void world_long_mode(struct world *world, unsigned cpl);
/* 32-bit, flat, paging off. */
void world_protected_mode(struct world *world, unsigned cpl);
/* CS = DS = SS = 0 based, IVT at 0. */
void world_real_mode(struct world *world);

void world_code(struct world *world, const void *bytes, size_t size);
#define WORLD_CODE_BYTES(world, ...)                        \
	world_code(world, (const uint8_t[]){ __VA_ARGS__ }, \
		   sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Entry of the page at gva (below 2 MiB) := frame | bits; the TLB is flushed. */
void world_map(struct world *world, gva_t gva, gpa_t frame, uint64_t bits);
uint64_t world_pte(const struct world *world, gva_t gva);

/* A gate of the IDT: type and DPL as in a descriptor's byte 5. */
void world_gate(struct world *world, unsigned vector, uint8_t attributes,
		unsigned ist);

/* Runs until HLT, at most 1000 instructions. */
enum interp_result world_run(struct world *world);

/* The vector whose handler's HLT stopped the run; -1 when none. */
int world_vector(const struct world *world);

/* Word `number` of 8 (long) or 4 bytes of the current stack, from its top. */
uint64_t world_stack(const struct world *world, unsigned number);
