/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254: modes, reading, channel 0's interrupt, channel 2's gate. */
#include "board.h"

#include <string.h>

#include "chip/i8254.h"

static struct board *board;
static struct i8254 pit;

static int setup(void **state)
{
	struct irq_line line;

	board = board_create();
	line = board_wire(board, 0);
	return i8254_init(&pit, &board->vm, &line);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static void out(uint16_t port, uint8_t value)
{
	board_out(board, port, 1, value);
}

static uint8_t in(uint16_t port)
{
	return board_in(board, port, 1);
}

static void load(unsigned channel, uint8_t control, uint16_t count)
{
	out(0x43, channel << 6 | 0x30 | control);
	out(0x40 + channel, count);
	out(0x40 + channel, count >> 8);
}

static uint16_t count_of(unsigned channel)
{
	uint8_t low;

	out(0x43, channel << 6);
	low = in(0x40 + channel);
	return low | in(0x40 + channel) << 8;
}

/* To the middle of tick `ticks` from time 0. */
static void go_to(uint64_t ticks)
{
	uint64_t ns = (2 * ticks + 1) * 1000000000ull / 2 / I8254_HZ;

	board_advance(board, ns - clock_ns(&board->vm.clock));
}

/* To the beginning of tick `ticks`, to program something there. */
static void at(uint64_t ticks)
{
	uint64_t ns = (ticks * 1000000000ull + I8254_HZ - 1) / I8254_HZ;

	board_advance(board, ns - clock_ns(&board->vm.clock));
}

static bool out2(void)
{
	return in(0x61) & 0x20;
}

static void mode0(void **state)
{
	const struct wire *wire = &board->wire[0];

	load(0, 0 << 1, 1000);
	assert_false(wire->level);
	go_to(400);
	assert_int_equal(count_of(0), 600);
	go_to(999);
	assert_int_equal(wire->rises, 0);
	go_to(1000);
	assert_int_equal(wire->rises, 1);
	assert_true(wire->level);
	/* It goes on counting, and interrupts no more. */
	go_to(1001);
	assert_int_equal(count_of(0), 0xffff);
	go_to(200000);
	assert_int_equal(wire->rises, 1);
	/* A new count starts it again; its first byte stops it. */
	out(0x40, 100);
	at(200500);
	out(0x40, 0);
	assert_false(wire->level);
	go_to(200599);
	assert_int_equal(wire->rises, 1);
	go_to(200601);
	assert_int_equal(wire->rises, 2);
}

static void mode2(void **state)
{
	const struct wire *wire = &board->wire[0];

	/* The control word makes OUT high: an edge of its own. */
	load(0, 2 << 1, 1193);
	assert_int_equal(wire->rises, 1);
	go_to(1193 * 10 + 5);
	assert_int_equal(wire->rises, 11);
	assert_int_equal(count_of(0), 1193 - 5);
	/* A new count waits for the period's end. */
	out(0x40, 0xd0);
	out(0x40, 0x07); /* 2000 */
	go_to(1193 * 11 - 2);
	assert_int_equal(wire->rises, 11);
	assert_int_equal(count_of(0), 2);
	go_to(1193 * 11 + 1);
	assert_int_equal(wire->rises, 12);
	assert_int_equal(count_of(0), 1999);
	go_to(1193 * 11 + 1999);
	assert_int_equal(wire->rises, 12);
	go_to(1193 * 11 + 4001);
	assert_int_equal(wire->rises, 14);
	/* Ten periods late: one interrupt, and in step again. */
	board_advance_late(board, 20000ull * 1000000000 / I8254_HZ);
	assert_int_equal(wire->rises, 15);
	go_to(1193 * 11 + 4001 + 22000);
	assert_int_equal(wire->rises, 16);
	/* The shortest period does not hang the event loop. */
	load(0, 2 << 1, 1);
	board_advance(board, 1000000);
	assert_true(wire->rises > 20 && wire->rises < 80);
}

static void mode3(void **state)
{
	load(2, 3 << 1, 1000);
	out(0x61, 1);
	board_advance(board, 0);
	assert_true(out2());
	go_to(499);
	assert_true(out2());
	assert_int_equal(count_of(2), 2);
	go_to(500);
	assert_false(out2());
	assert_int_equal(count_of(2), 1000);
	go_to(750);
	assert_int_equal(count_of(2), 500);
	go_to(1000);
	assert_true(out2());
	/* GATE low forces OUT high and stops; high begins again. */
	go_to(1600);
	assert_false(out2());
	out(0x61, 0);
	assert_true(out2());
	at(5000);
	out(0x61, 1);
	go_to(5400);
	assert_true(out2());
	go_to(5501);
	assert_false(out2());
	/* An odd count is high for the longer half. */
	at(6000);
	load(2, 3 << 1, 5);
	go_to(6002);
	assert_true(out2());
	go_to(6003);
	assert_false(out2());
	go_to(6005);
	assert_true(out2());
}

static void mode0_gate_and_calibration(void **state)
{
	/* What pit_calibrate of Linux does: gate on, mode 0, wait for OUT. */
	out(0x61, 1);
	load(2, 0 << 1, 59659);
	assert_false(out2());
	go_to(59658);
	assert_false(out2());
	go_to(59659);
	assert_true(out2());
	/* The gate pauses the count. */
	at(60000);
	load(2, 0 << 1, 1000);
	go_to(60300);
	out(0x61, 0);
	at(65000);
	assert_int_equal(count_of(2), 700);
	out(0x61, 1);
	go_to(65600);
	assert_int_equal(count_of(2), 100);
	assert_false(out2());
	go_to(65700);
	assert_true(out2());
}

static void modes_1_4_5(void **state)
{
	const struct wire *wire = &board->wire[0];

	/* 1: high until the gate rises, then low for the count. */
	load(2, 1 << 1, 100);
	assert_true(out2());
	at(1000);
	assert_true(out2());
	out(0x61, 1);
	assert_false(out2());
	out(0x61, 0);
	go_to(1099);
	assert_false(out2());
	go_to(1100);
	assert_true(out2());
	/* 5: the gate starts it; low for one tick at the end. */
	load(2, 5 << 1, 100);
	at(2000);
	out(0x61, 1);
	go_to(2099);
	assert_true(out2());
	go_to(2100);
	assert_false(out2());
	go_to(2101);
	assert_true(out2());
	/* 4: the count starts it; OUT rises after the strobe. */
	at(3000);
	load(0, 4 << 1, 100);
	assert_true(wire->level);
	assert_int_equal(wire->rises, 1);
	go_to(3100);
	assert_int_equal(wire->rises, 1);
	go_to(3101);
	assert_int_equal(wire->rises, 2);
	go_to(10000);
	assert_int_equal(wire->rises, 2);
}

static void reading(void **state)
{
	/* Low byte only, high byte only, BCD. */
	out(0x43, 0x90);
	out(0x42, 200);
	out(0x61, 1);
	assert_int_equal(in(0x42), 200);
	assert_int_equal(in(0x42), 200);
	out(0x43, 0xa0);
	out(0x42, 2);
	assert_int_equal(in(0x42), 2);
	load(2, 1, 0x1234);
	assert_int_equal(count_of(2), 0x1234);
	go_to(35);
	assert_int_equal(count_of(2), 0x1199);
	/* A latch holds until it is read, a second one does nothing. */
	at(200);
	load(2, 0, 1000);
	out(0x43, 0x80);
	go_to(300);
	out(0x43, 0x80);
	assert_int_equal(in(0x42), 1000 & 0xff);
	assert_int_equal(in(0x42), 1000 >> 8);
	assert_int_equal(in(0x42), 900 & 0xff);
	assert_int_equal(in(0x42), 900 >> 8);
	/* Read-back: status first, then the count. */
	out(0x43, 0xc8);
	assert_int_equal(in(0x42), 0x30);
	assert_int_equal(in(0x42), 900 & 0xff);
	assert_int_equal(in(0x42), 900 >> 8);
	out(0x43, 0xb4);
	out(0x43, 0xe8);
	assert_int_equal(in(0x42), 0xf4);
	assert_int_equal(in(0x43), 0xff);
	/* Modes 6 and 7 are 2 and 3. */
	out(0x43, 0xbe);
	out(0x43, 0xe8);
	assert_int_equal(in(0x42) & 0x0e, 0x06);
}

static void port61(void **state)
{
	uint8_t first = in(0x61) & 0x10;

	out(0x61, 0xfe);
	assert_int_equal(in(0x61) & 0x0f, 0x0e);
	board_advance(board, 15085);
	assert_int_equal(in(0x61) & 0x10, first ^ 0x10);
}

static void disconnected(void **state)
{
	const struct wire *wire = &board->wire[0];

	load(0, 2 << 1, 1000);
	i8254_disconnect(&pit, true);
	go_to(5000);
	assert_false(wire->level);
	i8254_disconnect(&pit, false);
	assert_true(wire->level);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(mode0),	T(mode2),
		T(mode3),	T(mode0_gate_and_calibration),
		T(modes_1_4_5), T(reading),
		T(port61),	T(disconnected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
