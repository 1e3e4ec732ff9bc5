/* SPDX-License-Identifier: BSD-2-Clause */
/* The flash chip's commands, as seen through its slot and its exits. */
#include "board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "chip/pflash.h"
#include "core/state.h"

#define RAM	(1u << 20)
#define SIZE	0x8000u
#define BASE	0xfff00000ull
#define READY	0x80
#define ERASE	0x20
#define PROGRAM 0x10
#define LOCKED	0x02

struct fixture {
	struct board *board;
	struct pflash flash;
	uint8_t kept[SIZE]; /* what the file holds */
	int error; /* of the next writes */
	unsigned writes;
};

static int keep(void *argument, uint64_t offset, const uint8_t *bytes,
		size_t size)
{
	struct fixture *f = argument;

	assert_true(offset + size <= SIZE);
	f->writes++;
	if (!f->error)
		memcpy(f->kept + offset, bytes, size);
	return f->error;
}

static int setup_with(void **state, bool is_readonly)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct pflash_config config = {
		.name = "pflash0",
		.base = BASE,
		.size = SIZE,
		.offset = RAM,
		.is_readonly = is_readonly,
		.write = keep,
		.argument = f,
	};
	struct memory *memory;

	*state = f;
	f->board = board_create();
	memory = &f->board->vm.memory;
	assert_int_equal(memory_init(memory, &f->board->vm, RAM, SIZE), 0);
	memset(memory->host + RAM, 0xa5, SIZE);
	memset(f->kept, 0xa5, SIZE);
	return pflash_init(&f->flash, &f->board->vm, &config);
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_readonly(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	board_destroy(f->board);
	free(f);
	return 0;
}

/* As a vCPU reads: the slot, else an exit. */
static uint8_t get(struct fixture *f, uint32_t offset)
{
	uint8_t byte;

	if (!memory_read(&f->board->vm.memory, BASE + offset, &byte, 1))
		return byte;
	return board_read(f->board, BASE + offset, 1);
}

static void put(struct fixture *f, uint32_t offset, uint8_t byte)
{
	board_write(f->board, BASE + offset, 1, byte);
}

static bool has_slot(struct fixture *f)
{
	struct memory_slot slot;

	return memory_find(&f->board->vm.memory, BASE, &slot) &&
	       slot.kind == MEMORY_ROMD;
}

static void test_array_is_a_slot(void **state)
{
	struct fixture *f = *state;

	assert_true(has_slot(f));
	assert_int_equal(get(f, 5), 0xa5);
	put(f, 5, 0x70);
	assert_false(has_slot(f));
	assert_int_equal(get(f, 5), READY);
	put(f, 5, 0xff);
	assert_true(has_slot(f));
	assert_int_equal(get(f, 5), 0xa5);
	/* A write that is no command changes nothing. */
	put(f, 5, 0x33);
	assert_true(has_slot(f));
	assert_int_equal(get(f, 5), 0xa5);
	assert_int_equal(f->writes, 0);
}

static void test_program_clears_bits_only(void **state)
{
	struct fixture *f = *state;

	put(f, 0x123, 0x40);
	put(f, 0x123, 0x5e);
	assert_int_equal(get(f, 0), READY);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0x123), 0xa5 & 0x5e);
	assert_int_equal(f->kept[0x123], 0xa5 & 0x5e);
	/* Nothing to clear, nothing to keep. */
	put(f, 0x124, 0x10);
	put(f, 0x124, 0xff);
	assert_int_equal(f->writes, 1);
}

static void test_erase_sets_a_block(void **state)
{
	struct fixture *f = *state;

	put(f, 0x1234, 0x20);
	put(f, 0x1234, 0xd0);
	assert_int_equal(get(f, 0), READY);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0xfff), 0xa5);
	assert_int_equal(get(f, 0x1000), 0xff);
	assert_int_equal(get(f, 0x1fff), 0xff);
	assert_int_equal(get(f, 0x2000), 0xa5);
	assert_memory_equal(f->kept, f->board->vm.memory.host + RAM, SIZE);
	/* Without its confirmation it is a wrong sequence. */
	put(f, 0x3000, 0x20);
	put(f, 0x3000, 0xff);
	put(f, 0x3000, 0x70);
	assert_int_equal(get(f, 0), READY | ERASE | PROGRAM);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0x3000), 0xa5);
}

static void test_buffered_program(void **state)
{
	struct fixture *f = *state;

	put(f, 0x44, 0xe8);
	assert_int_equal(get(f, 0x44), READY);
	put(f, 0x44, 3 - 1);
	put(f, 0x44, 0x0f);
	put(f, 0x46, 0x00);
	put(f, 0x45, 0xf0);
	put(f, 0x44, 0xd0);
	assert_int_equal(get(f, 0x44), READY);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0x43), 0xa5);
	assert_int_equal(get(f, 0x44), 0x05);
	assert_int_equal(get(f, 0x45), 0xa0);
	assert_int_equal(get(f, 0x46), 0x00);
	assert_int_equal(get(f, 0x47), 0xa5);
	/* More than it holds; outside of it; another confirmation. */
	put(f, 0, 0xe8);
	put(f, 0, PFLASH_BUFFER);
	assert_int_equal(get(f, 0), READY | ERASE | PROGRAM);
	put(f, 0, 0x50);
	put(f, 0, 0xe8);
	put(f, 0, 1);
	put(f, 0, 0);
	put(f, PFLASH_BUFFER, 0);
	assert_int_equal(get(f, 0), READY | ERASE | PROGRAM);
	put(f, 0, 0x50);
	put(f, 0, 0xe8);
	put(f, 0, 0);
	put(f, 0, 0);
	put(f, 0, 0xff);
	put(f, 0, 0x70);
	assert_int_equal(get(f, 0), READY | ERASE | PROGRAM);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0), 0xa5);
	assert_int_equal(f->writes, 1);
}

static void test_locks_until_reset(void **state)
{
	struct fixture *f = *state;

	put(f, 0x1000, 0x60);
	put(f, 0x1000, 0x01);
	put(f, 0x1000, 0x90);
	assert_int_equal(get(f, 0), 0x89);
	assert_int_equal(get(f, 0x0002), 0);
	assert_int_equal(get(f, 0x1002), 1);
	put(f, 0x1000, 0x40);
	put(f, 0x1000, 0);
	assert_int_equal(get(f, 0), READY | PROGRAM | LOCKED);
	put(f, 0, 0x50);
	assert_int_equal(get(f, 0), 0); /* as OVMF wants it */
	put(f, 0x1000, 0x20);
	put(f, 0x1000, 0xd0);
	assert_int_equal(get(f, 0), READY | ERASE | LOCKED);
	put(f, 0x1000, 0x60);
	put(f, 0x1000, 0xd0);
	put(f, 0x1000, 0x50);
	put(f, 0x1000, 0x40);
	put(f, 0x1000, 0);
	assert_int_equal(get(f, 0), READY);
	put(f, 0x1000, 0x60);
	put(f, 0x1000, 0x2f);
	devices_reset(&f->board->vm);
	assert_true(has_slot(f));
	assert_int_equal(get(f, 0x1000), 0);
	put(f, 0, 0x90);
	assert_int_equal(get(f, 0x1002), 0);
	put(f, 0, 0x60);
	put(f, 0, 0x77);
	assert_int_equal(get(f, 0), READY | ERASE | PROGRAM);
}

static void test_query(void **state)
{
	struct fixture *f = *state;

	put(f, 0x55, 0x98);
	assert_int_equal(get(f, 0x10), 'Q');
	assert_int_equal(get(f, 0x11), 'R');
	assert_int_equal(get(f, 0x12), 'Y');
	assert_int_equal(get(f, 0x13), 1);
	assert_int_equal(get(f, 0x27), 15);
	assert_int_equal(get(f, 0x2a), 5);
	assert_int_equal(get(f, 0x2c), 1);
	assert_int_equal(get(f, 0x2d), SIZE / 0x1000 - 1);
	assert_int_equal(get(f, 0x2f), 0x10);
	assert_int_equal(get(f, get(f, 0x15)), 'P');
	assert_int_equal(get(f, SIZE - 1), 0);
}

static void test_who_cannot_keep_it_says_so(void **state)
{
	struct fixture *f = *state;

	f->error = -ENOSPC;
	put(f, 0x10, 0x40);
	put(f, 0x10, 0);
	assert_int_equal(get(f, 0), READY | PROGRAM);
	put(f, 0, 0x50);
	put(f, 0, 0x20);
	put(f, 0, 0xd0);
	assert_int_equal(get(f, 0), READY | ERASE);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0x10), 0xa5);
}

static void test_readonly(void **state)
{
	struct fixture *f = *state;

	put(f, 0, 0x40);
	put(f, 0, 0xa5);
	assert_int_equal(get(f, 0), READY | PROGRAM | LOCKED);
	put(f, 0, 0x50);
	put(f, 0, 0x20);
	put(f, 0, 0xd0);
	assert_int_equal(get(f, 0), READY | ERASE | LOCKED);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0), 0xa5);
	assert_int_equal(f->writes, 0);
}

static bool reads_back(struct fixture *f, const struct state_writer *w)
{
	struct state_reader reader = { .bytes = w->bytes, .size = w->size };

	state_read(&reader, f->flash.device.ops->state, 1, &f->flash);
	return !reader.has_failed;
}

/* In the middle of a command, and with values that no chip has. */
static void test_state(void **state)
{
	struct fixture *f = *state;
	struct state_writer w = { 0 };

	put(f, 0x2000, 0x60);
	put(f, 0x2000, 0x01);
	put(f, 0x40, 0xe8);
	put(f, 0x40, 1);
	put(f, 0x40, 0x01);
	state_write(&w, f->flash.device.ops->state, &f->flash);
	devices_reset(&f->board->vm);
	assert_true(has_slot(f));
	assert_true(reads_back(f, &w));
	assert_false(has_slot(f));
	put(f, 0x41, 0x04);
	put(f, 0x40, 0xd0);
	put(f, 0, 0x90);
	assert_int_equal(get(f, 0x2002), 1);
	put(f, 0, 0xff);
	assert_int_equal(get(f, 0x40), 0x01);
	assert_int_equal(get(f, 0x41), 0x04);
	free(w.bytes);

	f->flash.buffer_start = SIZE;
	w = (struct state_writer){ 0 };
	state_write(&w, f->flash.device.ops->state, &f->flash);
	assert_false(reads_back(f, &w));
	free(w.bytes);
	f->flash.buffer_start = 0;
	f->flash.mode = 4;
	w = (struct state_writer){ 0 };
	state_write(&w, f->flash.device.ops->state, &f->flash);
	assert_false(reads_back(f, &w));
	free(w.bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_array_is_a_slot),
		TEST(test_program_clears_bits_only),
		TEST(test_erase_sets_a_block),
		TEST(test_buffered_program),
		TEST(test_locks_until_reset),
		TEST(test_query),
		TEST(test_who_cannot_keep_it_says_so),
		cmocka_unit_test_setup_teardown(test_readonly, setup_readonly,
						teardown),
		TEST(test_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
