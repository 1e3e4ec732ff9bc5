/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory as its processors see it, and the code in it as text. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "x86/addr.h"
#include "x86/cpu_state.h"
#include "x86/format.h"
#include "x86/insn.h"

struct vcpu;

/* "rax" .. "r15", by enum gpr. */
extern const char *const gpr_names[GPR_COUNT];

/*
 * Bytes from a linear address on, as far as they are mapped to memory; returns
 * how many. The vCPU's own thread outside run, or while it stands.
 */
size_t guest_read(struct vcpu *vcpu, gva_t gva, void *to, size_t size);

/* How many bytes an instruction is decoded and executed with. */
enum x86_mode guest_mode(const struct cpu_state *state);

/* Linear address of CS:RIP. */
gva_t guest_rip(const struct cpu_state *state);

/* The instruction at CS:RIP, or why there is none. As guest_read. */
void guest_insn_text(struct vcpu *vcpu, const struct cpu_state *state,
		     char text[INSN_TEXT_SIZE]);
