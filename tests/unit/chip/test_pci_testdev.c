/* SPDX-License-Identifier: BSD-2-Clause */
/* The PCI test device, and INTx by the LPC bridge's PIRQ registers to the
 * i8259s. */
#include "board.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "chip/i8259.h"
#include "chip/ioapic.h"
#include "chip/ich9_lpc.h"
#include "chip/pci_testdev.h"
#include "core/state.h"

#define MEMORY 0xc0000000ull
#define PORTS  0xc000
#define LPC    PCI_DEVFN(0x1f, 0)
#define INTR   0

struct fixture {
	struct board *board;
	struct pci_bus bus;
	struct i8259 pic;
	struct ioapic ioapic;
	struct ich9_lpc lpc;
	struct pci_testdev test;
};

static void set_pirq(void *argument, unsigned pirq, bool level)
{
	struct fixture *f = argument;

	ich9_lpc_set_pirq(&f->lpc, pirq, level);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct irq_line intx[PCI_INTX_LINES], intr;
	const struct pci_windows windows = {
		.io = PORTS,
		.io_end = PORTS + 0x1000,
		.memory = MEMORY,
		.memory_end = MEMORY + 0x100000,
	};

	*state = f;
	f->board = board_create();
	intr = board_wire(f->board, INTR);
	for (unsigned i = 0; i < PCI_INTX_LINES; i++)
		intx[i] = (struct irq_line){ set_pirq, f, i };
	assert_int_equal(i8259_init(&f->pic, &f->board->vm, &intr), 0);
	assert_int_equal(pci_bus_init(&f->bus, &f->board->vm, intx), 0);
	assert_int_equal(ich9_lpc_init(&f->lpc, &f->bus, &f->pic), 0);
	assert_int_equal(pci_testdev_init(&f->test, &f->bus, PCI_DEVFN(1, 0)),
			 0);
	pci_bus_assign(&f->bus, &windows);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	board_destroy(f->board);
	free(f);
	return 0;
}

static void put_config(struct fixture *f, unsigned devfn, unsigned offset,
		       uint8_t value)
{
	board_out(f->board, 0xcf8, 4, 1u << 31 | devfn << 8 | (offset & ~3u));
	board_out(f->board, 0xcfc + (offset & 3), 1, value);
}

static void test_identity(void **state)
{
	struct fixture *f = *state;

	board_out(f->board, 0xcf8, 4, 1u << 31 | PCI_DEVFN(1, 0) << 8);
	assert_int_equal(board_in(f->board, 0xcfc, 4), 0x00051b36);
}

static uint32_t look(struct fixture *f, bool is_io, unsigned offset,
		     unsigned size)
{
	return is_io ? board_in(f->board, PORTS + offset, size) :
		       board_read(f->board, MEMORY + offset, size);
}

static void poke(struct fixture *f, bool is_io, unsigned offset, unsigned size,
		 uint32_t value)
{
	if (is_io)
		board_out(f->board, PORTS + offset, size, value);
	else
		board_write(f->board, MEMORY + offset, size, value);
}

/* As a test program goes through them. */
static unsigned count_tests(struct fixture *f, bool is_io)
{
	for (unsigned i = 0;; i++) {
		uint32_t offset, data;

		poke(f, is_io, 0, 1, i);
		assert_int_equal(look(f, is_io, 12, 4), 0);
		if (look(f, is_io, 1, 1) != 1)
			return i;
		offset = look(f, is_io, 4, 4);
		data = look(f, is_io, 8, 4);
		assert_true(look(f, is_io, 16, 1) != 0);
		for (unsigned n = 0; n < 16; n++)
			poke(f, is_io, offset, 1, data);
		poke(f, is_io, offset + 1, 1, data);
		assert_int_equal(look(f, is_io, 12, 4), 16);
		/* The third looks at the byte. */
		poke(f, is_io, offset, 1, data ^ 1);
		assert_int_equal(look(f, is_io, 12, 4), i == 2 ? 16 : 17);
	}
}

static void test_tests(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(look(f, false, 1, 1), 0); /* none is selected */
	assert_int_equal(count_tests(f, false), PCI_TESTDEV_TESTS);
	assert_int_equal(count_tests(f, true), PCI_TESTDEV_TESTS);
	assert_int_equal(look(f, false, 0xffc, 4), 0);
	assert_int_equal(look(f, true, 0xfe, 2), 0);
}

static void test_state(void **state)
{
	struct fixture *f = *state;
	struct state_writer w = { 0 };
	struct state_reader reader;

	poke(f, false, 0, 1, 1);
	poke(f, false, look(f, false, 4, 4), 1, 0);
	state_write(&w, f->test.device.ops->state, &f->test);
	devices_reset(&f->board->vm);
	assert_int_equal(board_read(f->board, MEMORY, 4), ~0u); /* no BAR */
	reader = (struct state_reader){ .bytes = w.bytes, .size = w.size };
	state_read(&reader, f->test.device.ops->state, 1, &f->test);
	assert_false(reader.has_failed);
	assert_int_equal(look(f, false, 0, 1), 1);
	assert_int_equal(look(f, false, 12, 4), 1);
	free(w.bytes);
}

static bool intr(struct fixture *f)
{
	return f->board->wire[INTR].level;
}

/* The pair as a PC has it, with no input masked; 5, 10 and 11 are levels. */
static void init_pic(struct fixture *f)
{
	static const uint8_t icw[][2] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 0x04 }, { 0x21, 0x01 },
		{ 0xa0, 0x11 }, { 0xa1, 0x28 }, { 0xa1, 0x02 }, { 0xa1, 0x01 },
		{ 0x21, 0x00 }, { 0xa1, 0x00 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(icw); i++)
		board_out(f->board, icw[i][0], 1, icw[i][1]);
	board_out(f->board, 0x4d0, 1, 0x20);
	board_out(f->board, 0x4d1, 1, 0x0c);
}

static void test_pirq_routes(void **state)
{
	struct fixture *f = *state;

	init_pic(f);
	ich9_lpc_set_pirq(&f->lpc, 1, true);
	assert_false(intr(f)); /* not routed after RESET# */
	put_config(f, LPC, 0x61, 10);
	assert_true(intr(f));
	assert_int_equal(f->board->vm.extint_ops->acknowledge(&f->pic), 0x2a);
	board_out(f->board, 0xa0, 1, 0x20);
	board_out(f->board, 0x20, 1, 0x20);
	assert_true(intr(f)); /* a level, still there */
	/* A second one shares the input; the first goes elsewhere. */
	put_config(f, LPC, 0x68, 10);
	ich9_lpc_set_pirq(&f->lpc, 4, true);
	put_config(f, LPC, 0x61, 11);
	assert_int_equal(f->board->vm.extint_ops->acknowledge(&f->pic), 0x2a);
	board_out(f->board, 0xa0, 1, 0x20);
	ich9_lpc_set_pirq(&f->lpc, 4, false);
	board_out(f->board, 0x20, 1, 0x20);
	assert_int_equal(f->board->vm.extint_ops->acknowledge(&f->pic), 0x2b);
	put_config(f, LPC, 0x61, 0x8b);
	board_out(f->board, 0xa0, 1, 0x20);
	board_out(f->board, 0x20, 1, 0x20);
	assert_false(intr(f));
	/* Inputs that PCI cannot have. */
	put_config(f, LPC, 0x61, 8);
	assert_false(intr(f));
	put_config(f, LPC, 0x61, 11);
	assert_true(intr(f));
	devices_reset(&f->board->vm);
	assert_false(intr(f));
}

/* An ISA interrupt is the IOAPIC's input of that number, too. */
static void test_pirq_at_the_ioapic(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ioapic_init(&f->ioapic, &f->board->vm), 0);
	f->lpc.ioapic = &f->ioapic;
	board_write(f->board, IOAPIC_BASE, 4, 0x10 + 2 * 11);
	board_write(f->board, IOAPIC_BASE + 0x10, 4, 0x8041); /* a level */
	ich9_lpc_set_pirq(&f->lpc, 1, true);
	assert_int_equal(f->board->msi_count, 0);
	put_config(f, LPC, 0x61, 11);
	assert_int_equal(f->board->msi_count, 1);
	/* Whose wire it is drives it as well: it stays until both let go. */
	ioapic_set(&f->ioapic, 11, true);
	assert_int_equal(f->board->msi_count, 1);
	ich9_lpc_set_pirq(&f->lpc, 1, false);
	f->board->vm.eoi_ops->eoi(f->board->vm.eoi, 0x41);
	assert_int_equal(f->board->msi_count, 2);
	ioapic_set(&f->ioapic, 11, false);
	f->board->vm.eoi_ops->eoi(f->board->vm.eoi, 0x41);
	assert_int_equal(f->board->msi_count, 2);
}

static void test_isa_shares_the_input(void **state)
{
	struct fixture *f = *state;

	init_pic(f);
	put_config(f, LPC, 0x60, 5);
	i8259_set(&f->pic, 5, true);
	ich9_lpc_set_pirq(&f->lpc, 0, true);
	i8259_set(&f->pic, 5, false);
	assert_true(intr(f));
	ich9_lpc_set_pirq(&f->lpc, 0, false);
	assert_false(intr(f));
}

/* The i8259s keep the level, and the device raises it once more. */
static void test_pirq_state(void **state)
{
	struct fixture *f = *state;
	struct state_writer pic = { 0 }, lpc = { 0 };
	struct state_reader reader;

	init_pic(f);
	put_config(f, LPC, 0x63, 5);
	ich9_lpc_set_pirq(&f->lpc, 3, true);
	state_write(&pic, f->pic.device.ops->state, &f->pic);
	state_write(&lpc, f->lpc.device.ops->state, &f->lpc);
	ich9_lpc_set_pirq(&f->lpc, 3, false);
	devices_reset(&f->board->vm);
	reader = (struct state_reader){ .bytes = pic.bytes, .size = pic.size };
	state_read(&reader, f->pic.device.ops->state, 1, &f->pic);
	assert_false(reader.has_failed);
	reader = (struct state_reader){ .bytes = lpc.bytes, .size = lpc.size };
	state_read(&reader, f->lpc.device.ops->state, 1, &f->lpc);
	assert_false(reader.has_failed);
	assert_true(intr(f));
	ich9_lpc_set_pirq(&f->lpc, 3, true);
	assert_true(intr(f));
	ich9_lpc_set_pirq(&f->lpc, 3, false);
	assert_false(intr(f));
	free(pic.bytes);
	free(lpc.bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_tests),
		TEST(test_state),
		TEST(test_pirq_routes),
		TEST(test_pirq_at_the_ioapic),
		TEST(test_isa_shares_the_input),
		TEST(test_pirq_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
