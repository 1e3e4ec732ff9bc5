/* SPDX-License-Identifier: BSD-2-Clause */
/* A processor's creation and its end. */
#include <errno.h>
#include <stdlib.h>

#include "engine/interp/block.h"
#include "engine/interp/debug.h"
#include "engine/interp/host_unit.h"
#include "engine/interp/interp.h"

int interp_init(struct interp *cpu, const struct interp_ops *ops, void *world,
		const struct cpuid_table *cpuid)
{
	memset(cpu, 0, sizeof(*cpu));
	cpu->ops = ops;
	cpu->world = world;
	cpu->cpuid = cpuid;
	cpu->address_mask = ~0ull;
	cpu->blocks = block_cache_create(cpuid);
	cpu->host_unit = host_unit_create();
	if (!cpu->blocks || !cpu->host_unit)
		return -ENOMEM;
	cpu_state_reset(&cpu->s, true);
	tlb_flush(cpu);
	interp_mode_changed(cpu);
	return 0;
}

void interp_fini(struct interp *cpu)
{
	debugger_fini(cpu);
	block_cache_destroy(cpu->blocks);
	host_unit_destroy(cpu->host_unit);
}

struct interp *interp_create(const struct interp_ops *ops, void *world,
			     const struct cpuid_table *cpuid)
{
	size_t size = align_up(sizeof(struct interp), 64);
	struct interp *cpu = aligned_alloc(64, size);

	if (!cpu)
		return NULL;
	if (interp_init(cpu, ops, world, cpuid)) {
		interp_destroy(cpu);
		return NULL;
	}
	return cpu;
}

void interp_destroy(struct interp *cpu)
{
	if (!cpu)
		return;
	interp_fini(cpu);
	free(cpu);
}
