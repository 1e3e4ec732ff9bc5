/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All of core/clock.h, so that the linker leaves core/clock.c out: time is
 * base_ns and moves only by clock_set; the TSC ticks twice a nanosecond.
 */
#include "core/clock.h"

#define TSC_PER_NS 2

int clock_init(struct clock *clock)
{
	*clock = (struct clock){ .tsc_khz = 1000000 * TSC_PER_NS };
	pthread_mutex_init(&clock->lock, NULL);
	list_init(&clock->timers);
	return 0;
}

void clock_fini(struct clock *clock)
{
	pthread_mutex_destroy(&clock->lock);
}

void clock_start(struct clock *clock)
{
}

void clock_stop(struct clock *clock)
{
}

uint64_t clock_ns(struct clock *clock)
{
	return clock->base_ns;
}

uint64_t clock_tsc(struct clock *clock)
{
	return clock->base_ns * TSC_PER_NS;
}

uint64_t clock_tsc_offset(struct clock *clock)
{
	return 0;
}

uint64_t clock_tsc_to_ns(struct clock *clock, uint64_t tsc)
{
	return tsc / TSC_PER_NS;
}

void clock_set(struct clock *clock, uint64_t ns, uint64_t tsc)
{
	clock->base_ns = ns;
}

void timer_init(struct timer *timer, struct clock *clock, pthread_mutex_t *lock,
		void (*fn)(void *), void *argument)
{
	*timer = (struct timer){
		.clock = clock, .lock = lock, .fn = fn, .argument = argument
	};
	list_init(&timer->link);
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
	timer_cancel(timer);
	timer->deadline_ns = deadline_ns;
	timer->is_set = true;
	list_add(&timer->clock->timers, &timer->link);
}

void timer_cancel(struct timer *timer)
{
	timer->is_set = false;
	list_remove(&timer->link);
}

static struct timer *earliest(struct clock *clock)
{
	struct timer *timer, *best = NULL;

	list_for_each(timer, &clock->timers, link)
		if (!best || timer->deadline_ns < best->deadline_ns)
			best = timer;
	return best;
}

uint64_t clock_next_ns(struct clock *clock)
{
	struct timer *timer = earliest(clock);

	if (!timer)
		return ~0ull;
	return timer->deadline_ns > clock->base_ns ?
		       timer->deadline_ns - clock->base_ns :
		       0;
}

void clock_run(struct clock *clock)
{
	struct timer *timer;

	while ((timer = earliest(clock)) &&
	       timer->deadline_ns <= clock->base_ns) {
		timer_cancel(timer);
		pthread_mutex_lock(timer->lock);
		timer->fn(timer->argument);
		pthread_mutex_unlock(timer->lock);
	}
}
