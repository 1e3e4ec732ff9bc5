/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM of the translator's with one vCPU in flat 32-bit code, paging off: what
 * is at a linear address is there in memory, too. HLT ends a run.
 */
#pragma once

#include "core/vm.h"
#include "engine/bt/bt.h"

#define RAM_SIZE (32ull << 20)

struct machine {
	struct vm vm;
	struct cpuid_table cpuid;
	struct interp_ops ops;
	struct bt_vcpu *vcpu;
	struct bt_vm *bt;
	uint8_t *ram;
	struct bt_ahead ahead; /* of the last translation */
};

/* Fails the test where it cannot be made. */
void machine_init(struct machine *m);
void machine_fini(struct machine *m);

/* From `rip`, with ESP at 64 KiB, to HLT; EAX. */
uint32_t machine_run(struct machine *m, uint32_t rip);

/* Translates what is at `rip`; NULL as bt_translate. */
struct bt_block *machine_translate(struct machine *m, uint32_t rip);
