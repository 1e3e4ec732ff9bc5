/* SPDX-License-Identifier: BSD-2-Clause */
/* FERR#, interrupt 13, port F0h and IGNNE#: SDM 1, appendix D. */
#include "board.h"

#include "chip/fpu_error.h"

static struct board *board;
static struct fpu_error chip;

static int setup(void **state)
{
	struct irq_line irq;

	board = board_create();
	irq = board_wire(board, 13);
	return fpu_error_init(&chip, &board->vm, &irq);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static bool ferr(bool is_asserted)
{
	return board->vm.fpu_error(board->vm.fpu_error_chip, is_asserted);
}

static void test_interrupt(void **state)
{
	assert_false(ferr(true));
	assert_true(board->wire[13].level);
	/* Asked again, as each instruction that waits does: no new edge. */
	assert_false(ferr(true));
	assert_int_equal(board->wire[13].rises, 1);
}

static void test_ignore_until_it_goes(void **state)
{
	ferr(true);
	board_out(board, 0xf0, 1, 0);
	assert_false(board->wire[13].level);
	assert_true(ferr(true));
	assert_int_equal(board->wire[13].rises, 1);
	/* The error is cleared, and another one comes. */
	assert_false(ferr(false));
	assert_false(ferr(true));
	assert_int_equal(board->wire[13].rises, 2);
}

static void test_port_without_error(void **state)
{
	board_out(board, 0xf0, 1, 0);
	assert_false(ferr(true));
	assert_true(board->wire[13].level);
}

static void test_reset(void **state)
{
	ferr(true);
	board_out(board, 0xf0, 1, 0);
	chip.device.ops->reset(&chip);
	assert_false(board->wire[13].level);
	assert_false(ferr(true));
	assert_true(board->wire[13].level);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_interrupt, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_ignore_until_it_goes,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_without_error, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
