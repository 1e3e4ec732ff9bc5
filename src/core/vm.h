/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One virtual machine: memory, buses, vCPUs, time, and its life.
 *
 * Threads: one per vCPU; the event loop, which runs timers and back ends; the
 * thread that created the VM. Several VMs in one process do not know of each
 * other.
 *
 * Lock order, outermost first:
 *   a device's lock (bus_region.lock, timer.lock)
 *   ioapic, i8259 (their own device locks, taken from inside irq_set)
 *   a local APIC's lock
 *   bus->lock (read side around a lookup; no handler is called under it),
 *       memory->lock (over changes of the map; engines are called under it)
 *   vm->lock (held while waiting for vCPUs; nothing below but the clock)
 *   clock->lock
 * An EOI goes the other way: chip/lapic releases its lock before it tells the
 * IOAPIC.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/engine.h"
#include "core/exit.h"
#include "core/irq.h"
#include "core/memory.h"
#include "core/msr.h"
#include "core/trace.h"
#include "core/vcpu.h"

#define VM_VCPUS_MAX 32

enum stop_reason {
	STOP_NONE,
	STOP_POWEROFF, /* ACPI S5, or the keyboard controller's request */
	STOP_RESET, /* the guest reset itself and resets end the VM */
	STOP_GUEST_EXIT, /* debug-exit or exit-status port; status says */
	STOP_TRIPLE_FAULT,
	STOP_HOST, /* a signal, `ringfence stop`, Ctrl-a x */
	STOP_ERROR, /* an engine or a back end failed; it has said why */
};

struct vm {
	const char *name;
	const struct engine_ops *engine_ops;
	void *engine; /* the engine's own part */

	struct memory memory;
	struct bus io, mmio;
	struct msr_table msrs;
	struct clock clock;
	struct exit_sources sources;
	struct list doorbells; /* under doorbell_lock */
	pthread_rwlock_t doorbell_lock;
	struct list devices;

	const struct apic_ops *apic_ops;
	const struct extint_ops *extint_ops; /* the i8259 pair */
	void *extint;
	const struct eoi_ops *eoi_ops; /* the IOAPIC */
	void *eoi;
	/* NULL: no paravirtual interface, or the kernel's. */
	const struct paravirt_ops *paravirt_ops;
	void *paravirt;
	/* Interrupt remapping: false drops the message. NULL: none. */
	bool (*remap)(void *iommu, struct msi *msi);
	void *iommu;

	/* A20M#, set by vm_set_a20 alone. */
	_Atomic bool is_a20_closed;
	/*
	 * FERR#: a processor with CR0.NE = 0 holds an unmasked x87 exception, or
	 * no longer. True: IGNNE# lets it go on. The vCPU's thread, no lock
	 * held. NULL: nobody is there.
	 */
	bool (*fpu_error)(void *chip, bool is_asserted);
	void *fpu_error_chip;

	const struct cpuid_table *cpuid; /* of the CPU model; per-vCPU leaves
					  * are patched by the engine */
	struct vcpu *vcpus[VM_VCPUS_MAX];
	unsigned vcpu_count;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a vCPU parked, ended, or ran its call */
	bool is_running;
	enum stop_reason stop_reason;
	int stop_status; /* of STOP_GUEST_EXIT */
	struct vcpu *stop_vcpu; /* that cannot go on, or NULL; once it stopped */
	bool reset_wanted;

	struct trace trace; /* what it tells of itself: nothing when zero */

	/* Told once that the VM wants to stop or reset; any thread. */
	void (*notify)(void *argument);
	void *notify_argument;
};

/*
 * Prepares everything but memory, engine and vCPUs: those follow with
 * memory_init, engine_ops->vm_create and vm_add_vcpu. -errno.
 */
int vm_init(struct vm *vm, const char *name, const struct engine_ops *engine);
/* After vm_stop and vm_join; destroys devices, vCPUs, engine and memory. */
void vm_fini(struct vm *vm);

int vm_add_vcpu(struct vm *vm);

/* Opens and closes the A20 gate; engine_ops->a20_changed must not be NULL. Any
 * thread. */
void vm_set_a20(struct vm *vm, bool is_open);

/* Starts the vCPU threads, parked; vm_resume lets them go. */
int vm_start(struct vm *vm);
/* Parks every vCPU and stops the clock; resume undoes it. Not from a vCPU's
 * thread; nesting is the caller's business. */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
/*
 * Has every vCPU book the exits that happened out of our sight, so that the
 * ledger is up to date. Any thread but a vCPU's, no device lock held.
 */
void vm_count_exits(struct vm *vm);
/* Waits for the vCPU threads to end; vm_stop first, or they never do. */
void vm_join(struct vm *vm);

/*
 * Ask for the end, or for RESET#. The first reason stays. Any thread, vCPU
 * threads and signal handlers' helpers included; they do not wait.
 */
void vm_stop(struct vm *vm, enum stop_reason reason, int status);
/* The same, for a vCPU that cannot go on: the first is vm->stop_vcpu. */
void vm_stop_vcpu(struct vcpu *vcpu, enum stop_reason reason);
void vm_request_reset(struct vm *vm);

/* RESET# of devices and vCPUs; the caller has paused the VM and will load the
 * boot image again. */
void vm_reset(struct vm *vm);
