/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host CPU as oracle: a forked child that executes single instructions on
 * given registers and memory and says what came of them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest.h"

/* The registers of user mode that are compared. */
struct registers {
	uint64_t gpr[16];
	uint64_t rip, rflags;
	struct {
		uint16_t fcw, fsw;
		uint8_t ftw, reserved;
		uint16_t fop;
		uint64_t fip, fdp;
		uint32_t mxcsr, mxcsr_mask;
		uint8_t st[8][16];
		uint8_t xmm[16][16];
		uint8_t unused[96];
	} fx; /* as FXSAVE64 has it */
	uint8_t ymm_high[16][16];
};

struct trial {
	uint8_t bytes[16];
	uint8_t len;
	uint16_t offset; /* in the code page */
	struct registers registers;
};

struct outcome {
	int vector; /* exception, or -1: executed */
	uint32_t error;
	uint64_t cr2;
	struct registers registers; /* RIP where it went on, or of the fault */
	uint8_t memory[DATA_WRITABLE * PAGE_SIZE];
};

#define BATCH 64

/* Shared with the child. */
struct batch {
	const struct code_kind *kind;
	unsigned count;
	struct trial trial[BATCH];
	struct outcome outcome[BATCH];
	uint8_t memory[DATA_PAGES * PAGE_SIZE]; /* each trial begins with it */
};

struct sandbox {
	pid_t pid;
	int to_child, from_child;
	struct batch *batch;
};

/* 0 or -errno. */
int sandbox_init(struct sandbox *sandbox);
void sandbox_fini(struct sandbox *sandbox);

/* Runs sandbox->batch. False: the child died; it must be made anew. */
bool sandbox_run(struct sandbox *sandbox);
