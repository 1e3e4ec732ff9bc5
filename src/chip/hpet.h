/* SPDX-License-Identifier: BSD-2-Clause */
/* The high precision event timers: one counter, three comparators. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

#define HPET_BASE      0xfed00000ull
#define HPET_TIMERS    3
#define HPET_PERIOD_FS 10000000ull /* 100 MHz */

/** Copied by hpet_init. */
struct hpet_config {
	/* IOAPIC inputs that a comparator may be routed to, by number; those
	 * without a wire (set NULL) are not offered. */
	struct irq_line gsi[24];
	/* ISA interrupts 0 and 8, for legacy replacement. */
	struct irq_line irq0, irq8;
	/*
	 * Legacy replacement went on or off: the i8254 and the real-time
	 * clock no longer drive those two. Device lock held.
	 */
	void (*legacy)(void *argument, bool is_on);
	void *argument;
};

struct hpet_timer {
	struct hpet *hpet;
	uint64_t config, comparator, period;
	struct timer timer;
};

struct hpet {
	pthread_mutex_t lock; /* over everything below */
	struct hpet_config config;
	struct clock *clock;
	uint32_t routes; /* bit per GSI on offer */
	uint64_t general; /* general configuration */
	uint32_t status; /* of level-triggered comparators */
	uint64_t counter; /* when it was stopped, or at start_ns */
	uint64_t start_ns;
	struct hpet_timer timer[HPET_TIMERS];
	struct bus_region region;
	struct device device;
	struct device_resources resources;
};

/** The block at HPET_BASE. -errno of bus_add. */
int hpet_init(struct hpet *hpet, struct vm *vm,
	      const struct hpet_config *config);
