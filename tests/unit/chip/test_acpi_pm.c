/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI fixed hardware: timer, power button, soft-off, GPE0. */
#include "board.h"

#include "chip/acpi_pm.h"

static struct board *board;
static struct acpi_pm pm;
static unsigned power_offs;

static void on_power_off(void *argument)
{
	power_offs++;
}

static int setup(void **state)
{
	struct acpi_pm_config config = { .power_off = on_power_off };

	board = board_create();
	config.sci = board_wire(board, 9);
	power_offs = 0;
	return acpi_pm_init(&pm, &board->vm, &config);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static void timer(void **state)
{
	uint32_t before = board_in(board, 0x608, 4);

	board_advance(board, 1000000000);
	assert_int_equal(board_in(board, 0x608, 4) - before, 3579545);
	/* 24 bits: it wraps after 4.69 s. */
	board_advance(board, 4000000000ull);
	assert_int_equal(board_in(board, 0x608, 4), (5 * 3579545) & 0xffffff);
	board_out(board, 0x608, 4, 0);
	assert_int_equal(board_in(board, 0x60a, 1),
			 ((5 * 3579545) & 0xffffff) >> 16);
}

static void timer_interrupt(void **state)
{
	const struct wire *sci = &board->wire[9];

	assert_int_equal(board_in(board, 0x600, 2), 0);
	board_advance(board, 3000000000ull);
	/* The highest bit has changed, and says so without being asked. */
	assert_int_equal(board_in(board, 0x600, 2), 1);
	assert_false(sci->level);
	board_out(board, 0x602, 2, 1);
	assert_true(sci->level);
	board_out(board, 0x600, 2, 1);
	assert_false(sci->level);
	board_advance(board, 2343000000ull);
	assert_true(sci->level);
	assert_int_equal(sci->rises, 2);
}

static void power_button(void **state)
{
	const struct wire *sci = &board->wire[9];

	acpi_pm_power_button(&pm);
	assert_false(sci->level);
	board_out(board, 0x602, 2, 0x120);
	assert_true(sci->level);
	assert_int_equal(board_in(board, 0x600, 4), 0x01200100);
	/* Write 1 to clear, bytewise too. */
	board_out(board, 0x600, 1, 0xff);
	assert_true(sci->level);
	board_out(board, 0x601, 1, 0x01);
	assert_false(sci->level);
	assert_int_equal(board_in(board, 0x600, 2), 0);
}

static void soft_off(void **state)
{
	assert_int_equal(board_in(board, 0x604, 2), 0x0001);
	/* SLP_TYP alone and SLP_EN with other types do nothing. */
	board_out(board, 0x604, 2, 5 << 10);
	assert_int_equal(board_in(board, 0x604, 2), 0x1401);
	board_out(board, 0x604, 2, 1 << 13 | 1 << 10);
	assert_int_equal(power_offs, 0);
	board_out(board, 0x604, 2, 1 << 13 | 5 << 10);
	assert_int_equal(power_offs, 1);
	board_out(board, 0x605, 1, 1 << 5 | 5 << 2);
	assert_int_equal(power_offs, 2);
	/* SLP_EN reads as zero. */
	assert_int_equal(board_in(board, 0x604, 2), 0x1401);
}

static void general_purpose_events(void **state)
{
	const struct wire *sci = &board->wire[9];

	acpi_pm_gpe(&pm, 33);
	assert_int_equal(board_in(board, 0x624, 4), 2);
	assert_false(sci->level);
	board_out(board, 0x62c, 1, 2);
	assert_true(sci->level);
	board_out(board, 0x624, 1, 2);
	assert_false(sci->level);
	assert_int_equal(board_in(board, 0x62c, 4), 2);
	devices_reset(&board->vm);
	assert_int_equal(board_in(board, 0x62c, 4), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(timer),	 T(timer_interrupt),	    T(soft_off),
		T(power_button), T(general_purpose_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
