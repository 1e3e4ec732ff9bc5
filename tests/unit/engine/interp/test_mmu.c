/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory: faults, operands on two pages, MMIO, the TLB's invalidation. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "engine/interp/mmu.h"

#define RIGHTS (WORLD_P | WORLD_RW | WORLD_US)

static int setup(void **state)
{
	static struct world world;

	world_init(&world, NULL);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	world_fini(*state);
	return 0;
}

/* Runs `call`, gives whether it faulted; the event is in cpu->pending. */
#define FAULTS(world, call) \
	(setjmp((world)->cpu->fault) ? true : ((call), false))

static void expect_page_fault(struct world *world, gva_t cr2, uint32_t error)
{
	assert_int_equal(world_run(world), INTERP_WAIT);
	assert_int_equal(world_vector(world), VECTOR_PF);
	assert_int_equal(world->cpu->s.cr2, cr2);
	assert_int_equal(world_stack(world, 0), error);
	assert_int_equal(world_stack(world, 1), WORLD_CODE);
}

/* mov [rdi], rax; mov rax, [rdi] */
static const uint8_t store_rax[] = { 0x48, 0x89, 0x07 };
static const uint8_t load_rax[] = { 0x48, 0x8b, 0x07 };

static void run_access(struct world *world, const uint8_t code[3], unsigned cpl,
		       gva_t gva)
{
	world_long_mode(world, cpl);
	world_code(world, code, 3);
	world->cpu->s.gpr[RDI] = gva;
	world->cpu->s.gpr[RAX] = 0x1122334455667788;
}

static void test_error_codes(void **state)
{
	struct world *w = *state;

	run_access(w, load_rax, 0, WORLD_DATA);
	world_map(w, WORLD_DATA, 0, 0);
	expect_page_fault(w, WORLD_DATA, 0);
	run_access(w, store_rax, 3, WORLD_DATA + 8);
	world_map(w, WORLD_DATA, 0, 0);
	expect_page_fault(w, WORLD_DATA + 8, PF_WRITE | PF_USER);
	run_access(w, load_rax, 3, WORLD_DATA);
	world_map(w, WORLD_DATA, WORLD_DATA, WORLD_P | WORLD_RW);
	expect_page_fault(w, WORLD_DATA, PF_PRESENT | PF_USER);
	run_access(w, store_rax, 0, WORLD_DATA);
	world_map(w, WORLD_DATA, WORLD_DATA, WORLD_P);
	expect_page_fault(w, WORLD_DATA, PF_PRESENT | PF_WRITE);
	run_access(w, load_rax, 0, WORLD_DATA);
	world_map(w, WORLD_DATA, WORLD_DATA, RIGHTS | BIT(50));
	expect_page_fault(w, WORLD_DATA, PF_PRESENT | PF_RESERVED);
	run_access(w, load_rax, 3, WORLD_DATA);
	world_map(w, WORLD_CODE, WORLD_CODE, RIGHTS | WORLD_XD);
	expect_page_fault(w, WORLD_CODE, PF_PRESENT | PF_USER | PF_FETCH);
}

static void test_smep_and_smap(void **state)
{
	struct world *w = *state;

	run_access(w, load_rax, 0, WORLD_DATA);
	w->cpu->s.cr4 |= CR4_SMEP;
	/* Handlers and tables are user pages as well: only code is moved. */
	for (gva_t page = 0; page < 0x30000; page += 0x1000)
		if (page != WORLD_CODE)
			world_map(w, page, page, WORLD_P | WORLD_RW);
	expect_page_fault(w, WORLD_CODE, PF_PRESENT | PF_FETCH);

	run_access(w, load_rax, 0, WORLD_DATA);
	for (gva_t page = 0; page < 0x30000; page += 0x1000)
		world_map(w, page, page, WORLD_P | WORLD_RW);
	w->cpu->s.cr4 |= CR4_SMAP;
	interp_mode_changed(w->cpu);
	expect_page_fault(w, WORLD_DATA, PF_PRESENT);

	/* STAC lifts it, CLAC brings it back. */
	world_long_mode(w, 0);
	for (gva_t page = 0; page < 0x30000; page += 0x1000)
		world_map(w, page, page, WORLD_P | WORLD_RW);
	interp_mode_changed(w->cpu);
	w->cpu->s.gpr[RDI] = WORLD_DATA;
	w->cpu->s.cr4 |= CR4_SMAP;
	interp_mode_changed(w->cpu);
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0xcb, 0x48, 0x8b, 0x07, 0x0f, 0x01,
			 0xca, 0x48, 0x8b, 0x07);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_PF);
	assert_int_equal(world_stack(w, 1), WORLD_CODE + 9);
}

static void test_crossing_write_is_all_or_nothing(void **state)
{
	struct world *w = *state;
	gva_t gva = WORLD_DATA + 0xffc;

	run_access(w, store_rax, 3, gva);
	memset(w->ram + WORLD_DATA, 0xee, 0x2000);
	world_map(w, WORLD_DATA + 0x1000, WORLD_DATA + 0x1000,
		  WORLD_P | WORLD_US);
	expect_page_fault(w, WORLD_DATA + 0x1000,
			  PF_PRESENT | PF_WRITE | PF_USER);
	for (unsigned i = 0; i < 0x2000; i++)
		assert_int_equal(w->ram[WORLD_DATA + i], 0xee);

	run_access(w, store_rax, 3, gva);
	world_map(w, WORLD_DATA, WORLD_DATA, WORLD_P | WORLD_US);
	expect_page_fault(w, gva, PF_PRESENT | PF_WRITE | PF_USER);
	assert_int_equal(w->ram[WORLD_DATA + 0x1000], 0xee);

	/* Pages that are neighbours only in linear space. */
	run_access(w, store_rax, 3, gva);
	world_map(w, WORLD_DATA + 0x1000, WORLD_DATA + 0x5000, RIGHTS);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(load_u32(w->ram + gva), 0x55667788);
	assert_int_equal(load_u32(w->ram + WORLD_DATA + 0x5000), 0x11223344);
	run_access(w, load_rax, 0, gva);
	world_map(w, WORLD_DATA + 0x1000, WORLD_DATA + 0x5000, RIGHTS);
	w->cpu->s.gpr[RAX] = 0;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(w->cpu->s.gpr[RAX], 0x1122334455667788);
}

static void expect_mmio(const struct world *w, unsigned index, gpa_t gpa,
			unsigned size, bool is_write, uint64_t value)
{
	const struct exit *exit = &w->exits[index];

	assert_int_equal(exit->reason, EXIT_MMIO);
	assert_int_equal(exit->mmio.gpa, gpa);
	assert_int_equal(exit->mmio.access.size, size);
	assert_int_equal(exit->mmio.access.is_write, is_write);
	if (is_write)
		assert_int_equal(exit->mmio.access.value, value);
}

static void test_mmio(void **state)
{
	struct world *w = *state;

	run_access(w, store_rax, 0, WORLD_MMIO + 8);
	assert_int_equal(world_run(w), INTERP_WAIT);
	expect_mmio(w, 0, WORLD_MMIO + 8, 8, true, 0x1122334455667788);
	assert_int_equal(w->exits[1].reason, EXIT_HLT);

	w->exit_count = 0;
	w->mmio_value = 0xfedcba9876543210;
	run_access(w, load_rax, 0, WORLD_MMIO);
	assert_int_equal(world_run(w), INTERP_WAIT);
	expect_mmio(w, 0, WORLD_MMIO, 8, false, 0);
	assert_int_equal(w->cpu->s.gpr[RAX], 0xfedcba9876543210);

	/* Over a page's end: 3 bytes as 2 and 1, then 5 as 4 and 1. */
	w->exit_count = 0;
	run_access(w, store_rax, 0, WORLD_MMIO + 0xffd);
	assert_int_equal(world_run(w), INTERP_WAIT);
	expect_mmio(w, 0, WORLD_MMIO + 0xffd, 2, true, 0x7788);
	expect_mmio(w, 1, WORLD_MMIO + 0xfff, 1, true, 0x66);
	expect_mmio(w, 2, WORLD_MMIO + 0x1000, 4, true, 0x22334455);
	expect_mmio(w, 3, WORLD_MMIO + 0x1004, 1, true, 0x11);

	/* RAM on one page, MMIO on the next. */
	w->exit_count = 0;
	run_access(w, store_rax, 0, WORLD_DATA + 0xffc);
	world_map(w, WORLD_DATA + 0x1000, WORLD_MMIO, RIGHTS);
	assert_int_equal(world_run(w), INTERP_WAIT);
	expect_mmio(w, 0, WORLD_MMIO, 4, true, 0x11223344);
	assert_int_equal(load_u32(w->ram + WORLD_DATA + 0xffc), 0x55667788);
}

static void test_rom(void **state)
{
	struct world *w = *state;

	run_access(w, store_rax, 0, WORLD_ROM);
	w->ram[WORLD_ROM] = 0x5a;
	assert_int_equal(world_run(w), INTERP_WAIT);
	expect_mmio(w, 0, WORLD_ROM, 8, true, 0x1122334455667788);
	assert_int_equal(w->ram[WORLD_ROM], 0x5a);
	assert_int_equal(mem_read(w->cpu, SEG_DS, WORLD_ROM, 1), 0x5a);
	assert_int_equal(w->exit_count, 2);
}

static void test_dirty(void **state)
{
	struct world *w = *state;
	struct interp *cpu = w->cpu;

	world_long_mode(w, 0);
	mem_read(cpu, SEG_DS, WORLD_DATA, 8);
	assert_false(world_pte(w, WORLD_DATA) & WORLD_D);
	assert_true(world_pte(w, WORLD_DATA) & WORLD_A);
	w->dirty_last = 0;
	mem_write(cpu, SEG_DS, WORLD_DATA, 1, 8);
	assert_true(world_pte(w, WORLD_DATA) & WORLD_D);
	assert_int_equal(w->dirty_last, WORLD_DATA);
	w->dirty_count = 0;
	mem_write(cpu, SEG_DS, WORLD_DATA + 8, 1, 8);
	assert_int_equal(w->dirty_count, 0);
	tlb_flush(cpu);
	mem_write(cpu, SEG_DS, WORLD_DATA + 8, 1, 8);
	assert_int_equal(w->dirty_count, 1);
}

static uint64_t peek(struct world *w, gva_t gva)
{
	return mem_read(w->cpu, SEG_DS, gva, 8);
}

static void set_pte(struct world *w, gva_t gva, uint64_t pte)
{
	store_u64(w->ram + WORLD_PT + gva / 4096 * 8, pte);
}

static void test_invalidation(void **state)
{
	struct world *w = *state;
	gva_t gva = 0x50000;

	world_long_mode(w, 0);
	store_u64(w->ram + 0x50000, 50);
	store_u64(w->ram + 0x60000, 60);
	assert_int_equal(peek(w, gva), 50);
	assert_int_equal(peek(w, WORLD_HIGH + gva), 50);
	set_pte(w, gva, 0x60000 | RIGHTS);
	tlb_flush_page(w->cpu, gva);
	assert_int_equal(peek(w, gva), 60);
	tlb_flush_page(w->cpu, WORLD_HIGH + gva);
	assert_int_equal(peek(w, WORLD_HIGH + gva), 60);
	set_pte(w, gva, 0x50000 | RIGHTS);
	tlb_flush(w->cpu);
	assert_int_equal(peek(w, gva), 50);
	assert_int_equal(peek(w, WORLD_HIGH + gva), 50);
}

/* Both are kept, as the tables that changed show; and both can be dropped. */
static void test_two_pages_with_one_index(void **state)
{
	struct world *w = *state;
	gva_t gva = 0x50000;

	world_long_mode(w, 0);
	store_u64(w->ram + 0x50000, 50);
	store_u64(w->ram + 0x60000, 60);
	assert_int_equal(tlb_index(gva), tlb_index(WORLD_HIGH + gva));
	peek(w, gva);
	peek(w, WORLD_HIGH + gva);
	set_pte(w, gva, 0x60000 | RIGHTS);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(peek(w, gva), 50);
		assert_int_equal(peek(w, WORLD_HIGH + gva), 50);
	}
	tlb_flush_page(w->cpu, gva);
	assert_int_equal(peek(w, gva), 60);
	tlb_flush_page(w->cpu, WORLD_HIGH + gva);
	assert_int_equal(peek(w, WORLD_HIGH + gva), 60);
	set_pte(w, gva, 0x50000 | RIGHTS);
	tlb_flush(w->cpu);
	assert_int_equal(peek(w, gva), 50);
	assert_int_equal(peek(w, WORLD_HIGH + gva), 50);
}

/* More flushes than there are generations. */
static void test_generations_wrap(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	for (unsigned i = 0; i < 10000; i++) {
		gpa_t frame = i & 1 ? 0x50000 : 0x60000;

		store_u64(w->ram + frame, i);
		set_pte(w, 0x50000, frame | RIGHTS);
		tlb_flush(w->cpu);
		assert_int_equal(peek(w, 0x50000), i);
		assert_int_equal(peek(w, WORLD_HIGH + 0x50000), i);
	}
}

static void test_large_page_is_dropped_whole(void **state)
{
	struct world *w = *state;
	uint8_t *pd = w->ram + 0x3000;

	world_long_mode(w, 0);
	/* 2 MiB at 200000h onto RAM at 0. */
	store_u64(pd + 8, 0 | RIGHTS | BIT(7));
	store_u64(w->ram + 0x50000, 50);
	store_u64(w->ram + 0x60000, 60);
	assert_int_equal(peek(w, 0x250000), 50);
	assert_int_equal(peek(w, 0x260000), 60);
	store_u64(pd + 8, WORLD_PT | RIGHTS);
	set_pte(w, 0x60000, 0x50000 | RIGHTS);
	/* Any address of the page. */
	tlb_flush_page(w->cpu, 0x200000);
	assert_int_equal(peek(w, 0x260000), 50);
}

static void test_large_page_is_dropped_alone(void **state)
{
	struct world *w = *state;
	uint8_t *pd = w->ram + 0x3000;

	world_long_mode(w, 0);
	store_u64(pd + 8, 0 | RIGHTS | BIT(7));
	store_u64(w->ram + 0x50000, 50);
	store_u64(w->ram + 0x60000, 60);
	assert_int_equal(peek(w, 0x250000), 50);
	assert_int_equal(peek(w, WORLD_HIGH + 0x50000), 50);
	set_pte(w, 0x50000, 0x60000 | RIGHTS);
	/* The other half keeps what the tables say no more. */
	tlb_flush_page(w->cpu, 0x200000);
	assert_int_equal(peek(w, WORLD_HIGH + 0x50000), 50);
	tlb_flush_page(w->cpu, WORLD_HIGH + 0x50000);
	assert_int_equal(peek(w, WORLD_HIGH + 0x50000), 60);
}

static void load_cr3(struct world *w, uint64_t cr3, bool keep)
{
	w->cpu->s.cr3 = cr3;
	tlb_load_cr3(w->cpu, keep);
}

/* With two pages that tell which they are. */
static void init_pcids(struct world *w)
{
	world_long_mode(w, 0);
	w->cpu->s.cr4 |= CR4_PCIDE;
	tlb_flush(w->cpu);
	store_u64(w->ram + 0x50000, 50);
	store_u64(w->ram + 0x60000, 60);
}

static void test_pcid(void **state)
{
	struct world *w = *state;
	gva_t gva = 0x50000;

	init_pcids(w);
	load_cr3(w, WORLD_PML4 | 1, false);
	assert_int_equal(peek(w, gva), 50);
	set_pte(w, gva, 0x60000 | RIGHTS);
	load_cr3(w, WORLD_PML4 | 2, false);
	assert_int_equal(peek(w, gva), 60);
	/* PCID 1 still holds what it held, until it is loaded without bit 63 */
	load_cr3(w, WORLD_PML4 | 1, true);
	assert_int_equal(peek(w, gva), 50);
	load_cr3(w, WORLD_PML4 | 2, true);
	assert_int_equal(peek(w, gva), 60);
	load_cr3(w, WORLD_PML4 | 1, false);
	assert_int_equal(peek(w, gva), 60);

	/* INVPCID of another PCID. */
	load_cr3(w, WORLD_PML4 | 2, false);
	set_pte(w, gva, 0x50000 | RIGHTS);
	tlb_flush_pcid(w->cpu, 1);
	load_cr3(w, WORLD_PML4 | 1, true);
	assert_int_equal(peek(w, gva), 50);
	/* INVLPG is of the current PCID. */
	set_pte(w, gva, 0x60000 | RIGHTS);
	load_cr3(w, WORLD_PML4 | 2, false);
	tlb_flush_page(w->cpu, gva);
	assert_int_equal(peek(w, gva), 60);
	load_cr3(w, WORLD_PML4 | 1, true);
	assert_int_equal(peek(w, gva), 50);
	/* All but global ones. */
	load_cr3(w, WORLD_PML4 | 2, true);
	tlb_flush_local(w->cpu);
	load_cr3(w, WORLD_PML4 | 1, true);
	assert_int_equal(peek(w, gva), 60);
}

/* In the lower half, too: INVLPG takes one from every PCID (SDM 3, 4.10.4.1). */
static void test_pcid_and_global_page(void **state)
{
	struct world *w = *state;
	gva_t gva = 0x50000;

	init_pcids(w);
	set_pte(w, gva, 0x50000 | RIGHTS | WORLD_G);
	load_cr3(w, WORLD_PML4 | 1, false);
	assert_int_equal(peek(w, gva), 50);
	load_cr3(w, WORLD_PML4 | 2, false);
	assert_int_equal(peek(w, gva), 50);
	set_pte(w, gva, 0x60000 | RIGHTS | WORLD_G);
	tlb_flush_page(w->cpu, gva);
	load_cr3(w, WORLD_PML4 | 1, true);
	assert_int_equal(peek(w, gva), 60);
}

/* More than the lists of what was filled, and than a bank, hold. */
static void test_many_pages(void **state)
{
	struct world *w = *state;
	struct tlb *tlb;
	uint8_t *page;

	init_pcids(w);
	tlb = &w->cpu->tlb;
	page = w->ram + 0x50000;
	load_cr3(w, WORLD_PML4 | 1, false);
	for (unsigned i = 0; i < 3 * TLB_FILLS; i++)
		tlb_enter(w->cpu, MMU_SUPERVISOR, i % 2 ? MMU_READ : MMU_WRITE,
			  (gva_t)i << PAGE_SHIFT, page);
	load_cr3(w, WORLD_PML4 | 2, false);
	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		gva_t gva = (gva_t)(2 * TLB_FILLS + i) << PAGE_SHIFT;

		assert_null(tlb_find(w->cpu, MMU_SUPERVISOR, MMU_READ, gva, 1));
		assert_null(
			tlb_find(w->cpu, MMU_SUPERVISOR, MMU_WRITE, gva, 1));
	}
	assert_int_equal(tlb->fills[0].count, 0);
	load_cr3(w, WORLD_PML4 | 1, true);
	assert_in_range(tlb->fills[0].count, 1, TLB_SAVED);
	/* What came back is no longer to be written. */
	tlb_forget_host(w->cpu, page);
	load_cr3(w, WORLD_PML4 | 2, true);
	tlb_forget_host(w->cpu, page);
	load_cr3(w, WORLD_PML4 | 1, true);
	for (unsigned i = 0; i < 3 * TLB_FILLS; i++)
		assert_null(tlb_find(w->cpu, MMU_SUPERVISOR, MMU_WRITE,
				     (gva_t)i << PAGE_SHIFT, 1));
}

static void test_global_pages(void **state)
{
	struct world *w = *state;
	gva_t gva = WORLD_HIGH + 0x50000;

	world_long_mode(w, 0);
	store_u64(w->ram + 0x50000, 50);
	store_u64(w->ram + 0x60000, 60);
	set_pte(w, 0x50000, 0x50000 | RIGHTS | WORLD_G);
	assert_int_equal(peek(w, gva), 50);
	set_pte(w, 0x50000, 0x60000 | RIGHTS);
	load_cr3(w, WORLD_PML4, false);
	assert_int_equal(peek(w, gva), 50); /* global: survives */
	tlb_flush_page(w->cpu, gva);
	assert_int_equal(peek(w, gva), 60);
	/* Now it is not global. */
	set_pte(w, 0x50000, 0x50000 | RIGHTS);
	load_cr3(w, WORLD_PML4, false);
	assert_int_equal(peek(w, gva), 50);
}

static void test_rmw(void **state)
{
	struct world *w = *state;
	struct interp *cpu = w->cpu;
	struct mem_rmw rmw;

	world_long_mode(w, 0);
	mem_rmw_begin(cpu, &rmw, SEG_DS, WORLD_DATA, 8, true);
	assert_false(rmw.is_bounced);
	assert_ptr_equal(rmw.host, w->ram + WORLD_DATA);
	mem_rmw_end(cpu, &rmw);

	store_u64(w->ram + WORLD_DATA + 0xffd, 0x0807060504030201);
	mem_rmw_begin(cpu, &rmw, SEG_DS, WORLD_DATA + 0xffd, 8, true);
	assert_true(rmw.is_bounced);
	assert_int_equal(load_u64(rmw.host), 0x0807060504030201);
	store_u64(rmw.host, 0x1817161514131211);
	mem_rmw_end(cpu, &rmw);
	assert_int_equal(load_u64(w->ram + WORLD_DATA + 0xffd),
			 0x1817161514131211);

	/* The split lock is free again, also after a fault. */
	world_map(w, WORLD_DATA + 0x1000, 0, 0);
	assert_true(FAULTS(w, mem_rmw_begin(cpu, &rmw, SEG_DS,
					    WORLD_DATA + 0xffd, 8, true)));
	assert_int_equal(cpu->pending.payload, WORLD_DATA + 0x1000);
	assert_int_equal(cpu->pending.error_code, PF_WRITE);
	w->mmio_value = 7;
	mem_rmw_begin(cpu, &rmw, SEG_DS, WORLD_MMIO, 4, true);
	assert_int_equal(load_u32(rmw.host), 7);
	store_u32(rmw.host, 9);
	mem_rmw_end(cpu, &rmw);
	assert_int_equal(w->exit_count, 2);
	expect_mmio(w, 1, WORLD_MMIO, 4, true, 9);
}

static void test_span(void **state)
{
	struct world *w = *state;
	unsigned size = 100;

	world_long_mode(w, 0);
	assert_ptr_equal(mem_span(w->cpu, SEG_DS, WORLD_DATA + 0xff0, &size,
				  MMU_READ),
			 w->ram + WORLD_DATA + 0xff0);
	assert_int_equal(size, 16);
	assert_null(mem_span(w->cpu, SEG_DS, WORLD_MMIO, &size, MMU_READ));
	world_map(w, WORLD_DATA, WORLD_DATA, WORLD_P);
	assert_null(mem_span(w->cpu, SEG_DS, WORLD_DATA, &size, MMU_WRITE));
	assert_null(mem_span(w->cpu, SEG_DS, 1ull << 47, &size, MMU_READ));
}

static void test_canonical(void **state)
{
	struct world *w = *state;

	run_access(w, load_rax, 3, 1ull << 47);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 0), 0);
	run_access(w, load_rax, 3, (1ull << 47) - 4);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_GP);
	world_long_mode(w, 3);
	w->cpu->s.gpr[RSP] = 1ull << 47;
	WORLD_CODE_BYTES(w, 0x58); /* pop rax */
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_SS);
}

static void test_alignment_check(void **state)
{
	struct world *w = *state;

	for (unsigned ac = 0; ac < 2; ac++) {
		run_access(w, load_rax, 3, WORLD_DATA + 4);
		w->cpu->s.cr0 |= CR0_AM;
		w->cpu->s.rflags |= ac ? RFLAGS_AC : 0;
		interp_mode_changed(w->cpu);
		assert_int_equal(world_run(w), INTERP_WAIT);
		/* At CPL 3 HLT ends it with #GP. */
		assert_int_equal(world_vector(w), ac ? VECTOR_AC : VECTOR_GP);
		assert_int_equal(world_stack(w, 0), 0);
	}
}

static void test_segment_limits(void **state)
{
	struct world *w = *state;
	struct interp *cpu = w->cpu;

	world_protected_mode(w, 0);
	segment_load(cpu, SEG_DS, WORLD_SMALL);
	mem_write(cpu, SEG_DS, 0xffc, 1, 4);
	assert_true(FAULTS(w, mem_write(cpu, SEG_DS, 0xffd, 1, 4)));
	assert_int_equal(cpu->pending.vector, VECTOR_GP);
	assert_true(FAULTS(w, mem_read(cpu, SEG_DS, 0xffffffff, 4)));
	segment_load(cpu, SEG_DS, WORLD_READ_ONLY);
	mem_read(cpu, SEG_DS, 0x30000, 4);
	assert_true(FAULTS(w, mem_write(cpu, SEG_DS, 0x30000, 1, 4)));
	segment_load(cpu, SEG_DS, 0);
	assert_true(FAULTS(w, mem_read(cpu, SEG_DS, 0, 1)));
	assert_int_equal(cpu->pending.vector, VECTOR_GP);
	/* Code may be read, not written. */
	mem_read(cpu, SEG_CS, 0, 1);
	assert_true(FAULTS(w, mem_write(cpu, SEG_CS, 0, 1, 1)));
	/* Expand-down: what is above the limit. */
	cpu->s.segment[SEG_ES].attributes |= SEGMENT_EXPAND_DOWN;
	cpu->s.segment[SEG_ES].limit = 0xfff;
	assert_true(FAULTS(w, mem_read(cpu, SEG_ES, 0xfff, 1)));
	mem_read(cpu, SEG_ES, 0x1000, 1);
	segment_load(cpu, SEG_SS, WORLD_SMALL);
	assert_true(FAULTS(w, mem_read(cpu, SEG_SS, 0x1000, 1)));
	assert_int_equal(cpu->pending.vector, VECTOR_SS);
}

static void test_store_to_own_page_ends_block(void **state)
{
	struct world *w = *state;
	struct interp *cpu = w->cpu;

	world_long_mode(w, 0);
	cpu->code_page = w->ram + WORLD_CODE;
	cpu->end_block = false;
	mem_write(cpu, SEG_DS, WORLD_DATA, 1, 8);
	assert_false(cpu->end_block);
	mem_write(cpu, SEG_DS, WORLD_CODE + 0xff8, 1, 8);
	assert_true(cpu->end_block);
	/* Through another linear address, and by parts. */
	cpu->end_block = false;
	mem_write(cpu, SEG_DS, WORLD_HIGH + WORLD_CODE - 4, 1, 8);
	assert_true(cpu->end_block);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_error_codes),
		TEST(test_smep_and_smap),
		TEST(test_crossing_write_is_all_or_nothing),
		TEST(test_mmio),
		TEST(test_rom),
		TEST(test_dirty),
		TEST(test_invalidation),
		TEST(test_two_pages_with_one_index),
		TEST(test_generations_wrap),
		TEST(test_large_page_is_dropped_whole),
		TEST(test_large_page_is_dropped_alone),
		TEST(test_pcid),
		TEST(test_pcid_and_global_page),
		TEST(test_many_pages),
		TEST(test_global_pages),
		TEST(test_rmw),
		TEST(test_span),
		TEST(test_canonical),
		TEST(test_alignment_check),
		TEST(test_segment_limits),
		TEST(test_store_to_own_page_ends_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
