/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU as a state file has it: struct cpu_state by its fields, and what
 * other vCPUs have asked of it. */
#pragma once

#include "core/paravirt.h"
#include "x86/cpu_state.h"

struct state_table;

struct saved_cpu {
	struct cpu_state state;
	uint32_t requests; /* SAVED_REQUESTS of enum vcpu_request */
	uint8_t sipi_vector;
	struct paravirt_state paravirt;
	uint64_t stolen_ns; /* what the guest has been told of lost time */
};

/* The bits of vcpu->requests that belong to the guest's state. */
#define SAVED_REQUESTS (VCPU_NMI | VCPU_INIT | VCPU_SIPI | VCPU_UNHALT)

extern const struct state_table saved_cpu_table;
