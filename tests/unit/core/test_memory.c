/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory: slots, views, bounds, ROM, the dirty log; and DMA's gate. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/dma.h"
#include "core/vm.h"

#define MIB (1024 * 1024ull)

static void test_two_views_of_one_memory(void **state)
{
	struct memory memory;

	assert_int_equal(memory_init(&memory, NULL, 4 * MIB, 0), 0);
	assert_ptr_not_equal(memory.host, memory.guest);
	memory.guest[0x1234] = 0x5a;
	assert_int_equal(memory.host[0x1234], 0x5a);
	memory_fini(&memory);
}

static void test_ram_splits_at_the_hole(void **state)
{
	struct memory memory;
	struct memory_slot slot;
	int error = memory_init(&memory, NULL, MEMORY_HOLE_START + MIB, 0);

	if (error == -ENOMEM)
		skip(); /* a small host */
	assert_int_equal(error, 0);
	assert_true(memory_find(&memory, MEMORY_HOLE_START - 1, &slot));
	assert_false(memory_find(&memory, MEMORY_HOLE_START, &slot));
	assert_false(memory_find(&memory, MEMORY_HOLE_END - 1, &slot));
	assert_true(memory_find(&memory, MEMORY_HOLE_END + MIB - 1, &slot));
	assert_int_equal(slot.offset, MEMORY_HOLE_START);
	assert_false(memory_find(&memory, MEMORY_HOLE_END + MIB, &slot));
	memory_fini(&memory);
}

static void test_refuses_what_cannot_be(void **state)
{
	struct memory memory;

	assert_int_equal(memory_init(&memory, NULL, 0, 0), -EINVAL);
	assert_int_equal(memory_init(&memory, NULL, 4097, 0), -EINVAL);
	assert_int_equal(memory_init(&memory, NULL, 1ull << 50, 0), -ENOMEM);
}

static void test_copies_are_all_or_nothing(void **state)
{
	struct memory memory;
	uint8_t buffer[16];

	memory_init(&memory, NULL, MIB, 0);
	memset(buffer, 0xaa, sizeof(buffer));
	assert_int_equal(memory_write(&memory, MIB - 8, buffer, 16), -EFAULT);
	assert_int_equal(memory.host[MIB - 1], 0);
	assert_int_equal(memory_write(&memory, MIB - 16, buffer, 16), 0);
	assert_int_equal(memory.host[MIB - 1], 0xaa);
	assert_int_equal(memory_read(&memory, ~0ull - 3, buffer, 8), -EFAULT);
	assert_null(memory_read_begin(&memory, MIB - 8, 16));
	assert_null(memory_write_begin(&memory, ~0ull, 16));
	assert_non_null(memory_read_begin(&memory, MIB - 16, 16));
	memory_fini(&memory);
}

static void test_rom_takes_only_loads(void **state)
{
	struct memory memory;
	uint8_t byte = 0x77;
	int id;

	memory_init(&memory, NULL, MIB, 0x10000);
	id = memory_add(&memory, 0xffff0000, 0x10000, MIB, MEMORY_ROM);
	assert_true(id >= 0);
	assert_int_equal(memory_write(&memory, 0xfffffff0, &byte, 1), -EFAULT);
	assert_null(memory_write_begin(&memory, 0xfffffff0, 1));
	assert_int_equal(memory_load(&memory, 0xfffffff0, &byte, 1), 0);
	assert_int_equal(*memory_read_begin(&memory, 0xfffffff0, 1), 0x77);
	memory_fini(&memory);
}

static void test_slots_move_and_do_not_overlap(void **state)
{
	struct memory memory;
	struct memory_slot slot;
	int id;

	memory_init(&memory, NULL, MIB, 0x1000);
	assert_int_equal(memory_add(&memory, 0, 0x1000, MIB, MEMORY_RAM),
			 -EEXIST);
	id = memory_add(&memory, 0x10000000, 0x1000, MIB, MEMORY_RAM);
	assert_true(id >= 0);
	assert_int_equal(memory_change(&memory, (unsigned)id, 0x20000000,
				       MEMORY_RAM),
			 0);
	assert_false(memory_find(&memory, 0x10000000, &slot));
	assert_true(memory_find(&memory, 0x20000000, &slot));
	assert_int_equal(memory_change(&memory, (unsigned)id, 0, MEMORY_RAM),
			 -EEXIST);
	memory_remove(&memory, (unsigned)id);
	assert_false(memory_find(&memory, 0x20000000, &slot));
	memory_fini(&memory);
}

static void test_writes_mark_dirty(void **state)
{
	struct memory memory;

	memory_init(&memory, NULL, MIB, 0);
	memory.dirty = calloc(MIB / PAGE_SIZE / 64, 8);
	memory_fill(&memory, 0x1fff, 1, 2);
	assert_int_equal(memory.dirty[0], 6);
	assert_int_equal(memory.host[0x2000], 1);
	memory_fini(&memory);
}

static bool shift_by_one_page(void *iommu, uint32_t requester,
			      dma_addr_t address, bool is_write, gpa_t *gpa,
			      size_t *contiguous)
{
	*gpa = address + PAGE_SIZE;
	*contiguous = PAGE_SIZE - (address & ~PAGE_MASK);
	return address < 0x3000;
}

static void test_dma_passes_the_gate_only(void **state)
{
	struct vm vm = { 0 };
	struct dma dma = { .vm = &vm };
	uint8_t buffer[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	memory_init(&vm.memory, NULL, MIB, 0);
	assert_int_equal(dma_write(&dma, 0, buffer, 8), -EFAULT);
	dma.is_enabled = true;
	assert_int_equal(dma_write(&dma, 0, buffer, 8), 0);
	assert_int_equal(vm.memory.host[7], 8);
	dma.translate = shift_by_one_page;
	assert_int_equal(dma_write(&dma, 0xffc, buffer, 8), 0);
	assert_int_equal(vm.memory.host[0x1ffc], 1);
	assert_int_equal(vm.memory.host[0x2003], 8);
	/* the second half is blocked: the first is not written either */
	assert_int_equal(dma_write(&dma, 0x2ffc, buffer, 8), -EFAULT);
	assert_int_equal(vm.memory.host[0x3ffc], 0);
	assert_null(dma_write_begin(&dma, 0xffc, 8));
	memory_fini(&vm.memory);
}

/* --- what the engine is told ------------------------------------------------ */

struct told {
	unsigned count;
	gpa_t gpa[4];
	uint64_t size[4];
};

static void note_change(struct vm *vm, gpa_t gpa, uint64_t size)
{
	struct told *told = vm->engine;

	assert_true(told->count < ARRAY_SIZE(told->gpa));
	told->gpa[told->count] = gpa;
	told->size[told->count++] = size;
}

/* Bytes of the memfd that show twice, once in part, are told of twice. */
static void test_aliases_are_told_of(void **state)
{
	const struct engine_ops ops = { .code_changed = note_change };
	struct told told = { 0 };
	struct vm vm = { .engine_ops = &ops };
	struct memory *memory = &vm.memory;
	int id;

	assert_int_equal(memory_init(memory, &vm, 2 * MIB, 0x4000), 0);
	vm.engine = &told;
	assert_true(memory_add(memory, 0xffffc000, 0x4000, 2 * MIB,
			       MEMORY_ROMD) >= 0);
	id = memory_add(memory, 0x1000000, 0x2000, 2 * MIB + 0x2000,
			MEMORY_ROM);
	assert_true(id >= 0);
	memory_written(memory, 2 * MIB + 0x1ff0, 0x20);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.gpa[0], 0xffffdff0);
	assert_int_equal(told.size[0], 0x20);
	assert_int_equal(told.gpa[1], 0x1000000);
	assert_int_equal(told.size[1], 0x10);
	memory_remove(memory, (unsigned)id);
	told.count = 0;
	memory_written(memory, 2 * MIB + 0x2000, 1);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.gpa[0], 0xffffe000);
	vm.engine = NULL;
	memory_fini(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_views_of_one_memory),
		cmocka_unit_test(test_ram_splits_at_the_hole),
		cmocka_unit_test(test_refuses_what_cannot_be),
		cmocka_unit_test(test_copies_are_all_or_nothing),
		cmocka_unit_test(test_rom_takes_only_loads),
		cmocka_unit_test(test_slots_move_and_do_not_overlap),
		cmocka_unit_test(test_writes_mark_dirty),
		cmocka_unit_test(test_dma_passes_the_gate_only),
		cmocka_unit_test(test_aliases_are_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
