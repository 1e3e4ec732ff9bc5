/* SPDX-License-Identifier: BSD-2-Clause */
/* The educational PCI device: registers, DMA through the bus's gate, pin and
 * message. */
#include "board.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "chip/pci_edu.h"
#include "core/state.h"

#define RAM    (1u << 20)
#define WINDOW 0xc0000000ull
#define DEVFN  PCI_DEVFN(2, 0)
#define BUFFER 0x40000

struct fixture {
	struct board *board;
	struct pci_bus bus;
	struct pci_edu edu;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct irq_line intx[PCI_INTX_LINES];
	const struct pci_windows windows = {
		.memory = WINDOW,
		.memory_end = WINDOW + 0x100000,
	};

	*state = f;
	f->board = board_create();
	for (unsigned i = 0; i < PCI_INTX_LINES; i++)
		intx[i] = board_wire(f->board, i);
	assert_int_equal(
		memory_init(&f->board->vm.memory, &f->board->vm, RAM, 0), 0);
	assert_int_equal(pci_bus_init(&f->bus, &f->board->vm, intx), 0);
	assert_int_equal(pci_edu_init(&f->edu, &f->bus, DEVFN), 0);
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

static void put(struct fixture *f, uint32_t reg, uint32_t value)
{
	board_write(f->board, WINDOW + reg, 4, value);
}

static uint32_t get(struct fixture *f, uint32_t reg)
{
	return (uint32_t)board_read(f->board, WINDOW + reg, 4);
}

static void config(struct fixture *f, unsigned offset, unsigned size,
		   uint32_t value)
{
	board_out(f->board, 0xcf8, 4, 1u << 31 | DEVFN << 8 | (offset & ~3u));
	board_out(f->board, 0xcfc + (offset & 3), size, value);
}

static bool pin(struct fixture *f)
{
	return f->board->wire[pci_intx_line(2, 0)].level;
}

static void test_registers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0), 0x010000ed);
	put(f, 4, 0x12345678);
	assert_int_equal(get(f, 4), ~0x12345678u);
	put(f, 8, 10);
	assert_int_equal(get(f, 8), 3628800);
	put(f, 8, 0);
	assert_int_equal(get(f, 8), 1);
	put(f, 8, 0xffffffff); /* soon done */
	assert_int_equal(get(f, 8), 0);
	assert_false(pin(f));
	put(f, 0x20, 0xff);
	assert_int_equal(get(f, 0x20), 0x80);
	put(f, 8, 3);
	assert_true(pin(f));
	assert_int_equal(get(f, 0x24), 1);
	/* Nothing there; a half register. */
	assert_int_equal(get(f, 0x40), 0xffffffff);
	assert_int_equal(board_read(f->board, WINDOW + 4, 8), ~0ull);
}

static void test_pin(void **state)
{
	struct fixture *f = *state;

	put(f, 0x60, 6);
	assert_true(pin(f));
	assert_int_equal(get(f, 0x24), 6);
	put(f, 0x64, 2);
	assert_true(pin(f));
	put(f, 0x64, 4);
	assert_false(pin(f));
	put(f, 0x60, 0); /* no bit, no interrupt */
	assert_false(pin(f));
	put(f, 0x60, 1);
	devices_reset(&f->board->vm);
	assert_false(pin(f));
}

static void dma(struct fixture *f, uint64_t from, uint64_t to, uint64_t count,
		uint32_t command)
{
	board_write(f->board, WINDOW + 0x80, 8, from);
	board_write(f->board, WINDOW + 0x88, 8, to);
	put(f, 0x90, (uint32_t)count);
	put(f, 0x94, count >> 32);
	put(f, 0x98, command);
	assert_int_equal(get(f, 0x98) & 1, 0);
}

static void test_dma(void **state)
{
	struct fixture *f = *state;
	uint8_t *ram = f->board->vm.memory.host;

	memset(ram + 0x1000, 0x5a, 4096);
	/* Not before the guest makes it a bus master. */
	dma(f, 0x1000, BUFFER, 4096, 1);
	assert_int_equal(f->edu.buffer[0], 0);
	config(f, 4, 1, 6);
	dma(f, 0x1000, BUFFER, 4096, 1);
	assert_int_equal(f->edu.buffer[4095], 0x5a);
	dma(f, BUFFER + 4, 0x3000, 16, 1 | 2 | 4);
	assert_int_equal(ram[0x3000], 0x5a);
	assert_int_equal(ram[0x300f], 0x5a);
	assert_int_equal(ram[0x3010], 0);
	assert_int_equal(get(f, 0x24), 0x100);
	assert_true(pin(f));
	/* It drives 28 bits of an address. */
	dma(f, BUFFER, 0x70004000, 1, 3);
	assert_int_equal(ram[0x4000], 0x5a);
	/* Past the buffer, past memory, and more than there is. */
	memset(f->edu.buffer, 0, sizeof(f->edu.buffer));
	dma(f, 0x1000, BUFFER + 1, 4096, 1);
	dma(f, 0x1000, BUFFER - 1, 1, 1);
	dma(f, 0x1000, BUFFER, ~0ull, 1);
	dma(f, RAM - 1, BUFFER, 2, 1);
	assert_int_equal(f->edu.buffer[0], 0);
	assert_int_equal(f->edu.buffer[1], 0);
	dma(f, BUFFER, RAM - 1, 2, 3);
	dma(f, 0, 0, 0, 3);
}

static void test_message(void **state)
{
	struct fixture *f = *state;

	put(f, 0x60, 1);
	assert_int_equal(f->board->msi_count, 0);
	put(f, 0x64, 1);
	config(f, 4, 1, 6);
	config(f, f->edu.pci.msi + 4, 4, 0xfee00000);
	config(f, f->edu.pci.msi + 12, 2, 0x41);
	config(f, f->edu.pci.msi + 2, 2, 1);
	put(f, 0x60, 1);
	assert_int_equal(f->board->msi_count, 1);
	assert_int_equal(f->board->msi[0].data, 0x41);
	assert_false(pin(f));
}

static void test_state(void **state)
{
	struct fixture *f = *state, *other;
	const struct state_table *table = f->edu.device.ops->state;
	struct state_writer writer = { 0 };
	struct state_reader reader = { 0 };
	void *second;

	assert_int_equal(setup(&second), 0);
	other = second;
	put(f, 4, 77);
	put(f, 0x60, 9);
	f->edu.buffer[100] = 3;
	state_write(&writer, table, &f->edu);
	reader.bytes = writer.bytes;
	reader.size = writer.size;
	state_read(&reader, table, table->version, &other->edu);
	assert_false(reader.has_failed);
	assert_int_equal(get(other, 4), ~77u);
	assert_int_equal(get(other, 0x24), 9);
	assert_int_equal(other->edu.buffer[100], 3);
	assert_true(pin(other));
	put(other, 0x64, 9);
	assert_false(pin(other));
	free(writer.bytes);
	teardown(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registers), TEST(test_pin),	TEST(test_dma),
		TEST(test_message),   TEST(test_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
