/* SPDX-License-Identifier: BSD-2-Clause */
/* The debug port and the two ports that end the process. */
#include "board.h"

#include "chip/debugexit.h"
#include "chip/debugport.h"

static struct board *board;
static struct debugport port;
static struct debugexit exits;
static char text[16];
static unsigned length;
static int status;

static void on_byte(void *backend, uint8_t byte)
{
	text[length++ % sizeof(text)] = byte;
}

static void on_exit_request(void *argument, int value)
{
	status = value;
}

static int setup(void **state)
{
	board = board_create();
	length = 0;
	status = -1;
	assert_int_equal(debugport_init(&port, &board->vm, on_byte, NULL), 0);
	return debugexit_init(&exits, &board->vm, on_exit_request, NULL);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static void log_bytes(void **state)
{
	assert_int_equal(board_in(board, 0x402, 1), 0xe9);
	assert_int_equal(board_in(board, 0xe9, 1), 0xe9);
	board_out(board, 0x402, 1, 'o');
	board_out(board, 0xe9, 1, 'k');
	assert_int_equal(length, 2);
	assert_memory_equal(text, "ok", 2);
}

static void exit_statuses(void **state)
{
	board_out(board, 0x501, 1, 0);
	assert_int_equal(status, 1);
	board_out(board, 0x501, 4, 0x10);
	assert_int_equal(status, 0x21);
	board_out(board, 0x501, 1, 0xff);
	assert_int_equal(status, 0xff);
	board_out(board, 0x505, 1, 0);
	assert_int_equal(status, 0);
	board_out(board, 0x505, 1, 137);
	assert_int_equal(status, 137);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(log_bytes),
		T(exit_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
