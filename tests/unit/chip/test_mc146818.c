/* SPDX-License-Identifier: BSD-2-Clause */
/* The real-time clock: date, formats, update, alarm, periodic, memory. */
#include "board.h"

#include <time.h>

#include "chip/mc146818.h"

#define SECOND 1000000000ull

static struct board *board;
static struct mc146818 rtc;

static uint8_t get(uint8_t index)
{
	board_out(board, 0x70, 1, index);
	return board_in(board, 0x71, 1);
}

static void put(uint8_t index, uint8_t value)
{
	board_out(board, 0x70, 1, index);
	board_out(board, 0x71, 1, value);
}

/* BCD, 24 hours; a second begins when SET is taken away. */
static void set_time(unsigned century, unsigned year, unsigned month,
		     unsigned day, unsigned hour, unsigned minute,
		     unsigned second)
{
	put(0x0b, 0x82);
	put(0x32, century);
	put(9, year);
	put(8, month);
	put(7, day);
	put(4, hour);
	put(2, minute);
	put(0, second);
	put(0x0b, 0x02);
}

static int setup(void **state)
{
	struct irq_line line;

	board = board_create();
	line = board_wire(board, 8);
	return mc146818_init(&rtc, &board->vm, &line);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static unsigned from_bcd(uint8_t value)
{
	return (value >> 4) * 10 + (value & 15);
}

static void starts_with_the_hosts_time(void **state)
{
	struct tm tm = {
		.tm_year = from_bcd(get(0x32)) * 100 + from_bcd(get(9)) - 1900,
		.tm_mon = from_bcd(get(8)) - 1,
		.tm_mday = from_bcd(get(7)),
		.tm_hour = from_bcd(get(4)),
		.tm_min = from_bcd(get(2)),
		.tm_sec = from_bcd(get(0)),
	};
	time_t now = time(NULL), then = timegm(&tm);

	assert_true(then <= now && then >= now - 20);
	assert_int_equal(from_bcd(get(6)), tm.tm_wday + 1);
	assert_int_equal(get(0x0d), 0x80);
}

static void rolls_over(void **state)
{
	set_time(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58);
	assert_int_equal(get(6), 4); /* a Wednesday */
	board_advance(board, 2 * SECOND);
	assert_int_equal(get(8), 0x02);
	assert_int_equal(get(7), 0x29);
	assert_int_equal(get(4), 0x00);
	assert_int_equal(get(6), 5);
	set_time(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
	board_advance(board, SECOND);
	assert_int_equal(get(0x32), 0x20);
	assert_int_equal(get(9), 0x00);
	assert_int_equal(get(8), 0x01);
	assert_int_equal(get(7), 0x01);
}

static void formats(void **state)
{
	set_time(0x20, 0x26, 0x11, 0x21, 0x13, 0x45, 0x30);
	put(0x0b, 0x00); /* 12 hours, BCD */
	assert_int_equal(get(4), 0x81);
	put(0x0b, 0x04); /* 12 hours, binary */
	assert_int_equal(get(4), 0x81);
	assert_int_equal(get(2), 45);
	put(0x0b, 0x06);
	assert_int_equal(get(4), 13);
	assert_int_equal(get(9), 26);
	put(4, 0);
	put(0x0b, 0x04);
	assert_int_equal(get(4), 12); /* midnight is 12 AM */
}

static void update_in_progress(void **state)
{
	set_time(0x20, 0x26, 0x11, 0x21, 0x13, 0x45, 0x30);
	assert_int_equal(get(0x0a) & 0x80, 0);
	board_advance(board, SECOND - 2000000);
	assert_int_equal(get(0x0a) & 0x80, 0x80);
	assert_int_equal(get(0), 0x30);
	board_advance(board, 2000000);
	assert_int_equal(get(0x0a) & 0x80, 0);
	assert_int_equal(get(0), 0x31);
	/* SET stops it. */
	get(0x0c);
	put(0x0b, 0x82);
	board_advance(board, SECOND - 1000000);
	assert_int_equal(get(0x0a) & 0x80, 0);
	board_advance(board, 10 * SECOND);
	assert_int_equal(get(0), 0x31);
	assert_int_equal(get(0x0c), 0x40);
}

static void update_interrupt(void **state)
{
	const struct wire *wire = &board->wire[8];

	set_time(0x20, 0x26, 0x11, 0x21, 0x13, 0x45, 0x30);
	get(0x0c);
	put(0x0b, 0x12);
	board_advance(board, SECOND - 1);
	assert_false(wire->level);
	board_advance(board, 1);
	assert_true(wire->level);
	assert_int_equal(get(0x0c), 0xd0);
	assert_false(wire->level);
	assert_int_equal(get(0x0c), 0x00);
	board_advance(board, 3 * SECOND);
	assert_int_equal(wire->rises, 2);
}

static void alarm_interrupt(void **state)
{
	const struct wire *wire = &board->wire[8];

	set_time(0x20, 0x26, 0x11, 0x21, 0x23, 0x45, 0x30);
	get(0x0c);
	put(5, 0x01);
	put(3, 0x02);
	put(1, 0x03);
	put(0x0b, 0x22);
	board_advance(board, (14 * 60 + 30 + 3600 + 2 * 60 + 2) * SECOND);
	assert_int_equal(wire->rises, 0);
	board_advance(board, SECOND);
	assert_int_equal(wire->rises, 1);
	assert_int_equal(get(0x0c) & 0xa0, 0xa0);
	/* Every minute at :10. */
	put(5, 0xff);
	put(3, 0xc0);
	put(1, 0x10);
	board_advance(board, 7 * SECOND);
	assert_int_equal(wire->rises, 2);
	get(0x0c);
	board_advance(board, 60 * SECOND);
	assert_int_equal(wire->rises, 3);
	/* One that can never match. */
	get(0x0c);
	put(5, 0x45);
	board_advance(board, 200000 * SECOND);
	assert_int_equal(wire->rises, 3);
}

static void periodic_interrupt(void **state)
{
	const struct wire *wire = &board->wire[8];
	unsigned i;

	put(0x0a, 0x2f); /* 2 Hz */
	get(0x0c);
	put(0x0b, 0x42);
	for (i = 0; i < 20; i++) {
		board_advance(board, SECOND / 2);
		assert_int_equal(get(0x0c) & 0xc0, 0xc0);
	}
	assert_int_equal(wire->rises, 20);
	put(0x0a, 0x20);
	board_advance(board, SECOND);
	assert_int_equal(wire->rises, 20);
	/* The flags come without the interrupt, too. */
	put(0x0b, 0x02);
	put(0x0a, 0x26);
	get(0x0c);
	board_advance(board, 2000000);
	assert_int_equal(get(0x0c) & 0xc0, 0x40);
}

static void memory_and_index(void **state)
{
	put(0x0e, 0x12);
	put(0x7f, 0x34);
	mc146818_set(&rtc, 0x15, 0x80);
	devices_reset(&board->vm);
	assert_int_equal(get(0x0e), 0x12);
	assert_int_equal(get(0xff), 0x34);
	assert_int_equal(get(0x15), 0x80);
	board_out(board, 0x70, 1, 0x8d);
	assert_true(rtc.nmi_is_masked);
	put(0x0d, 0);
	assert_int_equal(get(0x0d), 0x80);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(starts_with_the_hosts_time),
		T(rolls_over),
		T(formats),
		T(update_in_progress),
		T(update_interrupt),
		T(alarm_interrupt),
		T(periodic_interrupt),
		T(memory_and_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
