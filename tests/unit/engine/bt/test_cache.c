/* SPDX-License-Identifier: BSD-2-Clause */
/* The code cache: its two mappings, regions and their eviction; ids of pages;
 * code that changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "machine.h"

static struct bt_block *find(struct machine *m, uint32_t rip)
{
	return bt_block_find(m->bt, rip >> PAGE_SHIFT, rip,
			     bt_flavour_pack(&m->vcpu->flavour));
}

/* Nothing in this process may be written and executed at one address. */
static void test_never_writable_and_executable(void **state)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned written = 0, executed = 0;
	struct machine m;
	char line[512], rights[8];

	machine_init(&m);
	assert_non_null(maps);
	maps = freopen("/proc/self/maps", "r", maps);
	while (fgets(line, sizeof(line), maps)) {
		assert_int_equal(sscanf(line, "%*s %7s", rights), 1);
		assert_false(rights[1] == 'w' && rights[2] == 'x');
		if (!strstr(line, "code-cache"))
			continue;
		written += rights[1] == 'w';
		executed += rights[2] == 'x';
	}
	fclose(maps);
	assert_int_equal(executed, 1);
	assert_in_range(written, 1, 3); /* blocks and buckets, too */
	m.ram[0x20000] = 0xc3;
	assert_non_null(machine_translate(&m, 0x20000));
	assert_memory_equal(m.bt->writable, m.bt->executable,
			    m.bt->region[0].used);
	machine_fini(&m);
}

/* A block's code and its cold parts lie in the current region. */
static void block_is_inside(const struct machine *m,
			    const struct bt_block *block)
{
	const uint32_t size = BT_CACHE_SIZE / BT_REGIONS;
	uint32_t start = m->bt->current * size;

	assert_in_range(block->code, start, start + size - 1);
	assert_in_range(block->end, block->code, start + size);
	assert_in_range(block->bytes, start, start + size);
	assert_true(m->bt->region[m->bt->current].cold <= start + size);
	assert_ptr_equal(bt_block_at(m->bt, block->end), block);
	assert_ptr_equal(bt_block_at(m->bt, block->code + 1), block);
}

/* When all eight regions are full, the first's blocks go, and no others. */
static void test_eviction(void **state)
{
	uint32_t first = 0x100000, rip = first, second = 0, wrapped = 0;
	struct machine m;

	machine_init(&m);
	memset(m.ram + first, 0xc3, RAM_SIZE - first); /* RET */
	for (; !wrapped; rip++) {
		struct bt_block *block;
		unsigned before = m.bt->current;

		assert_true(rip < RAM_SIZE);
		block = machine_translate(&m, rip);
		assert_non_null(block);
		if (rip % 4096 == 7)
			block_is_inside(&m, block);
		if (!second && m.bt->current == 1)
			second = rip;
		if (before == BT_REGIONS - 1 && m.bt->current == 0)
			wrapped = rip;
	}
	assert_true(second > first);
	assert_null(find(&m, first));
	assert_null(find(&m, second - 1));
	assert_non_null(find(&m, second));
	assert_non_null(find(&m, wrapped));
	assert_int_equal(m.bt->region[0].blocks, 1);
	assert_int_equal(m.vm.vcpus[0]->events[BT_EVICTIONS], 1);
	/* Pages that have no block any more may be written again. */
	assert_false(m.bt->has_code[first >> PAGE_SHIFT]);
	assert_true(m.bt->has_code[second >> PAGE_SHIFT]);
	assert_non_null(machine_translate(&m, first));
	assert_non_null(find(&m, first));
	machine_fini(&m);
}

static uint32_t id_of(const struct machine *m, const struct bt_block *block)
{
	return load_u32(m->bt->writable + block->code + BT_CHECK_ID);
}

static void test_ids(void **state)
{
	const struct bt_block *a, *b, *c;
	struct bt_flavour other;
	unsigned codes, slot;
	struct machine m;
	uint32_t id;

	machine_init(&m);
	memset(m.ram + 0x20000, 0xc3, 2 * PAGE_SIZE);
	a = machine_translate(&m, 0x20000);
	b = machine_translate(&m, 0x20800);
	c = machine_translate(&m, 0x21000);
	id = id_of(&m, a);
	assert_int_equal(id, id_of(&m, b)); /* of one page */
	assert_int_not_equal(id, id_of(&m, c));
	other = m.vcpu->flavour;
	other.has_x87 = !other.has_x87;
	assert_int_not_equal(id, bt_block_id(m.vcpu, 0x20, 0x20000,
					     bt_flavour_pack(&other)));
	assert_int_not_equal(id,
			     bt_block_id(m.vcpu, 0x20, 0x7000,
					 bt_flavour_pack(&m.vcpu->flavour)));

	codes = bt_codes(&m.vcpu->flavour);
	slot = bt_exec_slot(0x20000);
	assert_int_equal(m.vcpu->exec[codes][slot], 0);
	bt_exec_enter(m.vcpu, 0x20000, a->code);
	assert_int_equal(m.vcpu->exec[codes][slot], id);
	bt_exec_forget(m.vcpu);
	assert_int_equal(m.vcpu->exec[codes][slot], 0);
	/* An INVLPG of the page, and one of another. */
	bt_exec_notice(m.vcpu);
	bt_exec_enter(m.vcpu, 0x20000, a->code);
	tlb_flush_page(&m.vcpu->cpu, 0x21000);
	bt_exec_notice(m.vcpu);
	assert_int_equal(m.vcpu->exec[codes][slot], id);
	tlb_flush_page(&m.vcpu->cpu, 0x20000);
	bt_exec_notice(m.vcpu);
	assert_int_equal(m.vcpu->exec[codes][slot], 0);
	machine_fini(&m);
}

/* Only what was made from other bytes goes; it leaves an id that nobody has. */
static void test_written_page(void **state)
{
	const struct bt_block *a, *b;
	struct machine m;
	uint32_t code, slot = bt_exec_slot(0x20000);

	machine_init(&m);
	memset(m.ram + 0x20000, 0xc3, PAGE_SIZE);
	a = machine_translate(&m, 0x20000);
	b = machine_translate(&m, 0x20800);
	code = a->code;
	assert_int_equal(bt_page_written(m.bt, 0x20), 0);
	m.ram[0x20000] = 0x90;
	assert_int_equal(bt_page_written(m.bt, 0x20), 1);
	assert_null(find(&m, 0x20000));
	assert_ptr_equal(find(&m, 0x20800), b);
	assert_int_equal(load_u32(m.bt->writable + code + BT_CHECK_ID),
			 BT_NO_ID);
	bt_exec_enter(m.vcpu, 0x20000, code); /* too late */
	assert_int_equal(m.vcpu->exec[bt_codes(&m.vcpu->flavour)][slot], 0);
	bt_page_drop(m.bt, 0x20000);
	assert_null(find(&m, 0x20800));
	assert_false(m.bt->has_code[0x20]);
	machine_fini(&m);
}

/*
 * Pages A and B share an index of the TLB, so that B's entry leaves A's as its
 * victim. When A then gets code, the right to write it must be gone there, too:
 * the store to it is seen.
 */
static void test_victim_may_not_be_written(void **state)
{
	static const uint8_t program[] = {
		0xc6, 0x05, 0x10, 0x00, 0x40, 0x00, 1, /* movb $1, A + 10h */
		0xc6, 0x05, 0x10, 0x00, 0x40, 0x01, 1, /* movb $1, B + 10h */
		0xe8, 0xed, 0xff, 0x3e, 0x00, /* call A */
		0xc6, 0x05, 0x01, 0x00, 0x40, 0x00, 2, /* movb $2, A + 1 */
		0xe8, 0xe1, 0xff, 0x3e, 0x00, /* call A */
		0xf4,
	};
	static const uint8_t function[] = { 0xb8, 1, 0, 0, 0, 0xc3 };
	struct machine m;

	machine_init(&m);
	assert_int_equal(tlb_index(0x400000), tlb_index(0x1400000));
	memcpy(m.ram + 0x10000, program, sizeof(program));
	memcpy(m.ram + 0x400000, function, sizeof(function));
	for (unsigned i = 0; i < 20; i++) {
		m.ram[0x400001] = 1;
		bt_page_drop(m.bt, 0x400000);
		assert_int_equal(machine_run(&m, 0x10000), 2);
	}
	assert_int_equal(m.ram[0x1400010], 1);
	machine_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_writable_and_executable),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_written_page),
		cmocka_unit_test(test_victim_may_not_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
