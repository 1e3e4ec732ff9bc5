/* SPDX-License-Identifier: BSD-2-Clause */
/* The real-time clock and its 128 bytes of battery-backed memory. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

#define MC146818_BYTES	 128
#define MC146818_CENTURY 0x32 /* where the FADT says it is */

struct mc146818 {
	pthread_mutex_t lock; /* over everything below */
	struct vm *vm;
	struct irq_line irq; /* ISA interrupt 8 */
	/*
	 * Alarm, A to D and memory as stored. The time's own bytes are here
	 * only while register B's SET stops the clock.
	 */
	uint8_t byte[MC146818_BYTES];
	uint8_t index;
	bool nmi_is_masked; /* bit 7 of port 70h */
	bool is_disconnected;
	/* UTC in ns = clock_ns + epoch_ns; what the guest set is in it. */
	uint64_t epoch_ns;
	int64_t guest_offset_s; /* of the guest's time from the host's */
	uint64_t seen_ns; /* flags of C are up to date with this UTC */
	struct timer timer; /* the next enabled interrupt */
	struct bus_region region;
	struct device device;
	struct device_resources resources;
};

/** Ports 70h and 71h, set to the host's UTC. -errno of bus_add. */
int mc146818_init(struct mc146818 *rtc, struct vm *vm,
		  const struct irq_line *irq);

/** Stores a byte for the firmware; not of the time or A to D. Any thread. */
void mc146818_set(struct mc146818 *rtc, uint8_t index, uint8_t value);

/**
 * Cuts the clock off its interrupt line while the HPET's legacy replacement
 * drives it (IA-PC HPET 1.0a, 2.3.5). Any thread.
 */
void mc146818_disconnect(struct mc146818 *rtc, bool is_disconnected);
