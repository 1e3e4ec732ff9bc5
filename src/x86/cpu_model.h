/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU models: named baselines that every engine can offer, so that a machine
 * looks the same wherever it runs, and "host" for everything that the hardware
 * engine carries. From a model to a CPUID table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/cpuid.h"

#define CPU_MODEL_DEFAULT "x86-64-v3"

/* The local APIC's timer counts at this rate before its divider, everywhere:
 * KVM's does, and leaf 15h names it as the crystal (SDM 3, 10.5.4). */
#define CPU_APIC_TIMER_HZ 1000000000ull

/* At most as many address bits as every host has; leaf 80000008h. */
#define CPU_PHYSICAL_BITS 40

struct cpu_model {
	const char *name, *help;
};

/* The models by name, for help and completion; ends with name NULL. */
extern const struct cpu_model cpu_models[];

struct cpu_request {
	/*
	 * One of cpu_models; behind it, with commas, features left out, so that
	 * a state fits hosts that lack them ("pcid=off"), and "mitigations=on",
	 * which is wants_mitigations; "vendor=amd" or "vendor=intel"; and
	 * features beyond the model's ("+pku").
	 */
	const char *model;
	/*
	 * What an engine on the hardware can carry (engine_ops.cpuid_offer), or
	 * NULL: a software engine, which carries the baselines and takes from
	 * the host only the instructions it runs on the host's own units.
	 */
	const struct cpuid_table *offer;
	const struct cpuid_table *host; /* NULL: ask the processor */
	unsigned vcpus;
	uint64_t tsc_khz;
	/* Software engines: do not claim to be unaffected by the known
	 * processor vulnerabilities, so that the guest guards against them. */
	bool wants_mitigations;
};

/* Room for the names of what a model has and this host or engine has not. */
#define CPU_DROPPED_MAX 512

/*
 * Fills *table. `dropped` gets the names, with a space between, of the model's
 * features that host or engine do not have; "" when all are there. -ENOENT: no
 * such model, or no such feature. -ENOTSUP: "host" without an engine on the hardware. -EINVAL: not
 * 1 to 32 vCPUs.
 */
int cpu_model_build(const struct cpu_request *request,
		    struct cpuid_table *table, char dropped[CPU_DROPPED_MAX]);

/* The names, with a space between, of the features in `bits` of a register of
 * CPUID; "" if none of them has a name. */
void cpu_feature_names(uint32_t leaf, uint32_t subleaf, enum cpuid_register reg,
		       uint32_t bits, char names[CPU_DROPPED_MAX]);

/*
 * MSRs that only say what the processor is and never change: true and a value
 * if `index` is one that this table implies (ARCH_CAPABILITIES, the microcode
 * revision, AMD's configuration registers that an operating system reads).
 */
bool cpu_constant_msr(const struct cpuid_table *table, uint32_t index,
		      uint64_t *value);

/* Those of them that a write leaves as they are; false: #GP. */
bool cpu_constant_msr_write(const struct cpuid_table *table, uint32_t index);
