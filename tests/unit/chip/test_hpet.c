/* SPDX-License-Identifier: BSD-2-Clause */
/* The HPET: counter, one-shot, periodic, routes, legacy replacement. */
#include "board.h"

#include "chip/hpet.h"
#include "chip/i8254.h"
#include "chip/mc146818.h"

static struct board *board;
static struct hpet hpet;
static struct i8254 pit;
static struct mc146818 rtc;

static void on_legacy(void *argument, bool is_on)
{
	i8254_disconnect(&pit, is_on);
	mc146818_disconnect(&rtc, is_on);
}

static int setup(void **state)
{
	struct hpet_config config = { .legacy = on_legacy };

	board = board_create();
	config.irq0 = board_wire(board, 0);
	config.irq8 = board_wire(board, 8);
	config.gsi[10] = board_wire(board, 10);
	config.gsi[11] = board_wire(board, 11);
	assert_int_equal(i8254_init(&pit, &board->vm, &config.irq0), 0);
	assert_int_equal(mc146818_init(&rtc, &board->vm, &config.irq8), 0);
	return hpet_init(&hpet, &board->vm, &config);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static uint64_t get(unsigned offset)
{
	return board_read(board, HPET_BASE + offset, 8);
}

static void put(unsigned offset, uint64_t value)
{
	board_write(board, HPET_BASE + offset, 8, value);
}

static void counter(void **state)
{
	assert_int_equal(get(0), 10000000ull << 32 | 0x8086a201);
	board_advance(board, 1000);
	assert_int_equal(get(0xf0), 0);
	put(0x10, 1);
	board_advance(board, 1000);
	assert_int_equal(get(0xf0), 100);
	put(0x10, 0);
	board_advance(board, 1000);
	assert_int_equal(get(0xf0), 100);
	/* Halves. */
	board_write(board, HPET_BASE + 0xf4, 4, 7);
	assert_int_equal(get(0xf0), 7ull << 32 | 100);
	assert_int_equal(board_read(board, HPET_BASE + 0xf4, 4), 7);
	/* Not aligned, not there. */
	board_write(board, HPET_BASE + 0xf2, 4, ~0u);
	assert_int_equal(get(0xf0), 7ull << 32 | 100);
	put(0x160, ~0ull);
	assert_int_equal(get(0x160), 0);
	put(0x0, 0);
	assert_int_equal(get(0) & 0xffff, 0xa201);
}

static void one_shot(void **state)
{
	const struct wire *wire = &board->wire[10];

	assert_int_equal(get(0x100), 0xc00ull << 32 | 0x30);
	put(0x100, 10 << 9 | 4);
	/* Only 10 and 11 are wired. */
	put(0x120, 16 << 9 | 4);
	assert_int_equal(get(0x120) & 0x3e00, 0);
	put(0x108, 500);
	put(0x10, 1);
	board_advance(board, 4999);
	assert_int_equal(wire->rises, 0);
	board_advance(board, 1);
	assert_int_equal(wire->rises, 1);
	assert_false(wire->level);
	board_advance(board, 1000000000);
	assert_int_equal(wire->rises, 1);
	/* In the past: not before the counter wraps, in 32-bit mode too. */
	put(0x100, 10 << 9 | 4 | 1 << 8);
	put(0x108, 5);
	board_advance(board, 40000000000ull);
	assert_int_equal(wire->rises, 1);
	board_advance(board, 3000000000ull);
	assert_int_equal(wire->rises, 2);
	/* And once each time round. */
	board_advance(board, 43000000000ull);
	assert_int_equal(wire->rises, 3);
}

static void level_triggered(void **state)
{
	const struct wire *wire = &board->wire[11];

	put(0x140, 11 << 9 | 4 | 2);
	put(0x148, 100);
	put(0x10, 1);
	board_advance(board, 2000);
	assert_true(wire->level);
	assert_int_equal(get(0x20), 4);
	put(0x20, 3);
	assert_true(wire->level);
	put(0x20, 4);
	assert_false(wire->level);
	assert_int_equal(get(0x20), 0);
}

static void periodic(void **state)
{
	const struct wire *wire = &board->wire[10];

	put(0x10, 1);
	/* As Linux does it: comparator with set-value, then the period. */
	put(0x100, 10 << 9 | 4 | 8 | 0x40);
	put(0x108, 100000);
	put(0x108, 250000);
	assert_int_equal(get(0x100) & 0x40, 0);
	board_advance(board, 1000000);
	assert_int_equal(wire->rises, 1);
	assert_int_equal(get(0x108), 350000);
	board_advance(board, 2500000 * 4ull);
	assert_int_equal(wire->rises, 5);
	board_advance_late(board, 2500000 * 3ull);
	assert_int_equal(wire->rises, 6);
	board_advance(board, 2500000);
	assert_int_equal(wire->rises, 7);
	/* The shortest period does not hang the event loop. */
	put(0x108, 1);
	board_advance(board, 3000000);
	assert_true(wire->rises > 7 && wire->rises < 200);
}

static void legacy_replacement(void **state)
{
	board_out(board, 0x43, 1, 0x34);
	board_out(board, 0x40, 1, 0xa9);
	board_out(board, 0x40, 1, 0x04);
	board_advance(board, 10000000);
	assert_in_range(board->wire[0].rises, 10, 11);
	put(0x10, 3);
	board_advance(board, 100000000);
	assert_in_range(board->wire[0].rises, 10, 11);
	board->wire[0].rises = 0;
	put(0x100, 4);
	put(0x108, get(0xf0) + 100);
	put(0x120, 4);
	put(0x128, get(0xf0) + 100);
	board_advance(board, 5000);
	assert_int_equal(board->wire[0].rises, 1);
	assert_int_equal(board->wire[8].rises, 1);
	devices_reset(&board->vm);
	assert_int_equal(get(0x10), 0);
	assert_false(pit.is_disconnected);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(counter),  T(one_shot),	    T(level_triggered),
		T(periodic), T(legacy_replacement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
