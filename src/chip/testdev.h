/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC test device that bare-metal test programs (kvm-unit-tests) are
 * written against: QEMU's pc-testdev, with isa-debug-exit at F4h.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

#define TESTDEV_LINES	   24
#define TESTDEV_IOMEM	   0xff000000ull
#define TESTDEV_IOMEM_SIZE 0x10000

/** Copied by testdev_init. */
struct testdev_config {
	struct irq_line line[TESTDEV_LINES]; /* GSI 0 to 23 */
	/** The guest ends the VM; comes with the device lock held. */
	void (*exit)(void *argument, int status);
	void *argument;
};

struct testdev {
	pthread_mutex_t lock; /* over everything below */
	struct testdev_config config;
	uint8_t echo[4];
	uint8_t iomem[TESTDEV_IOMEM_SIZE];
	struct bus_region region[6];
	struct device device;
};

/** Its ports and its window. -errno of bus_add. */
int testdev_init(struct testdev *test, struct vm *vm,
		 const struct testdev_config *config);
