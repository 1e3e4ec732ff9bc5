/* SPDX-License-Identifier: BSD-2-Clause */
/* The chipset's reset control register, port CF9h. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"

struct vm;

struct reset_control {
	pthread_mutex_t lock;
	uint8_t value;
	void (*reset)(void *argument);
	void *argument;
	struct bus_region region;
	struct device device;
};

/**
 * Before the host bridge, whose CF8h to CFBh is added later and so does not
 * hide this byte. `reset` comes with the device lock held. -errno of bus_add.
 */
int reset_control_init(struct reset_control *control, struct vm *vm,
		       void (*reset)(void *argument), void *argument);
