/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world for the interpreter that looks like a Linux process: user mode,
 * 64-bit, a few pages at fixed addresses, and exceptions that come back here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "engine/interp/interp.h"

/* One page table's reach. User pages lie at the same addresses on the host. */
#define WORLD_BASE  0x20000000ull
#define WORLD_PAGES 512

/* Page numbers from WORLD_BASE. What is not named is not mapped. */
#define PAGE_CODE      8 /* 8 pages, user, executable, read-only */
#define CODE_PAGES     8
#define PAGE_DATA      32 /* 2 pages read and write, then 1 read-only */
#define DATA_WRITABLE  2
#define DATA_PAGES     3
#define PAGE_STACK     48 /* 4 pages */
#define STACK_PAGES    4
#define PAGE_RESULT    64 /* 64 pages */
#define RESULT_PAGES   64
#define PAGE_KERNEL    256 /* IDT, GDT and TSS, stack, handlers */

#define WORLD_AT(page) (WORLD_BASE + (uint64_t)(page)*PAGE_SIZE)

/* What user space sees as GS.base, so that the prefix can be tested. */
#define WORLD_GS_BASE 0x1000ull

/*
 * The kinds of user code: 64-bit; 32-bit, flat, through the GDT's segments;
 * 16-bit, through two segments of 64 KiB of the LDT, of which the data's has
 * the data window in its middle.
 */
struct code_kind {
	const char *name;
	enum x86_mode mode;
	uint16_t cs, ss; /* selectors; SS is DS and ES too, but for 64-bit */
	uint64_t code_base, data_base;
	uint64_t gpr_mask; /* what of a register there is */
};

enum { CODE_64, CODE_32, CODE_16, CODE_KINDS };
extern const struct code_kind code_kinds[CODE_KINDS];

/* Entries of the LDT. */
#define LDT_CODE  0
#define LDT_DATA  1
#define LDT_LIMIT 0xffff

struct vm;

struct guest {
	struct interp *cpu; /* bt's vCPU begins with one, too */
	struct cpuid_table cpuid;
	uint8_t *ram;
	/* A VM of another engine's; NULL: the interpreter by itself. */
	struct vm *vm;
	struct interp_ops ops; /* the engine's, with exits that come here */
	uint64_t code_base; /* of CS */
	/* Instructions that the last guest_step left to the interpreter, of
	 * an engine that has others. */
	uint64_t interpreted;
};

/* Where the last run ended. */
struct guest_stop {
	int vector; /* exception, or -1: none */
	uint32_t error;
	uint64_t rip, rflags, rsp; /* of user mode */
};

/* 0 or -errno. `engine`: NULL for the interpreter, or bt; `options` ("key=value",
 * then NULL) are its own. */
int guest_init(struct guest *guest, const struct engine_ops *engine,
	       const char *const *options);
void guest_fini(struct guest *guest);

/* Maps all that a test program uses. */
void guest_map_program(struct guest *guest);

/* Host address of a page of the world. */
uint8_t *guest_page(struct guest *guest, unsigned page);

/* User mode at `rip`, with empty registers; the tests set what they need. */
void guest_reset(struct guest *guest, uint64_t rip);
/* Then: code of this kind, instead of 64-bit. */
void guest_set_kind(struct guest *guest, const struct code_kind *kind);

/*
 * Executes until RIP has left `from` or an exception came, `limit`
 * instructions at most (a REP string may take one for every element). False:
 * the limit was reached.
 */
bool guest_step(struct guest *guest, uint64_t from, uint64_t limit,
		struct guest_stop *stop);

/*
 * The same on the other engine: the instruction and what follows it, which must
 * be INT3 wherever it may go on.
 */
bool guest_step_engine(struct guest *guest, uint64_t from,
		       struct guest_stop *stop);

/* Executes until an exception. False: none within `limit` instructions. */
bool guest_run(struct guest *guest, uint64_t limit, struct guest_stop *stop);
