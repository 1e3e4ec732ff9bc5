/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vCPU's thread tells the paravirtual interface of a software engine
 * (chip/paravirt). Under kvm the kernel would do all of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct exit;
struct vcpu;

/* All on the vCPU's own thread, no lock held. */
struct paravirt_ops {
	/* VMCALL: fills in the result. */
	void (*hypercall)(struct vcpu *vcpu, struct exit *exit);
	/* It is about to wait for an event. */
	void (*sleeps)(struct vcpu *vcpu);
	/* It goes on. True: another vCPU asked for its TLB to be flushed. */
	bool (*wakes)(struct vcpu *vcpu);
	/* Between two stretches of guest code: look at the time now and then. */
	void (*ran)(struct vcpu *vcpu);
	/* vcpu->tsc_adjust changed. */
	void (*tsc_moved)(struct vcpu *vcpu);
	/* INIT: what the guest registered is gone. */
	void (*init)(struct vcpu *vcpu);
};

/* The MSRs of a vCPU, as written; part of its state. x86/kvm_para.h */
struct paravirt_state {
	uint64_t clock, wall, steal, eoi;
};
