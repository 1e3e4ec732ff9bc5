/* SPDX-License-Identifier: BSD-2-Clause */
/* The host bridge and the LPC bridge as a guest finds them. */
#include "board.h"

#include "chip/ich9_lpc.h"
#include "chip/q35.h"
#include "chip/reset_control.h"

static struct board *board;
static struct pci_bus bus;
static struct q35 host;
static struct ich9_lpc lpc;
static struct reset_control control;
static unsigned resets;

static void on_reset(void *argument)
{
	resets++;
}

static int setup(void **state)
{
	struct irq_line intx[PCI_INTX_LINES];
	unsigned i;

	board = board_create();
	for (i = 0; i < PCI_INTX_LINES; i++)
		intx[i] = board_wire(board, 16 + i);
	resets = 0;
	assert_int_equal(
		reset_control_init(&control, &board->vm, on_reset, NULL), 0);
	assert_int_equal(pci_bus_init(&bus, &board->vm, intx), 0);
	assert_int_equal(q35_init(&host, &bus, NULL, false), 0);
	return ich9_lpc_init(&lpc, &bus, NULL);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static uint32_t get(unsigned devfn, unsigned offset)
{
	board_out(board, 0xcf8, 4, 1u << 31 | devfn << 8 | offset);
	return board_in(board, 0xcfc, 4);
}

static void put(unsigned devfn, unsigned offset, uint32_t value)
{
	board_out(board, 0xcf8, 4, 1u << 31 | devfn << 8 | offset);
	board_out(board, 0xcfc, 4, value);
}

static void host_bridge(void **state)
{
	assert_int_equal(get(0, 0x00), 0x29c08086);
	assert_int_equal(get(0, 0x08) >> 8, 0x060000);
	assert_int_equal(get(0, 0x60), 0xb0000001);
	assert_int_equal(board_read(board, 0xb0000000, 4), 0x29c08086);
	assert_int_equal(board_read(board, 0xb00f8000, 4), 0x29188086);
	put(0, 0x60, 0xe0000001);
	assert_int_equal(board_read(board, 0xb0000000, 4), ~0u);
	assert_int_equal(board_read(board, 0xe0000000, 4), 0x29c08086);
	put(0, 0x60, 0xe0000000);
	assert_int_equal(board_read(board, 0xe0000000, 4), ~0u);
	put(0, 0x90, 0x33333333);
	/* The lower half of PAM0 is not there. */
	assert_int_equal(get(0, 0x90), 0x33333330);
	put(0, 0x90, 0);
	devices_reset(&board->vm);
	assert_int_equal(get(0, 0x90), 0x33333330);
	assert_int_equal(board_read(board, 0xb0000000, 4), 0x29c08086);
}

static void lpc_bridge(void **state)
{
	unsigned devfn = PCI_DEVFN(0x1f, 0);

	assert_int_equal(get(devfn, 0x00), 0x29188086);
	assert_int_equal(get(devfn, 0x08) >> 8, 0x060100);
	put(devfn, 0x40, 0x801);
	assert_int_equal(get(devfn, 0x40), 0x601);
	assert_int_equal(get(devfn, 0x44) & 0xff, 0x80);
	assert_int_equal(get(devfn, 0x60), 0x80808080);
	put(devfn, 0x60, 0x0b0a0a0b);
	assert_int_equal(get(devfn, 0x60), 0x0b0a0a0b);
	assert_int_equal(get(devfn, 0xf0), 0xfed1c001);
}

static void reset_port_is_not_hidden(void **state)
{
	board_out(board, 0xcf8, 4, 0x80000000);
	board_out(board, 0xcf9, 1, 0x06);
	assert_int_equal(resets, 1);
	assert_int_equal(board_in(board, 0xcf8, 4), 0x80000000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(host_bridge),
		T(lpc_bridge),
		T(reset_port_is_not_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
