/* SPDX-License-Identifier: BSD-2-Clause */
/* Translations that move are those that would be made at the new address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bt/bt.h"
#include "engine/bt/engine.h"
#include "guest.h"

/* This program's own code, for the guest to have. */
extern const uint8_t __executable_start[], etext[];

#define AT	  0x7f1234567000ull
#define ELSEWHERE 0x7e98fffff000ull

static struct bt_vcpu *begin(struct guest *guest)
{
	struct bt_vcpu *vcpu;

	assert_int_equal(guest_init(guest, &bt_engine, NULL), 0);
	vcpu = (struct bt_vcpu *)guest->cpu;
	vcpu->flavour = (struct bt_flavour){
		.view = MMU_USER,
		.has_x87 = true,
		.has_sse = true,
		.has_avx = true,
	};
	pthread_mutex_lock(&vcpu->bt->lock);
	return vcpu;
}

static void end(struct guest *guest)
{
	pthread_mutex_unlock(&((struct bt_vcpu *)guest->cpu)->bt->lock);
	guest_fini(guest);
}

static struct bt_block *translate(struct guest *guest, unsigned page,
				  uint64_t rip)
{
	struct bt_vcpu *vcpu = (struct bt_vcpu *)guest->cpu;
	struct bt_ahead ahead;

	vcpu->cpu.s.rip = rip;
	return bt_translate(vcpu, rip,
			    guest_page(guest, page) + (rip & ~PAGE_MASK),
			    &ahead);
}

static uint32_t number_of(struct guest *guest, unsigned page)
{
	return bt_page_of(((struct bt_vcpu *)guest->cpu)->bt,
			  guest_page(guest, page));
}

static bool move(struct guest *guest, unsigned page, uint64_t rip)
{
	struct bt_vcpu *vcpu = (struct bt_vcpu *)guest->cpu;

	vcpu->cpu.s.rip = rip;
	return bt_page_move(vcpu, number_of(guest, page));
}

static struct bt_block *find(struct guest *guest, unsigned page, uint64_t rip)
{
	struct bt_vcpu *vcpu = (struct bt_vcpu *)guest->cpu;

	return bt_block_find(vcpu->bt, number_of(guest, page), rip,
			     bt_flavour_pack(&vcpu->flavour));
}

static void fill(struct guest *guest, unsigned page, const uint8_t *bytes,
		 size_t size)
{
	memset(guest_page(guest, page), 0xcc, PAGE_SIZE);
	memcpy(guest_page(guest, page), bytes, size);
}

/* --- the same code ----------------------------------------------------------- */

struct image {
	struct bt_block block;
	struct bt_region region;
	uint8_t *hot, *cold;
};

/* What is behind the list of places means nothing. */
static uint32_t end_of_cold(const struct bt_vm *bt,
			    const struct bt_block *block)
{
	uint32_t list = block->bytes;

	for (unsigned i = 0; i < BT_SPANS; i++)
		list += block->span[i].size;
	list = block->bytes + load_u16(bt->writable + list);
	return list + 2 + 2 * load_u16(bt->writable + list);
}

static void image_take(struct image *image, const struct bt_vm *bt,
		       const struct bt_block *block,
		       const struct bt_region *before,
		       const struct bt_region *after)
{
	image->block = *block;
	image->region = *after;
	image->region.cold = end_of_cold(bt, block);
	image->hot = malloc(after->used - before->used + 1);
	image->cold = malloc(after->cold - before->cold + 1);
	memcpy(image->hot, bt->writable + before->used,
	       after->used - before->used);
	memcpy(image->cold, bt->writable + before->cold,
	       after->cold - before->cold);
}

static void images_equal(const struct image *a, const struct image *b,
			 const struct bt_region *before)
{
	assert_int_equal(a->region.used, b->region.used);
	assert_int_equal(a->region.cold, b->region.cold);
	assert_memory_equal(a->hot, b->hot, a->region.used - before->used);
	assert_memory_equal(a->cold, b->cold, a->region.cold - before->cold);
	assert_int_equal(a->block.rip, b->block.rip);
	assert_int_equal(a->block.code, b->block.code);
	assert_int_equal(a->block.site, b->block.site);
	for (unsigned i = 0; i < BT_LINKS; i++) {
		assert_int_equal(a->block.link[i].at, b->block.link[i].at);
		assert_int_equal(a->block.link[i].rip, b->block.link[i].rip);
	}
	free(a->hot);
	free(a->cold);
	free(b->hot);
	free(b->cold);
}

static void clear(const struct bt_vm *bt, const struct bt_region *before,
		  const struct bt_region *after)
{
	memset(bt->writable + before->used, 0x90, after->used - before->used);
	memset(bt->writable + before->cold, 0x90, after->cold - before->cold);
}

/* Made at AT and moved; then made in the same place at ELSEWHERE, with the same
 * number and id. False: there is no block, or it may not move. */
static bool moved_is_made(struct guest *guest, unsigned offset)
{
	struct bt_vm *bt = ((struct bt_vcpu *)guest->cpu)->bt;
	struct bt_region *region = bt_region(bt), before = *region, after;
	struct bt_block *block;
	struct image moved, made;
	uint32_t id;

	clear(bt, &before,
	      &(struct bt_region){ .used = before.used + 4096,
				   .cold = before.cold + 8192 });
	block = translate(guest, PAGE_CODE, AT + offset);
	if (!block)
		return false;
	after = *region;
	if (!move(guest, PAGE_CODE, ELSEWHERE + offset)) {
		assert_null(find(guest, PAGE_CODE, AT + offset));
		return false;
	}
	assert_null(find(guest, PAGE_CODE, AT + offset));
	assert_ptr_equal(find(guest, PAGE_CODE, ELSEWHERE + offset), block);
	id = load_u32(bt->writable + block->code + BT_CHECK_ID);
	image_take(&moved, bt, block, &before, &after);
	bt_block_drop(bt, block);
	*region = before;
	clear(bt, &before, &after);
	bt->last_id = id - 1;
	assert_ptr_equal(translate(guest, PAGE_CODE, ELSEWHERE + offset),
			 block);
	image_take(&made, bt, block, &before, region);
	images_equal(&moved, &made, &before);
	bt_block_drop(bt, block);
	return true;
}

static void test_moved_is_made(void **state)
{
	size_t size = (size_t)(etext - __executable_start);
	struct guest guest;
	unsigned count = 0;

	begin(&guest);
	srandom(1);
	for (unsigned i = 0; i < 400; i++) {
		size_t from = (size_t)random() % (size - PAGE_SIZE);

		memcpy(guest_page(&guest, PAGE_CODE), __executable_start + from,
		       PAGE_SIZE);
		for (unsigned n = 0; n < 10; n++)
			count += moved_is_made(&guest,
					       (unsigned)random() % PAGE_SIZE);
	}
	assert_true(count > 2000);
	end(&guest);
}

/* Each kind of place by itself. */
static void test_places(void **state)
{
	static const struct {
		uint8_t bytes[16];
	} code[] = {
		{ { 0x48, 0x8b, 0x05, 1, 2, 3, 4 } }, /* mov rax, [rip + ..] */
		{ { 0x48, 0x8d, 0x3d, 1, 2, 3, 0xfe } }, /* lea rdi */
		{ { 0xff, 0x25, 1, 2, 3, 4 } }, /* jmp [rip + ..] */
		{ { 0xe8, 0xff, 0xff, 0xff, 0x7f } }, /* call */
		{ { 0xe8, 1, 0, 0, 0x80 } },
		{ { 0xff, 0xd0 } }, /* call rax */
		{ { 0xff, 0x15, 8, 0, 0, 0 } }, /* call [rip + ..] */
		{ { 0x0f, 0x05 } }, /* syscall */
		{ { 0xf3, 0xa4 } }, /* rep movsb */
		{ { 0x74, 0xfe } }, /* je to itself */
		{ { 0x0f, 0xa2 } }, /* cpuid */
		{ { 0x54, 0x53, 0x55, 0xc3 } }, /* push, ret */
		{ { 0x48, 0x89, 0x44, 0x24, 8, 0x64, 0x48, 0x8b, 4, 0x25,
		    40 } },
	};
	struct guest guest;

	begin(&guest);
	for (unsigned i = 0; i < ARRAY_SIZE(code); i++) {
		fill(&guest, PAGE_CODE, code[i].bytes, sizeof(code[i].bytes));
		assert_true(moved_is_made(&guest, 0));
	}
	end(&guest);
}

/* An address of 32 bits, and an instruction that continues on another page. */
static void test_what_stays(void **state)
{
	static const uint8_t short_address[] = { 0x67, 0x8b, 0x05, 1, 2, 3, 4 };
	struct guest guest;

	begin(&guest);
	fill(&guest, PAGE_CODE, short_address, sizeof(short_address));
	assert_false(moved_is_made(&guest, 0));
	assert_non_null(translate(&guest, PAGE_CODE, 0x400000));
	assert_false(move(&guest, PAGE_CODE, AT));
	assert_non_null(find(&guest, PAGE_CODE, 0x400000));
	end(&guest);
}

/* --- who may have them --------------------------------------------------------- */

/* jmp to 16; there jmp to the next page. */
static const uint8_t jumps[32] = { 0xeb, 14, [16] = 0xe9, 0xeb, 0x0f, 0, 0 };

static void set_root(struct guest *guest, uint64_t root)
{
	guest->cpu->s.cr3 = root;
	bt_space_note((struct bt_vcpu *)guest->cpu);
}

/* Three copies, each in paging structures of its own, are kept. */
static void test_copies(void **state)
{
	struct guest guest;
	uint64_t root;

	begin(&guest);
	root = guest.cpu->s.cr3;
	fill(&guest, PAGE_CODE, jumps, sizeof(jumps));
	for (unsigned i = 0; i < 3; i++) {
		set_root(&guest, root + (1 + i) * PAGE_SIZE);
		assert_false(move(&guest, PAGE_CODE, AT + (i << 20)));
		translate(&guest, PAGE_CODE, AT + (i << 20));
	}
	set_root(&guest, root + PAGE_SIZE);
	set_root(&guest, root + 4 * PAGE_SIZE);
	assert_true(move(&guest, PAGE_CODE, ELSEWHERE));
	/* The least recently used. */
	assert_non_null(find(&guest, PAGE_CODE, AT));
	assert_null(find(&guest, PAGE_CODE, AT + (1 << 20)));
	assert_non_null(find(&guest, PAGE_CODE, AT + (2 << 20)));
	assert_non_null(find(&guest, PAGE_CODE, ELSEWHERE));
	end(&guest);
}

/* What is still there for this address space has its own. */
static void test_alias(void **state)
{
	struct guest guest;

	begin(&guest);
	fill(&guest, PAGE_CODE, jumps, sizeof(jumps));
	translate(&guest, PAGE_CODE, AT);
	assert_true(move(&guest, PAGE_CODE, ELSEWHERE));
	assert_false(move(&guest, PAGE_CODE, ELSEWHERE));
	end(&guest);
}

/* --- what leads to them -------------------------------------------------------- */

static uint32_t leads_to(const struct bt_vm *bt, const struct bt_link *link)
{
	return link->at + 4 + load_u32(bt->writable + link->at);
}

static void chain(struct bt_vm *bt, struct bt_block *from, struct bt_block *to)
{
	bt_link_chain(bt, bt_block_number(bt, from) * BT_LINKS, to);
	assert_int_equal(from->link[0].to, bt_block_number(bt, to));
}

static void test_links(void **state)
{
	struct guest guest;
	struct bt_vcpu *vcpu = begin(&guest);
	struct bt_vm *bt = vcpu->bt;
	struct bt_block *first, *second, *beyond;
	uint32_t drops;

	fill(&guest, PAGE_CODE, jumps, sizeof(jumps));
	fill(&guest, PAGE_CODE + 1,
	     (const uint8_t[]){ 0xe9, 0xfb, 0xef, 0xff, 0xff }, 5);
	first = translate(&guest, PAGE_CODE, AT);
	second = translate(&guest, PAGE_CODE, AT + 16);
	beyond = translate(&guest, PAGE_CODE + 1, AT + PAGE_SIZE);
	chain(bt, first, second);
	chain(bt, second, beyond);
	chain(bt, beyond, first);
	bt_jump_enter(vcpu, AT, first->code);
	bt_exec_enter(vcpu, AT, first->code);
	drops = atomic_load(&bt->drops);
	assert_true(move(&guest, PAGE_CODE, ELSEWHERE));
	/* Both ends moved, or one: the tables do not say that the second page
	 * is there. */
	assert_int_equal(first->link[0].to, bt_block_number(bt, second));
	assert_int_equal(second->link[0].to, 0);
	assert_int_equal(leads_to(bt, &second->link[0]), second->link[0].ask);
	assert_int_equal(second->link[0].rip, ELSEWHERE + PAGE_SIZE);
	assert_int_equal(beyond->link[0].to, 0);
	assert_int_equal(leads_to(bt, &beyond->link[0]), beyond->link[0].ask);
	/* Nobody resumes there, comes by the table or has its id. */
	assert_int_not_equal(atomic_load(&bt->drops), drops);
	assert_int_not_equal(vcpu->jump[MMU_USER][bt_jump_index(AT)].rip, AT);
	assert_int_not_equal(load_u32(bt->writable + first->code + BT_CHECK_ID),
			     vcpu->exec[MMU_USER][bt_exec_slot(AT)]);
	/* A branch that asked before it moved is not chained. */
	bt_link_chain(bt, bt_block_number(bt, second) * BT_LINKS, beyond);
	assert_int_equal(second->link[0].to, 0);
	end(&guest);
}

/* A page that changes loses the moved block as any other. */
static void test_written(void **state)
{
	struct guest guest;
	struct bt_vcpu *vcpu = begin(&guest);
	uint32_t page = number_of(&guest, PAGE_CODE);

	fill(&guest, PAGE_CODE, (const uint8_t[17]){ 0xc3, [16] = 0xc3 }, 17);
	translate(&guest, PAGE_CODE, AT);
	translate(&guest, PAGE_CODE, AT + 16);
	assert_true(move(&guest, PAGE_CODE, ELSEWHERE));
	guest_page(&guest, PAGE_CODE)[16] = 0xf4;
	pthread_mutex_unlock(&vcpu->bt->lock);
	assert_int_equal(bt_page_written(vcpu->bt, page), 1);
	pthread_mutex_lock(&vcpu->bt->lock);
	assert_non_null(find(&guest, PAGE_CODE, ELSEWHERE));
	assert_null(find(&guest, PAGE_CODE, ELSEWHERE + 16));
	end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved_is_made),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_what_stays),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
