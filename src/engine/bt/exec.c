/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vCPU knows about where code is: exec ids, and the tables of indirect
 * branches (bt.h tells how they work together).
 *
 * Ids follow the software TLB's generations. The lower half's number changes
 * with CR3, and comes back when a PCID comes back with its translations, so the
 * ids of user code are kept in banks beside it. Numbers start anew when they
 * are used up: then the banks mean nothing any more.
 */
#include "engine/bt/bt.h"

/* --- ids ------------------------------------------------------------------ */

/* The guest's vectors may be in the processor: no memset, no memcpy. */
static void clear_ids(uint32_t *id, uint64_t count)
{
	__asm__ volatile("rep stosl"
			 : "+D"(id), "+c"(count)
			 : "a"(0)
			 : "memory");
}

static void copy_ids(uint32_t *to, const uint32_t *from, uint64_t count)
{
	__asm__ volatile("rep movsl"
			 : "+D"(to), "+S"(from), "+c"(count)
			 :
			 : "memory");
}

#define RUN 64 /* slots; a bit in has_ids */

_Static_assert(BT_EXEC_LOWER == 64 * RUN && BT_EXEC_UPPER == 64 * RUN,
	       "a word of bits each");

static uint64_t run_bit(uint64_t rip)
{
	return BIT(bt_exec_slot(rip) / RUN % 64);
}

static void clear_half(struct bt_vcpu *vcpu, unsigned codes, unsigned half)
{
	uint32_t *id = vcpu->exec[codes] + (half ? BT_EXEC_LOWER : 0);
	uint64_t used = vcpu->has_ids[codes][half];

	for (; used; used &= used - 1)
		clear_ids(id + RUN * __builtin_ctzll(used), RUN);
	vcpu->has_ids[codes][half] = 0;
}

static void forget_banks(struct bt_vcpu *vcpu)
{
	for (unsigned i = 0; i < BT_EXEC_BANKS; i++)
		vcpu->bank[i].generation = 0;
}

void bt_exec_forget(struct bt_vcpu *vcpu)
{
	for (unsigned codes = 0; codes < BT_CODES; codes++)
		for (unsigned half = 0; half < 2; half++)
			clear_half(vcpu, codes, half);
	forget_banks(vcpu);
}

void bt_exec_forget_32(struct bt_vcpu *vcpu, bool is_16)
{
	unsigned first = is_16 ? 2 * MMU_VIEWS : MMU_VIEWS;

	for (unsigned view = 0; view < MMU_VIEWS; view++)
		clear_half(vcpu, first + view, 0);
}

static struct bt_exec_bank *find_bank(struct bt_vcpu *vcpu, uint64_t generation)
{
	for (unsigned i = 0; i < BT_EXEC_BANKS; i++)
		if (vcpu->bank[i].generation == generation)
			return &vcpu->bank[i];
	return NULL;
}

static void copy_used(uint32_t *to, const uint32_t *from, uint64_t used)
{
	for (; used; used &= used - 1) {
		unsigned first = RUN * (unsigned)__builtin_ctzll(used);

		copy_ids(to + first, from + first, RUN);
	}
}

static void save_user(struct bt_vcpu *vcpu)
{
	struct bt_exec_bank *bank = find_bank(vcpu, vcpu->generation[0]);

	if (!bank)
		bank = &vcpu->bank[vcpu->next_bank++ % BT_EXEC_BANKS];
	bank->generation = vcpu->generation[0];
	bank->used = vcpu->has_ids[MMU_USER][0];
	copy_used(bank->id, vcpu->exec[MMU_USER], bank->used);
}

static void switch_lower(struct bt_vcpu *vcpu, uint64_t generation)
{
	const struct bt_exec_bank *bank;

	if (vcpu->has_ids[MMU_USER][0])
		save_user(vcpu);
	for (unsigned codes = 0; codes < BT_CODES; codes++)
		clear_half(vcpu, codes, 0);
	bank = find_bank(vcpu, generation);
	if (bank) {
		copy_used(vcpu->exec[MMU_USER], bank->id, bank->used);
		vcpu->has_ids[MMU_USER][0] = bank->used;
	}
}

/* Global translations go in every address space. */
static void clear_page(struct bt_vcpu *vcpu, uint64_t rip)
{
	unsigned slot = bt_exec_slot(rip);

	for (unsigned codes = 0; codes < BT_CODES; codes++)
		vcpu->exec[codes][slot] = 0;
	for (unsigned i = 0; i < BT_EXEC_BANKS && slot < BT_EXEC_LOWER; i++)
		vcpu->bank[i].id[slot] = 0;
}

static void notice_pages(struct bt_vcpu *vcpu, uint32_t flushes)
{
	const struct tlb *tlb = &vcpu->cpu.tlb;

	if (flushes > 1) {
		bt_exec_forget(vcpu);
		return;
	}
	for (uint64_t at = 0; at < tlb->flushed_size; at += PAGE_SIZE)
		clear_page(vcpu, tlb->flushed_page + at);
}

static void notice_generations(struct bt_vcpu *vcpu)
{
	const struct tlb *tlb = &vcpu->cpu.tlb;

	if (tlb->last_generation < vcpu->last_generation) {
		bt_exec_forget(vcpu);
		return;
	}
	if (tlb->generation[0] != vcpu->generation[0])
		switch_lower(vcpu, tlb->generation[0]);
	if (tlb->generation[1] == vcpu->generation[1])
		return;
	for (unsigned codes = 0; codes < BT_CODES; codes++)
		clear_half(vcpu, codes, 1);
}

void bt_exec_notice(struct bt_vcpu *vcpu)
{
	const struct tlb *tlb = &vcpu->cpu.tlb;
	uint32_t flushes = tlb->page_flushes - vcpu->page_flushes;
	bool is_new = tlb->generation[0] != vcpu->generation[0] ||
		      tlb->generation[1] != vcpu->generation[1] ||
		      tlb->last_generation < vcpu->last_generation;

	if (likely(!flushes && !is_new))
		return;
	if (flushes > 1 || (flushes && tlb->flushed_page >> 63) ||
	    tlb->generation[1] != vcpu->generation[1] ||
	    tlb->last_generation < vcpu->last_generation)
		bt_percpu_forget(vcpu);
	if (flushes)
		notice_pages(vcpu, flushes);
	if (is_new)
		notice_generations(vcpu);
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		bt_forget_stack(vcpu, view);
	vcpu->generation[0] = tlb->generation[0];
	vcpu->generation[1] = tlb->generation[1];
	vcpu->last_generation = tlb->last_generation;
	vcpu->page_flushes = tlb->page_flushes;
}

void bt_exec_enter(struct bt_vcpu *vcpu, uint64_t rip, uint32_t code)
{
	unsigned codes = bt_codes(&vcpu->flavour);
	uint32_t id = load_u32(bt_code(vcpu->bt, code) + BT_CHECK_ID);

	/* Dropped meanwhile: it would be found valid. */
	if (id == BT_NO_ID)
		return;
	vcpu->exec[codes][bt_exec_slot(rip)] = id;
	vcpu->has_ids[codes][rip >> 63] |= run_bit(rip);
}

/* --- indirect branches ------------------------------------------------------ */

void bt_jump_enter(struct bt_vcpu *vcpu, uint64_t rip, uint32_t code)
{
	struct bt_jump *jump =
		&vcpu->jump[bt_codes(&vcpu->flavour)][bt_jump_index(rip)];

	*jump = (struct bt_jump){ rip, bt_code(vcpu->bt, code) };
}

void bt_jumps_forget(struct bt_vcpu *vcpu, const uint8_t *from,
		     const uint8_t *to)
{
	for (unsigned codes = 0; codes < BT_CODES; codes++)
		for (unsigned i = 0; i < BT_JUMPS; i++) {
			struct bt_jump *jump = &vcpu->jump[codes][i];

			if (jump->code >= from && jump->code < to)
				*jump = (struct bt_jump){ bt_no_rip(i), NULL };
		}
}

/* --- the stack -------------------------------------------------------------- */

void bt_forget_stack(struct bt_vcpu *vcpu, unsigned view)
{
	vcpu->stack[view] =
		(struct bt_stack){ .page = BT_NO_PAGE, .delta = BT_NO_PAGE };
}

/* --- a kernel's data of its processor ---------------------------------------- */

void bt_percpu_choose(struct bt_vcpu *vcpu)
{
	struct bt_percpu *percpu = &vcpu->percpu;
	bool is_same = vcpu->cpu.s.segment[SEG_GS].base == percpu->base;

	percpu->active = is_same ? percpu->page : percpu->none;
}

void bt_percpu_forget(struct bt_vcpu *vcpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(vcpu->percpu.page); i++)
		vcpu->percpu.page[i] = NULL;
	vcpu->percpu.base = BT_PERCPU_NO_BASE;
	bt_percpu_choose(vcpu);
}

void bt_percpu_forget_host(struct bt_vcpu *vcpu, const uint8_t *host)
{
	uint8_t **page = vcpu->percpu.page + MMU_WRITE * BT_PERCPU_PAGES;

	for (unsigned i = 0; i < BT_PERCPU_PAGES; i++)
		if (page[i] == host)
			page[i] = NULL;
}

/* --- the shadow stack ------------------------------------------------------- */

/*
 * [guard | ... grows down ... | bottom frame | guard]. Below the bottom frame
 * RET leaves the guest's address as everywhere; above it there is room for what
 * the return stubs read.
 */
static uint8_t *shadow_top(const struct bt_vcpu *vcpu)
{
	return vcpu->shadow + BT_SHADOW_GUARD + BT_SHADOW_SIZE - 64;
}

void bt_shadow_reset(struct bt_vcpu *vcpu)
{
	uint64_t *top = (uint64_t *)shadow_top(vcpu);

	*top = (uint64_t)vcpu->bt->stubs.return_bottom;
	vcpu->shadow_rsp = (uint64_t)top;
}
