/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A DMA and interrupt remapping unit: Intel Virtualization Technology for
 * Directed I/O (D51397), legacy mode. It stands in every PCI device's way to
 * memory, and in every interrupt message's way to the local APICs.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/dma.h"
#include "core/irq.h"

struct vm;

#define VTD_BASE      0xfed90000ull
#define VTD_REGISTERS 0x240 /* bytes; the last are the fault record */

struct vtd {
	pthread_mutex_t lock; /* over everything below */
	struct vm *vm;
	uint32_t reg[VTD_REGISTERS / 4];
	/* What the Set Root Table and Set Interrupt Table commands took. */
	uint64_t root_table, interrupt_table;
	struct bus_region region;
	struct device device;
};

/** The registers; sets vm->remap. -errno of bus_add. */
int vtd_init(struct vtd *vtd, struct vm *vm);

/** This device's DMA goes through the unit. Before vCPUs run. */
void vtd_attach(struct vtd *vtd, struct dma *dma);
