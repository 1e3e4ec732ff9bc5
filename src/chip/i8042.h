/* SPDX-License-Identifier: BSD-2-Clause */
/* The keyboard controller without a keyboard, the A20 gate, port 92h. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

/** Copied by i8042_init. Callbacks come with the device lock held. */
struct i8042_config {
	struct irq_line irq; /* ISA interrupt 1 */
	void (*reset)(void *argument); /* the CPU's RESET# is pulsed */
	/* The A20 gate changed; NULL: the board has none, A20 is always on. */
	void (*a20)(void *argument, bool is_on);
	void *argument;
};

struct i8042 {
	pthread_mutex_t lock; /* over everything below */
	struct i8042_config config;
	uint8_t ram[32]; /* byte 0 is the command byte */
	uint8_t status;
	uint8_t data; /* the output buffer */
	uint8_t command; /* waits for its data byte; 0: none */
	bool a20;
	struct bus_region region[3]; /* 60h, 64h, 92h */
	struct device device;
};

/** Ports 60h, 64h and 92h. -errno of bus_add. */
int i8042_init(struct i8042 *kbc, struct vm *vm,
	       const struct i8042_config *config);
