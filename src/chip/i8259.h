/* SPDX-License-Identifier: BSD-2-Clause */
/* The pair of 8259A interrupt controllers, with the ICH9's ELCR. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

struct i8259_chip {
	uint8_t irr, isr, imr;
	uint8_t lines; /* levels of the inputs: of ISA or PCI */
	uint8_t isa, pci;
	uint8_t level; /* ELCR: inputs that are level-triggered */
	uint8_t vectors; /* ICW2 */
	uint8_t lowest; /* the input of lowest priority, 7 at first */
	uint8_t icw_next; /* which of ICW2 to ICW4 comes next; 0: none */
	bool icw4_wanted;
	bool auto_eoi, rotate_auto_eoi;
	bool special_mask, special_nested;
	bool read_isr; /* OCW3: which register port 20h reads */
	bool poll; /* OCW3: the next read is an acknowledge */
};

struct i8259 {
	pthread_mutex_t lock; /* over everything but is_pending */
	struct i8259_chip chip[2]; /* master, slave at its input 2 */
	struct irq_line output; /* INTR */
	_Atomic bool is_pending; /* level of INTR */
	struct bus_region region[3]; /* 20h, A0h, 4D0h */
	struct device device;
	struct device_resources resources;
};

/**
 * The pair at its PC ports; becomes vm->extint_ops. `output` is INTR: LINT0 of
 * vCPU 0, and input 0 of the IOAPIC if the board wires that too. -errno of
 * bus_add.
 */
int i8259_init(struct i8259 *pic, struct vm *vm, const struct irq_line *output);

/** irq_line.set for ISA interrupts 0 to 15 (not 2, the cascade). Any thread. */
void i8259_set(void *pic, unsigned irq, bool level);

/** The same input's other driver: PCI interrupts that were routed to it. */
void i8259_set_pci(struct i8259 *pic, unsigned irq, bool level);
