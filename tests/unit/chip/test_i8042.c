/* SPDX-License-Identifier: BSD-2-Clause */
/* The keyboard controller as Linux and firmware probe it; A20; resets. */
#include "board.h"

#include "chip/i8042.h"
#include "chip/reset_control.h"

static struct board *board;
static struct i8042 kbc;
static struct reset_control control;
static unsigned resets;
static bool a20;

static void on_reset(void *argument)
{
	resets++;
}

static void on_a20(void *argument, bool is_on)
{
	a20 = is_on;
}

static int setup(void **state)
{
	struct i8042_config config = { .reset = on_reset, .a20 = on_a20 };

	board = board_create();
	config.irq = board_wire(board, 1);
	resets = 0;
	a20 = true;
	assert_int_equal(
		reset_control_init(&control, &board->vm, on_reset, NULL), 0);
	return i8042_init(&kbc, &board->vm, &config);
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

/* A command and the byte that answers it. */
static uint8_t ask(uint8_t command)
{
	out(0x64, command);
	assert_int_equal(in(0x64) & 0x01, 0x01);
	return in(0x60);
}

static void controller(void **state)
{
	assert_int_equal(in(0x64) & 0x03, 0);
	assert_int_equal(ask(0xaa), 0x55);
	assert_int_equal(in(0x64), 0x1c);
	assert_int_equal(ask(0xab), 0x00);
	assert_int_equal(ask(0x20), 0x34);
	out(0x64, 0x60);
	out(0x60, 0x65);
	assert_int_equal(ask(0x20), 0x65);
	out(0x64, 0xae);
	assert_int_equal(ask(0x20), 0x65);
	out(0x64, 0xad);
	assert_int_equal(ask(0x20), 0x75);
	/* No auxiliary device: the loop has no AUX flag, the test fails. */
	out(0x64, 0xd3);
	out(0x60, 0x5a);
	assert_int_equal(in(0x64) & 0x21, 0x01);
	assert_int_equal(in(0x60), 0x5a);
	assert_int_equal(ask(0xa9), 0x01);
	/* Unknown: ignored. */
	out(0x64, 0x42);
	out(0x64, 0xb9);
	assert_int_equal(in(0x64) & 0x01, 0);
}

static void no_keyboard(void **state)
{
	const struct wire *wire = &board->wire[1];

	out(0x60, 0xf2);
	assert_int_equal(in(0x64) & 0x41, 0x41);
	assert_false(wire->level);
	assert_int_equal(in(0x60), 0xfe);
	assert_int_equal(in(0x64) & 0x41, 0);
	out(0x64, 0x60);
	out(0x60, 0x45);
	out(0x60, 0xff);
	assert_true(wire->level);
	in(0x60);
	assert_false(wire->level);
}

static void a20_gate(void **state)
{
	assert_int_equal(ask(0xd0) & 0x03, 0x03);
	out(0x64, 0xd1);
	out(0x60, 0xdd);
	assert_false(a20);
	assert_int_equal(in(0x92), 0x00);
	out(0x64, 0xdf);
	assert_true(a20);
	out(0x64, 0xdd);
	assert_false(a20);
	out(0x92, 0x02);
	assert_true(a20);
	out(0x92, 0x00);
	assert_false(a20);
	devices_reset(&board->vm);
	assert_true(a20);
	assert_int_equal(resets, 0);
}

static void reset_requests(void **state)
{
	out(0x64, 0xfe);
	assert_int_equal(resets, 1);
	out(0x64, 0xff);
	assert_int_equal(resets, 1);
	out(0x64, 0xd1);
	out(0x60, 0xfe);
	assert_int_equal(resets, 2);
	out(0x92, 0x03);
	assert_int_equal(resets, 3);
	out(0xcf9, 0x02);
	assert_int_equal(in(0xcf9), 0x02);
	assert_int_equal(resets, 3);
	out(0xcf9, 0x06);
	assert_int_equal(resets, 4);
	out(0xcf9, 0x0e);
	assert_int_equal(resets, 5);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(controller),
		T(no_keyboard),
		T(a20_gate),
		T(reset_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
