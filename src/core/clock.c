/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual time and its timers. Invariant TSC: SDM 3, 17.17.1; the TSC's rate:
 * CPUID leaf 15h (SDM 2) or, of a hypervisor, leaf 40000010h.
 */

#include "core/clock.h"

#include <cpuid.h>
#include <stdatomic.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"

#define NS_PER_S       1000000000ull
#define CALIBRATION_NS 10000000ull

static uint64_t host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t host_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* a * b / 2^32 without losing the upper bits. */
static uint64_t scale(uint64_t a, uint64_t b)
{
	return (uint64_t)(((unsigned __int128)a * b) >> 32);
}

static bool tsc_is_invariant(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
}

static uint64_t tsc_khz_from_cpuid(void)
{
	unsigned a, b, c, d;

	__cpuid(0x40000000, a, b, c, d);
	if (a >= 0x40000010 && a < 0x40000100) {
		__cpuid(0x40000010, a, b, c, d);
		if (a)
			return a;
	}
	if (__get_cpuid(0x15, &a, &b, &c, &d) && a && b && c)
		return (uint64_t)c * b / a / 1000;
	return 0;
}

/* A pair of TSC and time, taken as close together as the host lets us. */
static void sample(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = ~0ull;

	for (int i = 0; i < 16; i++) {
		uint64_t before = host_tsc();
		uint64_t now = host_ns();
		uint64_t width = host_tsc() - before;

		if (width < best) {
			best = width;
			*tsc = before + width / 2;
			*ns = now;
		}
	}
}

static uint64_t tsc_khz_measured(void)
{
	const struct timespec pause = { .tv_nsec = CALIBRATION_NS };
	uint64_t tsc0, ns0, tsc1, ns1;

	sample(&tsc0, &ns0);
	nanosleep(&pause, NULL);
	sample(&tsc1, &ns1);
	if (ns1 <= ns0)
		return 0;
	return (uint64_t)((unsigned __int128)(tsc1 - tsc0) * 1000000 /
			  (ns1 - ns0));
}

int clock_init(struct clock *clock)
{
	*clock = (struct clock){ .has_host_tsc = tsc_is_invariant() };
	pthread_mutex_init(&clock->lock, NULL);
	list_init(&clock->timers);
	clock->tsc_khz = tsc_khz_from_cpuid();
	if (!clock->tsc_khz)
		clock->tsc_khz = tsc_khz_measured();
	if (!clock->tsc_khz)
		clock->tsc_khz = 1000000;
	clock->multiplier = (1000000ull << 32) / clock->tsc_khz;
	return 0;
}

void clock_fini(struct clock *clock)
{
	pthread_mutex_destroy(&clock->lock);
}

/* The host's TSC, or one made of its clock where that is the steadier. */
static uint64_t source_tsc(const struct clock *clock)
{
	if (clock->has_host_tsc)
		return host_tsc();
	return (uint64_t)((unsigned __int128)host_ns() * clock->tsc_khz /
			  1000000);
}

/* What the readers below see, all of one moment. */
struct moment {
	bool is_running;
	uint64_t base_tsc, base_ns, base_host_tsc;
	uint64_t elapsed; /* TSC ticks since base */
};

static struct moment read_moment(struct clock *clock)
{
	struct moment m;
	uint32_t sequence;

	do {
		sequence = atomic_load(&clock->sequence);
		m.is_running = atomic_load(&clock->is_running);
		m.base_host_tsc = atomic_load(&clock->base_host_tsc);
		m.base_tsc = atomic_load(&clock->base_tsc);
		m.base_ns = atomic_load(&clock->base_ns);
	} while ((sequence & 1) || sequence != atomic_load(&clock->sequence));
	m.elapsed = 0;
	if (m.is_running) {
		int64_t ticks = (int64_t)(source_tsc(clock) - m.base_host_tsc);

		/* Another core's TSC may be a hair behind the one that
		 * started the clock. */
		m.elapsed = ticks > 0 ? (uint64_t)ticks : 0;
	}
	return m;
}

/* Lock held. */
static void write_base(struct clock *clock, bool is_running, uint64_t tsc,
		       uint64_t ns)
{
	atomic_fetch_add(&clock->sequence, 1);
	atomic_store(&clock->is_running, is_running);
	atomic_store(&clock->base_host_tsc, source_tsc(clock));
	atomic_store(&clock->base_tsc, tsc);
	atomic_store(&clock->base_ns, ns);
	atomic_fetch_add(&clock->sequence, 1);
}

uint64_t clock_ns(struct clock *clock)
{
	struct moment m = read_moment(clock);

	return m.base_ns + scale(m.elapsed, clock->multiplier);
}

uint64_t clock_tsc(struct clock *clock)
{
	struct moment m = read_moment(clock);

	return m.base_tsc + m.elapsed;
}

uint64_t clock_tsc_offset(struct clock *clock)
{
	struct moment m = read_moment(clock);

	return m.base_tsc - m.base_host_tsc;
}

uint64_t clock_tsc_to_ns(struct clock *clock, uint64_t tsc)
{
	struct moment m = read_moment(clock);

	if (tsc < m.base_tsc) {
		uint64_t ago = scale(m.base_tsc - tsc, clock->multiplier);

		return ago < m.base_ns ? m.base_ns - ago : 0;
	}
	return m.base_ns + scale(tsc - m.base_tsc, clock->multiplier);
}

static void wake(struct clock *clock)
{
	if (clock->wake)
		clock->wake(clock->wake_argument);
}

void clock_start(struct clock *clock)
{
	LOCKED(&clock->lock);

	if (clock->is_running)
		return;
	write_base(clock, true, clock->base_tsc, clock->base_ns);
	wake(clock);
}

void clock_stop(struct clock *clock)
{
	LOCKED(&clock->lock);
	struct moment m = read_moment(clock);

	write_base(clock, false, m.base_tsc + m.elapsed,
		   m.base_ns + scale(m.elapsed, clock->multiplier));
}

void clock_set(struct clock *clock, uint64_t ns, uint64_t tsc)
{
	LOCKED(&clock->lock);

	BUG_ON(clock->is_running);
	write_base(clock, false, tsc, ns);
}

void timer_init(struct timer *timer, struct clock *clock, pthread_mutex_t *lock,
		void (*fn)(void *), void *argument)
{
	*timer = (struct timer){
		.clock = clock, .lock = lock, .fn = fn, .argument = argument
	};
	list_init(&timer->link);
}

/* Clock lock held. */
static void timer_unset(struct timer *timer)
{
	list_remove(&timer->link);
	timer->is_set = false;
	timer->is_firing = false;
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
	struct clock *clock = timer->clock;
	struct timer *other;
	LOCKED(&clock->lock);

	timer_unset(timer);
	timer->deadline_ns = deadline_ns;
	timer->is_set = true;
	list_for_each(other, &clock->timers, link)
		if (other->deadline_ns > deadline_ns)
			break;
	/* Before `other`, which is the head's place when none is later. */
	list_add(&other->link, &timer->link);
	if (clock->timers.next == &timer->link)
		wake(clock);
}

void timer_cancel(struct timer *timer)
{
	LOCKED(&timer->clock->lock);

	timer_unset(timer);
}

uint64_t clock_next_ns(struct clock *clock)
{
	LOCKED(&clock->lock);
	struct timer *first;
	uint64_t now;

	if (!clock->is_running || list_is_empty(&clock->timers))
		return ~0ull;
	first = container_of(clock->timers.next, struct timer, link);
	now = clock_ns(clock);
	return first->deadline_ns > now ? first->deadline_ns - now : 0;
}

/* Takes the first timer that is due off the list, or NULL. */
static struct timer *take_due(struct clock *clock)
{
	LOCKED(&clock->lock);
	struct timer *timer;

	if (!clock->is_running || list_is_empty(&clock->timers))
		return NULL;
	timer = container_of(clock->timers.next, struct timer, link);
	if (timer->deadline_ns > clock_ns(clock))
		return NULL;
	list_remove(&timer->link);
	timer->is_firing = true;
	return timer;
}

/* False when the timer was cancelled or set again since take_due. */
static bool still_firing(struct timer *timer)
{
	LOCKED(&timer->clock->lock);
	bool is_firing = timer->is_firing;

	if (is_firing)
		timer_unset(timer);
	return is_firing;
}

void clock_run(struct clock *clock)
{
	struct timer *timer;

	/* Between taking it and holding its owner's lock the owner may change
	 * its mind; after that it cannot. */
	while ((timer = take_due(clock))) {
		pthread_mutex_lock(timer->lock);
		if (still_firing(timer))
			timer->fn(timer->argument);
		pthread_mutex_unlock(timer->lock);
	}
}
