/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State files of a whole board: saved, loaded, saved again; damaged in every
 * byte that is no memory, cut off, of another machine. What is refused says why
 * in one line, and nothing crashes, also where the checksums are right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../scale.h"
#include "base/bits.h"
#include "base/crc32c.h"
#include "chip/fw_cfg.h"
#include "core/vm.h"
#include "engine/interp/engine.h"
#include "machine/pc.h"
#include "machine/state.h"
#include "machine/state_file.h"
#include "x86/cpu_model.h"

#define RAM	    (4ull << 20)
#define USED	    (160u << 12)
#define FIRST_BYTES 0x10000 /* where the guest's bytes begin */

struct board {
	struct vm vm;
	struct cpuid_table cpuid;
	struct pc *pc;
};

static size_t swallow(void *argument, const uint8_t *bytes, size_t count)
{
	return count;
}

static void nothing(void *argument)
{
}

static struct board *board_create(uint64_t ram, unsigned vcpus)
{
	const struct pc_host host = {
		.console_write = swallow,
		.console_receive_ready = nothing,
		.debug_log = "/dev/null",
	};
	struct board *board = calloc(1, sizeof(*board));
	char dropped[CPU_DROPPED_MAX];
	struct cpu_request request = { .model = CPU_MODEL_DEFAULT,
				       .vcpus = vcpus };

	assert_non_null(board);
	assert_int_equal(vm_init(&board->vm, "test", &interp_engine), 0);
	/* As measured it is never twice the same. */
	board->vm.clock.tsc_khz = 2000000;
	request.tsc_khz = board->vm.clock.tsc_khz;
	assert_int_equal(memory_init(&board->vm.memory, &board->vm, ram, 0), 0);
	assert_int_equal(cpu_model_build(&request, &board->cpuid, dropped), 0);
	board->vm.cpuid = &board->cpuid;
	assert_int_equal(interp_engine.vm_create(&board->vm), 0);
	for (unsigned i = 0; i < vcpus; i++)
		assert_int_equal(vm_add_vcpu(&board->vm), 0);
	assert_int_equal(pc_create(&board->vm, &host, &board->pc), 0);
	return board;
}

static void board_destroy(struct board *board)
{
	vm_fini(&board->vm);
	pc_destroy(board->pc);
	free(board);
}

static void out(struct board *board, uint16_t port, uint8_t value)
{
	struct exit exit = {
		.reason = EXIT_IO,
		.io = { .port = port,
			.access = { .size = 1,
				    .value = value,
				    .is_write = true } },
	};

	exit_handle(board->vm.vcpus[0], &exit);
}

static void mmio(struct board *board, gpa_t gpa, uint32_t value)
{
	struct exit exit = {
		.reason = EXIT_MMIO,
		.mmio = { .gpa = gpa,
			  .access = { .size = 4,
				      .value = value,
				      .is_write = true } },
	};

	exit_handle(board->vm.vcpus[0], &exit);
}

/* Something other than the reset state everywhere: timers that run, a FIFO
 * with input, routes, a local APIC in use. */
static void use(struct board *board)
{
	struct cpu_state state;

	clock_set(&board->vm.clock, 123456789, 987654321012345);
	out(board, 0x43, 0x34);
	out(board, 0x40, 0x9b);
	out(board, 0x40, 0x2e);
	out(board, 0x20, 0x11);
	out(board, 0x21, 0x20);
	out(board, 0x21, 0x04);
	out(board, 0x21, 0x01);
	out(board, 0x21, 0xee);
	out(board, 0x3fa, 0x07);
	out(board, 0x3f9, 0x05);
	pc_console_receive(board->pc, (const uint8_t *)"abc", 3);
	out(board, 0x70, 0x0b);
	out(board, 0x71, 0x42);
	mmio(board, 0xfec00000, 0x14);
	mmio(board, 0xfec00010, 0x8031);
	mmio(board, 0xfed00010, 1);
	mmio(board, 0xfed00108, 200000);
	mmio(board, 0xfed00100, 4);
	pc_power_button(board->pc);
	assert_int_equal(interp_engine.get_state(board->vm.vcpus[0], &state),
			 0);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		state.gpr[i] = 0x1111111111111111ull * i;
	state.rip = 0x1234;
	memset(state.fpu.ymm, 0x5a, sizeof(state.fpu.ymm));
	assert_int_equal(interp_engine.set_state(board->vm.vcpus[0], &state),
			 0);
	for (unsigned i = 0; i < USED; i += 4)
		store_u32(board->vm.memory.host + FIRST_BYTES + i,
			  (uint32_t)random());
}

static int save(struct board *board)
{
	const struct state_parts parts = { .cpu = CPU_MODEL_DEFAULT };
	int fd = memfd_create("state", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(state_save_to(&board->vm, &parts, fd), 0);
	return fd;
}

static size_t size_of(int fd)
{
	return (size_t)lseek(fd, 0, SEEK_END);
}

/* What is logged meanwhile goes to a file in memory. */
static char said[4096];

static int load(struct board *board, int fd)
{
	int log = memfd_create("log", MFD_CLOEXEC);
	int old = dup(STDERR_FILENO);
	struct state_source *source = NULL;
	char path[64];
	ssize_t n;
	int error;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	dup2(log, STDERR_FILENO);
	error = state_open(path, &source);
	if (!error)
		error = state_check_cpu(source, &board->cpuid, true);
	if (!error)
		error = state_load(source, &board->vm);
	state_close(source);
	dup2(old, STDERR_FILENO);
	close(old);
	n = pread(log, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	close(log);
	return error;
}

/* One line, which has these words. */
static void assert_refused(struct board *board, int fd, const char *words)
{
	assert_int_equal(load(board, fd), -EINVAL);
	assert_non_null(strchr(said, '\n'));
	assert_string_equal(strchr(said, '\n'), "\n");
	if (!strstr(said, words))
		fail_msg("'%s' does not say '%s'", said, words);
}

static uint8_t *read_all(int fd, size_t *size)
{
	uint8_t *bytes;

	*size = size_of(fd);
	bytes = malloc(*size);
	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, *size, 0), *size);
	return bytes;
}

static void test_round_trip(void **state)
{
	struct board *first = board_create(RAM, 2);
	struct board *second = board_create(RAM, 2);
	uint8_t *a, *b;
	size_t a_size, b_size;
	int fd, again;

	use(first);
	fd = save(first);
	if (load(second, fd))
		fail_msg("%s", said);
	again = save(second);
	a = read_all(fd, &a_size);
	b = read_all(again, &b_size);
	assert_int_equal(a_size, b_size);
	for (size_t at = STATE_FILE_HEAD; at < a_size;) {
		size_t length = load_u64(a + at + 48);

		if (memcmp(a + at, b + at, STATE_FILE_HEAD + length) != 0)
			fail_msg("%s differs", (char *)a + at);
		at += STATE_FILE_HEAD + length;
	}
	free(a);
	free(b);
	close(fd);
	close(again);
	board_destroy(first);
	board_destroy(second);
}

/* Where memory begins: the offset of the first section of that name. */
static size_t memory_start(int fd)
{
	uint8_t *bytes;
	size_t size, at;

	bytes = read_all(fd, &size);
	at = STATE_FILE_HEAD;
	while (at < size && strcmp((char *)bytes + at, "memory") != 0)
		at += STATE_FILE_HEAD + load_u64(bytes + at + 48);
	free(bytes);
	return at;
}

static void flip(struct board *board, int fd, size_t at, uint8_t bits)
{
	uint8_t byte, changed;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	changed = byte ^ bits;
	assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
	if (!load(board, fd))
		fail_msg("byte %zu: a change by %#x goes unseen", at, bits);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static size_t next_section(int fd, size_t at)
{
	uint8_t head[STATE_FILE_HEAD];

	assert_int_equal(pread(fd, head, sizeof(head), (off_t)at),
			 sizeof(head));
	return at + sizeof(head) + load_u64(head + 48);
}

static void test_flips(void **state)
{
	struct board *board = board_create(RAM, 2);
	size_t size, memory, step = test_scale(37, 1, 1);
	uint64_t random_flips = test_scale(100, 10000, 10000);
	int fd;

	use(board);
	fd = save(board);
	size = size_of(fd);
	memory = memory_start(fd);
	assert_true(memory < size);
	for (size_t at = 0; at < memory; at += step)
		flip(board, fd, at, (uint8_t)(1 + at % 255));
	/* The heads of memory's sections, too. */
	for (size_t at = memory; at < size; at = next_section(fd, at))
		for (size_t i = 0; i < STATE_FILE_HEAD; i += step)
			flip(board, fd, at + i, (uint8_t)(1 << i % 8));
	for (uint64_t i = 0; i < random_flips; i++)
		flip(board, fd, memory + (size_t)random() % (size - memory),
		     (uint8_t)(1 << i % 8));
	/* And it is still what it was. */
	assert_int_equal(load(board, fd), 0);
	close(fd);
	board_destroy(board);
}

static void test_truncations(void **state)
{
	struct board *board = board_create(RAM, 1);
	size_t size, step = test_scale(997, 13, 1);
	uint8_t *bytes;
	int fd;

	use(board);
	fd = save(board);
	bytes = read_all(fd, &size);
	for (size_t left = 0; left < size; left += left < 200 ? 1 : step) {
		assert_int_equal(ftruncate(fd, (off_t)left), 0);
		assert_refused(board, fd, "");
		/* Also where the header tells of that size. */
		if (left < STATE_FILE_HEAD)
			continue;
		store_u64(bytes + 24, left);
		store_u32(bytes + 60, crc32c(0, bytes, 60));
		assert_int_equal(pwrite(fd, bytes, 64, 0), 64);
		assert_refused(board, fd, "");
		assert_int_equal(pwrite(fd, bytes, size, 0), size);
	}
	store_u64(bytes + 24, size);
	store_u32(bytes + 60, crc32c(0, bytes, 60));
	assert_int_equal(pwrite(fd, bytes, size, 0), size);
	assert_int_equal(load(board, fd), 0);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)size), 1);
	assert_refused(board, fd, "where it should have");
	free(bytes);
	close(fd);
	board_destroy(board);
}

static struct cpuid_leaf *leaf_of(struct board *board, uint32_t leaf)
{
	for (unsigned i = 0; i < board->cpuid.count; i++)
		if (board->cpuid.leaf[i].leaf == leaf)
			return &board->cpuid.leaf[i];
	fail();
	return NULL;
}

static void test_other_machines(void **state)
{
	struct board *board = board_create(RAM, 1);
	struct board *large = board_create(2 * RAM, 1);
	struct board *dual = board_create(RAM, 2);
	uint8_t head[STATE_FILE_HEAD];
	int fd;

	use(board);
	fd = save(board);
	assert_refused(large, fd, "4 MiB of memory, not the 8 MiB");
	assert_refused(dual, fd, "1 processors, not the 2");
	board->vm.clock.tsc_khz *= 2;
	assert_refused(board, fd, "its TSC runs at");
	board->vm.clock.tsc_khz /= 2;
	/* Two measurements of the same clock. */
	board->vm.clock.tsc_khz += board->vm.clock.tsc_khz / 10000;
	assert_int_equal(load(board, fd), 0);
	leaf_of(board, 0)->ebx ^= 1;
	assert_refused(board, fd, "vendor");
	leaf_of(board, 0)->ebx ^= 1;
	leaf_of(board, 7)->ebx &= ~BIT(5);
	assert_refused(board, fd, "features that this host or engine has not");
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	store_u32(head + 16, STATE_FILE_VERSION + 1);
	store_u32(head + 60, crc32c(0, head, 60));
	assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	assert_refused(board, fd, "version 2 of the format");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, "#!/bin/sh\n", 10, 0), 10);
	assert_refused(board, fd, "not a state file");
	close(fd);
	fd = open("/dev/zero", O_RDONLY);
	assert_refused(board, fd, "not a regular file");
	close(fd);
	board_destroy(board);
	board_destroy(large);
	board_destroy(dual);
}

/* By name, and where CPUID says it. */
static void test_missing_feature(void **state)
{
	struct board *board = board_create(RAM, 1);
	struct cpuid_leaf *leaf = NULL;
	int fd;

	use(board);
	for (unsigned i = 0; i < board->cpuid.count; i++)
		if (board->cpuid.leaf[i].leaf == 7 &&
		    board->cpuid.leaf[i].subleaf == 0)
			leaf = &board->cpuid.leaf[i];
	assert_non_null(leaf);
	leaf->ebx |= BIT(5) | BIT(9);
	fd = save(board);
	leaf->ebx &= ~(BIT(5) | BIT(9));
	assert_refused(board, fd, "has not: avx2 erms, CPUID 7h.0 EBX 220h");
	close(fd);
	board_destroy(board);
}

/* A device's table grew since: the section says a version we do not know. */
static void test_newer_section(void **state)
{
	struct board *board = board_create(RAM, 1);
	size_t size, at = STATE_FILE_HEAD;
	uint8_t *bytes;
	int fd;

	use(board);
	fd = save(board);
	bytes = read_all(fd, &size);
	while (strcmp((char *)bytes + at, "device:com1") != 0)
		at += STATE_FILE_HEAD + load_u64(bytes + at + 48);
	store_u32(bytes + at + 40, 99);
	store_u32(bytes + at + 60, crc32c(0, bytes + at, 60));
	assert_int_equal(pwrite(fd, bytes, size, 0), size);
	assert_refused(board, fd, "version 99 of ns16550");
	free(bytes);
	close(fd);
	board_destroy(board);
}

/* Where the checksums agree but the values are somebody's invention. */
static void test_hostile_values(void **state)
{
	struct board *board = board_create(RAM, 2);
	uint64_t cases = test_scale(300, 4000, 100000), loaded = 0;
	size_t size, memory;
	uint8_t *bytes;
	int fd;

	use(board);
	fd = save(board);
	memory = memory_start(fd);
	bytes = read_all(fd, &size);
	for (uint64_t i = 0; i < cases; i++) {
		size_t at = STATE_FILE_HEAD, target, length;

		target = (size_t)random() % (memory + 4096);
		for (;;) {
			length = load_u64(bytes + at + 48);
			if (target < at + STATE_FILE_HEAD + length)
				break;
			at += STATE_FILE_HEAD + length;
		}
		target = MAX(target, at + STATE_FILE_HEAD);
		bytes[target] ^= (uint8_t)(1 + random() % 255);
		store_u32(bytes + at + 56,
			  crc32c(0, bytes + at + STATE_FILE_HEAD, length));
		store_u32(bytes + at + 60, crc32c(0, bytes + at, 60));
		assert_int_equal(pwrite(fd, bytes + at,
					STATE_FILE_HEAD + length, (off_t)at),
				 STATE_FILE_HEAD + length);
		loaded += !load(board, fd);
		/* Changes pile up, but not for ever. */
		if (i % 8 == 7) {
			free(bytes);
			close(fd);
			board_destroy(board);
			board = board_create(RAM, 2);
			use(board);
			fd = save(board);
			bytes = read_all(fd, &size);
		}
	}
	assert_true(loaded > 0);
	free(bytes);
	close(fd);
	board_destroy(board);
}

/* --- what firmware was handed ----------------------------------------------- */

#define KERNEL_SIZE (1100u << 10) /* two pieces */

static struct fw_cfg *fw_cfg_of(struct board *board)
{
	struct device *device;

	list_for_each(device, &board->vm.devices, link)
		if (strcmp(device->name, "fw_cfg") == 0)
			return device->self;
	fail();
	return NULL;
}

static void hand_over(struct board *board, uint8_t byte, const char *words)
{
	struct fw_cfg *fw = fw_cfg_of(board);
	uint8_t *kernel = malloc(KERNEL_SIZE);

	assert_non_null(kernel);
	for (unsigned i = 0; i < KERNEL_SIZE; i++)
		kernel[i] = (uint8_t)(byte + i * 7 + (i >> 16));
	assert_int_equal(
		fw_cfg_add(fw, FW_CFG_KERNEL_DATA, kernel, KERNEL_SIZE), 0);
	assert_int_equal(fw_cfg_add(fw, FW_CFG_INITRD_DATA, "", 0), 0);
	assert_int_equal(fw_cfg_add(fw, FW_CFG_CMDLINE_DATA, words,
				    strlen(words) + 1),
			 0);
	assert_int_equal(fw_cfg_add_file(fw, "genroms/x.bin", "rom", 3), 0);
	free(kernel);
}

static void assert_same_items(struct fw_cfg *a, struct fw_cfg *b)
{
	assert_int_equal(a->file_count, b->file_count);
	assert_memory_equal(a->file_name, b->file_name, sizeof(a->file_name));
	for (unsigned i = 0; i < FW_CFG_KEYS; i++) {
		assert_int_equal(a->item[i].size, b->item[i].size);
		assert_int_equal(!a->item[i].bytes, !b->item[i].bytes);
		if (a->item[i].size)
			assert_memory_equal(a->item[i].bytes, b->item[i].bytes,
					    a->item[i].size);
	}
	for (unsigned i = 0; i < FW_CFG_LOCAL; i++)
		assert_int_equal(a->local[i].size, b->local[i].size);
}

static void test_kernel_of_firmware(void **state)
{
	struct board *first = board_create(RAM, 1);
	struct board *second = board_create(RAM, 1);
	struct board *named = board_create(RAM, 1);
	struct fw_cfg *fw = fw_cfg_of(second);
	int fd;

	use(first);
	hand_over(first, 3, "one two");
	fd = save(first);
	/* A machine that nobody named a kernel to has the same items after. */
	assert_int_equal(fw_cfg_add_file(fw, "more", "more", 4), 0);
	if (load(second, fd))
		fail_msg("%s", said);
	assert_same_items(fw_cfg_of(first), fw);
	/* Where one is named, it is the same. */
	hand_over(named, 3, "one two");
	if (load(named, fd))
		fail_msg("%s", said);
	assert_same_items(fw_cfg_of(first), fw_cfg_of(named));
	board_destroy(named);
	named = board_create(RAM, 1);
	hand_over(named, 3, "one three");
	assert_refused(named, fd, "its firmware was handed another command");
	board_destroy(named);
	named = board_create(RAM, 1);
	hand_over(named, 4, "one two");
	assert_refused(named, fd, "its firmware was handed another kernel");
	close(fd);
	board_destroy(first);
	board_destroy(second);
	board_destroy(named);
}

/* Offset of the first section of that name. */
static size_t section_start(const uint8_t *bytes, const char *name)
{
	size_t at = STATE_FILE_HEAD;

	while (strcmp((const char *)bytes + at, name) != 0)
		at += STATE_FILE_HEAD + load_u64(bytes + at + 48);
	return at;
}

/* Pieces of items that do not go together, with checksums that agree. */
static void test_hostile_items(void **state)
{
	struct board *board = board_create(RAM, 1);
	unsigned loaded = 0;
	size_t size, at;
	uint8_t *bytes;
	int fd;

	use(board);
	hand_over(board, 3, "one");
	fd = save(board);
	bytes = read_all(fd, &size);
	for (unsigned i = 0; i < test_scale(20, 40, 400); i++) {
		struct board *other = board_create(RAM, 1);
		unsigned which = (unsigned)random() % 12;
		uint8_t *head;
		uint64_t length;

		at = section_start(bytes, "fw_cfg");
		while (which--) {
			size_t next = at + STATE_FILE_HEAD +
				      load_u64(bytes + at + 48);

			if (strcmp((char *)bytes + next, "fw_cfg") != 0)
				break;
			at = next;
		}
		length = load_u64(bytes + at + 48);
		head = malloc(STATE_FILE_HEAD + length);
		assert_non_null(head);
		memcpy(head, bytes + at, STATE_FILE_HEAD + length);
		head[STATE_FILE_HEAD + random() % 24] ^= 1 << random() % 8;
		store_u32(head + 56, crc32c(0, head + STATE_FILE_HEAD, length));
		store_u32(head + 60, crc32c(0, head, 60));
		assert_int_equal(pwrite(fd, head, STATE_FILE_HEAD + length,
					(off_t)at),
				 STATE_FILE_HEAD + length);
		loaded += !load(other, fd);
		assert_int_equal(pwrite(fd, bytes + at,
					STATE_FILE_HEAD + length, (off_t)at),
				 STATE_FILE_HEAD + length);
		free(head);
		board_destroy(other);
	}
	/* A key that is another's, a file's name: that may be. */
	assert_true(loaded < test_scale(20, 40, 400));
	free(bytes);
	close(fd);
	board_destroy(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_missing_feature),
		cmocka_unit_test(test_newer_section),
		cmocka_unit_test(test_hostile_values),
		cmocka_unit_test(test_kernel_of_firmware),
		cmocka_unit_test(test_hostile_items),
	};

	srandom(7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
