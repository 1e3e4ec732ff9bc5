/* SPDX-License-Identifier: BSD-2-Clause */
/* The short walk says what the walker says, or nothing: over random entries. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/interp/mmu.h"

#define ROUNDS 200000

struct tables {
	struct world world;
	unsigned exchanges;
};

static uint64_t read_entry(void *world, gpa_t gpa, unsigned size)
{
	struct tables *tables = world;
	uint64_t value;

	assert_int_equal(size, 8);
	if (gpa >= WORLD_RAM_SIZE)
		return ~0ull;
	memcpy(&value, tables->world.ram + gpa, 8);
	return value;
}

static bool exchange_entry(void *world, gpa_t gpa, unsigned size, uint64_t old,
			   uint64_t new)
{
	((struct tables *)world)->exchanges++;
	return true;
}

static uint64_t random_64(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^
	       (uint64_t)random();
}

/* Mostly as systems have them; now and then any bit is the other way round. */
static uint64_t random_entry(gpa_t table)
{
	uint64_t entry = table | WORLD_P | WORLD_RW | WORLD_US | WORLD_A |
			 WORLD_D;

	if (random() % 3 == 0)
		entry ^= BIT(random() % 9);
	if (random() % 16 == 0)
		entry ^= BIT(random() % 64);
	return entry;
}

static void set_entry(struct world *w, gpa_t table, gva_t gva, unsigned shift,
		      uint64_t entry)
{
	memcpy(w->ram + table + (gva >> shift & 511) * 8, &entry, 8);
}

static void set_tables(struct world *w, gva_t gva)
{
	for (unsigned level = 0; level < 4; level++) {
		gpa_t table = 0x1000 * (level + 1);

		set_entry(w, table, gva, 39 - 9 * level,
			  random_entry(level < 3 ? table + 0x1000 :
						   random_64() & 0xff000));
	}
}

static void set_registers(struct interp *cpu)
{
	cpu->s.cr0 = CR0_PE | CR0_PG | (random() & 1 ? CR0_WP : 0);
	cpu->s.cr3 = WORLD_PML4 | (random() & 0xfff);
	cpu->s.cr4 = CR4_PAE | (random() & 1 ? CR4_PGE : 0) |
		     (random() & 1 ? CR4_SMEP : 0) |
		     (random() % 16 ? 0 : CR4_PKE);
	cpu->s.pkru = (uint32_t)random();
	cpu->s.msr.efer = EFER_LME | EFER_LMA | (random() % 16 ? EFER_NXE : 0);
}

/* As mmu.c has it done. */
static bool walk_whole(struct tables *tables, gva_t gva, enum mmu_access access,
		       enum mmu_view view, struct walk_page *page,
		       struct walk_fault *fault)
{
	const struct walk_paging paging = mmu_paging(tables->world.cpu);
	const struct walk walk = {
		.read = read_entry,
		.exchange = exchange_entry,
		.world = tables,
		.count = 1,
		.stage = { { walk_guest_paging, &paging } },
	};
	const struct walk_access wanted = {
		.kind = access == MMU_WRITE ? WALK_WRITE : WALK_READ,
		.is_user = view == MMU_USER,
		.is_smap = view == MMU_SMAP,
	};

	return walk_translate(&walk, gva, &wanted, page, fault);
}

static void expect_same_page(const struct walk_page *page,
			     const struct walk_page *whole)
{
	assert_int_equal(page->gpa, whole->gpa);
	assert_int_equal(page->size, whole->size);
	assert_int_equal(page->is_writable, whole->is_writable);
	assert_int_equal(page->is_user, whole->is_user);
	assert_int_equal(page->is_executable, whole->is_executable);
	assert_int_equal(page->is_global, whole->is_global);
	assert_int_equal(page->is_dirty, whole->is_dirty);
}

static void test_says_the_same(void **state)
{
	static struct tables tables;
	struct world *w = &tables.world;
	unsigned count[MMU_WALK_OTHER + 1] = { 0 };

	world_init(w, NULL);
	srandom(1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		gva_t gva = (uint64_t)((int64_t)(random_64() << 16) >> 16);
		enum mmu_access access = random() & 1 ? MMU_WRITE : MMU_READ;
		enum mmu_view view = random() % MMU_VIEWS;
		struct walk_page page, whole;
		struct walk_fault fault, whole_fault;
		enum mmu_walk result;

		set_tables(w, gva);
		set_registers(w->cpu);
		result = mmu_walk_64(w->cpu, gva, access, view, &page, &fault);
		count[result]++;
		if (result == MMU_WALK_OTHER)
			continue;
		tables.exchanges = 0;
		assert_int_equal(walk_whole(&tables, gva, access, view, &whole,
					    &whole_fault),
				 result == MMU_WALK_DONE);
		assert_int_equal(tables.exchanges, 0);
		if (result == MMU_WALK_DONE) {
			expect_same_page(&page, &whole);
		} else {
			assert_int_equal(fault.error, whole_fault.error);
			assert_int_equal(fault.address, whole_fault.address);
		}
	}
	assert_in_range(count[MMU_WALK_DONE], ROUNDS / 10, ROUNDS);
	assert_in_range(count[MMU_WALK_FAULT], ROUNDS / 10, ROUNDS);
	assert_in_range(count[MMU_WALK_OTHER], ROUNDS / 100, ROUNDS / 2);
	world_fini(w);
}

/* What it leaves to the walker. */
static void test_leaves_the_rest(void **state)
{
	static struct world world;
	struct interp *cpu;
	struct walk_page page;
	struct walk_fault fault;

	world_init(&world, NULL);
	world_long_mode(&world, 0);
	cpu = world.cpu;
	assert_int_equal(mmu_walk_64(cpu, WORLD_DATA, MMU_EXEC, MMU_SUPERVISOR,
				     &page, &fault),
			 MMU_WALK_OTHER);
	cpu->s.cr0 &= ~CR0_PG;
	assert_int_equal(mmu_walk_64(cpu, WORLD_DATA, MMU_READ, MMU_SUPERVISOR,
				     &page, &fault),
			 MMU_WALK_OTHER);
	cpu->s.cr0 |= CR0_PG;
	cpu->address_mask = ~BIT(20);
	assert_int_equal(mmu_walk_64(cpu, WORLD_DATA, MMU_READ, MMU_SUPERVISOR,
				     &page, &fault),
			 MMU_WALK_OTHER);
	world_fini(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_the_same),
		cmocka_unit_test(test_leaves_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
