/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One virtual CPU: its thread, its requests, its part of the ledger.
 *
 * Others reach a vCPU only through requests: bits set atomically, then a kick
 * that makes the engine look. The engine consumes the bits it owns at its next
 * boundary; those in VCPU_LEAVE make `run` return.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "core/exit.h"
#include "core/paravirt.h"

struct vm;

enum vcpu_request {
	/* Return from run(). Owned by the run loop. */
	VCPU_STOP = 1 << 0,
	VCPU_PAUSE = 1 << 1,
	/* Look at the local APIC and the i8259. Software engines. */
	VCPU_INTERRUPT = 1 << 2,
	VCPU_NMI = 1 << 3,
	VCPU_INIT = 1 << 4,
	VCPU_SIPI = 1 << 5, /* vector in sipi_vector */
	/* Drop cached translations: memory map or another vCPU's tables. */
	VCPU_FLUSH = 1 << 6,
	/* Drop translated code of ranges that changed. */
	VCPU_CODE = 1 << 7,
	/* Run queued work on the vCPU's thread (vcpu_run_on). */
	VCPU_CALL = 1 << 8,
	/* HLT ends, this one or the next: a paravirtual kick. */
	VCPU_UNHALT = 1 << 9,
};

#define VCPU_LEAVE (VCPU_STOP | VCPU_PAUSE | VCPU_CALL)

struct vcpu {
	struct vm *vm;
	unsigned index; /* 0 is the bootstrap processor */
	uint32_t apic_id; /* initial; equals index */
	pthread_t thread;
	bool has_thread;

	_Atomic uint32_t requests;
	_Atomic uint32_t wake; /* futex word: sequence of vcpu_kick */
	_Atomic uint8_t sipi_vector;
	_Atomic uint32_t nmis; /* that came since VCPU_NMI was last taken */
	_Atomic bool is_paused; /* parked: state may be read by others */

	void *engine; /* the engine's own part */
	void *apic; /* chip/lapic's part; NULL under kvm */

	/* Own thread, or parked. */
	struct paravirt_state paravirt;
	uint64_t tsc_adjust; /* IA32_TSC_ADJUST, as the engine last told */
	/* input_steal's: when it looked last, and what it found until then. */
	struct {
		uint64_t wall_ns, cpu_ns, stolen_ns;
		uint64_t looked_tsc; /* chip/paravirt's, the host's TSC */
	} steal;

	/* Own thread writes; relaxed atomics, so that stat may read. */
	struct exit_table exits;
	_Atomic uint64_t events[ENGINE_EVENTS_MAX];

	/*
	 * A debugger's. The first two are written while the vCPU is parked: it
	 * stays parked when the VM goes on; it stops after one instruction.
	 * `trap` is the run_result that parked it (RUN_POSITION: a step;
	 * RUN_BREAKPOINT: `hit` says which), until the debugger clears it;
	 * vm->notify follows.
	 */
	bool is_held;
	bool is_stepping;
	_Atomic bool has_trapped;
	enum run_result trap;
	struct breakpoint hit;

	/* vcpu_run_on's slot, under vm->lock. */
	void (*call)(struct vcpu *vcpu, void *argument);
	void *call_argument;
	bool has_ended; /* its thread will run no more calls */
};

/* Sets request bits, wakes a waiting vCPU, kicks a running one. Any thread;
 * async-signal-safe. */
void vcpu_request(struct vcpu *vcpu, uint32_t bits);

/* An NMI arrives. Any thread. */
void vcpu_nmi(struct vcpu *vcpu);

/* Takes away and returns those of `bits` that were set. Own thread. */
uint32_t vcpu_take(struct vcpu *vcpu, uint32_t bits);

/*
 * Blocks while no request bit of `bits` is set (HLT, wait-for-SIPI, parked).
 * Own thread, no lock held.
 */
void vcpu_wait(struct vcpu *vcpu, uint32_t bits);

/* The thread's function: parked at first, then run, until VCPU_STOP. */
void *vcpu_main(void *vcpu);

/*
 * Runs fn on the vCPU's thread, outside the engine's run, and waits for it:
 * the way to read or write a running vCPU's state. From any other thread, no
 * device lock held. -ESRCH once the thread has ended (then call fn yourself).
 */
int vcpu_run_on(struct vcpu *vcpu, void (*fn)(struct vcpu *, void *),
		void *argument);

/*
 * Interrupts for the software engines: from the local APIC, or ExtINT from the
 * i8259 through LINT0. The one place where an interrupt enters a vCPU. Own
 * thread; take returns a vector and acknowledges it, or -1.
 */
bool vcpu_has_interrupt(struct vcpu *vcpu);
int vcpu_take_interrupt(struct vcpu *vcpu);

/* Adds to an engine event's count. Own thread. */
static inline void vcpu_event(struct vcpu *vcpu, unsigned event, uint64_t n)
{
	uint64_t old = atomic_load_explicit(&vcpu->events[event],
					    memory_order_relaxed);

	atomic_store_explicit(&vcpu->events[event], old + n,
			      memory_order_relaxed);
}
