/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a local APIC remembers, whoever implements it: chip/lapic and the kernel
 * behind engine/kvm carry their state in this form, so that it moves from one
 * to the other. SDM 3, 10.4.1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state_table;

struct apic_state {
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t tpr, svr, ldr, dfr, esr, esr_pending;
	uint32_t icr_low, icr_high;
	/* Timer, thermal, performance, LINT0, LINT1, error. */
	uint32_t lvt[6];
	uint32_t irr[8], isr[8], tmr[8];
	bool lint[2]; /* levels of the pins */
	bool extint_message; /* an ExtINT that came by message waits */
	uint32_t timer_initial, timer_divide;
	uint64_t timer_expiry_ns; /* virtual time; 0: the timer stands */
	uint64_t tsc_deadline; /* IA32_TSC_DEADLINE; 0: unarmed */
};

extern const struct state_table apic_state_table;
