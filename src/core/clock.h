/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual time: nanoseconds since the machine's power-up, and the TSC that
 * goes with them. It can stop (pause, save) and go on; chips and devices read
 * nothing else. Timers run on the thread that calls clock_run (the event loop).
 *
 * The TSC runs at the host's rate. Where the host's TSC is invariant both come
 * from it, so that a TSC deadline and a nanosecond deadline agree.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct clock {
	pthread_mutex_t lock; /* over everything below; innermost of all locks */
	uint64_t tsc_khz;
	bool has_host_tsc; /* the host's TSC is invariant: use it */
	uint64_t multiplier; /* nanoseconds per TSC tick, 32.32 */

	/* Readers take no lock: odd while the four below change. */
	_Atomic uint32_t sequence;
	_Atomic bool is_running;
	_Atomic uint64_t base_host_tsc; /* when base_* were true */
	_Atomic uint64_t base_tsc;
	_Atomic uint64_t base_ns;

	struct list timers; /* by deadline; a machine has a few dozen */
	/* Called, under the lock, when the earliest deadline came nearer. */
	void (*wake)(void *argument);
	void *wake_argument;
};

/*
 * `fn` runs with `lock` held (the owner's device lock). timer_set and
 * timer_cancel are called with that lock held, so a timer that was cancelled
 * never fires. Embedded in its owner.
 */
struct timer {
	struct clock *clock;
	uint64_t deadline_ns;
	pthread_mutex_t *lock;
	void (*fn)(void *argument);
	void *argument;
	struct list link;
	bool is_set; /* clock->lock; and the owner's, to read it */
	bool is_firing; /* off the list, fn not yet called */
};

/* Stopped, at 0 ns. Measures the TSC's rate where the CPU does not tell. */
int clock_init(struct clock *clock);
void clock_fini(struct clock *clock);

void clock_start(struct clock *clock);
void clock_stop(struct clock *clock);

/* Any thread, lock-free. */
uint64_t clock_ns(struct clock *clock);
uint64_t clock_tsc(struct clock *clock);
/* host TSC + this = guest TSC while the clock runs. */
uint64_t clock_tsc_offset(struct clock *clock);
uint64_t clock_tsc_to_ns(struct clock *clock, uint64_t tsc);
/* For restore: both at once, while stopped. */
void clock_set(struct clock *clock, uint64_t ns, uint64_t tsc);

void timer_init(struct timer *timer, struct clock *clock, pthread_mutex_t *lock,
		void (*fn)(void *), void *argument);
/* Setting it again moves it. */
void timer_set(struct timer *timer, uint64_t deadline_ns);
void timer_cancel(struct timer *timer);
static inline bool timer_is_set(const struct timer *timer)
{
	return timer->is_set;
}

/* Nanoseconds until the earliest deadline; ~0 when none, or stopped. */
uint64_t clock_next_ns(struct clock *clock);

/* Runs what is due. One thread, which holds no device lock. */
void clock_run(struct clock *clock);
