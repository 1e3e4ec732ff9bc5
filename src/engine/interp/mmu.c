/* SPDX-License-Identifier: BSD-2-Clause */
/* From linear addresses to host pointers: the walk, and filling the TLB. */
#include "engine/interp/mmu.h"

#include "core/vcpu.h"

#define LEAF_ADDRESS_SIZES 0x80000008
#define MAXPHYADDR_DEFAULT 46

unsigned mmu_maxphyaddr(struct interp *cpu)
{
	struct tlb *tlb = &cpu->tlb;

	if (!tlb->maxphyaddr) {
		const struct cpuid_leaf *leaf =
			cpu->cpuid ?
				cpuid_find(cpu->cpuid, LEAF_ADDRESS_SIZES, 0) :
				NULL;

		tlb->maxphyaddr = leaf ? bits_get(leaf->eax, 7, 0) : 0;
		if (tlb->maxphyaddr < 32 || tlb->maxphyaddr > 52)
			tlb->maxphyaddr = MAXPHYADDR_DEFAULT;
	}
	return tlb->maxphyaddr;
}

/* --- the walker's view of memory ------------------------------------------ */

static uint8_t *table_entry(struct interp *cpu, gpa_t gpa, bool *is_writable)
{
	uint8_t *page;

	gpa &= cpu->address_mask;
	page = cpu->ops->page(cpu->world, gpa & PAGE_MASK, is_writable);

	return page ? page + (gpa & ~PAGE_MASK) : NULL;
}

static uint64_t table_read(void *world, gpa_t gpa, unsigned size)
{
	bool is_writable;
	uint8_t *host = table_entry(world, gpa, &is_writable);

	if (!host)
		return size_mask(size);
	if (size == 4)
		return __atomic_load_n((uint32_t *)host, __ATOMIC_RELAXED);
	return __atomic_load_n((uint64_t *)host, __ATOMIC_RELAXED);
}

static bool table_exchange(void *world, gpa_t gpa, unsigned size, uint64_t old,
			   uint64_t new)
{
	struct interp *cpu = world;
	bool is_writable = false, is_stored;
	uint8_t *host = table_entry(cpu, gpa, &is_writable);
	uint32_t old32 = old;

	if (!host || !is_writable)
		return true;
	if (size == 4)
		is_stored = __atomic_compare_exchange_n((uint32_t *)host,
							&old32, (uint32_t) new,
							false, __ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST);
	else
		is_stored = __atomic_compare_exchange_n((uint64_t *)host, &old,
							new, false,
							__ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST);
	if (is_stored) {
		cpu->ops->dirty(cpu->world,
				gpa & cpu->address_mask & PAGE_MASK);
		mem_written(cpu, host);
	}
	return is_stored;
}

struct walk_paging mmu_paging(struct interp *cpu)
{
	struct walk_paging paging = {
		.cr0 = cpu->s.cr0,
		.cr3 = cpu->s.cr3,
		.cr4 = cpu->s.cr4,
		.efer = cpu->s.msr.efer,
		.maxphyaddr = mmu_maxphyaddr(cpu),
		.pkru = cpu->s.pkru,
		.pkrs = (uint32_t)cpu->s.msr.pkrs,
	};

	memcpy(paging.pdpte, cpu->s.pdpte, sizeof(paging.pdpte));
	return paging;
}

/* --- filling -------------------------------------------------------------- */

static const enum walk_kind walk_kinds[] = {
	[MMU_READ] = WALK_READ,
	[MMU_WRITE] = WALK_WRITE,
	[MMU_EXEC] = WALK_FETCH,
};

/*
 * Rights were found for `access`; a page that may be written may be read by the
 * same view, so a write fills both.
 */
static void fill(struct interp *cpu, gva_t gva, enum mmu_view view,
		 enum mmu_access access, const struct walk_page *page,
		 uint8_t *host)
{
	if (page->size > PAGE_SIZE)
		tlb_note_large(cpu, gva, page->size);
	if (unlikely(cpu->s.cr4 & (CR4_PKE | CR4_PKS)))
		tlb_note_key(cpu, page->is_user, page->key);
	if (gva >> 63 && !page->is_global)
		cpu->tlb.has_local_high = true;
	if (unlikely(cpu->tlb.has_one_entry))
		tlb_drop_last(cpu, view, tlb_index(gva));
	if (gva >> 63 == 0 && page->is_global)
		cpu->tlb.has_global_low = true;
	tlb_enter(cpu, view, access, gva, host);
	if (access == MMU_WRITE)
		tlb_enter(cpu, view, MMU_READ, gva, host);
	if (access == MMU_EXEC)
		cpu->tlb.code_gpa[view][tlb_index(gva)] =
			page->gpa & cpu->address_mask & PAGE_MASK;
	if (cpu->vcpu)
		vcpu_event(cpu->vcpu, INTERP_TLB_FILLS, 1);
}

static void place_page(struct interp *cpu, gva_t gva, enum mmu_access access,
		       enum mmu_view view, const struct walk_page *page,
		       struct mem_place *place)
{
	gpa_t gpa = page->gpa & cpu->address_mask;
	bool is_writable = false;
	uint8_t *host =
		cpu->ops->page(cpu->world, gpa & PAGE_MASK, &is_writable);

	place->gpa = gpa;
	place->host = NULL;
	if (!host || (access == MMU_WRITE && !is_writable))
		return;
	place->host = host + (gva & ~PAGE_MASK);
	if (access == MMU_WRITE &&
	    !cpu->ops->dirty(cpu->world, gpa & PAGE_MASK))
		return;
	fill(cpu, gva, view, access, page, host);
}

bool mmu_translate(struct interp *cpu, gva_t gva, enum mmu_access access,
		   enum mmu_view view, struct mem_place *place,
		   struct walk_fault *fault)
{
	struct walk_paging paging;
	struct walk_access wanted;
	struct walk_page page;
	struct walk walk;
	uint8_t *host = tlb_find(cpu, view, access, gva, 1);

	/* A hit's guest physical address is nobody's business: it is RAM. */
	if (!host && tlb_recall(cpu, view, access, gva))
		host = tlb_find(cpu, view, access, gva, 1);
	if (host) {
		*place = (struct mem_place){ .host = host };
		return true;
	}
	switch (mmu_walk_64(cpu, gva, access, view, &page, fault)) {
	case MMU_WALK_DONE:
		place_page(cpu, gva, access, view, &page, place);
		return true;
	case MMU_WALK_FAULT:
		return false;
	case MMU_WALK_OTHER:
		break;
	}
	paging = mmu_paging(cpu);
	walk = (struct walk){
		.read = table_read,
		.exchange = table_exchange,
		.world = cpu,
		.count = 1,
		.stage = { { walk_guest_paging, &paging } },
	};
	wanted = (struct walk_access){
		.kind = walk_kinds[access],
		.is_user = view == MMU_USER,
		.is_smap = view == MMU_SMAP,
	};
	if (!walk_translate(&walk, gva, &wanted, &page, fault))
		return false;
	place_page(cpu, gva, access, view, &page, place);
	return true;
}

const uint8_t *mem_fetch_slow(struct interp *cpu, gva_t gva, gpa_t *gpa)
{
	struct walk_fault fault;
	struct mem_place place;
	enum mmu_view view = mem_code_view(cpu);

	/* Code that runs off the end of the lower half: SDM 1, 3.3.7.1. */
	if (!gva_is_canonical(gva))
		fault_gp(cpu, 0);
	if (!mmu_translate(cpu, gva, MMU_EXEC, view, &place, &fault))
		interp_page_fault(cpu, gva, fault.error);
	*gpa = place.host ? cpu->tlb.code_gpa[view][tlb_index(gva)] |
				    (gva & ~PAGE_MASK) :
			    place.gpa;
	return place.host;
}

/* --- exits ---------------------------------------------------------------- */

enum exit_action interp_exit(struct interp *cpu, struct exit *exit)
{
	enum exit_action action = cpu->ops->exit(cpu->world, exit);

	if (action == EXIT_LEAVE)
		atomic_store(&cpu->attention, INTERP_ATTENTION);
	/* What a device asked of this CPU holds from the next instruction on:
	 * A20, a reset. */
	if (atomic_load_explicit(&cpu->attention, memory_order_relaxed))
		cpu->end_block = true;
	return action;
}

uint64_t mmio_read(struct interp *cpu, gpa_t gpa, unsigned size)
{
	struct exit exit = {
		.reason = EXIT_MMIO,
		.mmio = { .gpa = gpa, .access = { .size = size } },
	};

	exit.mmio.access.value = size_mask(size);
	interp_exit(cpu, &exit);
	return exit.mmio.access.value & size_mask(size);
}

void mmio_write(struct interp *cpu, gpa_t gpa, uint64_t value, unsigned size)
{
	struct exit exit = {
		.reason = EXIT_MMIO,
		.mmio = {
			.gpa = gpa,
			.access = {
				.value = value & size_mask(size),
				.size = size,
				.is_write = true,
			},
		},
	};

	interp_exit(cpu, &exit);
}
