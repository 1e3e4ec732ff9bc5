/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * High precision event timers. IA-PC HPET Specification 1.0a, chapter 2: one
 * 64-bit counter at 100 MHz, three comparators that can all be periodic, legacy
 * replacement. FSB (message) delivery is not offered.
 */
#include "chip/hpet.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

#define NS_PER_TICK (HPET_PERIOD_FS / 1000000)
#define REGION_SIZE 0x400

enum {
	CAPABILITIES = 0x000,
	CONFIGURATION = 0x010,
	STATUS = 0x020,
	COUNTER = 0x0f0,
	TIMER_FIRST = 0x100, /* 20h for each */
	TIMER_CONFIG = 0x00,
	TIMER_COMPARATOR = 0x08,
};

/* Intel's, 64 bits, legacy replacement, revision 1. */
#define CAPABILITIES_LOW \
	(0x80860000 | BIT(15) | BIT(13) | (HPET_TIMERS - 1) << 8 | 0x01)

#define CONFIG_ENABLE	   BIT(0)
#define CONFIG_LEGACY	   BIT(1)

#define TIMER_LEVEL	   BIT(1)
#define TIMER_INTERRUPT	   BIT(2)
#define TIMER_PERIODIC	   BIT(3)
#define TIMER_CAN_PERIODIC BIT(4)
#define TIMER_64BIT	   BIT(5)
#define TIMER_SET_VALUE	   BIT(6)
#define TIMER_32MODE	   BIT(8)
#define TIMER_ROUTE_SHIFT  9
#define TIMER_WRITABLE                                                      \
	(TIMER_LEVEL | TIMER_INTERRUPT | TIMER_PERIODIC | TIMER_SET_VALUE | \
	 TIMER_32MODE | BITS(13, 9))

/* Shorter periods than this interrupt less often (see lapic_timer.c). */
#define PERIOD_MIN_TICKS (20000 / NS_PER_TICK)

/* A comparator so far away is never reached, and its time would wrap. */
#define DISTANCE_MAX BIT(56)

static bool is_enabled(const struct hpet *hpet)
{
	return hpet->general & CONFIG_ENABLE;
}

static uint64_t counter(const struct hpet *hpet)
{
	if (!is_enabled(hpet))
		return hpet->counter;
	return hpet->counter +
	       (clock_ns(hpet->clock) - hpet->start_ns) / NS_PER_TICK;
}

static uint64_t width(const struct hpet_timer *timer)
{
	return timer->config & TIMER_32MODE ? BITS(31, 0) : ~0ull;
}

static unsigned index_of(const struct hpet_timer *timer)
{
	return timer - timer->hpet->timer;
}

/* --- interrupts ------------------------------------------------------------ */

/* 2.3.4.1: legacy replacement takes timers 0 and 1 off their routes. */
static const struct irq_line *line_of(const struct hpet_timer *timer)
{
	const struct hpet_config *config = &timer->hpet->config;
	unsigned route = bits_get(timer->config, 13, TIMER_ROUTE_SHIFT);

	if ((timer->hpet->general & CONFIG_LEGACY) && index_of(timer) < 2)
		return index_of(timer) ? &config->irq8 : &config->irq0;
	if (route < ARRAY_SIZE(config->gsi))
		return &config->gsi[route];
	return NULL;
}

static void drive(const struct hpet_timer *timer, bool level)
{
	const struct irq_line *line = line_of(timer);

	if (line)
		irq_set(line, level);
}

static void fire(struct hpet_timer *timer)
{
	struct hpet *hpet = timer->hpet;

	if (timer->config & TIMER_LEVEL)
		hpet->status |= BIT(index_of(timer));
	if (!(timer->config & TIMER_INTERRUPT))
		return;
	drive(timer, true);
	if (!(timer->config & TIMER_LEVEL))
		drive(timer, false);
}

/* A level stays until its status bit is cleared, or until it may not. */
static void lower(struct hpet_timer *timer)
{
	if (timer->config & TIMER_LEVEL)
		drive(timer, false);
}

/*
 * Arms the timer for when the counter comes to the comparator, at least
 * `earliest` ticks from now: with 1 a match that is now is not meant.
 */
static void schedule(struct hpet_timer *timer, uint64_t earliest)
{
	struct hpet *hpet = timer->hpet;
	uint64_t now = counter(hpet);
	uint64_t distance = (timer->comparator - now) & width(timer);

	if (!distance && earliest)
		distance = MIN(width(timer), DISTANCE_MAX) + 1;
	if (distance < earliest)
		distance = earliest;
	if (!is_enabled(hpet) || distance >= DISTANCE_MAX)
		timer_cancel(&timer->timer);
	else
		timer_set(&timer->timer,
			  hpet->start_ns + (now - hpet->counter + distance) *
						   NS_PER_TICK);
}

/* The comparator moves on; periods that were missed are one interrupt. */
static void advance(struct hpet_timer *timer)
{
	uint64_t late = (counter(timer->hpet) - timer->comparator) &
			width(timer);

	timer->comparator += (late / timer->period + 1) * timer->period;
	timer->comparator &= width(timer);
}

static void on_timer(void *argument)
{
	struct hpet_timer *timer = argument;
	bool is_periodic = (timer->config & TIMER_PERIODIC) && timer->period;

	if (is_periodic)
		advance(timer);
	fire(timer);
	/* A one-shot comparator matches again when the counter wraps. */
	schedule(timer, is_periodic ? PERIOD_MIN_TICKS : 1);
}

/* --- registers ------------------------------------------------------------- */

static void write_general(struct hpet *hpet, uint64_t value)
{
	uint64_t old = hpet->general, changed, now = counter(hpet);
	unsigned i;

	value &= CONFIG_ENABLE | CONFIG_LEGACY;
	changed = old ^ value;
	for (i = 0; changed && i < HPET_TIMERS; i++)
		lower(&hpet->timer[i]);
	hpet->general = value;
	hpet->counter = now;
	hpet->start_ns = clock_ns(hpet->clock);
	if ((changed & CONFIG_LEGACY) && hpet->config.legacy)
		hpet->config.legacy(hpet->config.argument,
				    value & CONFIG_LEGACY);
	for (i = 0; (changed & CONFIG_ENABLE) && i < HPET_TIMERS; i++)
		schedule(&hpet->timer[i], 0);
}

/* Writing 1 clears a level-triggered comparator's interrupt (2.3.6). */
static void write_status(struct hpet *hpet, uint64_t value)
{
	unsigned i;

	for (i = 0; i < HPET_TIMERS; i++) {
		if (!(hpet->status & value & BIT(i)))
			continue;
		hpet->status &= ~BIT(i);
		lower(&hpet->timer[i]);
	}
}

static void write_counter(struct hpet *hpet, uint64_t value)
{
	unsigned i;

	hpet->counter = value;
	hpet->start_ns = clock_ns(hpet->clock);
	for (i = 0; i < HPET_TIMERS; i++)
		schedule(&hpet->timer[i], 0);
}

static void write_timer_config(struct hpet_timer *timer, uint64_t value)
{
	uint64_t old = timer->config;
	unsigned route = bits_get(value, 13, TIMER_ROUTE_SHIFT);

	lower(timer);
	/* A route that is not on offer reads back as it was (2.3.8). */
	if (route >= 24 || !(timer->hpet->routes & BIT(route)))
		value = (value & ~BITS(13, 9)) | (old & BITS(13, 9));
	timer->config = (old & ~TIMER_WRITABLE) | (value & TIMER_WRITABLE);
	if (timer->config & TIMER_32MODE) {
		timer->comparator &= BITS(31, 0);
		timer->period &= BITS(31, 0);
	}
	if (!(timer->config & TIMER_LEVEL))
		timer->hpet->status &= ~BIT(index_of(timer));
	else if ((timer->hpet->status & BIT(index_of(timer))) &&
		 (timer->config & TIMER_INTERRUPT))
		drive(timer, true);
	schedule(timer, 0);
}

/*
 * 2.3.9.2.2: of a periodic timer the write sets the period; the comparator too
 * right after the set-value bit, which clears itself.
 */
static void write_comparator(struct hpet_timer *timer, uint64_t value)
{
	value &= width(timer);
	if (timer->config & TIMER_PERIODIC)
		timer->period = value;
	if (!(timer->config & TIMER_PERIODIC) ||
	    (timer->config & TIMER_SET_VALUE))
		timer->comparator = value;
	timer->config &= ~TIMER_SET_VALUE;
	schedule(timer, 0);
}

static uint64_t read_timer(const struct hpet_timer *timer, unsigned offset)
{
	switch (offset) {
	case TIMER_CONFIG:
		return timer->config;
	case TIMER_COMPARATOR:
		return timer->comparator;
	default:
		return 0;
	}
}

static uint64_t read_register(const struct hpet *hpet, unsigned offset)
{
	unsigned index = (offset - TIMER_FIRST) / 0x20;

	switch (offset) {
	case CAPABILITIES:
		return CAPABILITIES_LOW | HPET_PERIOD_FS << 32;
	case CONFIGURATION:
		return hpet->general;
	case STATUS:
		return hpet->status;
	case COUNTER:
		return counter(hpet);
	default:
		break;
	}
	if (offset < TIMER_FIRST || index >= HPET_TIMERS)
		return 0;
	return read_timer(&hpet->timer[index], offset & 0x1f);
}

static void write_register(struct hpet *hpet, unsigned offset, uint64_t value)
{
	unsigned index = (offset - TIMER_FIRST) / 0x20;

	switch (offset) {
	case CONFIGURATION:
		write_general(hpet, value);
		return;
	case STATUS:
		write_status(hpet, value);
		return;
	case COUNTER:
		write_counter(hpet, value);
		return;
	default:
		break;
	}
	if (offset < TIMER_FIRST || index >= HPET_TIMERS)
		return;
	if ((offset & 0x1f) == TIMER_CONFIG)
		write_timer_config(&hpet->timer[index], value);
	else if ((offset & 0x1f) == TIMER_COMPARATOR)
		write_comparator(&hpet->timer[index], value);
}

/* What a half of a register's write leaves in the other: status has none. */
static uint64_t merge(const struct hpet *hpet, const struct access *access)
{
	unsigned aligned = access->offset & ~7u;
	unsigned shift = 8 * (access->offset & 4);
	uint64_t old = aligned == STATUS ? 0 : read_register(hpet, aligned);
	uint64_t mask = size_mask(4) << shift;

	if (access->size == 8)
		return access->value;
	return (old & ~mask) | (access->value << shift & mask);
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct hpet *hpet = device;
	unsigned aligned = access->offset & ~7u;

	if (!is_aligned(access->offset, access->size))
		return BUS_ERROR;
	if (access->is_write)
		write_register(hpet, aligned, merge(hpet, access));
	else
		access->value = read_register(hpet, aligned) >>
				8 * (access->offset & 4);
	return BUS_HANDLED;
}

/* --- the device ------------------------------------------------------------ */

static void on_reset(void *device)
{
	struct hpet *hpet = device;
	unsigned i;

	LOCKED(&hpet->lock);
	write_general(hpet, 0);
	hpet->counter = 0;
	hpet->status = 0;
	for (i = 0; i < HPET_TIMERS; i++) {
		struct hpet_timer *timer = &hpet->timer[i];

		timer->config = TIMER_CAN_PERIODIC | TIMER_64BIT |
				(uint64_t)hpet->routes << 32;
		timer->comparator = ~0ull;
		timer->period = 0;
		timer_cancel(&timer->timer);
	}
}

static const struct state_field timer_fields[] = {
	STATE_FIELD(struct hpet_timer, config, STATE_UINT, 1),
	STATE_FIELD(struct hpet_timer, comparator, STATE_UINT, 1),
	STATE_FIELD(struct hpet_timer, period, STATE_UINT, 1),
	STATE_FIELD(struct hpet_timer, timer, STATE_TIMER, 1),
	{ .name = NULL },
};

static const struct state_table timer_state = {
	.name = "hpet-timer",
	.version = 1,
	.field = timer_fields,
};

static const struct state_field fields[] = {
	STATE_FIELD(struct hpet, general, STATE_UINT, 1),
	STATE_FIELD(struct hpet, status, STATE_UINT, 1),
	STATE_FIELD(struct hpet, counter, STATE_UINT, 1),
	STATE_FIELD(struct hpet, start_ns, STATE_UINT, 1),
	STATE_NESTED_ARRAY(struct hpet, timer, timer_state, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "hpet",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int hpet_init(struct hpet *hpet, struct vm *vm,
	      const struct hpet_config *config)
{
	unsigned i;

	memset(hpet, 0, sizeof(*hpet));
	pthread_mutex_init(&hpet->lock, NULL);
	hpet->config = *config;
	hpet->clock = &vm->clock;
	for (i = 0; i < ARRAY_SIZE(config->gsi); i++)
		if (config->gsi[i].set)
			hpet->routes |= BIT(i);
	for (i = 0; i < HPET_TIMERS; i++) {
		struct hpet_timer *timer = &hpet->timer[i];

		timer->hpet = hpet;
		timer_init(&timer->timer, &vm->clock, &hpet->lock, on_timer,
			   timer);
	}
	hpet->resources = (struct device_resources){
		.acpi_name = "HPET",
		.hid = "PNP0103",
		.mmio = { { HPET_BASE, REGION_SIZE } },
		.irq = { -1 },
	};
	hpet->device = (struct device){
		.name = "hpet",
		.ops = &ops,
		.resources = &hpet->resources,
		.self = hpet,
	};
	hpet->region = (struct bus_region){
		.name = "hpet",
		.base = HPET_BASE,
		.size = REGION_SIZE,
		.sizes = 4 | 8,
		.handler = on_access,
		.device = hpet,
		.lock = &hpet->lock,
	};
	on_reset(hpet);
	device_add(vm, &hpet->device);
	return bus_add(&vm->mmio, &hpet->region);
}
