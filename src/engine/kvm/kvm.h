/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kvm engine: guest code runs on the processor, through Linux's KVM.
 *
 * The kernel has the local APICs (split irqchip); everything else of the
 * machine is ours. vm.c holds the VM and its memory, vcpu.c a vCPU's life,
 * run.c the run loop, state.c, fpu.c and msr.c carry struct cpu_state, apic.c
 * interrupts, stats.c what the kernel counted, report.c what went wrong.
 */
#pragma once

#include "core/engine.h"

extern const struct engine_ops kvm_engine;
