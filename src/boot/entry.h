/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first vCPU's state and what it needs in memory (GDT, page tables) for
 * each protocol a kernel may be entered by.
 */
#pragma once

#include <stdint.h>

#include "x86/cpu_state.h"

struct memory;

enum entry_protocol {
	ENTRY_LINUX64, /* RSI: zero page; boot.rst, "64-bit Boot Protocol" */
	ENTRY_LINUX32, /* ESI: zero page; boot.rst, "32-bit Boot Protocol" */
	ENTRY_PVH, /* EBX: start info; Xen's x86 HVM direct boot ABI */
	ENTRY_RESET, /* as RESET# leaves it: F000:FFF0 */
	ENTRY_LINUX16, /* setup code; boot.rst, "Running the Kernel" */
	ENTRY_MULTIBOOT, /* EBX: information; Multiboot 0.6.96, 3.2 */
};

/* 0 or -EFAULT. */
int entry_write(struct memory *memory, enum entry_protocol protocol);

/*
 * What firmware leaves in the MTRRs of every processor (SDM 3, 11.11): all is
 * write-back but the VGA window and the PCI hole. A kernel that finds them
 * disabled goes without PAT, and complains where they differ.
 */
void entry_set_mtrrs(struct cpu_msrs *msr, unsigned address_bits);

void entry_state(struct cpu_state *state, enum entry_protocol protocol,
		 uint64_t rip);
