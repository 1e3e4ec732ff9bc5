/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254 interval timer and port 61h, which gates its channel 2. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

#define I8254_HZ       1193182ull
#define I8254_CHANNELS 3

struct i8254_channel {
	uint8_t mode; /* 0 to 5 */
	uint8_t access; /* 1: low byte, 2: high byte, 3: low then high */
	bool bcd;
	bool gate;
	bool is_counting; /* a count was loaded, and triggered where needed */
	bool next_is_high; /* of a two-byte write */
	bool read_is_high; /* of a two-byte read */
	bool count_is_latched, status_is_latched;
	uint8_t written_low, latched_status;
	uint16_t latched_count;
	uint32_t reload; /* what was written, 1 to 65536; 0: nothing yet */
	uint32_t count; /* what the current run began with */
	uint64_t start_ns; /* when it began */
	uint64_t stopped_ns; /* modes 0 and 4, gate low: how far it came */
	uint64_t switch_ns; /* modes 2 and 3: reload takes effect; 0: none */
};

struct i8254 {
	pthread_mutex_t lock; /* over everything below */
	struct i8254_channel channel[I8254_CHANNELS];
	struct irq_line irq; /* OUT of channel 0 */
	bool is_disconnected;
	bool out0; /* level on `irq` */
	struct timer timer; /* the next edge of channel 0 */
	uint8_t port61; /* bits 3:0 as written */
	struct clock *clock;
	struct bus_region region[2]; /* 40h, 61h */
	struct device device;
	struct device_resources resources;
};

/** Ports 40h to 43h and 61h; `irq` is ISA interrupt 0. -errno of bus_add. */
int i8254_init(struct i8254 *pit, struct vm *vm, const struct irq_line *irq);

/**
 * Cuts channel 0 off its interrupt line while the HPET's legacy replacement
 * drives it (IA-PC HPET 1.0a, 2.3.5). Any thread.
 */
void i8254_disconnect(struct i8254 *pit, bool is_disconnected);
