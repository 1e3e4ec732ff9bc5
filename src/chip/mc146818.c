/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real-time clock: UTC of the host, alarm, periodic and update-ended
 * interrupts, memory. Motorola MC146818A data sheet; ports and century byte as
 * the ICH9 data sheet has them, 13.6.
 *
 * The time is the virtual clock plus an epoch that is taken from the host when
 * the machine starts or goes on, so that a pause is not lost from the date. The
 * flags of register C are worked out when somebody looks, or when an enabled
 * interrupt is due; only then is there a timer.
 */
#include "chip/mc146818.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/input.h"
#include "core/state.h"
#include "core/vm.h"

#define NS_PER_S  1000000000ull
#define S_PER_DAY 86400

enum {
	SECONDS,
	SECONDS_ALARM,
	MINUTES,
	MINUTES_ALARM,
	HOURS,
	HOURS_ALARM,
	WEEKDAY,
	DAY,
	MONTH,
	YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
};

#define A_UIP	     BIT(7)
#define A_RATE	     BITS(3, 0)
#define A_DIVIDER    BITS(6, 4)
#define A_RUNNING    0x20 /* divider for 32.768 kHz */

#define B_SET	     BIT(7)
#define B_PERIODIC   BIT(6)
#define B_ALARM	     BIT(5)
#define B_UPDATE     BIT(4)
#define B_BINARY     BIT(2)
#define B_24_HOURS   BIT(1)
#define B_INTERRUPTS (B_PERIODIC | B_ALARM | B_UPDATE)

#define C_INTERRUPT  BIT(7)
#define D_VALID	     BIT(7)

#define PM_FLAG	     BIT(7) /* of the hours in 12-hour mode */
#define ALARM_ANY    0xc0 /* don't care */

/* UIP is set 244 us before the update, which takes 1984 us (table 5). */
#define UPDATE_NS (244000 + 1984000)

struct date {
	int64_t year;
	unsigned month, day, hour, minute, second;
};

/* --- calendar -------------------------------------------------------------- */

/* Days since 1970-01-01 of a Gregorian date; month and day may be nonsense. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year =
		(153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 +
		(int64_t)day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	       of_year - 719468;
}

static struct date date_from_seconds(uint64_t seconds)
{
	int64_t days = seconds / S_PER_DAY + 719468, era = days / 146097;
	unsigned of_day = seconds % S_PER_DAY, of_era = days - era * 146097;
	unsigned year =
		(of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
		365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153;
	struct date date = {
		.day = of_year - (153 * month + 2) / 5 + 1,
		.month = month < 10 ? month + 3 : month - 9,
		.hour = of_day / 3600,
		.minute = of_day / 60 % 60,
		.second = of_day % 60,
	};

	date.year = year + era * 400 + (date.month <= 2);
	return date;
}

/* --- encoding -------------------------------------------------------------- */

static uint8_t encode(const struct mc146818 *rtc, unsigned value)
{
	if (rtc->byte[REG_B] & B_BINARY)
		return value;
	return value / 10 % 10 << 4 | value % 10;
}

static unsigned decode(const struct mc146818 *rtc, uint8_t value)
{
	if (rtc->byte[REG_B] & B_BINARY)
		return value;
	return (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct mc146818 *rtc, unsigned hour)
{
	if (rtc->byte[REG_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) |
	       (hour >= 12 ? PM_FLAG : 0);
}

static unsigned decode_hour(const struct mc146818 *rtc, uint8_t value)
{
	if (rtc->byte[REG_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & ~PM_FLAG) % 12 + (value & PM_FLAG ? 12 : 0);
}

static bool is_running(const struct mc146818 *rtc)
{
	return !(rtc->byte[REG_B] & B_SET) &&
	       (rtc->byte[REG_A] & A_DIVIDER) == A_RUNNING;
}

static uint64_t utc_ns(const struct mc146818 *rtc)
{
	return clock_ns(&rtc->vm->clock) + rtc->epoch_ns;
}

static bool is_time(unsigned index)
{
	return index == MC146818_CENTURY ||
	       (index <= YEAR && index != SECONDS_ALARM &&
		index != MINUTES_ALARM && index != HOURS_ALARM);
}

static void time_to_bytes(struct mc146818 *rtc)
{
	uint64_t seconds = utc_ns(rtc) / NS_PER_S;
	struct date date = date_from_seconds(seconds);

	rtc->byte[SECONDS] = encode(rtc, date.second);
	rtc->byte[MINUTES] = encode(rtc, date.minute);
	rtc->byte[HOURS] = encode_hour(rtc, date.hour);
	/* 1970-01-01 was a Thursday; Sunday is 1. */
	rtc->byte[WEEKDAY] = encode(rtc, (seconds / S_PER_DAY + 4) % 7 + 1);
	rtc->byte[DAY] = encode(rtc, date.day);
	rtc->byte[MONTH] = encode(rtc, date.month);
	rtc->byte[YEAR] = encode(rtc, date.year % 100);
	rtc->byte[MC146818_CENTURY] = encode(rtc, date.year / 100);
}

static void take_host_time(struct mc146818 *rtc)
{
	uint64_t seconds;
	uint32_t ns;

	input_wall_clock(rtc->vm, &seconds, &ns);
	rtc->epoch_ns = (seconds + rtc->guest_offset_s) * NS_PER_S + ns -
			clock_ns(&rtc->vm->clock);
	rtc->seen_ns = utc_ns(rtc);
}

/* The guest set the clock: a second begins now. */
static void bytes_to_time(struct mc146818 *rtc)
{
	int64_t days = days_from_date(
		decode(rtc, rtc->byte[MC146818_CENTURY]) * 100 +
			decode(rtc, rtc->byte[YEAR]),
		decode(rtc, rtc->byte[MONTH]), decode(rtc, rtc->byte[DAY]));
	int64_t seconds = days * S_PER_DAY +
			  decode_hour(rtc, rtc->byte[HOURS]) * 3600 +
			  decode(rtc, rtc->byte[MINUTES]) * 60 +
			  decode(rtc, rtc->byte[SECONDS]);
	uint64_t now = utc_ns(rtc);

	/* Nothing before 1970 can be told by epoch_ns. */
	if (seconds < 0)
		seconds = 0;
	rtc->guest_offset_s += seconds - (int64_t)(now / NS_PER_S);
	rtc->epoch_ns += seconds * NS_PER_S - now;
	rtc->seen_ns = utc_ns(rtc);
}

/* --- interrupts ------------------------------------------------------------ */

/* Length of the periodic interrupt's period, 0: off (table 6). */
static uint64_t period_ns(const struct mc146818 *rtc)
{
	unsigned rate = rtc->byte[REG_A] & A_RATE;

	if (!rate || (rtc->byte[REG_A] & A_DIVIDER) != A_RUNNING)
		return 0;
	return (1ull << (rate < 3 ? rate + 6 : rate - 1)) * NS_PER_S / 32768;
}

static bool alarm_matches(uint8_t alarm, uint8_t value)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == value;
}

/*
 * The first second after `after` that the alarm matches, or 0. Whole hours and
 * minutes that cannot match are skipped, so that this ends within 200 steps.
 */
static uint64_t next_alarm(const struct mc146818 *rtc, uint64_t after)
{
	uint64_t at = after + 1;

	while (at <= after + S_PER_DAY) {
		unsigned of_day = at % S_PER_DAY;

		if (!alarm_matches(rtc->byte[HOURS_ALARM],
				   encode_hour(rtc, of_day / 3600)))
			at += 3600 - of_day % 3600;
		else if (!alarm_matches(rtc->byte[MINUTES_ALARM],
					encode(rtc, of_day / 60 % 60)))
			at += 60 - of_day % 60;
		else if (!alarm_matches(rtc->byte[SECONDS_ALARM],
					encode(rtc, of_day % 60)))
			at++;
		else
			return at;
	}
	return 0;
}

static void update_irq(struct mc146818 *rtc)
{
	uint8_t *c = &rtc->byte[REG_C];

	*c &= B_INTERRUPTS;
	if (*c & rtc->byte[REG_B] & B_INTERRUPTS)
		*c |= C_INTERRUPT;
	if (!rtc->is_disconnected)
		irq_set(&rtc->irq, *c & C_INTERRUPT);
}

void mc146818_disconnect(struct mc146818 *rtc, bool is_disconnected)
{
	LOCKED(&rtc->lock);
	if (is_disconnected && !rtc->is_disconnected)
		irq_set(&rtc->irq, false);
	rtc->is_disconnected = is_disconnected;
	update_irq(rtc);
}

/* Sets the flags of what happened since the last look. */
static void update_flags(struct mc146818 *rtc)
{
	uint64_t now = utc_ns(rtc), seen = rtc->seen_ns, at;
	uint64_t period = period_ns(rtc);

	rtc->seen_ns = now;
	if (now <= seen)
		return;
	if (period && now / period != seen / period)
		rtc->byte[REG_C] |= B_PERIODIC;
	if (is_running(rtc) && now / NS_PER_S != seen / NS_PER_S) {
		rtc->byte[REG_C] |= B_UPDATE;
		at = next_alarm(rtc, seen / NS_PER_S);
		if (at && at <= now / NS_PER_S)
			rtc->byte[REG_C] |= B_ALARM;
	}
	update_irq(rtc);
}

/* Arms the timer for the first interrupt that is enabled and not yet set. */
static void schedule(struct mc146818 *rtc)
{
	uint64_t now = utc_ns(rtc), best = ~0ull, at;
	uint64_t period = period_ns(rtc);
	uint8_t wanted = rtc->byte[REG_B] & ~rtc->byte[REG_C];

	if ((wanted & B_PERIODIC) && period)
		best = (now / period + 1) * period;
	if ((wanted & B_UPDATE) && is_running(rtc))
		best = MIN(best, (now / NS_PER_S + 1) * NS_PER_S);
	if ((wanted & B_ALARM) && is_running(rtc)) {
		at = next_alarm(rtc, now / NS_PER_S);
		if (at)
			best = MIN(best, at * NS_PER_S);
	}
	if (best == ~0ull)
		timer_cancel(&rtc->timer);
	else
		timer_set(&rtc->timer,
			  clock_ns(&rtc->vm->clock) + (best - now));
}

static void on_timer(void *argument)
{
	struct mc146818 *rtc = argument;

	update_flags(rtc);
	schedule(rtc);
}

/* --- ports ----------------------------------------------------------------- */

static uint8_t read_c(struct mc146818 *rtc)
{
	uint8_t c = rtc->byte[REG_C];

	rtc->byte[REG_C] = 0;
	update_irq(rtc);
	schedule(rtc);
	return c;
}

static uint8_t read_byte(struct mc146818 *rtc, unsigned index)
{
	update_flags(rtc);
	if (is_time(index)) {
		if (!(rtc->byte[REG_B] & B_SET))
			time_to_bytes(rtc);
		return rtc->byte[index];
	}
	switch (index) {
	case REG_A:
		if (is_running(rtc) &&
		    utc_ns(rtc) % NS_PER_S >= NS_PER_S - UPDATE_NS)
			return rtc->byte[REG_A] | A_UIP;
		return rtc->byte[REG_A];
	case REG_C:
		return read_c(rtc);
	default:
		return rtc->byte[index];
	}
}

static void write_time(struct mc146818 *rtc, unsigned index, uint8_t value)
{
	bool is_set = rtc->byte[REG_B] & B_SET;

	if (!is_set)
		time_to_bytes(rtc);
	rtc->byte[index] = value;
	if (!is_set)
		bytes_to_time(rtc);
}

static void write_b(struct mc146818 *rtc, uint8_t value)
{
	uint8_t old = rtc->byte[REG_B];

	if (value & ~old & B_SET)
		time_to_bytes(rtc);
	/* SET keeps updates from happening and clears UIE (register B). */
	if (value & B_SET)
		value &= ~B_UPDATE;
	rtc->byte[REG_B] = value;
	if (old & ~value & B_SET)
		bytes_to_time(rtc);
}

static void write_byte(struct mc146818 *rtc, unsigned index, uint8_t value)
{
	update_flags(rtc);
	if (is_time(index))
		write_time(rtc, index, value);
	else if (index == REG_A)
		rtc->byte[REG_A] = value & ~A_UIP;
	else if (index == REG_B)
		write_b(rtc, value);
	else if (index != REG_C && index != REG_D)
		rtc->byte[index] = value;
	update_irq(rtc);
	schedule(rtc);
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct mc146818 *rtc = device;

	if (access->offset == 0 && access->is_write) {
		rtc->index = access->value & (MC146818_BYTES - 1);
		rtc->nmi_is_masked = access->value & BIT(7);
	} else if (access->offset == 0) {
		access->value = rtc->index | (rtc->nmi_is_masked ? BIT(7) : 0);
	} else if (access->is_write) {
		write_byte(rtc, rtc->index, access->value);
	} else {
		access->value = read_byte(rtc, rtc->index);
	}
	return BUS_HANDLED;
}

void mc146818_set(struct mc146818 *rtc, uint8_t index, uint8_t value)
{
	LOCKED(&rtc->lock);
	rtc->byte[index % MC146818_BYTES] = value;
}

/* --- the device ------------------------------------------------------------ */

/* RESET# leaves time, alarm and memory alone (page 12). */
static void on_reset(void *device)
{
	struct mc146818 *rtc = device;

	LOCKED(&rtc->lock);
	rtc->byte[REG_B] &= ~(B_INTERRUPTS | BIT(3));
	rtc->byte[REG_C] = 0;
	rtc->nmi_is_masked = rtc->is_disconnected = false;
	update_irq(rtc);
	schedule(rtc);
}

static void on_start(void *device)
{
	struct mc146818 *rtc = device;

	LOCKED(&rtc->lock);
	take_host_time(rtc);
	schedule(rtc);
}

static const struct state_field fields[] = {
	STATE_FIELD(struct mc146818, byte, STATE_BYTES, 1),
	STATE_FIELD(struct mc146818, index, STATE_UINT, 1),
	STATE_FIELD(struct mc146818, nmi_is_masked, STATE_BOOL, 1),
	STATE_FIELD(struct mc146818, is_disconnected, STATE_BOOL, 1),
	STATE_FIELD(struct mc146818, guest_offset_s, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "mc146818",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.start = on_start,
	.state = &state,
};

int mc146818_init(struct mc146818 *rtc, struct vm *vm,
		  const struct irq_line *irq)
{
	memset(rtc, 0, sizeof(*rtc));
	pthread_mutex_init(&rtc->lock, NULL);
	rtc->vm = vm;
	rtc->irq = *irq;
	rtc->byte[REG_A] = A_RUNNING | 6; /* 1024 Hz */
	rtc->byte[REG_B] = B_24_HOURS;
	rtc->byte[REG_D] = D_VALID;
	timer_init(&rtc->timer, &vm->clock, &rtc->lock, on_timer, rtc);
	rtc->resources = (struct device_resources){
		.acpi_name = "RTC_",
		.hid = "PNP0B00",
		.port = { { 0x70, 2 } },
		.irq = { 8, -1 },
	};
	rtc->device = (struct device){
		.name = "mc146818",
		.ops = &ops,
		.resources = &rtc->resources,
		.self = rtc,
	};
	rtc->region = (struct bus_region){
		.name = "mc146818",
		.base = 0x70,
		.size = 2,
		.sizes = 1,
		.handler = on_access,
		.device = rtc,
		.lock = &rtc->lock,
	};
	take_host_time(rtc);
	device_add(vm, &rtc->device);
	return bus_add(&vm->io, &rtc->region);
}
