/* SPDX-License-Identifier: BSD-2-Clause */
/* PAM and SMRAM: what stands below 1 MiB in every setting of the registers. */
#include "board.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "chip/pam.h"
#include "chip/q35.h"
#include "core/state.h"

#define RAM	 (4u << 20)
#define ROM_SIZE 0x40000u

struct fixture {
	struct board *board;
	struct memory *memory;
	struct pam pam;
	struct pci_bus bus;
	struct q35 q35;
};

static int setup_with(void **state, uint64_t rom_size)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct irq_line intx[PCI_INTX_LINES] = { 0 };
	struct memory *memory;

	*state = f;
	f->board = board_create();
	f->memory = memory = &f->board->vm.memory;
	assert_int_equal(memory_init(memory, &f->board->vm, RAM, rom_size), 0);
	/* Every byte tells where it comes from. */
	memset(memory->host, 0x11, RAM);
	for (uint64_t i = 0; i < rom_size; i++)
		memory->host[RAM + i] = 0x80 | i >> 16;
	assert_int_equal(pam_init(&f->pam, &f->board->vm, RAM, rom_size), 0);
	assert_int_equal(pci_bus_init(&f->bus, &f->board->vm, intx), 0);
	return q35_init(&f->q35, &f->bus, &f->pam, rom_size != 0);
}

static int setup(void **state)
{
	return setup_with(state, ROM_SIZE);
}

static int setup_without_rom(void **state)
{
	return setup_with(state, 0);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	board_destroy(f->board);
	free(f);
	return 0;
}

static void put(struct fixture *f, unsigned offset, uint8_t value)
{
	board_out(f->board, 0xcf8, 4, 1u << 31 | (offset & ~3));
	board_out(f->board, 0xcfc + (offset & 3), 1, value);
}

static uint8_t get(struct fixture *f, unsigned offset)
{
	board_out(f->board, 0xcf8, 4, 1u << 31 | (offset & ~3));
	return board_in(f->board, 0xcfc + (offset & 3), 1);
}

/* As a vCPU sees it: a slot, or an exit. */
static uint8_t look(struct fixture *f, gpa_t gpa)
{
	uint8_t byte;

	if (!memory_read(f->memory, gpa, &byte, 1))
		return byte;
	return board_read(f->board, gpa, 1);
}

static void poke(struct fixture *f, gpa_t gpa, uint8_t byte)
{
	struct memory_slot slot;

	if (memory_find(f->memory, gpa, &slot) && slot.kind == MEMORY_ROM)
		return;
	if (memory_write(f->memory, gpa, &byte, 1))
		board_write(f->board, gpa, 1, byte);
}

static void test_after_reset_rom_shows(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(look(f, 0x9ffff), 0x11);
	assert_int_equal(look(f, 0xa0000), 0xff);
	assert_int_equal(look(f, 0xc0000), 0xff); /* the alias is 128 KiB */
	assert_int_equal(look(f, 0xdffff), 0xff);
	assert_int_equal(look(f, 0xe0000), 0x82);
	assert_int_equal(look(f, 0xfffff), 0x83);
	assert_int_equal(look(f, 0x100000), 0x11);
	poke(f, 0xf0000, 0x55);
	assert_int_equal(look(f, 0xf0000), 0x83);
	assert_int_equal(f->memory->host[0xf0000], 0x11);
}

/* Firmware copies itself: reads from ROM, writes to RAM. */
static void test_shadowing(void **state)
{
	struct fixture *f = *state;

	put(f, 0x90, 0x20);
	assert_int_equal(look(f, 0xf1234), 0x83);
	poke(f, 0xf1234, 0x55);
	board_write(f->board, 0xffff8, 8, 0x1122334455667788);
	assert_int_equal(look(f, 0xf1234), 0x83);
	put(f, 0x90, 0x10);
	assert_int_equal(look(f, 0xf1234), 0x55);
	assert_int_equal(look(f, 0xfffff), 0x11);
	assert_int_equal(look(f, 0xffff8), 0x88);
	poke(f, 0xf1234, 0x66);
	assert_int_equal(look(f, 0xf1234), 0x55);
	put(f, 0x90, 0x30);
	poke(f, 0xf1234, 0x66);
	assert_int_equal(look(f, 0xf1234), 0x66);
	devices_reset(&f->board->vm);
	assert_int_equal(look(f, 0xf1234), 0x83);
}

/* Write-only where there is no ROM: nothing to read, and RAM is written. */
static void test_write_only_without_rom(void **state)
{
	struct fixture *f = *state;

	put(f, 0x91, 0x02);
	poke(f, 0xc0001, 0x77);
	assert_int_equal(look(f, 0xc0001), 0xff);
	poke(f, 0xc4001, 0x77); /* the next segment is off */
	put(f, 0x91, 0x11);
	assert_int_equal(look(f, 0xc0001), 0x77);
	assert_int_equal(look(f, 0xc4001), 0x11);
}

static void test_each_register_has_its_segments(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
		unsigned reg = i == 12 ? 0x90 : 0x91 + i / 2;
		uint32_t start = 0xc0000 + i * 0x4000;
		uint32_t last = i == 12 ? 0xfffff : start + 0x3fff;

		put(f, reg, i == 12 || i % 2 ? 0x30 : 0x03);
		assert_int_equal(look(f, start), 0x11);
		assert_int_equal(look(f, last), 0x11);
		assert_int_not_equal(look(f, start - 1), 0x11);
		if (last < 0xfffff)
			assert_int_not_equal(look(f, last + 1), 0x11);
		put(f, reg, 0);
		assert_int_not_equal(look(f, start), 0x11);
	}
}

static void test_smram(void **state)
{
	struct fixture *f = *state;

	put(f, 0x9d, 0x4a);
	assert_int_equal(look(f, 0xa0000), 0x11);
	assert_int_equal(look(f, 0xbffff), 0x11);
	put(f, 0x9d, 0x0a);
	assert_int_equal(look(f, 0xa0000), 0xff);
	/* Locked: never open again, until reset. */
	put(f, 0x9d, 0x5a);
	assert_int_equal(get(f, 0x9d), 0x1a);
	put(f, 0x9d, 0x4a);
	assert_int_equal(get(f, 0x9d), 0x1a);
	assert_int_equal(look(f, 0xa0000), 0xff);
	devices_reset(&f->board->vm);
	put(f, 0x9d, 0x4a);
	assert_int_equal(look(f, 0xa0000), 0x11);
}

static void test_without_firmware_it_is_ram(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0x90), 0x30);
	assert_int_equal(get(f, 0x96), 0x33);
	assert_int_equal(look(f, 0xc0000), 0x11);
	assert_int_equal(look(f, 0xfffff), 0x11);
	put(f, 0x90, 0);
	assert_int_equal(look(f, 0xf0000), 0xff);
	devices_reset(&f->board->vm);
	assert_int_equal(look(f, 0xf0000), 0x11);
}

static void move(struct fixture *from, struct fixture *to)
{
	const struct state_table *table = from->q35.device.ops->state;
	struct state_writer writer = { 0 };
	struct state_reader reader = { 0 };

	state_write(&writer, table, &from->q35);
	assert_false(writer.has_failed);
	reader.bytes = writer.bytes;
	reader.size = writer.size;
	state_read(&reader, table, table->version, &to->q35);
	if (reader.has_failed)
		fail_msg("%s", reader.why);
	free(writer.bytes);
}

/* The registers are the state; what stands in memory follows from them. */
static void test_state(void **state)
{
	struct fixture *f = *state, *other;
	void *second;

	assert_int_equal(setup(&second), 0);
	other = second;
	put(f, 0x90, 0x10); /* F0000h: RAM, not to be written */
	put(f, 0x92, 0x03); /* C8000h: RAM; CC000h: nothing */
	put(f, 0x95, 0x22); /* E0000h and E4000h: ROM, writes to RAM */
	put(f, 0x9d, 0x4a);
	move(f, other);
	for (gpa_t gpa = 0xa0000; gpa < 0x100000; gpa += 0x1000)
		assert_int_equal(look(other, gpa), look(f, gpa));
	assert_int_equal(look(other, 0xf0000), 0x11);
	assert_int_equal(look(other, 0xc8000), 0x11);
	assert_int_equal(look(other, 0xcc000), 0xff);
	assert_int_equal(look(other, 0xe0000), 0x82);
	assert_int_equal(look(other, 0xa0000), 0x11);
	poke(other, 0xe0000, 0x44);
	assert_int_equal(look(other, 0xe0000), 0x82);
	assert_int_equal(other->memory->host[0xe0000], 0x44);
	poke(other, 0xf0000, 0x44);
	assert_int_equal(other->memory->host[0xf0000], 0x11);
	assert_int_equal(get(other, 0x92), 0x03);
	/* SMRAM that is locked stays so. */
	put(f, 0x9d, 0x5a);
	move(f, other);
	put(other, 0x9d, 0x4a);
	assert_int_equal(get(other, 0x9d), 0x1a);
	assert_int_equal(look(other, 0xa0000), 0xff);
	teardown(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_after_reset_rom_shows),
		TEST(test_shadowing),
		TEST(test_write_only_without_rom),
		TEST(test_each_register_has_its_segments),
		TEST(test_smram),
		TEST(test_state),
		cmocka_unit_test_setup_teardown(test_without_firmware_it_is_ram,
						setup_without_rom, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
