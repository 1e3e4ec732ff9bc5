/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk of 4-level tables for a data access (SDM 3, 4.5 and 4.6) where nothing
 * is out of the ordinary: the tables lie in one piece of memory, no flag has to
 * be set on the way, no bit is reserved. Then it is four loads. Every other case
 * is x86/walk.c's, and so are fetches.
 */
#include "engine/interp/mmu.h"

#include "x86/paging.h"

#define SHIFT_PML4 39

static bool is_ordinary(const struct interp *cpu, enum mmu_access access)
{
	const struct cpu_state *s = &cpu->s;

	return access != MMU_EXEC && (s->cr0 & CR0_PG) &&
	       (s->msr.efer & (EFER_LMA | EFER_NXE)) == (EFER_LMA | EFER_NXE) &&
	       !(s->cr4 & (CR4_PKE | CR4_PKS)) && cpu->address_mask == ~0ull &&
	       cpu->ops->piece;
}

static enum mmu_walk fail(gva_t gva, enum mmu_access access, enum mmu_view view,
			  uint32_t cause, struct walk_fault *fault)
{
	*fault = (struct walk_fault){
		.address = gva,
		.error = cause | (access == MMU_WRITE ? PF_WRITE : 0) |
			 (view == MMU_USER ? PF_USER : 0),
	};
	return MMU_WALK_FAULT;
}

/* SDM 3, 4.6.1, without protection keys. */
static bool is_allowed(const struct interp *cpu, enum mmu_access access,
		       enum mmu_view view, const struct walk_page *page)
{
	if (view == MMU_USER ? !page->is_user :
			       view == MMU_SMAP && page->is_user)
		return false;
	return access == MMU_READ || page->is_writable ||
	       (view != MMU_USER && !(cpu->s.cr0 & CR0_WP));
}

/* What all entries on the way allow, and what the last one says. */
static void read_entries(struct interp *cpu, gva_t gva, unsigned shift,
			 uint64_t all, uint64_t any, uint64_t last,
			 struct walk_page *page)
{
	uint64_t size = 1ull << shift;

	*page = (struct walk_page){
		.gpa = (last & PTE_ADDR & ~(size - 1)) | (gva & (size - 1)),
		.size = size,
		.is_writable = all & PTE_RW,
		.is_user = all & PTE_US,
		.is_executable = !(any & PTE_XD),
		.is_global = (last & PTE_G) && (cpu->s.cr4 & CR4_PGE),
		.is_dirty = last & PTE_D,
	};
}

enum mmu_walk mmu_walk_64(struct interp *cpu, gva_t gva, enum mmu_access access,
			  enum mmu_view view, struct walk_page *page,
			  struct walk_fault *fault)
{
	gpa_t table = cpu->s.cr3 & PTE_ADDR;
	uint64_t reserved, entry, all = ~0ull, any = 0;
	struct interp_piece piece;
	unsigned shift;

	if (!is_ordinary(cpu, access) ||
	    !cpu->ops->piece(cpu->world, table, &piece))
		return MMU_WALK_OTHER;
	reserved = BITS(51, 0) & ~(BIT(mmu_maxphyaddr(cpu)) - 1);
	for (shift = SHIFT_PML4;; shift -= 9) {
		gpa_t gpa = table + (gva >> shift & 511) * 8 - piece.base;

		if (gpa >= piece.size)
			return MMU_WALK_OTHER;
		entry = __atomic_load_n((const uint64_t *)(piece.host + gpa),
					__ATOMIC_RELAXED);
		if (!(entry & PTE_P))
			return fail(gva, access, view, 0, fault);
		if (entry & reserved)
			return MMU_WALK_OTHER;
		all &= entry;
		any |= entry;
		if (shift == PAGE_SHIFT || (entry & PTE_PS))
			break;
		table = entry & PTE_ADDR;
	}
	if (shift == SHIFT_PML4 ||
	    (shift > PAGE_SHIFT && (entry & BITS(shift - 1, 13))))
		return MMU_WALK_OTHER;
	read_entries(cpu, gva, shift, all, any, entry, page);
	if (!is_allowed(cpu, access, view, page))
		return fail(gva, access, view, PF_PRESENT, fault);
	if (!(all & PTE_A) || (access == MMU_WRITE && !page->is_dirty))
		return MMU_WALK_OTHER;
	return MMU_WALK_DONE;
}
