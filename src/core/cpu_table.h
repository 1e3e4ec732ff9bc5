/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU as a state file has it: struct cpu_state by its fields, and what
 * other vCPUs have asked of it. */
#pragma once

#include "x86/cpu_state.h"

struct state_table;

struct saved_cpu {
	struct cpu_state state;
	uint32_t requests; /* NMI, INIT, SIPI of enum vcpu_request */
	uint8_t sipi_vector;
};

/* The bits of vcpu->requests that belong to the guest's state. */
#define SAVED_REQUESTS (VCPU_NMI | VCPU_INIT | VCPU_SIPI)

extern const struct state_table saved_cpu_table;
