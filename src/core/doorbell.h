/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doorbells: guest writes that only wake somebody. A matching write signals an
 * eventfd instead of reaching the bus; kvm makes them ioeventfds, so that the
 * vCPU does not even leave the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"

struct vm;

struct doorbell {
	enum bus_kind kind;
	uint64_t address;
	uint8_t size; /* 1, 2, 4, 8; 0: any */
	bool has_value; /* only writes of `value` match */
	uint64_t value;
	int event_fd; /* the caller's, open until removal */
	unsigned source;
	struct list link;
};

/* Under the VM's device lock order: outside the bus lock. -errno from kvm. */
int doorbell_add(struct vm *vm, struct doorbell *doorbell, const char *name);
void doorbell_remove(struct vm *vm, struct doorbell *doorbell);

/* True when a doorbell took the write. Called by exit_handle before the bus. */
bool doorbell_ring(struct vm *vm, enum bus_kind kind, uint64_t address,
		   const struct access *access, unsigned *source);
