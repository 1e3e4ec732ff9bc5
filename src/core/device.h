/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every device and chip is to the rest: a name, a few verbs, its state
 * table, and its resources as data, from which boot/ builds the ACPI tables.
 */
#pragma once

#include <stdint.h>

#include "base/list.h"

struct state_table;
struct vm;

/* NULL entries have nothing to do. Called while no vCPU runs. */
struct device_ops {
	void (*reset)(void *device); /* RESET# */
	void (*start)(void *device); /* the machine goes on */
	void (*stop)(void *device); /* the machine stops; quiesce */
	void (*destroy)(void *device); /* free it; half-built is fine */
	const struct state_table *state;
};

struct device_range {
	uint64_t base;
	uint32_t size; /* 0 ends the list */
};

#define DEVICE_RANGES_MAX 4
#define DEVICE_IRQS_MAX	  2

/*
 * Ports, MMIO and interrupts a device has, and who it is for ACPI (the _HID of
 * the specification's list, e.g. "PNP0501" for a 16550). hid NULL: not in the
 * DSDT. irq entries are GSIs, -1 ends the list.
 */
struct device_resources {
	const char *acpi_name; /* four characters, "COM1" */
	const char *hid;
	uint32_t uid;
	struct device_range port[DEVICE_RANGES_MAX];
	struct device_range mmio[DEVICE_RANGES_MAX];
	int irq[DEVICE_IRQS_MAX];
};

/* Embedded in or owned by its device; linked into the VM by device_add. */
struct device {
	const char *name; /* unique within the VM: "com1" */
	const struct device_ops *ops;
	const struct device_resources *resources; /* NULL: none to tell */
	void *self; /* passed to ops */
	struct list link;
};

void device_add(struct vm *vm, struct device *device);

/* In order of addition; destroy in reverse. */
void devices_reset(struct vm *vm);
void devices_start(struct vm *vm);
void devices_stop(struct vm *vm);
void devices_destroy(struct vm *vm);
