/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_cfg and the PC test device, through their ports. */
#include "board.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "chip/fw_cfg.h"
#include "chip/testdev.h"

#define RAM (1 << 20)

struct fixture {
	struct board *board;
	struct fw_cfg fw;
	struct testdev testdev; /* outlives the board's lists */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->board = board_create();
	assert_int_equal(
		memory_init(&f->board->vm.memory, &f->board->vm, RAM, 0), 0);
	return fw_cfg_init(&f->fw, &f->board->vm);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	board_destroy(f->board);
	free(f);
	return 0;
}

static void read_bytes(struct fixture *f, uint16_t key, void *to, size_t size)
{
	uint8_t *bytes = to;

	board_out(f->board, 0x510, 2, key);
	while (size--)
		*bytes++ = board_in(f->board, 0x511, 1);
}

static void test_signature_and_id(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[8];

	read_bytes(f, FW_CFG_SIGNATURE, bytes, 8);
	assert_memory_equal(bytes, "QEMU\0\0\0\0", 8); /* zeros at the end */
	read_bytes(f, FW_CFG_ID, bytes, 4);
	assert_int_equal(load_u32(bytes), 3);
	/* Nobody's keys, of either kind. */
	read_bytes(f, 0x3fff, bytes, 1);
	assert_int_equal(bytes[0], 0);
	read_bytes(f, 0xffff, bytes, 1);
	assert_int_equal(bytes[0], 0);
	assert_int_equal(board_in(f->board, 0x514, 4), load_u32("QEMU"));
	assert_int_equal(board_in(f->board, 0x518, 4), load_u32(" CFG"));
}

static void test_directory(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[4 + 2 * 64];
	char word[6] = { 0 };

	assert_int_equal(fw_cfg_add_file(&f->fw, "etc/one", "first", 5), 0);
	assert_int_equal(fw_cfg_add_file(&f->fw, "two", "", 0), 0);
	read_bytes(f, FW_CFG_DIRECTORY, bytes, sizeof(bytes));
	assert_int_equal(be32toh(load_u32(bytes)), 2);
	assert_int_equal(be32toh(load_u32(bytes + 4)), 5);
	assert_int_equal(be16toh(load_u16(bytes + 8)), 0x20);
	assert_string_equal((char *)bytes + 12, "etc/one");
	assert_int_equal(be16toh(load_u16(bytes + 72)), 0x21);
	read_bytes(f, 0x20, word, 5);
	assert_string_equal(word, "first");
	for (int i = 2; i < FW_CFG_FILES_MAX; i++)
		assert_int_equal(fw_cfg_add_file(&f->fw, "more", "", 0), 0);
	assert_int_equal(fw_cfg_add_file(&f->fw, "more", "", 0), -ENOSPC);
}

/* Returns what the device left in the control word. */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t length,
		    uint64_t address)
{
	uint8_t command[16];

	store_u32(command, htobe32(control));
	store_u32(command + 4, htobe32(length));
	store_u64(command + 8, htobe64(address));
	memory_write(&f->board->vm.memory, 0x1000, command, 16);
	board_out(f->board, 0x514, 4, 0);
	board_out(f->board, 0x518, 4, htobe32(0x1000));
	memory_read(&f->board->vm.memory, 0x1000, command, 4);
	return be32toh(load_u32(command));
}

static void test_dma(void **state)
{
	struct fixture *f = *state;
	struct memory *memory = &f->board->vm.memory;
	uint8_t bytes[12];

	assert_int_equal(fw_cfg_add_file(&f->fw, "file", "0123456789", 10), 0);
	memory_fill(memory, 0x2000, 0xaa, 16);
	/* Select and skip, then read past the end. */
	assert_int_equal(dma(f, 0x20 << 16 | 8 | 4, 4, 0), 0);
	assert_int_equal(dma(f, 2, 8, 0x2000), 0);
	memory_read(memory, 0x2000, bytes, 12);
	assert_memory_equal(bytes, "456789\0\0\xaa\xaa\xaa\xaa", 12);
	/* Writes are refused, and so is what is no memory. */
	assert_int_equal(dma(f, 0x20 << 16 | 8 | 16, 4, 0x2000), 1);
	assert_int_equal(dma(f, 0x20 << 16 | 8 | 2, 4, RAM - 2), 1);
	assert_int_equal(dma(f, 0x20 << 16 | 8 | 2, 0xffffffff, 0x2000), 1);
	assert_int_equal(dma(f, 0x20 << 16 | 8 | 2, 4, ~0ull - 1), 1);
	/* A descriptor out of memory, and one at its very end. */
	board_out(f->board, 0x514, 4, 0xffffffff);
	board_out(f->board, 0x518, 4, 0xffffffff);
	board_out(f->board, 0x518, 4, htobe32(RAM - 8));
}

static struct {
	int status, calls;
} ended;

static void on_end(void *argument, int status)
{
	ended.status = status;
	ended.calls++;
}

static void test_testdev(void **state)
{
	struct fixture *f = *state;
	struct board *b = f->board;
	struct testdev *test = &f->testdev;
	struct testdev_config config = { .exit = on_end };

	for (unsigned i = 0; i < TESTDEV_LINES; i++)
		config.line[i] = board_wire(b, i);
	assert_int_equal(testdev_init(test, &b->vm, &config), 0);
	board_out(b, 0xe0, 4, 0x12345678);
	assert_int_equal(board_in(b, 0xe0, 4), 0x12345678);
	assert_int_equal(board_in(b, 0xe2, 2), 0x1234);
	assert_int_equal(board_in(b, 0xe1, 1), 0x56);
	board_out(b, 0xe9, 1, 0xff);
	assert_int_equal(board_in(b, 0xe8, 4), 0x1234ff78);
	board_out(b, 0x2000 + 23, 1, 1);
	assert_true(b->wire[23].level);
	board_out(b, 0x2000 + 23, 1, 0);
	assert_false(b->wire[23].level);
	board_write(b, 0xff00fff8, 8, 0x1122334455667788);
	assert_int_equal(board_read(b, 0xff00fffc, 4), 0x11223344);
	board_out(b, 0xe4, 4, 0x1000);
	assert_int_equal(ended.calls, 0);
	board_out(b, 0xf4, 4, 3);
	assert_int_equal(ended.calls, 1);
	assert_int_equal(ended.status, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_signature_and_id),
		TEST(test_directory),
		TEST(test_dma),
		TEST(test_testdev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
