/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every non-deterministic input of a vCPU passes one of these, so that a later
 * recorder can log it and a replayer can feed it back. Interrupts enter
 * through vcpu_take_interrupt (core/vcpu.h), port and MMIO reads through
 * exit_handle.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm;

/* The guest's TSC, before the vCPU's own TSC_ADJUST. Own thread. */
uint64_t input_tsc(struct vcpu *vcpu);

/* RDRAND and RDSEED: 64 random bits from the host. Own thread. */
uint64_t input_random(struct vcpu *vcpu);

/*
 * Nanoseconds in which the vCPU was to run and its thread did not, in all.
 * input_steal_skip: the time until now does not count, it slept or was parked.
 * Own thread.
 */
uint64_t input_steal(struct vcpu *vcpu);
void input_steal_skip(struct vcpu *vcpu);

/* Seconds since 1970-01-01 UTC plus nanoseconds, of the host. Any thread. */
void input_wall_clock(struct vm *vm, uint64_t *seconds, uint32_t *nanoseconds);
