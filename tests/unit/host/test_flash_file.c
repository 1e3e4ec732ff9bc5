/* SPDX-License-Identifier: BSD-2-Clause */
/* A flash chip's file: locks, full disks, files that may not be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/flash_file.h"

#define SIZE 8192

static char path[64];

static int setup(void **state)
{
	uint8_t bytes[SIZE];
	int fd;

	strcpy(path, "/tmp/flash-XXXXXX");
	fd = mkstemp(path);
	memset(bytes, 0x11, SIZE);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	return unlink(path);
}

static void test_changes_are_in_the_file(void **state)
{
	struct flash_file file;
	uint8_t bytes[SIZE];

	assert_int_equal(flash_file_open(&file, path, false), 0);
	assert_int_equal(file.size, SIZE);
	assert_int_equal(flash_file_read(&file, bytes), 0);
	assert_int_equal(bytes[SIZE - 1], 0x11);
	assert_int_equal(flash_file_write(&file, 4095, (uint8_t[]){ 1, 2 }, 2),
			 0);
	flash_file_close(&file);
	flash_file_close(&file);
	assert_int_equal(flash_file_open(&file, path, true), 0);
	assert_int_equal(flash_file_read(&file, bytes), 0);
	assert_int_equal(bytes[4094], 0x11);
	assert_int_equal(bytes[4095], 1);
	assert_int_equal(bytes[4096], 2);
	assert_int_equal(bytes[4097], 0x11);
	assert_int_equal(flash_file_write(&file, 0, bytes, 1), -EBADF);
	flash_file_close(&file);
}

static void test_one_writer_or_many_readers(void **state)
{
	struct flash_file a, b, c;

	assert_int_equal(flash_file_open(&a, path, true), 0);
	assert_int_equal(flash_file_open(&b, path, true), 0);
	assert_int_equal(flash_file_open(&c, path, false), -EBUSY);
	assert_int_equal(c.fd, -1);
	flash_file_close(&a);
	flash_file_close(&b);
	assert_int_equal(flash_file_open(&a, path, false), 0);
	assert_int_equal(flash_file_open(&b, path, true), -EBUSY);
	assert_int_equal(flash_file_open(&c, path, false), -EBUSY);
	flash_file_close(&a);
}

/* A limit on files' sizes fails a write as a full disk does. */
static void test_full_disk(void **state)
{
	struct rlimit old, tight = { 4096, RLIM_INFINITY };
	struct flash_file file;
	const uint8_t byte = 7;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(flash_file_open(&file, path, false), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(flash_file_write(&file, 4096, &byte, 1), -EFBIG);
	assert_true(file.is_failing);
	assert_int_equal(flash_file_write(&file, 0, &byte, 1), 0);
	assert_false(file.is_failing);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	flash_file_close(&file);
}

static void test_bad_files(void **state)
{
	struct flash_file file;
	uint8_t bytes[SIZE];

	assert_int_equal(flash_file_open(&file, "/nowhere/x", false), -ENOENT);
	assert_true(flash_file_open(&file, "/tmp", true) < 0);
	assert_int_equal(flash_file_open(&file, "/dev/null", true), -EINVAL);
	flash_file_close(&file);
	/* One that shrinks while it is open. */
	assert_int_equal(flash_file_open(&file, path, false), 0);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(flash_file_read(&file, bytes), -EIO);
	flash_file_close(&file);
	/* A chip of a restored machine that was given no file. */
	file = (struct flash_file){ .fd = -1, .size = SIZE };
	assert_int_equal(flash_file_write(&file, 0, bytes, 1), 0);
	flash_file_close(&file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_changes_are_in_the_file),
		TEST(test_one_writer_or_many_readers),
		TEST(test_full_disk),
		TEST(test_bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
