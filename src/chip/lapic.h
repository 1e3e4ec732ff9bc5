/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC of each vCPU, for engines that do not bring their own. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

struct vcpu;
struct vm;

/* The timer's input: one count a nanosecond before the divider. */
#define LAPIC_BUS_HZ	   1000000000ull

#define LAPIC_DEFAULT_PAGE 0xfee00000ull

enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERFORMANCE,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_COUNT,
};

struct lapic {
	/* Over everything below but the atomics; also the timer's lock. */
	pthread_mutex_t lock;
	struct vcpu *vcpu;
	struct device device;
	char name[12];

	/* IA32_APIC_BASE. Written by the vCPU's own thread only. */
	uint64_t base;
	uint32_t tpr, svr, ldr, dfr, esr, esr_pending;
	uint32_t icr_low, icr_high;
	uint32_t lvt[LAPIC_LVT_COUNT];
	uint32_t irr[8], isr[8], tmr[8];
	bool lint[2]; /* levels of the pins */
	bool extint_message; /* an ExtINT came by message */
	/* The guest may have ended the interrupt in service: lapic_pv.c. */
	_Atomic bool has_offered_eoi;

	uint32_t timer_initial, timer_divide;
	/* When the count reaches 0; 0: it does not count. */
	uint64_t timer_expiry_ns;
	uint64_t tsc_deadline; /* IA32_TSC_DEADLINE, guest TSC; 0: unarmed */
	struct timer timer;

	/* What has_interrupt looks at: derived, set under the lock. */
	_Atomic bool is_ready; /* a vector above the processor priority */
	_Atomic bool is_extint; /* the i8259 asks through LINT0 */
	_Atomic uint32_t lowest_turn; /* of vCPU 0: who takes the next tie */
};

/**
 * Makes the VM's local APICs these: apic_ops and the MSRs (IA32_APIC_BASE,
 * IA32_TSC_DEADLINE, 800h to 83Fh; source "lapic"). Once a VM, when the engine
 * left vm->apic_ops NULL, before vCPUs run. -errno of msr_add.
 */
int lapic_init(struct vm *vm);

/**
 * Gives a vCPU its local APIC, in the state after RESET#. The device list owns
 * it. After vm_add_vcpu, before the vCPU runs. -ENOMEM.
 */
int lapic_create(struct vcpu *vcpu);

extern const struct apic_ops lapic_ops;
