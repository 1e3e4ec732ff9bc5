/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of the kvm engine; KVM's own types stop here. */
#pragma once

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "core/irq.h"
#include "core/vm.h"
#include "x86/cpuid.h"

#define IOAPIC_PINS	24
#define KVM_MSI_FDS_MAX 256
#define KVM_MSRS_MAX	64

/* Engine events, in the order of kvm_events[]. */
enum kvm_event {
	KVM_EVENT_RUNS, /* KVM_RUN calls */
	KVM_EVENT_KICKED, /* those that a signal ended */
	KVM_EVENT_EXTINT, /* i8259 vectors handed to the kernel */
	KVM_EVENT_COUNT,
};

struct kvm_vm {
	int system_fd, fd;
	size_t run_size; /* of a vCPU's shared page(s) */
	size_t xsave_size;
	unsigned pkru_offset; /* in it; 0: the host has no protection keys */
	bool has_sregs2;
	bool has_tsc_offset;
	bool has_block_irq; /* a step can hold interrupts back */
	bool has_rom; /* atomic; some slot is MEMORY_ROM */
	bool has_msr[KVM_MSRS_MAX]; /* of msr_slots[] */
	uint64_t tsc_offset; /* of the clock, while it runs */
	bool is_stopped; /* the clock has been told to stand */

	pthread_mutex_t point_lock; /* over every vCPU's patch[] */

	/* GSIs: the IOAPIC's pins, then one for each of msi_fd[]. */
	pthread_mutex_t route_lock;
	struct kvm_irq_routing *routes;
	int msi_fd[KVM_MSI_FDS_MAX]; /* -1: free */
	struct log_limit route_log;
};

/* An INT3 in the place of a byte of code. */
struct kvm_patch {
	gva_t gva;
	gpa_t gpa;
	uint8_t old;
};

struct kvm_vcpu {
	int fd;
	int stats_fd; /* -1: the kernel has none */
	struct kvm_run *run;
	struct kvm_xsave *xsave; /* scratch of kvm_vm.xsave_size */
	_Atomic int tid; /* of the thread inside run; 0: none */
	_Atomic bool extint; /* the i8259 asserts LINT0 */
	_Atomic bool lint1; /* LINT1 rose */
	bool is_shut_down; /* after a triple fault */
	/* The local APIC's timer while the VM's clock stands: what was left of
	 * the count, or the deadline; 0: it was not armed. */
	struct {
		uint32_t initial, left;
		uint64_t deadline;
	} stopped_timer;

	/* A debugger's: what it asked for; INT3s in memory now, with room for
	 * as many; what the kernel was told. */
	struct breakpoint *point;
	size_t point_count;
	struct kvm_patch *patch;
	size_t patch_count;
	struct kvm_guest_debug debug;

	/* stats.c: where the kernel's counters are, and what was booked. */
	struct {
		uint64_t offset; /* in the stats file; 0: not there */
		uint64_t booked;
	} stat[8];
	uint64_t user_exits; /* exits that reached us, in all */
	uint64_t user_exits_booked;
};

static inline struct kvm_vm *kvm_vm(struct vm *vm)
{
	return vm->engine;
}

static inline struct kvm_vcpu *kvm_vcpu(struct vcpu *vcpu)
{
	return vcpu->engine;
}

/* ioctl with -errno. */
int kvm_call(int fd, unsigned long request, void *argument);
/* The same with a line of log on failure: "kvm: WHAT: reason". */
int kvm_must(int fd, unsigned long request, void *argument, const char *what);
/* KVM_CHECK_EXTENSION; 0 where it is not there. */
int kvm_extension(int fd, int capability);

/* Sends a no-op signal; how a thread in KVM_RUN is fetched out. */
int kvm_kick_signal(void);
void kvm_install_kick_handler(void);

/* vcpu.c */
int kvm_vcpu_create(struct vcpu *vcpu, const struct cpuid_table *cpuid);
void kvm_vcpu_destroy(struct vcpu *vcpu);
int kvm_cpuid_offer(struct cpuid_table *table);
int kvm_translate(struct vcpu *vcpu, gva_t gva, gpa_t *gpa);

/* run.c */
enum run_result kvm_run(struct vcpu *vcpu, const struct run_until *until);
void kvm_kick(struct vcpu *vcpu);
/*
 * Has the kernel look at what is due, as it does between two instructions, but
 * execute none. While the vCPU's thread does not exist or is parked; any
 * thread. 0 or -errno, logged.
 */
int kvm_settle(struct vcpu *vcpu);

/* state.c, fpu.c, msr.c: 0 or -errno, logged. */
int kvm_get_state(struct vcpu *vcpu, struct cpu_state *state);
int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *state);
int kvm_get_fpu(struct vcpu *vcpu, struct cpu_state *state);
int kvm_set_fpu(struct vcpu *vcpu, const struct cpu_state *state);
/* Where PKRU stands in an image of so many bytes; 0: nowhere. */
unsigned kvm_host_pkru_offset(size_t image_size);
int kvm_get_msrs(struct vcpu *vcpu, struct cpu_state *state);
int kvm_set_msrs(struct vcpu *vcpu, const struct cpu_state *state);
/* One MSR; -ENOENT where the kernel does not have it. */
int kvm_get_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value);
int kvm_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);
/* What the kernel's vCPUs have of the state's MSRs. */
void kvm_probe_msrs(struct vcpu *vcpu);
/* Unknown MSRs and those not of the model become exits. */
int kvm_filter_msrs(struct kvm_vm *kvm);
/* host TSC + vm's offset + TSC_ADJUST. */
int kvm_set_tsc_offset(struct vcpu *vcpu, uint64_t tsc_adjust);
void kvm_clock_changed(struct vm *vm, bool is_running, uint64_t tsc_offset);

/* paravirt.c: the kernel's clock and what the guest registered with it. */
/* Before KVM_SET_CPUID2: what CPUID does not offer is not there. */
void kvm_enforce_paravirt(struct vcpu *vcpu);
/* As the VM's clock stops, into vcpu->paravirt, and starts. Parked. */
void kvm_paravirt_stop(struct vm *vm);
void kvm_paravirt_start(struct vm *vm);

/* apic.c */
extern const struct apic_ops kvm_apic_ops;
int kvm_routes_init(struct kvm_vm *kvm);
/* As the clock stops and starts: takes the timer away, puts it back. Parked. */
void kvm_apic_stop_timer(struct vcpu *vcpu);
void kvm_apic_start_timer(struct vcpu *vcpu);
int kvm_msi_fd(struct vm *vm, int event_fd, const struct msi *msi);
/* Before KVM_RUN, own thread: hands over ExtINT and LINT1 as far as may be. */
void kvm_inject(struct vcpu *vcpu);

/* breakpoint.c */
int kvm_set_breakpoints(struct vcpu *vcpu, const struct breakpoint *breakpoints,
			size_t count);
void kvm_fini_breakpoints(struct kvm_vcpu *kvm);
/* Before the guest is entered, own thread; 0 or -errno, logged. */
int kvm_enter_debug(struct vcpu *vcpu, const struct run_until *until);
/* Takes INT3s out of memory. While the VM stands. */
void kvm_leave_debug(struct vcpu *vcpu);
/* What a KVM_EXIT_DEBUG is; fills in vcpu->hit. Own thread. */
enum kvm_debug_event {
	DEBUG_BREAKPOINT,
	DEBUG_STEP,
	DEBUG_OF_GUEST, /* the guest's own, handed back to it */
};
enum kvm_debug_event kvm_debug_event(struct vcpu *vcpu,
				     const struct kvm_run *run);

/* stats.c */
int kvm_stats_open(struct kvm_vcpu *kvm);
void kvm_count_exits(struct vcpu *vcpu);

/* report.c: says why the engine cannot go on. */
void kvm_report(struct vcpu *vcpu, const char *what);

/* probe.c */
void kvm_probe(struct engine_probe *probe);
