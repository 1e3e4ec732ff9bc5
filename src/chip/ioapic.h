/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC: 24 inputs, each turned into an interrupt message. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

#define IOAPIC_PINS 24
#define IOAPIC_BASE 0xfec00000ull

struct ioapic {
	pthread_mutex_t lock; /* over everything below */
	struct vm *vm;
	struct bus_region region;
	struct device device;

	uint8_t id, select;
	uint64_t entry[IOAPIC_PINS]; /* the redirection table */
	uint32_t lines; /* inputs that are asserted, */
	uint32_t pci; /* or are by a PIRQ that is routed to an ISA IRQ */
};

/**
 * The IOAPIC with inputs GSI 0 to 23 at IOAPIC_BASE; becomes vm->eoi_ops.
 * -errno of bus_add.
 */
int ioapic_init(struct ioapic *ioapic, struct vm *vm);

/**
 * irq_line.set for input `pin`. `level` is whether the device asserts it; the
 * polarity bit of the entry is not looked at, as the board's wires are all
 * drawn active high. Any thread.
 */
void ioapic_set(void *ioapic, unsigned pin, bool level);

/** The same of what the LPC bridge drives, beside whom the wire belongs to. */
void ioapic_set_pci(struct ioapic *ioapic, unsigned pin, bool level);
