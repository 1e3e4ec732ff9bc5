/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer: one-shot, periodic and TSC-deadline. SDM 3, 10.5.4.
 *
 * The current count is never stored: it is the time left until
 * timer_expiry_ns. Everything here runs with the lapic's lock held, on_expiry
 * on the event loop's thread.
 */
#include "chip/lapic_internal.h"

#include "core/apic_state.h"
#include "core/vm.h"

/*
 * A guest may ask for an interrupt each nanosecond, which would keep the event
 * loop from everything else. Shorter periods interrupt this often; the counter
 * itself keeps the guest's period.
 */
#define PERIOD_MIN_NS 20000

/* A deadline further away is as good as none, and its product would wrap. */
#define DEADLINE_MAX_S (10ull * 365 * 86400)

static bool is_deadline_mode(const struct lapic *lapic)
{
	return lapic->lvt[LAPIC_LVT_TIMER] & LVT_TIMER_DEADLINE;
}

static bool is_periodic(const struct lapic *lapic)
{
	return (lapic->lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODE) ==
	       LVT_TIMER_PERIODIC;
}

/* Figure 10-10: bits 3, 1, 0; 0 divides by 2 and 7 by 1. */
static unsigned divider(const struct lapic *lapic)
{
	uint32_t value = lapic->timer_divide;
	unsigned code = ((value >> 1) & 4) | (value & 3);

	return 1u << ((code + 1) & 7);
}

static uint64_t period_ns(const struct lapic *lapic)
{
	return (uint64_t)lapic->timer_initial * divider(lapic);
}

static void stop(struct lapic *lapic)
{
	lapic->timer_expiry_ns = 0;
	timer_cancel(&lapic->timer);
}

/*
 * The next multiple of the period: in the future, so that what the event loop
 * was late for is one interrupt, and not before the minimum.
 */
static uint64_t next_expiry(const struct lapic *lapic, uint64_t now)
{
	uint64_t period = period_ns(lapic), last = lapic->timer_expiry_ns;
	uint64_t earliest = MAX(now + 1, last + PERIOD_MIN_NS);
	uint64_t next = last + period;

	if (next < earliest)
		next += (earliest - next + period - 1) / period * period;
	return next;
}

static void on_expiry(void *argument)
{
	struct lapic *lapic = argument;
	uint64_t now = clock_ns(lapic->timer.clock);

	if (is_deadline_mode(lapic)) {
		lapic->tsc_deadline = 0;
	} else if (is_periodic(lapic) && lapic->timer_initial) {
		lapic->timer_expiry_ns = next_expiry(lapic, now);
		timer_set(&lapic->timer, lapic->timer_expiry_ns);
	} else {
		lapic->timer_expiry_ns = 0;
	}
	lapic_fire(lapic, LAPIC_LVT_TIMER);
	lapic_update(lapic);
}

void lapic_timer_init(struct lapic *lapic, struct clock *clock)
{
	timer_init(&lapic->timer, clock, &lapic->lock, on_expiry, lapic);
}

void lapic_timer_reset(struct lapic *lapic)
{
	stop(lapic);
	lapic->timer_initial = lapic->timer_divide = 0;
	lapic->tsc_deadline = 0;
}

void lapic_timer_set_initial(struct lapic *lapic, uint32_t count)
{
	if (is_deadline_mode(lapic))
		return;
	stop(lapic);
	lapic->timer_initial = count;
	if (!count)
		return;
	lapic->timer_expiry_ns =
		clock_ns(lapic->timer.clock) + period_ns(lapic);
	timer_set(&lapic->timer, lapic->timer_expiry_ns);
}

uint32_t lapic_timer_current(struct lapic *lapic)
{
	uint64_t now = clock_ns(lapic->timer.clock);
	uint64_t expiry = lapic->timer_expiry_ns;

	if (!expiry || is_deadline_mode(lapic))
		return 0;
	if (expiry <= now && is_periodic(lapic) && lapic->timer_initial)
		expiry += ((now - expiry) / period_ns(lapic) + 1) *
			  period_ns(lapic);
	if (expiry <= now)
		return 0;
	/* Where the minimum period put off the interrupt, not the count. */
	if (is_periodic(lapic) && lapic->timer_initial)
		return ((expiry - now - 1) % period_ns(lapic)) /
			       divider(lapic) +
		       1;
	return MIN((expiry - now) / divider(lapic), UINT32_MAX);
}

void lapic_timer_set_divide(struct lapic *lapic, uint32_t value)
{
	uint32_t left = lapic_timer_current(lapic);

	lapic->timer_divide = value & 0xb;
	if (!lapic->timer_expiry_ns || is_deadline_mode(lapic))
		return;
	lapic->timer_expiry_ns =
		clock_ns(lapic->timer.clock) + (uint64_t)left * divider(lapic);
	timer_set(&lapic->timer, lapic->timer_expiry_ns);
}

/*
 * The count ran out in the mode before, and the event loop has not come to it
 * yet: what it would do then is not what the new mode would.
 */
static void catch_up(struct lapic *lapic, bool was_periodic)
{
	uint64_t now = clock_ns(lapic->timer.clock);

	if (!lapic->timer_expiry_ns || lapic->timer_expiry_ns > now)
		return;
	if (was_periodic && lapic->timer_initial) {
		lapic->timer_expiry_ns = next_expiry(lapic, now);
		timer_set(&lapic->timer, lapic->timer_expiry_ns);
	} else {
		stop(lapic);
	}
	lapic_fire(lapic, LAPIC_LVT_TIMER);
	lapic_update(lapic);
}

/* Going to or from TSC-deadline mode disarms the timer (10.5.4.1). */
void lapic_timer_mode_changed(struct lapic *lapic, uint32_t old)
{
	uint32_t changed = old ^ lapic->lvt[LAPIC_LVT_TIMER];

	if (!(changed & LVT_TIMER_DEADLINE)) {
		if (changed & LVT_TIMER_PERIODIC)
			catch_up(lapic, old & LVT_TIMER_PERIODIC);
		return;
	}
	stop(lapic);
	lapic->timer_initial = 0;
	lapic->tsc_deadline = 0;
}

void lapic_timer_set_deadline(struct lapic *lapic, uint64_t tsc)
{
	struct clock *clock = lapic->timer.clock;
	uint64_t now = clock_tsc(clock);

	/* In the other modes writes are ignored (10.5.4.1). */
	if (!is_deadline_mode(lapic))
		return;
	timer_cancel(&lapic->timer);
	lapic->tsc_deadline = tsc;
	if (!tsc)
		return;
	if (tsc <= now) {
		lapic->tsc_deadline = 0;
		lapic_fire(lapic, LAPIC_LVT_TIMER);
		lapic_update(lapic);
	} else if ((tsc - now) / (clock->tsc_khz * 1000) < DEADLINE_MAX_S) {
		/* Rounded up: the guest must not find itself too early. */
		timer_set(&lapic->timer, clock_tsc_to_ns(clock, tsc) + 1);
	}
}

/*
 * Deadlines in virtual time: one that was due when it was saved comes at once
 * when time goes on.
 */
void lapic_timer_restore(struct lapic *lapic, const struct apic_state *state)
{
	struct clock *clock = lapic->timer.clock;

	stop(lapic);
	lapic->timer_initial = state->timer_initial;
	lapic->timer_divide = state->timer_divide;
	lapic->tsc_deadline = is_deadline_mode(lapic) ? state->tsc_deadline : 0;
	if (is_deadline_mode(lapic)) {
		uint64_t now = clock_tsc(clock), deadline = lapic->tsc_deadline;

		if (deadline && (deadline <= now ||
				 (deadline - now) / (clock->tsc_khz * 1000) <
					 DEADLINE_MAX_S))
			timer_set(&lapic->timer,
				  clock_tsc_to_ns(clock, deadline) + 1);
	} else if (state->timer_initial && state->timer_expiry_ns) {
		lapic->timer_expiry_ns = state->timer_expiry_ns;
		timer_set(&lapic->timer, state->timer_expiry_ns);
	}
}
