/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8259 pair: initialization, priorities, EOIs, cascade, spurious. */
#include "board.h"

#include <string.h>

#include "chip/i8259.h"

static struct board *board;
static struct i8259 pic;

static void out(uint16_t port, uint8_t value)
{
	board_out(board, port, 1, value);
}

static uint8_t in(uint16_t port)
{
	return board_in(board, port, 1);
}

static void init_chips(uint8_t icw4)
{
	out(0x20, 0x11);
	out(0x21, 0x30);
	out(0x21, 0x04);
	out(0x21, icw4);
	out(0xa0, 0x11);
	out(0xa1, 0x38);
	out(0xa1, 0x02);
	out(0xa1, icw4);
}

static int setup(void **state)
{
	struct irq_line output;

	board = board_create();
	output = board_wire(board, 0);
	assert_int_equal(i8259_init(&pic, &board->vm, &output), 0);
	init_chips(0x01);
	return 0;
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static int take(void)
{
	struct vm *vm = &board->vm;

	assert_int_equal(board->wire[0].level, pic.is_pending);
	if (!vm->extint_ops->is_pending(vm->extint))
		return -1;
	return vm->extint_ops->acknowledge(vm->extint);
}

static void pulse(unsigned irq)
{
	i8259_set(&pic, irq, true);
	i8259_set(&pic, irq, false);
}

static uint8_t isr(uint16_t port)
{
	out(port, 0x0b);
	return in(port);
}

static uint8_t irr(uint16_t port)
{
	out(port, 0x0a);
	return in(port);
}

static void priorities(void **state)
{
	pulse(4);
	pulse(1);
	assert_int_equal(irr(0x20), 0x12);
	assert_int_equal(take(), 0x31);
	assert_int_equal(isr(0x20), 0x02);
	assert_int_equal(take(), -1);
	pulse(0);
	assert_int_equal(take(), 0x30);
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0x02);
	assert_int_equal(take(), -1);
	out(0x20, 0x20);
	assert_int_equal(take(), 0x34);
	out(0x20, 0x64);
	assert_int_equal(isr(0x20), 0);
}

static void masks(void **state)
{
	out(0x21, 0x10);
	assert_int_equal(in(0x21), 0x10);
	pulse(4);
	assert_int_equal(take(), -1);
	out(0x21, 0x00);
	assert_int_equal(take(), 0x34);
	/* Special mask mode: 4 in service and masked blocks nobody. */
	pulse(6);
	assert_int_equal(take(), -1);
	out(0x21, 0x10);
	out(0x20, 0x68);
	assert_int_equal(take(), 0x36);
	/* And the non-specific EOI does not see it. */
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0x10);
	out(0x20, 0x48);
	out(0x20, 0x20);
	assert_int_equal(isr(0x20), 0x00);
}

static void cascade(void **state)
{
	pulse(12);
	pulse(10);
	pulse(3);
	assert_int_equal(take(), 0x3a);
	assert_int_equal(isr(0x20), 0x04);
	assert_int_equal(isr(0xa0), 0x04);
	/* A higher one of the slave waits for the master's EOI ... */
	pulse(8);
	assert_int_equal(take(), -1);
	out(0x20, 0x20);
	assert_int_equal(take(), 0x38);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	out(0xa0, 0x20);
	assert_int_equal(take(), 0x3c);
	out(0xa0, 0x20);
	out(0x20, 0x20);
	assert_int_equal(take(), 0x33);
	out(0x20, 0x20);
	/* ... except in special fully nested mode. */
	init_chips(0x11);
	pulse(10);
	assert_int_equal(take(), 0x3a);
	pulse(8);
	assert_int_equal(take(), 0x38);
}

static void automatic_eoi_and_rotation(void **state)
{
	init_chips(0x03);
	pulse(5);
	assert_int_equal(take(), 0x35);
	assert_int_equal(isr(0x20), 0);
	/* Rotate in AEOI: who was served becomes the lowest. */
	out(0x20, 0x80);
	pulse(0);
	assert_int_equal(take(), 0x30);
	pulse(0);
	pulse(7);
	assert_int_equal(take(), 0x37);
	assert_int_equal(take(), 0x30);

	init_chips(0x01);
	out(0x20, 0xc3); /* 3 is the lowest, 4 the highest */
	pulse(0);
	pulse(4);
	assert_int_equal(take(), 0x34);
	out(0x20, 0xa0); /* rotate on non-specific EOI */
	pulse(4);
	assert_int_equal(take(), 0x30);
	out(0x20, 0xe0);
	assert_int_equal(isr(0x20), 0);
	assert_int_equal(take(), 0x34);
}

static void levels_and_spurious(void **state)
{
	struct vm *vm = &board->vm;

	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	assert_int_equal(in(0x4d0), 0xf8);
	assert_int_equal(in(0x4d1), 0xde);
	i8259_set(&pic, 5, true);
	assert_int_equal(take(), 0x35);
	out(0x20, 0x20);
	/* Still asserted: again. */
	assert_int_equal(take(), 0x35);
	i8259_set(&pic, 5, false);
	out(0x20, 0x20);
	assert_int_equal(take(), -1);
	/* Gone before the acknowledge: input 7, nothing in service. */
	i8259_set(&pic, 5, true);
	i8259_set(&pic, 5, false);
	assert_int_equal(vm->extint_ops->acknowledge(vm->extint), 0x37);
	assert_int_equal(isr(0x20), 0);
	/* The slave's: its input 7, and the master's input 2 in service. */
	i8259_set(&pic, 11, true);
	i8259_set(&pic, 11, false);
	assert_int_equal(take(), 0x3f);
	assert_int_equal(isr(0x20), 0x04);
	assert_int_equal(isr(0xa0), 0);
}

static void polling(void **state)
{
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x00);
	pulse(6);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x86);
	assert_int_equal(isr(0x20), 0x40);
	assert_int_equal(take(), -1);
}

static void initialization(void **state)
{
	pulse(4);
	assert_int_equal(take(), 0x34);
	pulse(6);
	out(0x21, 0xff);
	i8259_set(&pic, 7, true);
	/* ICW1 forgets edges, masks, what is in service; no ICW4 wanted. */
	out(0x20, 0x10);
	out(0x21, 0x47);
	out(0x21, 0x04);
	out(0x21, 0xfb);
	assert_int_equal(in(0x21), 0xfb);
	assert_int_equal(irr(0x20), 0);
	assert_int_equal(isr(0x20), 0);
	out(0x21, 0);
	/* An input must rise again. */
	assert_int_equal(take(), -1);
	i8259_set(&pic, 7, false);
	i8259_set(&pic, 7, true);
	assert_int_equal(take(), 0x47);
	/* The cascade input is no device's. */
	i8259_set(&pic, 2, true);
	i8259_set(&pic, 16, true);
	assert_int_equal(take(), -1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(priorities),
		T(masks),
		T(cascade),
		T(automatic_eoi_and_rotation),
		T(levels_and_spurious),
		T(polling),
		T(initialization),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
