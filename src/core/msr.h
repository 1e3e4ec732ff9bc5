/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs register here as ports do on a bus. What an engine keeps in struct
 * cpu_msrs or in the silicon it handles itself; what belongs to a chip or to
 * the paravirtual interface comes through this table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct exit_sources;

struct msr_range {
	const char *name; /* as the ledger shows it */
	uint32_t first, last;
	/* On the vCPU's thread. False: #GP(0). NULL handler: always #GP. */
	bool (*read)(void *device, struct vcpu *vcpu, uint32_t index,
		     uint64_t *value);
	bool (*write)(void *device, struct vcpu *vcpu, uint32_t index,
		      uint64_t value);
	void *device;
	unsigned source;
};

#define MSR_RANGES_MAX 32

struct msr_table {
	struct msr_range range[MSR_RANGES_MAX];
	unsigned count;
};

/* Before vCPUs run. -ENOSPC, or -EEXIST where ranges overlap. Copies range. */
int msr_add(struct msr_table *table, struct exit_sources *sources,
	    const struct msr_range *range);

const struct msr_range *msr_find(const struct msr_table *table, uint32_t index);
