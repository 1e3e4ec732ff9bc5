/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface as its documentation has it: Linux,
 * Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst. What is here is what
 * we offer.
 */
#pragma once

#include <stdint.h>

#include "base/bits.h"

#define KVM_PARA_SIGNATURE 0x40000000 /* "KVMKVMKVM", and the last leaf */
#define KVM_PARA_FEATURES  0x40000001 /* EAX: the bits below */
#define KVM_PARA_TIMING	   0x40000010 /* EAX: TSC kHz, EBX: APIC bus kHz */

#define KVM_PARA_CLOCK_OLD 0 /* MSRs 11h and 12h */
#define KVM_PARA_NO_DELAY  1 /* no delay needed after port I/O */
#define KVM_PARA_CLOCK	   3
#define KVM_PARA_STEAL	   5
#define KVM_PARA_EOI	   6
#define KVM_PARA_UNHALT	   7
#define KVM_PARA_TLB_FLUSH 9
#define KVM_PARA_IPI	   11
#define KVM_PARA_STABLE	   24 /* no warps between the CPUs' clocks */

#define MSR_KVM_WALL_OLD   0x11
#define MSR_KVM_CLOCK_OLD  0x12
#define MSR_KVM_WALL	   0x4b564d00
#define MSR_KVM_CLOCK	   0x4b564d01
#define MSR_KVM_STEAL	   0x4b564d03
#define MSR_KVM_EOI	   0x4b564d04

#define KVM_PARA_ENABLED   BIT(0)

/* Hypercalls, by RAX, and what they answer. */
#define KVM_PARA_POLL_IRQ 1
#define KVM_PARA_KICK_CPU 5
#define KVM_PARA_SEND_IPI 10

#define KVM_PARA_EPERM	  ((uint64_t)-1)
#define KVM_PARA_EINVAL	  ((uint64_t)-22)
#define KVM_PARA_ENOSYS	  ((uint64_t)-1000)

/* Behind MSR_KVM_CLOCK. `version` is odd while the rest changes. */
struct kvm_para_clock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* ns at that TSC */
	uint32_t tsc_to_system_mul; /* 0.32 */
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};

#define KVM_PARA_CLOCK_STABLE BIT(0)

/* Behind MSR_KVM_WALL: the time of day when the clock above was 0. */
struct kvm_para_wall {
	uint32_t version, seconds, nanoseconds;
};

/* Behind MSR_KVM_STEAL. */
struct kvm_para_steal {
	uint64_t steal; /* ns that the vCPU wanted to run and did not */
	uint32_t version, flags;
	uint8_t preempted;
	uint8_t pad8[3];
	uint32_t pad[11];
};

#define KVM_PARA_PREEMPTED BIT(0)
#define KVM_PARA_FLUSH	   BIT(1)

_Static_assert(sizeof(struct kvm_para_clock) == 32, "as documented");
_Static_assert(sizeof(struct kvm_para_steal) == 64, "as documented");
