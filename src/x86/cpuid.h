/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID answers, as data: a table per VM, built from a named CPU model
 * and what the host and the engine can carry. SDM 2, CPUID; leaf 40000000h as
 * KVM's documentation has it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "x86/cpu_state.h"
#include "x86/insn.h"

struct cpuid_leaf {
	uint32_t leaf, subleaf;
	bool has_subleaf; /* false: every ECX gives this answer */
	uint32_t eax, ebx, ecx, edx;
};

#define CPUID_LEAVES_MAX 128

struct cpuid_table {
	unsigned count;
	/* IA32_ARCH_CAPABILITIES, where leaf 7 says that there is one */
	uint64_t arch_capabilities;
	struct cpuid_leaf leaf[CPUID_LEAVES_MAX];
};

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* What the processor under us answers; leaf 40000000h and up left out. */
void cpuid_host(struct cpuid_table *table);

/* The entry as stored, or NULL: out of range or no such subleaf. */
const struct cpuid_leaf *cpuid_find(const struct cpuid_table *table,
				    uint32_t leaf, uint32_t subleaf);

/*
 * Answers eax = leaf, ecx = subleaf as the SDM says for leaves past the
 * maximum, with what depends on the vCPU patched in: APIC id (leaves 1, 0Bh,
 * 1Fh), OSXSAVE, OSPKE, and the XSAVE area's size for the current XCR0 (leaf 0Dh).
 * Regs are eax, ebx, ecx, edx.
 */
void cpuid_query(const struct cpuid_table *table, uint32_t apic_id,
		 uint64_t cr4, uint64_t xcr0, uint32_t leaf, uint32_t subleaf,
		 uint32_t regs[4]);

/* One register of an entry as stored, 0 where there is none. */
uint32_t cpuid_value(const struct cpuid_table *table, uint32_t leaf,
		     uint32_t subleaf, enum cpuid_register reg);

/* That bit of the entry as stored. */
bool cpuid_has_bit(const struct cpuid_table *table, uint32_t leaf,
		   uint32_t subleaf, enum cpuid_register reg, unsigned bit);

/* The table offers the instructions that this feature gates. */
bool cpuid_has(const struct cpuid_table *table, enum insn_feature feature);

/* An AMD processor, or one that follows AMD's manual (Hygon). */
bool cpuid_is_amd(const struct cpuid_table *table);
