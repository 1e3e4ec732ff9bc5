/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract of an engine: what runs vCPUs. Nothing outside engine/ knows
 * which one runs.
 *
 * Agreements, tested by the same guests on every engine:
 *  1. RIP. When exit_handle is called RIP still points at the instruction; the
 *     engine advances it when the handler returned EXIT_RESUME, WAIT or LEAVE
 *     (kvm: KVM_RUN with immediate_exit completes a half-done access, so that
 *     get_state after run has returned never sees half an instruction).
 *  2. get_state and set_state are called on the vCPU's thread outside run, or
 *     by anybody while its thread does not exist or is parked.
 *  3. run is called on the vCPU's thread only. kick may be called from any
 *     thread and from a signal handler; a kick before run makes it return at
 *     its first boundary, none is lost.
 *  4. String I/O is one exit per element; HLT, port and MMIO accesses and
 *     VMCALL have equal counts on every engine.
 *  5. Interrupts are taken within 1 ms of vcpu_request, also inside a long REP.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/addr.h"
#include "x86/cpu_state.h"

struct vm;
struct vcpu;
struct memory_slot;
struct doorbell;
struct apic_ops;
struct cpuid_table;
struct msi;

enum run_result {
	RUN_STOP, /* VCPU_STOP was requested */
	RUN_PAUSE, /* VCPU_PAUSE or VCPU_CALL was requested */
	RUN_SHUTDOWN, /* triple fault: the machine resets or ends */
	RUN_POSITION, /* `until` was reached */
	RUN_BREAKPOINT, /* one of set_breakpoints was hit: vcpu->hit */
	RUN_ERROR, /* the engine cannot go on; it has said why */
};

/* Where to return. NULL: never by itself. */
struct run_until {
	enum { RUN_ONE_INSTRUCTION, RUN_TO_COUNT } kind;
	/* One instruction: not that of an interrupt's handler, unless the CPU
	 * is halted. A debugger's step stays where the user looks. */
	bool holds_interrupts;
	uint64_t instructions; /* retired by this vCPU in all */
	uint64_t rip;
};

/* What a probe found on this host; `doctor` prints it, auto decides by it. */
struct engine_probe {
	bool is_usable; /* it would run a VM */
	bool is_fast; /* at least software speed for a stock kernel */
	char finding[160]; /* "/dev/kvm: Permission denied" */
	char advice[240]; /* what the user can do; "" when all is well */
	double ns_per_instruction; /* measured in the probe loop; 0: not */
};

/* An engine's own events (TLB fills, translations ...) for stat. */
struct engine_event {
	const char *name, *help;
};

#define ENGINE_EVENTS_MAX 32

/* An engine's own option: `--engine interp,key=value`. */
struct engine_option {
	const char *name, *help;
	int (*set)(struct vm *vm, const char *value); /* 0 or -EINVAL */
};

enum breakpoint_kind {
	BREAKPOINT_EXECUTE,
	BREAKPOINT_WRITE,
	BREAKPOINT_ACCESS,
};

struct breakpoint {
	enum breakpoint_kind kind;
	gva_t address;
	uint8_t size; /* 1, 2, 4, 8; 1 for execute */
	/* To execute: an engine may change the code for it while the VM runs,
	 * and then has any number of them. */
	bool may_patch;
};

struct engine_ops {
	const char *name, *help;
	const struct engine_option *options; /* ends with name NULL; or NULL */
	const struct engine_event *events; /* ends with name NULL */

	/* Never fails: says what it found. May take some milliseconds. */
	void (*probe)(struct engine_probe *probe);

	/*
	 * What CPUID features the hardware and the engine can carry. NULL: a
	 * software engine, which carries the named models (x86/cpu_model.h).
	 */
	int (*cpuid_offer)(struct cpuid_table *table);

	/*
	 * After memory_init and before vCPUs. Sets vm->engine, and vm->apic_ops
	 * when it brings its own local APICs. Errors are logged by the engine.
	 */
	int (*vm_create)(struct vm *vm);
	void (*vm_destroy)(struct vm *vm); /* half-built is fine */

	/*
	 * A slot was added, changed or removed (is_used tells); called with
	 * memory->lock held for writing, vCPUs may be running.
	 */
	int (*memory_changed)(struct vm *vm, const struct memory_slot *slot);
	/*
	 * The A20 gate: closed, the processors' physical addresses have bit 20
	 * clear. vm->is_a20_closed says it already. NULL: the engine has no
	 * gate, and then the board has none.
	 */
	void (*a20_changed)(struct vm *vm);
	/* Bytes of guest memory were written by us. Any thread. */
	void (*code_changed)(struct vm *vm, gpa_t gpa, uint64_t size);
	/* Start and stop the dirty log; collect into memory->dirty. */
	int (*dirty_log)(struct vm *vm, bool is_on);
	int (*dirty_sync)(struct vm *vm);

	/* Either may be NULL: exit_handle rings doorbells itself. */
	int (*doorbell_add)(struct vm *vm, struct doorbell *doorbell);
	void (*doorbell_remove)(struct vm *vm, struct doorbell *doorbell);

	/*
	 * Sends `msi` whenever event_fd is signalled, with no thread of ours in
	 * between: for back ends outside this process, vhost. Once more with
	 * the same descriptor changes the message, with NULL ends it; the
	 * descriptor stays open until then. NULL: the caller reads the eventfd
	 * and calls msi_send. -ENOSPC past what the engine can carry.
	 */
	int (*msi_fd)(struct vm *vm, int event_fd, const struct msi *msi);

	/* On the thread that builds the VM; half-built is fine to destroy. */
	int (*vcpu_create)(struct vcpu *vcpu, const struct cpuid_table *cpuid);
	void (*vcpu_destroy)(struct vcpu *vcpu);

	enum run_result (*run)(struct vcpu *vcpu,
			       const struct run_until *until);
	/* Makes run look at vcpu->requests soon. Async-signal-safe. */
	void (*kick)(struct vcpu *vcpu);

	int (*get_state)(struct vcpu *vcpu, struct cpu_state *state);
	int (*set_state)(struct vcpu *vcpu, const struct cpu_state *state);

	/* Walks the guest's tables without setting A or D; -EFAULT if absent. */
	int (*translate)(struct vcpu *vcpu, gva_t gva, gpa_t *gpa);
	/* Replaces the set; -ENOSPC past what the engine can carry. */
	int (*set_breakpoints)(struct vcpu *vcpu,
			       const struct breakpoint *breakpoints,
			       size_t count);

	/* The VM's clock started (with this TSC offset) or stopped. */
	void (*clock_changed)(struct vm *vm, bool is_running,
			      uint64_t tsc_offset);
	/* Adds what happened out of sight since last time. Own thread. */
	void (*count_exits)(struct vcpu *vcpu);
};
