/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's own x87, MMX, SSE and AVX units, lent to the guest: for each
 * distinct instruction a small routine in an executable arena that loads the
 * registers the instruction names, executes a rewritten copy of it, and stores
 * what it left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/insn.h"

struct interp;
struct host_unit;

/*
 * One per vCPU. NULL when out of memory, or when the host refuses executable
 * memory (that is logged).
 */
struct host_unit *host_unit_create(void);
void host_unit_destroy(struct host_unit *unit); /* NULL is fine */

/* The host executes rows of this feature. */
bool host_has_feature(enum insn_feature feature);

/* --- between host_unit.c and host_stub.c ---------------------------------- */

/* As FXSAVE64 has it (SDM 1, table 10-2). */
struct fxsave_image {
	_Alignas(16) uint16_t fcw;
	uint16_t fsw;
	uint8_t ftw, reserved;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
	uint8_t unused[96];
};

_Static_assert(sizeof(struct fxsave_image) == 512, "SDM 1, table 10-2");

/* What a stub reads and writes, besides the guest's vector registers. */
struct host_context {
	_Alignas(64) struct fxsave_image image; /* STUB_X87 */
	uint8_t memory[128]; /* the memory operand */
	uint8_t result[2][32]; /* the destination; implicit XMM0 */
	uint64_t rax; /* the general register operand, in and out */
	uint64_t rdx; /* STUB_LENGTHS */
	uint64_t rcx; /* STUB_INDEX */
	uint64_t rflags; /* STUB_FLAGS, in and out: status flags only */
	uint32_t mxcsr; /* STUB_MXCSR, in and out */
	uint32_t host_mxcsr; /* what the ABI expects: 1F80h */
	/* While a stub runs with the guest's exception masks: a SIGFPE at
	 * trap_rip goes on at resume_rip. */
	uint64_t trap_rip, resume_rip;
	bool has_trapped;
};

enum stub_use {
	STUB_X87 = 1 << 0, /* loads and stores the x87 and MMX registers */
	STUB_MXCSR = 1 << 1,
	STUB_FLAGS_IN = 1 << 2,
	STUB_FLAGS_OUT = 1 << 3,
	STUB_GPR = 1 << 4, /* rax stands for the general register */
	STUB_LENGTHS = 1 << 5, /* PCMPESTRx: RAX and RDX are read */
	STUB_INDEX = 1 << 6, /* PCMPxSTRI: RCX is written */
	STUB_VECTOR = 1 << 7, /* result[0] belongs to vector[] */
	STUB_XMM0 = 1 << 8, /* result[1] belongs to XMM0 */
	STUB_ILLEGAL = 1 << 9, /* the host lacks it: #UD */
	STUB_MMX = 1 << 10, /* an MMX register is an operand */
	STUB_DIRECT = 1 << 11, /* vector[] goes to the guest's register */
	STUB_MXCSR_OUT = 1 << 12, /* of run_plain: MXCSR is only looked at */
};

typedef void stub_fn(struct host_context *context, void *memory,
		     uint8_t (*ymm)[32]);

struct host_stub {
	uint64_t key; /* 0: free */
	stub_fn *run;
	stub_fn *run_plain; /* STUB_MXCSR: the same with MXCSR as it stands */
	uint16_t use; /* enum stub_use */
	uint8_t vector; /* number of the destination register */
	uint8_t gpr; /* index of the general operand, STUB_GPR */
	uint8_t insn_offset; /* of the copy, from run: what FIP will show */
	uint8_t insn_end;
	int8_t memory; /* index of the memory operand, or -1 */
	uint64_t flags_written; /* RFLAGS bits to take over */
};

#define HOST_STUBS 2048 /* power of two; at most half are used */

struct host_unit {
	struct host_context context;
	struct host_stub table[HOST_STUBS];
	unsigned count;
	uint8_t *writable, *executable; /* one memfd, mapped twice */
	size_t used;
};

/*
 * Makes SIGFPE mean what has_trapped says. Called before each run that may
 * trap: whoever else wants the signal does not get in the way, nor another
 * vCPU doing the same.
 */
void host_traps_catch(void);

/* Finds or builds the stub. Valid until the next call. */
const struct host_stub *host_stub_find(struct host_unit *unit,
				       const struct insn *insn);
