/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 programmable interval timer: all six modes, counter latch, read-back,
 * BCD; and port 61h. Intel 8254 data sheet (231164); port 61h: ICH9 data sheet,
 * 13.7.1.
 *
 * Nothing ticks: a channel remembers what it counts from and since when, and
 * OUT and the count follow from the clock. Only channel 0 has a timer, for the
 * rising edges of OUT, which are interrupt 0. In the periodic modes the short
 * low phase is drawn at the rising edge itself: an edge-triggered input sees no
 * difference, and it is one host timer a period. A period that the event loop
 * missed is one interrupt, not many.
 */
#include "chip/i8254.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

#define NS_PER_S	    1000000000ull

#define CONTROL_PORT	    3
#define CONTROL_READ_BACK   3
#define ACCESS_LATCH	    0
#define ACCESS_LOW	    1
#define ACCESS_HIGH	    2
#define ACCESS_BOTH	    3

#define READ_BACK_NO_STATUS BIT(4)
#define READ_BACK_NO_COUNT  BIT(5)

#define STATUS_OUT	    BIT(7)
#define STATUS_NULL	    BIT(6)

#define PORT61_GATE	    BIT(0)
#define PORT61_REFRESH	    BIT(4)
#define PORT61_OUT	    BIT(5)
#define PORT61_WRITABLE	    BITS(3, 0)
#define REFRESH_NS	    15085

/*
 * Faster than this and the host does nothing else; OUT and the count keep the
 * guest's period.
 */
#define PERIOD_MIN_NS 20000

static uint64_t ns_to_ticks(uint64_t ns)
{
	return (unsigned __int128)ns * I8254_HZ / NS_PER_S;
}

/* Rounded up, so that at that time the tick has happened. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
	return ((unsigned __int128)ticks * NS_PER_S + I8254_HZ - 1) / I8254_HZ;
}

static bool is_periodic(const struct i8254_channel *channel)
{
	return channel->mode == 2 || channel->mode == 3;
}

/* Modes 1 and 5 start at a rising edge of GATE. */
static bool is_triggered(const struct i8254_channel *channel)
{
	return channel->mode == 1 || channel->mode == 5;
}

/* The count that follows 0: BCD counters have four digits. */
static uint32_t modulus(const struct i8254_channel *channel)
{
	return channel->bcd ? 10000 : 0x10000;
}

/* --- where a channel stands ------------------------------------------------ */

/* In the periodic modes a new count waits for the period's end. */
static void apply_reload(struct i8254_channel *channel, uint64_t now)
{
	if (!channel->switch_ns || now < channel->switch_ns)
		return;
	channel->start_ns = channel->switch_ns;
	channel->switch_ns = 0;
	channel->count = channel->reload;
}

static uint64_t elapsed(const struct i8254_channel *channel, uint64_t now)
{
	if (channel->gate || is_triggered(channel))
		return ns_to_ticks(now - channel->start_ns);
	return ns_to_ticks(channel->stopped_ns);
}

static bool output(const struct i8254_channel *channel, uint64_t now)
{
	uint64_t ticks, count = channel->count;

	if (!channel->is_counting)
		return channel->mode != 0;
	ticks = elapsed(channel, now);
	switch (channel->mode) {
	case 0:
	case 1:
		return ticks >= count;
	case 2:
		return !channel->gate || ticks % count != count - 1;
	case 3:
		return !channel->gate || ticks % count < (count + 1) / 2;
	default:
		return ticks != count;
	}
}

static uint32_t counter(const struct i8254_channel *channel, uint64_t now)
{
	uint64_t ticks, count = channel->count, n = modulus(channel);

	if (!channel->is_counting)
		return channel->count % n;
	ticks = elapsed(channel, now);
	if (channel->mode == 2)
		return (count - ticks % count) % n;
	/* Mode 3 counts down by two, twice a period. */
	if (channel->mode == 3) {
		uint64_t half = (count + 1) / 2, phase = ticks % count;

		if (phase >= half)
			phase -= half;
		return ((count & ~1ull) - 2 * phase) % n;
	}
	return (count + n - ticks % n) % n;
}

static uint16_t to_bcd(uint32_t value)
{
	return value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 |
	       value / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint16_t value)
{
	return (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 +
	       (value >> 12) * 1000;
}

/* --- interrupt 0 ----------------------------------------------------------- */

static void drive(struct i8254 *pit, bool level)
{
	pit->out0 = level;
	if (!pit->is_disconnected)
		irq_set(&pit->irq, level);
}

/* When OUT of channel 0 rises next, after `now`; 0: it does not. */
static uint64_t next_rise(const struct i8254_channel *channel, uint64_t now)
{
	uint64_t count = channel->count, base = channel->start_ns, periods;

	if (!channel->is_counting || !channel->gate)
		return 0;
	switch (channel->mode) {
	case 0:
	case 1:
		base += ticks_to_ns(count);
		return base > now ? base : 0;
	case 2:
	case 3:
		if (channel->switch_ns)
			return channel->switch_ns;
		periods = elapsed(channel, now) / count + 1;
		return base + ticks_to_ns(periods * count);
	default:
		base += ticks_to_ns(count + 1);
		return base > now ? base : 0;
	}
}

static void schedule(struct i8254 *pit, uint64_t now, uint64_t earliest)
{
	const struct i8254_channel *channel = &pit->channel[0];
	uint64_t rise = next_rise(channel, now);

	if (rise < earliest && is_periodic(channel))
		rise = next_rise(channel, earliest);
	if (rise)
		timer_set(&pit->timer, rise);
	else
		timer_cancel(&pit->timer);
}

static void on_timer(void *argument)
{
	struct i8254 *pit = argument;
	uint64_t now = clock_ns(pit->clock);

	apply_reload(&pit->channel[0], now);
	drive(pit, false);
	drive(pit, true);
	schedule(pit, now, now + PERIOD_MIN_NS);
}

/* The guest changed something about channel 0. */
static void channel0_changed(struct i8254 *pit, uint64_t now)
{
	const struct i8254_channel *channel = &pit->channel[0];

	/* The periodic modes' low phase is drawn in on_timer. */
	drive(pit, is_periodic(channel) || output(channel, now));
	schedule(pit, now, now);
}

void i8254_disconnect(struct i8254 *pit, bool is_disconnected)
{
	LOCKED(&pit->lock);
	if (is_disconnected && !pit->is_disconnected)
		irq_set(&pit->irq, false);
	pit->is_disconnected = is_disconnected;
	drive(pit, pit->out0);
}

/* --- programming ----------------------------------------------------------- */

static void start(struct i8254_channel *channel, uint64_t now)
{
	channel->count = channel->reload;
	channel->start_ns = now;
	channel->stopped_ns = 0;
	channel->switch_ns = 0;
	channel->is_counting = true;
}

static void load(struct i8254_channel *channel, uint16_t value, uint64_t now)
{
	uint64_t periods;

	channel->reload = channel->bcd ? from_bcd(value) : value;
	if (!channel->reload)
		channel->reload = modulus(channel);
	/* Modes 2 and 3 have no count of 1: 2 is what the chip does then. */
	if (is_periodic(channel) && channel->reload == 1)
		channel->reload = 2;
	if (is_triggered(channel))
		return;
	if (!is_periodic(channel) || !channel->is_counting || !channel->gate) {
		start(channel, now);
		return;
	}
	periods = elapsed(channel, now) / channel->count + 1;
	channel->switch_ns =
		channel->start_ns + ticks_to_ns(periods * channel->count);
}

static void write_count(struct i8254_channel *channel, uint8_t value,
			uint64_t now)
{
	switch (channel->access) {
	case ACCESS_LOW:
		load(channel, value, now);
		return;
	case ACCESS_HIGH:
		load(channel, value << 8, now);
		return;
	default:
		break;
	}
	if (!channel->next_is_high) {
		channel->written_low = value;
		/* In mode 0 the first byte stops the count (mode 0, 1). */
		if (channel->mode == 0)
			channel->is_counting = false;
	} else {
		load(channel, channel->written_low | value << 8, now);
	}
	channel->next_is_high = !channel->next_is_high;
}

static void latch_count(struct i8254_channel *channel, uint64_t now)
{
	uint32_t value;

	if (channel->count_is_latched)
		return;
	value = counter(channel, now);
	channel->latched_count = channel->bcd ? to_bcd(value) : value;
	channel->count_is_latched = true;
	/* The latched value is read from its low byte on. */
	channel->read_is_high = false;
}

static void latch_status(struct i8254_channel *channel, uint64_t now)
{
	bool is_null = channel->switch_ns ||
		       channel->count != channel->reload || !channel->reload;

	if (channel->status_is_latched)
		return;
	channel->latched_status = (output(channel, now) ? STATUS_OUT : 0) |
				  (is_null ? STATUS_NULL : 0) |
				  channel->access << 4 | channel->mode << 1 |
				  channel->bcd;
	channel->status_is_latched = true;
}

static void read_back(struct i8254 *pit, uint8_t value, uint64_t now)
{
	unsigned i;

	for (i = 0; i < I8254_CHANNELS; i++) {
		struct i8254_channel *channel = &pit->channel[i];

		if (!(value & BIT(i + 1)))
			continue;
		if (!(value & READ_BACK_NO_COUNT))
			latch_count(channel, now);
		if (!(value & READ_BACK_NO_STATUS))
			latch_status(channel, now);
	}
}

static void write_control(struct i8254 *pit, uint8_t value, uint64_t now)
{
	struct i8254_channel *channel;
	unsigned index = value >> 6, access = value >> 4 & 3;

	if (index == CONTROL_READ_BACK) {
		read_back(pit, value, now);
		return;
	}
	channel = &pit->channel[index];
	if (access == ACCESS_LATCH) {
		latch_count(channel, now);
		return;
	}
	channel->access = access;
	channel->mode = value >> 1 & 7;
	if (channel->mode > 5)
		channel->mode -= 4; /* 6 and 7 are 2 and 3 */
	channel->bcd = value & 1;
	channel->is_counting = false;
	channel->next_is_high = channel->read_is_high = false;
	channel->count_is_latched = channel->status_is_latched = false;
	channel->reload = 0;
	channel->switch_ns = 0;
	if (index == 0)
		channel0_changed(pit, now);
}

static void write_channel(struct i8254 *pit, unsigned index, uint8_t value,
			  uint64_t now)
{
	write_count(&pit->channel[index], value, now);
	if (index == 0)
		channel0_changed(pit, now);
}

static uint8_t read_channel(struct i8254_channel *channel, uint64_t now)
{
	uint32_t value;
	bool high;

	if (channel->status_is_latched) {
		channel->status_is_latched = false;
		return channel->latched_status;
	}
	value = counter(channel, now);
	if (channel->bcd)
		value = to_bcd(value);
	if (channel->count_is_latched)
		value = channel->latched_count;
	high = channel->access == ACCESS_HIGH;
	if (channel->access == ACCESS_BOTH) {
		high = channel->read_is_high;
		channel->read_is_high = !high;
	}
	if (channel->access != ACCESS_BOTH || high)
		channel->count_is_latched = false;
	return value >> (high ? 8 : 0);
}

static void set_gate(struct i8254_channel *channel, bool gate, uint64_t now)
{
	bool rises = gate && !channel->gate;

	if (gate == channel->gate)
		return;
	/* Figure 21: what a low gate, and a rising one, do in each mode. */
	if (channel->mode == 0 || channel->mode == 4) {
		if (rises)
			channel->start_ns = now - channel->stopped_ns;
		else
			channel->stopped_ns = now - channel->start_ns;
	} else if (rises && channel->reload) {
		start(channel, now);
	}
	channel->gate = gate;
}

/* --- ports ----------------------------------------------------------------- */

static enum bus_result on_access(void *device, struct access *access)
{
	struct i8254 *pit = device;
	uint64_t now = clock_ns(pit->clock);
	unsigned i;

	for (i = 0; i < I8254_CHANNELS; i++)
		apply_reload(&pit->channel[i], now);
	if (access->is_write && access->offset == CONTROL_PORT)
		write_control(pit, access->value, now);
	else if (access->is_write)
		write_channel(pit, access->offset, access->value, now);
	else if (access->offset == CONTROL_PORT)
		access->value = 0xff; /* no operation, figure 20 */
	else
		access->value =
			read_channel(&pit->channel[access->offset], now);
	return BUS_HANDLED;
}

static enum bus_result on_port61(void *device, struct access *access)
{
	struct i8254 *pit = device;
	uint64_t now = clock_ns(pit->clock);

	apply_reload(&pit->channel[2], now);
	if (access->is_write) {
		pit->port61 = access->value & PORT61_WRITABLE;
		set_gate(&pit->channel[2], pit->port61 & PORT61_GATE, now);
		return BUS_HANDLED;
	}
	access->value = pit->port61;
	if (now / REFRESH_NS & 1)
		access->value |= PORT61_REFRESH;
	if (output(&pit->channel[2], now))
		access->value |= PORT61_OUT;
	return BUS_HANDLED;
}

/* --- the device ------------------------------------------------------------ */

static void on_reset(void *device)
{
	struct i8254 *pit = device;
	unsigned i;

	LOCKED(&pit->lock);
	for (i = 0; i < I8254_CHANNELS; i++)
		pit->channel[i] = (struct i8254_channel){
			.mode = 3,
			.access = ACCESS_BOTH,
			.gate = i != 2,
		};
	pit->port61 = 0;
	pit->is_disconnected = false;
	timer_cancel(&pit->timer);
	drive(pit, false);
}

static int on_restored(void *device)
{
	struct i8254 *pit = device;
	unsigned i;

	for (i = 0; i < I8254_CHANNELS; i++) {
		const struct i8254_channel *channel = &pit->channel[i];

		if (channel->mode > 5 || channel->reload > 0x10000 ||
		    channel->count > 0x10000 ||
		    (channel->is_counting && !channel->count))
			return -EINVAL;
	}
	return 0;
}

static const struct state_field channel_fields[] = {
	STATE_FIELD(struct i8254_channel, mode, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, access, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, bcd, STATE_BOOL, 1),
	STATE_FIELD(struct i8254_channel, gate, STATE_BOOL, 1),
	STATE_FIELD(struct i8254_channel, is_counting, STATE_BOOL, 1),
	STATE_FIELD(struct i8254_channel, next_is_high, STATE_BOOL, 1),
	STATE_FIELD(struct i8254_channel, read_is_high, STATE_BOOL, 1),
	STATE_FIELD(struct i8254_channel, count_is_latched, STATE_BOOL, 1),
	STATE_FIELD(struct i8254_channel, status_is_latched, STATE_BOOL, 1),
	STATE_FIELD(struct i8254_channel, written_low, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, latched_status, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, latched_count, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, reload, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, count, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, start_ns, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, stopped_ns, STATE_UINT, 1),
	STATE_FIELD(struct i8254_channel, switch_ns, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table channel_state = {
	.name = "i8254-channel",
	.version = 1,
	.field = channel_fields,
};

static const struct state_field fields[] = {
	STATE_NESTED_ARRAY(struct i8254, channel, channel_state, 1),
	STATE_FIELD(struct i8254, is_disconnected, STATE_BOOL, 1),
	STATE_FIELD(struct i8254, out0, STATE_BOOL, 1),
	STATE_FIELD(struct i8254, timer, STATE_TIMER, 1),
	STATE_FIELD(struct i8254, port61, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "i8254",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int i8254_init(struct i8254 *pit, struct vm *vm, const struct irq_line *irq)
{
	int error;

	memset(pit, 0, sizeof(*pit));
	pthread_mutex_init(&pit->lock, NULL);
	pit->clock = &vm->clock;
	pit->irq = *irq;
	timer_init(&pit->timer, &vm->clock, &pit->lock, on_timer, pit);
	pit->resources = (struct device_resources){
		.acpi_name = "TIMR",
		.hid = "PNP0100",
		.port = { { 0x40, 4 }, { 0x61, 1 } },
		.irq = { 0, -1 },
	};
	pit->device = (struct device){
		.name = "i8254",
		.ops = &ops,
		.resources = &pit->resources,
		.self = pit,
	};
	pit->region[0] = (struct bus_region){
		.name = "i8254",
		.base = 0x40,
		.size = 4,
		.sizes = 1,
		.handler = on_access,
		.device = pit,
		.lock = &pit->lock,
	};
	pit->region[1] = (struct bus_region){
		.name = "i8254",
		.base = 0x61,
		.size = 1,
		.sizes = 1,
		.handler = on_port61,
		.device = pit,
		.lock = &pit->lock,
	};
	on_reset(pit);
	device_add(vm, &pit->device);
	error = bus_add(&vm->io, &pit->region[0]);
	return error ? error : bus_add(&vm->io, &pit->region[1]);
}
