/* SPDX-License-Identifier: BSD-2-Clause */
/* The page walker against tables built by hand: SDM 3, 4.3 to 4.8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "x86/walk.h"

#define P  BIT(0)
#define RW BIT(1)
#define US BIT(2)
#define A  BIT(5)
#define D  BIT(6)
#define PS BIT(7)
#define G  BIT(8)
#define XD BIT(63)

struct memory {
	uint8_t bytes[16 * 4096];
	unsigned exchanges;
	/* Before this many exchanges succeed, somebody else sets `race`. */
	gpa_t race_gpa;
	uint64_t race_bits;
};

struct fixture {
	struct memory memory;
	struct walk_paging paging;
	struct walk walk;
	struct walk_page page;
	struct walk_fault fault;
};

static uint64_t memory_read(void *world, gpa_t gpa, unsigned size)
{
	struct memory *m = world;

	if (gpa + size > sizeof(m->bytes))
		return size_mask(size);
	return size == 4 ? load_u32(&m->bytes[gpa]) : load_u64(&m->bytes[gpa]);
}

static bool memory_exchange(void *world, gpa_t gpa, unsigned size, uint64_t old,
			    uint64_t new)
{
	struct memory *m = world;

	m->exchanges++;
	if (m->race_bits) {
		m->bytes[m->race_gpa] |= m->race_bits;
		m->race_bits = 0;
	}
	if (memory_read(m, gpa, size) != old)
		return false;
	memcpy(&m->bytes[gpa], &new, size);
	return true;
}

static void set(struct fixture *f, gpa_t table, unsigned index, uint64_t entry)
{
	unsigned size = f->paging.cr4 & CR4_PAE ? 8 : 4;

	memcpy(&f->memory.bytes[table + index * size], &entry, size);
}

static uint64_t get(struct fixture *f, gpa_t table, unsigned index)
{
	unsigned size = f->paging.cr4 & CR4_PAE ? 8 : 4;

	return memory_read(&f->memory, table + index * size, size);
}

static void init(struct fixture *f, uint64_t cr4, uint64_t efer)
{
	memset(f, 0, sizeof(*f));
	f->paging = (struct walk_paging){
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = 0x1000,
		.cr4 = cr4,
		.efer = efer,
		.maxphyaddr = 46,
	};
	f->walk = (struct walk){
		.read = memory_read,
		.exchange = memory_exchange,
		.world = &f->memory,
		.count = 1,
		.stage = { { walk_guest_paging, &f->paging } },
	};
}

/* 0x1000 -> 0x2000 -> 0x3000 -> 0x4000, page 5 of the last one. */
static void init_long(struct fixture *f, uint64_t bits)
{
	init(f, CR4_PAE, EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE);
	set(f, 0x1000, 0, 0x2000 | P | RW | US);
	set(f, 0x2000, 0, 0x3000 | P | RW | US);
	set(f, 0x3000, 0, 0x4000 | P | RW | US);
	set(f, 0x4000, 5, 0x7000 | bits);
}

static bool run(struct fixture *f, uint64_t address, enum walk_kind kind,
		bool is_user)
{
	struct walk_access access = { .kind = kind, .is_user = is_user };

	return walk_translate(&f->walk, address, &access, &f->page, &f->fault);
}

static void expect(struct fixture *f, uint64_t address, enum walk_kind kind,
		   bool is_user, int64_t error)
{
	bool ok = run(f, address, kind, is_user);

	assert_int_equal(ok, error < 0);
	if (ok)
		return;
	assert_int_equal(f->fault.error, error);
	assert_int_equal(f->fault.address, address);
	assert_int_equal(f->fault.stage, 0);
}

#define OK -1

static void test_paging_off(void **state)
{
	struct fixture f;

	init(&f, 0, 0);
	f.paging.cr0 = CR0_PE;
	expect(&f, 0x12345678, WALK_WRITE, true, OK);
	assert_int_equal(f.page.gpa, 0x12345678);
	assert_true(f.page.is_dirty && f.page.is_executable);
}

static void test_four_levels(void **state)
{
	struct fixture f;

	init_long(&f, P | RW | US | G);
	expect(&f, 0x5123, WALK_READ, true, OK);
	assert_int_equal(f.page.gpa, 0x7123);
	assert_int_equal(f.page.size, 4096);
	assert_true(f.page.is_writable && f.page.is_user);
	assert_true(f.page.is_executable && !f.page.is_dirty);
	assert_false(f.page.is_global);
	f.paging.cr4 |= CR4_PGE;
	expect(&f, 0x5123, WALK_READ, true, OK);
	assert_true(f.page.is_global);

	/* PCID in CR3 is no part of the table's address. */
	f.paging.cr3 = 0x1fff;
	expect(&f, 0x5123, WALK_READ, true, OK);
}

static void test_accessed_and_dirty(void **state)
{
	struct fixture f;

	init_long(&f, P | RW);
	expect(&f, 0x5000, WALK_READ, false, OK);
	assert_int_equal(get(&f, 0x1000, 0), 0x2000 | P | RW | US | A);
	assert_int_equal(get(&f, 0x3000, 0), 0x4000 | P | RW | US | A);
	assert_int_equal(get(&f, 0x4000, 5), 0x7000 | P | RW | A);
	assert_int_equal(f.memory.exchanges, 4);
	expect(&f, 0x5000, WALK_WRITE, false, OK);
	assert_int_equal(get(&f, 0x4000, 5), 0x7000 | P | RW | A | D);
	assert_int_equal(get(&f, 0x3000, 0), 0x4000 | P | RW | US | A);
	assert_true(f.page.is_dirty);
	assert_int_equal(f.memory.exchanges, 5);
	expect(&f, 0x5000, WALK_READ, false, OK);
	assert_true(f.page.is_dirty);
	assert_int_equal(f.memory.exchanges, 5);
}

static void test_refused_access_sets_no_dirty(void **state)
{
	struct fixture f;

	init_long(&f, P | US);
	expect(&f, 0x5000, WALK_WRITE, true, PF_PRESENT | PF_WRITE | PF_USER);
	assert_int_equal(get(&f, 0x4000, 5), 0x7000 | P | US);
}

static void test_entry_changes_during_walk(void **state)
{
	struct fixture f;

	init_long(&f, P | RW);
	f.memory.race_gpa = 0x4000 + 5 * 8;
	f.memory.race_bits = US;
	expect(&f, 0x5000, WALK_WRITE, false, OK);
	assert_int_equal(get(&f, 0x4000, 5), 0x7000 | P | RW | US | A | D);
	assert_true(f.page.is_user);
}

static void test_not_present(void **state)
{
	struct fixture f;

	init_long(&f, 0);
	expect(&f, 0x5000, WALK_READ, false, 0);
	expect(&f, 0x5000, WALK_WRITE, false, PF_WRITE);
	expect(&f, 0x5000, WALK_READ, true, PF_USER);
	expect(&f, 0x5000, WALK_WRITE, true, PF_USER | PF_WRITE);
	expect(&f, 0x5000, WALK_FETCH, true, PF_USER | PF_FETCH);
	/* At each level above. */
	expect(&f, 2ull << 20, WALK_READ, false, 0);
	expect(&f, 1ull << 30, WALK_READ, false, 0);
	expect(&f, 1ull << 39, WALK_READ, false, 0);
	/* Neither NX nor SMEP: fetches are not told apart. */
	f.paging.efer &= ~EFER_NXE;
	expect(&f, 0x5000, WALK_FETCH, false, 0);
	f.paging.cr4 |= CR4_SMEP;
	expect(&f, 0x5000, WALK_FETCH, false, PF_FETCH);
}

static void test_rights(void **state)
{
	struct fixture f;

	init_long(&f, P | RW); /* supervisor */
	expect(&f, 0x5000, WALK_READ, true, PF_PRESENT | PF_USER);
	expect(&f, 0x5000, WALK_WRITE, true, PF_PRESENT | PF_USER | PF_WRITE);
	expect(&f, 0x5000, WALK_FETCH, true, PF_PRESENT | PF_USER | PF_FETCH);
	expect(&f, 0x5000, WALK_FETCH, false, OK);

	init_long(&f, P | US); /* read-only */
	expect(&f, 0x5000, WALK_READ, true, OK);
	expect(&f, 0x5000, WALK_WRITE, false, PF_PRESENT | PF_WRITE);
	f.paging.cr0 &= ~CR0_WP;
	expect(&f, 0x5000, WALK_WRITE, false, OK);
	expect(&f, 0x5000, WALK_WRITE, true, PF_PRESENT | PF_USER | PF_WRITE);

	init_long(&f, P | RW | US | XD);
	expect(&f, 0x5000, WALK_FETCH, true, PF_PRESENT | PF_USER | PF_FETCH);
	expect(&f, 0x5000, WALK_FETCH, false, PF_PRESENT | PF_FETCH);
	expect(&f, 0x5000, WALK_WRITE, true, OK);

	/* Any level takes a right away. */
	init_long(&f, P | RW | US);
	set(&f, 0x2000, 0, 0x3000 | P | US);
	expect(&f, 0x5000, WALK_WRITE, true, PF_PRESENT | PF_USER | PF_WRITE);
	set(&f, 0x2000, 0, 0x3000 | P | RW);
	expect(&f, 0x5000, WALK_READ, true, PF_PRESENT | PF_USER);
	set(&f, 0x2000, 0, 0x3000 | P | RW | US | XD);
	expect(&f, 0x5000, WALK_FETCH, true, PF_PRESENT | PF_USER | PF_FETCH);
}

static void test_smep_smap(void **state)
{
	struct walk_access smap = { .kind = WALK_READ, .is_smap = true };
	struct fixture f;

	init_long(&f, P | RW | US);
	expect(&f, 0x5000, WALK_FETCH, false, OK);
	f.paging.cr4 |= CR4_SMEP;
	expect(&f, 0x5000, WALK_FETCH, false, PF_PRESENT | PF_FETCH);
	expect(&f, 0x5000, WALK_FETCH, true, OK);
	expect(&f, 0x5000, WALK_READ, false, OK);
	assert_false(walk_translate(&f.walk, 0x5000, &smap, &f.page, &f.fault));
	assert_int_equal(f.fault.error, PF_PRESENT);
	/* SMAP does not look at WP. */
	f.paging.cr0 &= ~CR0_WP;
	smap.kind = WALK_WRITE;
	assert_false(walk_translate(&f.walk, 0x5000, &smap, &f.page, &f.fault));
	assert_int_equal(f.fault.error, PF_PRESENT | PF_WRITE);
	init_long(&f, P | RW);
	assert_true(walk_translate(&f.walk, 0x5000, &smap, &f.page, &f.fault));
}

static void test_reserved(void **state)
{
	uint32_t error = PF_PRESENT | PF_RESERVED;
	struct fixture f;

	init_long(&f, P | RW | BIT(46));
	expect(&f, 0x5000, WALK_READ, false, error);
	expect(&f, 0x5000, WALK_WRITE, true, error | PF_WRITE | PF_USER);
	init_long(&f, P | RW | BIT(51));
	expect(&f, 0x5000, WALK_READ, false, error);
	f.paging.maxphyaddr = 52;
	expect(&f, 0x5000, WALK_READ, false, OK);
	init_long(&f, P | RW | BIT(52) | BIT(62)); /* ignored */
	expect(&f, 0x5000, WALK_READ, false, OK);

	init_long(&f, P | RW | XD); /* reserved without NXE */
	f.paging.efer &= ~EFER_NXE;
	expect(&f, 0x5000, WALK_READ, false, error);

	init_long(&f, P | RW);
	set(&f, 0x1000, 0, 0x2000 | P | RW | PS);
	expect(&f, 0x5000, WALK_READ, false, error);
	init_long(&f, P | RW);
	set(&f, 0x2000, 0, BIT(30) | P | PS | BIT(13));
	expect(&f, 0x5000, WALK_READ, false, error);
	init_long(&f, P | RW);
	set(&f, 0x3000, 0, 0x200000 | P | PS | BIT(20));
	expect(&f, 0x5000, WALK_READ, false, error);

	/* Not present hides reserved bits; reserved bits come before rights. */
	init_long(&f, BIT(46));
	expect(&f, 0x5000, WALK_READ, true, PF_USER);
	init_long(&f, P | BIT(46));
	expect(&f, 0x5000, WALK_WRITE, true, error | PF_USER | PF_WRITE);
	/* A table where no memory is reads as all ones. */
	init_long(&f, P);
	set(&f, 0x3000, 0, 0x10000000 | P | RW);
	expect(&f, 0x5000, WALK_READ, false, error);
}

static void test_large_pages(void **state)
{
	struct fixture f;

	init_long(&f, P);
	set(&f, 0x3000, 3, 0x40000000 | P | RW | PS | BIT(12));
	expect(&f, 0x600000 + 0x12345, WALK_WRITE, false, OK);
	assert_int_equal(f.page.gpa, 0x40012345);
	assert_int_equal(f.page.size, 2 << 20);
	assert_true(get(&f, 0x3000, 3) & D);
	set(&f, 0x2000, 7, 0x80000000 | P | RW | PS);
	expect(&f, (7ull << 30) + 0x2345678, WALK_READ, false, OK);
	assert_int_equal(f.page.gpa, 0x82345678);
	assert_int_equal(f.page.size, 1 << 30);
}

static void test_pae(void **state)
{
	struct fixture f;

	init(&f, CR4_PAE, EFER_NXE);
	f.paging.pdpte[2] = 0x3000 | P;
	set(&f, 0x3000, 1, 0x4000 | P | RW | US);
	set(&f, 0x4000, 5, 0x300007000 | P | RW | US);
	set(&f, 0x3000, 2, 0x40000000 | P | RW | PS);
	expect(&f, 0x80205123, WALK_WRITE, true, OK);
	assert_int_equal(f.page.gpa, 0x300007123);
	expect(&f, 0x80412345, WALK_READ, false, OK);
	assert_int_equal(f.page.gpa, 0x40012345);
	assert_int_equal(f.page.size, 2 << 20);
	expect(&f, 0x205123, WALK_READ, true, PF_USER);
	/* Bits 62:52, ignored in 4-level paging, are reserved here. */
	set(&f, 0x4000, 5, 0x7000 | P | RW | US | BIT(52));
	expect(&f, 0x80205123, WALK_READ, false, PF_PRESENT | PF_RESERVED);

	assert_true(walk_pdpte_is_valid(0x3000 | P, 46));
	assert_true(walk_pdpte_is_valid(XD | BIT(1), 46));
	assert_false(walk_pdpte_is_valid(0x3000 | P | RW, 46));
	assert_false(walk_pdpte_is_valid(0x3000 | P | XD, 46));
	assert_false(walk_pdpte_is_valid(0x3000 | P | BIT(46), 46));
	assert_false(walk_pdpte_is_valid(0x3000 | P | BIT(5), 46));
}

static void test_32bit(void **state)
{
	struct fixture f;

	init(&f, CR4_PSE, 0);
	set(&f, 0x1000, 2, 0x4000 | P | RW | US);
	set(&f, 0x4000, 5, 0x7000 | P | US);
	set(&f, 0x1000, 3, 0x00c00000 | P | RW | PS | (5 << 13));
	expect(&f, 0x805123, WALK_READ, true, OK);
	assert_int_equal(f.page.gpa, 0x7123);
	assert_true(f.page.is_executable && !f.page.is_writable);
	expect(&f, 0x805123, WALK_WRITE, true, PF_PRESENT | PF_USER | PF_WRITE);
	expect(&f, 0x805123, WALK_FETCH, true, OK);
	expect(&f, 0xc12345, WALK_READ, false, OK);
	assert_int_equal(f.page.gpa, 0x500c12345);
	assert_int_equal(f.page.size, 4 << 20);
	set(&f, 0x1000, 3, 0x00c00000 | P | RW | PS | BIT(21));
	expect(&f, 0xc12345, WALK_READ, false, PF_PRESENT | PF_RESERVED);
	set(&f, 0x1000, 3, 0x00c00000 | P | RW | PS | (5 << 13));
	f.paging.maxphyaddr = 34;
	expect(&f, 0xc12345, WALK_READ, false, PF_PRESENT | PF_RESERVED);
	/* Without PSE the same entry names a table. */
	f.paging.cr4 = 0;
	set(&f, 0x1000, 3, 0x4000 | P | RW | US | PS);
	expect(&f, 0xc05123, WALK_READ, false, OK);
	assert_int_equal(f.page.gpa, 0x7123);
}

/* A second stage that takes everything from 1 MiB up down to 0, and refuses a page. */
static bool shift_stage(const struct walk *walk, unsigned stage,
			uint64_t address, const struct walk_access *access,
			struct walk_page *page, struct walk_fault *fault)
{
	const uint64_t *refused = walk->stage[stage].control;

	if ((address & PAGE_MASK) == *refused) {
		*fault = (struct walk_fault){ .stage = stage,
					      .address = address,
					      .error = 77 };
		return false;
	}
	*page = (struct walk_page){
		.gpa = address - 0x100000,
		.size = 4096,
		.is_executable = true,
	};
	return true;
}

static void test_second_stage(void **state)
{
	uint64_t refused = 0;
	struct fixture f;

	init_long(&f, P | RW | US);
	f.paging.cr3 += 0x100000;
	set(&f, 0x1000, 0, 0x102000 | P | RW | US);
	set(&f, 0x2000, 0, 0x103000 | P | RW | US);
	set(&f, 0x3000, 0, 0x104000 | P | RW | US);
	set(&f, 0x3000, 1, 0x200000 | P | RW | US | PS);
	f.walk.count = 2;
	f.walk.stage[1] = (struct walk_stage){ shift_stage, &refused };
	expect(&f, 0x205123, WALK_READ, true, OK);
	assert_int_equal(f.page.gpa, 0x105123);
	assert_int_equal(f.page.size, 4096);
	assert_false(f.page.is_writable);
	refused = 0x104000; /* a table of the first stage */
	assert_false(run(&f, 0x5123, WALK_READ, true));
	assert_int_equal(f.fault.stage, 1);
	assert_int_equal(f.fault.address, 0x104028);
	assert_int_equal(f.fault.error, 77);
}

/* Key 5 of a user or a supervisor page, under PKRU and PKRS in turn. */
static void test_protection_keys(void **state)
{
	const uint64_t key = 5ull << 59;
	struct fixture f;

	/* Without CR4.PKE the bits are ignored. */
	init_long(&f, P | RW | US | key);
	f.paging.pkru = f.paging.pkrs = ~0u;
	expect(&f, 0x5000, WALK_WRITE, true, OK);
	assert_int_equal(f.page.key, 5);
	f.paging.cr4 |= CR4_PKE;
	expect(&f, 0x5000, WALK_READ, true, 0x25);
	expect(&f, 0x5000, WALK_WRITE, true, 0x27);
	expect(&f, 0x5000, WALK_READ, false, 0x21);
	expect(&f, 0x5000, WALK_FETCH, true, OK);
	/* Of another key. */
	f.paging.pkru = ~(3u << 10);
	expect(&f, 0x5000, WALK_WRITE, true, OK);
	/* WD: a user's write always, a supervisor's with CR0.WP. */
	f.paging.pkru = 2u << 10;
	expect(&f, 0x5000, WALK_READ, true, OK);
	expect(&f, 0x5000, WALK_WRITE, true, 0x27);
	expect(&f, 0x5000, WALK_WRITE, false, 0x23);
	f.paging.cr0 &= ~CR0_WP;
	expect(&f, 0x5000, WALK_WRITE, true, 0x27);
	expect(&f, 0x5000, WALK_WRITE, false, OK);

	/* PKRU is not asked about supervisor pages, PKRS is. */
	init_long(&f, P | RW | key);
	f.paging.pkru = ~0u;
	f.paging.cr4 |= CR4_PKE | CR4_PKS;
	expect(&f, 0x5000, WALK_WRITE, false, OK);
	f.paging.pkrs = 2u << 10;
	expect(&f, 0x5000, WALK_READ, false, OK);
	expect(&f, 0x5000, WALK_WRITE, false, 0x23);
	f.paging.cr0 &= ~CR0_WP;
	expect(&f, 0x5000, WALK_WRITE, false, OK);
	f.paging.pkrs = 1u << 10;
	expect(&f, 0x5000, WALK_READ, false, 0x21);
	expect(&f, 0x5000, WALK_FETCH, false, OK);

	/* A page that is not there has no key. */
	init_long(&f, US | key);
	f.paging.cr4 |= CR4_PKE;
	f.paging.pkru = ~0u;
	expect(&f, 0x5000, WALK_READ, true, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paging_off),
		cmocka_unit_test(test_four_levels),
		cmocka_unit_test(test_protection_keys),
		cmocka_unit_test(test_accessed_and_dirty),
		cmocka_unit_test(test_refused_access_sets_no_dirty),
		cmocka_unit_test(test_entry_changes_during_walk),
		cmocka_unit_test(test_not_present),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_smep_smap),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_large_pages),
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_second_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
