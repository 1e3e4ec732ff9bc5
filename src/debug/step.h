/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --single-step: a line an instruction, before it executes: CS:RIP, symbol,
 * the instruction; behind a bar, the registers that the one before it changed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/vm.h"
#include "x86/regs.h"

struct symbols;

struct step_trace {
	const struct symbols *symbols; /* or NULL */
	/* Each vCPU's own thread's. */
	struct {
		bool is_known;
		uint64_t gpr[GPR_COUNT], rflags;
	} last[VM_VCPUS_MAX];
};

/* One line of TRACE_STEP for the instruction at CS:RIP. Own thread. */
void step_trace_put(struct step_trace *trace, struct vcpu *vcpu);
