/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface for software engines: clock, wall clock, steal
 * time, kick, interprocessor interrupts, TLB flushes of those who sleep. The
 * EOI is the local APIC's (lapic_pv.c).
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"

struct vm;

struct paravirt {
	struct vm *vm;
	bool is_kernels; /* engine kvm: only its part of the state is here */
	struct device device;
	/*
	 * A moment that all vCPUs' clocks count from, so that they agree to the
	 * nanosecond. Over both: lock.
	 */
	pthread_mutex_t lock;
	bool has_base;
	uint64_t base_tsc, base_ns;
	/* Of the TSC's rate, as struct kvm_para_clock has it. */
	struct paravirt_scale {
		uint32_t multiplier;
		int8_t shift;
	} scale;
};

/**
 * Adds the MSRs (source "paravirt") and sets vm->paravirt_ops. Which of it the
 * guest may use is what CPUID leaf 40000001h of vm->cpuid says. After vCPUs
 * were added, before they run. -errno of msr_add. is_kernels: an engine does
 * it all, and keeps vcpu->paravirt; then neither MSRs nor operations are added.
 */
int paravirt_init(struct paravirt *paravirt, struct vm *vm, bool is_kernels);
