/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial port: identification, both directions, flow control, loopback. */
#include "board.h"

#include <string.h>

#include "chip/ns16550.h"

#define PORT 0x3f8

struct fixture {
	struct board *board;
	struct ns16550 uart;
	char sent[64 << 10];
	size_t sent_count;
	size_t room; /* what the back end still takes */
	unsigned ready; /* receive_ready calls */
};

static size_t take(void *backend, const uint8_t *bytes, size_t count)
{
	struct fixture *f = backend;
	size_t n = MIN(count, f->room);

	memcpy(f->sent + f->sent_count, bytes, n);
	f->sent_count += n;
	f->room -= n;
	return n;
}

static void note_ready(void *backend)
{
	((struct fixture *)backend)->ready++;
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	f->board = board_create();
	f->room = sizeof(f->sent);
	struct ns16550_config config = {
		.name = "com1",
		.port = PORT,
		.gsi = 4,
		.irq = board_wire(f->board, 4),
		.write = take,
		.receive_ready = note_ready,
		.backend = f,
	};
	assert_int_equal(ns16550_init(&f->uart, &f->board->vm, &config), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	board_destroy(((struct fixture *)*state)->board);
	return 0;
}

static uint8_t in(struct fixture *f, unsigned reg)
{
	return board_in(f->board, PORT + reg, 1);
}

static void out(struct fixture *f, unsigned reg, uint8_t value)
{
	board_out(f->board, PORT + reg, 1, value);
}

static void identifies_as_16550a(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, 5), 0x60);
	assert_int_equal(in(f, 6), 0xb0);
	assert_int_equal(in(f, 2), 0x01);
	out(f, 2, 0x01);
	assert_int_equal(in(f, 2), 0xc1);
	out(f, 7, 0xa5);
	assert_int_equal(in(f, 7), 0xa5);
	out(f, 3, 0x80);
	out(f, 0, 0x34);
	out(f, 1, 0x12);
	assert_int_equal(in(f, 0), 0x34);
	assert_int_equal(in(f, 1), 0x12);
	out(f, 3, 0x03);
	assert_int_equal(in(f, 1), 0);
	/* IER has four bits, MCR five. */
	out(f, 1, 0xf0);
	assert_int_equal(in(f, 1), 0);
	out(f, 4, 0xe0);
	assert_int_equal(in(f, 4), 0);
}

static void sends_and_interrupts(void **state)
{
	struct fixture *f = *state;
	const struct wire *wire = &f->board->wire[4];

	out(f, 4, 0x08);
	out(f, 1, 0x02);
	assert_true(wire->level);
	assert_int_equal(in(f, 2), 0x02);
	/* Reading IIR took it away; a write brings it back. */
	assert_false(wire->level);
	assert_int_equal(in(f, 2), 0x01);
	out(f, 0, 'x');
	assert_true(wire->level);
	assert_int_equal(f->sent_count, 1);
	assert_int_equal(f->sent[0], 'x');
	/* OUT2 is the gate to the line. */
	out(f, 4, 0x00);
	assert_false(wire->level);
}

static void nobody_reads(void **state)
{
	struct fixture *f = *state;
	unsigned sent = 0, i;

	f->room = 5;
	out(f, 2, 0x01);
	out(f, 4, 0x08);
	out(f, 1, 0x02);
	/* A guest that writes 16 bytes each time it sees THRE. */
	while (in(f, 5) & 0x20)
		for (i = 0; i < 16; i++)
			out(f, 0, sent++);
	assert_int_equal(sent, 16);
	assert_int_equal(f->sent_count, 5);
	assert_int_equal(in(f, 5) & 0x60, 0);
	assert_false(f->board->wire[4].level);

	/* Clearing the FIFO does not lose what the guest believes sent. */
	out(f, 2, 0x05);
	f->room = 1000;
	ns16550_writable(&f->uart);
	assert_true(f->board->wire[4].level);
	assert_int_equal(in(f, 5) & 0x60, 0x60);
	assert_int_equal(f->sent_count, 16);
	for (i = 0; i < 16; i++)
		assert_int_equal(f->sent[i], i);
	assert_int_equal(f->uart.tx_lost, 0);
}

static void many_bytes_in_small_steps(void **state)
{
	struct fixture *f = *state;
	unsigned sent = 0, i;

	f->room = 0;
	out(f, 2, 0x01);
	while (sent < 40000) {
		if (in(f, 5) & 0x20) {
			for (i = 0; i < 16; i++)
				out(f, 0, sent++ * 7);
		} else {
			f->room = 3;
			ns16550_writable(&f->uart);
		}
	}
	f->room = 16;
	ns16550_writable(&f->uart);
	assert_int_equal(f->sent_count, sent);
	for (i = 0; i < sent; i++)
		assert_int_equal((uint8_t)f->sent[i], (uint8_t)(i * 7));
}

static void blind_writes_lose_as_on_the_chip(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	f->room = 0;
	out(f, 2, 0x01);
	for (i = 0; i < 20; i++)
		out(f, 0, i);
	assert_int_equal(f->uart.tx_lost, 4);
}

static void receives(void **state)
{
	struct fixture *f = *state;
	const struct wire *wire = &f->board->wire[4];
	uint8_t bytes[20];
	unsigned i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = 'a' + i;
	out(f, 4, 0x08);
	out(f, 1, 0x01);
	/* Without FIFOs there is room for one. */
	assert_int_equal(ns16550_receive(&f->uart, bytes, 2), 1);
	assert_int_equal(in(f, 2), 0x04);
	assert_int_equal(f->ready, 0);
	assert_int_equal(in(f, 0), 'a');
	assert_int_equal(f->ready, 1);
	assert_false(wire->level);

	out(f, 2, 0x81); /* trigger at 8 */
	assert_int_equal(ns16550_receive(&f->uart, bytes, 7), 7);
	assert_false(wire->level);
	assert_int_equal(in(f, 5), 0x61);
	/* Four characters later the timeout says that they are there. */
	board_advance(f->board, 50000000);
	assert_true(wire->level);
	assert_int_equal(in(f, 2), 0xcc);
	assert_int_equal(in(f, 0), 'a');
	assert_false(wire->level);
	assert_int_equal(ns16550_receive(&f->uart, bytes, 20), 10);
	assert_int_equal(in(f, 2), 0xc4);
	for (i = 0; i < 6; i++)
		assert_int_equal(in(f, 0), 'b' + i);
	for (i = 0; i < 10; i++)
		assert_int_equal(in(f, 0), 'a' + i);
	assert_int_equal(in(f, 5), 0x60);
	assert_int_equal(f->ready, 2);
}

static void break_and_priorities(void **state)
{
	struct fixture *f = *state;

	out(f, 2, 0x01);
	out(f, 1, 0x0f);
	ns16550_receive_break(&f->uart);
	assert_int_equal(in(f, 2), 0xc6);
	assert_int_equal(in(f, 5), 0x71);
	assert_int_equal(in(f, 2), 0xc4);
	assert_int_equal(in(f, 0), 0);
	assert_int_equal(in(f, 2), 0xc2);
	assert_int_equal(in(f, 2), 0xc1);
}

static void loopback(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	out(f, 4, 0x1a);
	assert_int_equal(in(f, 6) & 0xf0, 0x90);
	assert_int_equal(in(f, 6) & 0x0f, 0);
	/* RI counts on its way down only. */
	out(f, 4, 0x1e);
	assert_int_equal(in(f, 6), 0xd0);
	out(f, 4, 0x1a);
	assert_int_equal(in(f, 6), 0x94);
	/* How Linux measures the FIFO: 16 stay, the rest is overrun. */
	out(f, 2, 0x07);
	for (i = 0; i < 20; i++)
		out(f, 0, i);
	assert_int_equal(in(f, 5) & 0x03, 0x03);
	for (i = 0; in(f, 5) & 1; i++)
		assert_int_equal(in(f, 0), i);
	assert_int_equal(i, 16);
	assert_int_equal(f->sent_count, 0);
	/* The line is cut off meanwhile, and told when it is not. */
	assert_int_equal(ns16550_receive(&f->uart, (uint8_t *)"x", 1), 0);
	out(f, 4, 0x08);
	assert_int_equal(f->ready, 1);
}

static void reset_keeps_the_backend(void **state)
{
	struct fixture *f = *state;

	out(f, 1, 0x0f);
	out(f, 3, 0x83);
	devices_reset(&f->board->vm);
	assert_int_equal(in(f, 3), 0);
	assert_int_equal(in(f, 1), 0);
	out(f, 0, 'y');
	assert_int_equal(f->sent[0], 'y');
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(identifies_as_16550a),
		T(sends_and_interrupts),
		T(nobody_reads),
		T(many_bytes_in_small_steps),
		T(blind_writes_lose_as_on_the_chip),
		T(receives),
		T(break_and_priorities),
		T(loopback),
		T(reset_keeps_the_backend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
