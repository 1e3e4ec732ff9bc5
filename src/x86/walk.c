/* SPDX-License-Identifier: BSD-2-Clause */
/* The page walker: table formats, rights and error codes of SDM 3, 4.3-4.7. */
#include "x86/walk.h"

#include "x86/paging.h"

#define LEVELS_MAX 4

/* A paging mode: what its entries look like, by level, 1 being the last. */
struct format {
	unsigned levels;
	unsigned entry_size;
	unsigned index_bits;
	uint64_t address; /* bits of an entry that are a table's address */
	uint64_t large[LEVELS_MAX + 1]; /* page size with PS set, or 0 */
	bool has_keys;
	/* Bits that must be 0, beyond MAXPHYADDR and XD. */
	uint64_t reserved[LEVELS_MAX + 1];
	uint64_t reserved_large[LEVELS_MAX + 1];
};

/* Figure 4-4. Bits 20:13 of a 4 MiB page's entry are its address bits 39:32
 * (PSE-36, section 4.3). */
static const struct format format_32bit = {
	.levels = 2,
	.entry_size = 4,
	.index_bits = 10,
	.address = BITS(31, 12),
	.large = { [2] = 4ull << 20 },
	.reserved_large = { [2] = BIT(21) },
};

/* CR4.PSE = 0: PS is ignored. */
static const struct format format_32bit_small = {
	.levels = 2,
	.entry_size = 4,
	.index_bits = 10,
	.address = BITS(31, 12),
};

/* Figure 4-7. The four PDPTE registers stand above level 2. */
static const struct format format_pae = {
	.levels = 2,
	.entry_size = 8,
	.index_bits = 9,
	.address = PTE_ADDR,
	.large = { [2] = 2ull << 20 },
	.reserved = { [1] = BITS(62, 52), [2] = BITS(62, 52) },
	.reserved_large = { [2] = BITS(62, 52) | BITS(20, 13) },
};

/* Figure 4-11. */
static const struct format format_4level = {
	.levels = 4,
	.entry_size = 8,
	.index_bits = 9,
	.address = PTE_ADDR,
	.large = { [2] = 2ull << 20, [3] = 1ull << 30 },
	.has_keys = true,
	.reserved = { [4] = PTE_PS },
	.reserved_large = { [2] = BITS(20, 13), [3] = BITS(29, 13) },
};

/* The entries one walk used, to set their flags when it is known to succeed. */
struct trail {
	unsigned count;
	struct {
		gpa_t gpa;
		uint64_t value;
	} entry[LEVELS_MAX];
};

enum step { STEP_DONE, STEP_FAULT, STEP_AGAIN };

static bool is_pae_or_long(const struct walk_paging *paging)
{
	return paging->cr4 & CR4_PAE;
}

static bool has_xd(const struct walk_paging *paging)
{
	return is_pae_or_long(paging) && (paging->efer & EFER_NXE);
}

static const struct format *format_of(const struct walk_paging *paging)
{
	if (paging->efer & EFER_LMA)
		return &format_4level;
	if (paging->cr4 & CR4_PAE)
		return &format_pae;
	if (paging->cr4 & CR4_PSE)
		return &format_32bit;
	return &format_32bit_small;
}

bool walk_pdpte_is_valid(uint64_t pdpte, unsigned maxphyaddr)
{
	uint64_t reserved = BITS(2, 1) | BITS(8, 5) | BITS(63, maxphyaddr);

	return !(pdpte & PTE_P) || !(pdpte & reserved);
}

/* One copy for each format, so that what the format says is known to it. */
#define PER_FORMAT static inline __attribute__((always_inline))

PER_FORMAT uint64_t reserved_bits(const struct walk_paging *paging,
				  const struct format *format, unsigned level,
				  bool is_large)
{
	uint64_t bits = is_large ? format->reserved_large[level] :
				   format->reserved[level];
	unsigned max = paging->maxphyaddr;

	if (format->entry_size == 4) {
		/* PSE-36 with fewer physical bits than 40. */
		if (is_large && max < 40)
			bits |= BITS(20, 13) &
				(max <= 32 ? ~0ull : BITS(20, max - 32 + 13));
		return bits;
	}
	if (max < 52)
		bits |= BITS(51, max);
	if (!has_xd(paging))
		bits |= PTE_XD;
	return bits;
}

/* I/D is set only where something distinguishes fetches (SDM 3, 4.7). */
static uint32_t error_code(const struct walk_paging *paging,
			   const struct walk_access *access, uint32_t cause)
{
	uint32_t error = cause;

	if (access->kind == WALK_WRITE)
		error |= PF_WRITE;
	if (access->is_user)
		error |= PF_USER;
	if (access->kind == WALK_FETCH &&
	    (has_xd(paging) || (paging->cr4 & CR4_SMEP)))
		error |= PF_FETCH;
	return error;
}

/* SDM 3, 4.6.2: two bits a key, AD and WD; fetches are not concerned. */
static bool key_forbids(const struct walk_paging *paging,
			const struct walk_page *page,
			const struct walk_access *access)
{
	uint64_t enabled = page->is_user ? CR4_PKE : CR4_PKS;
	uint32_t rights = page->is_user ? paging->pkru : paging->pkrs;

	if (access->kind == WALK_FETCH || !(paging->efer & EFER_LMA) ||
	    !(paging->cr4 & enabled))
		return false;
	rights >>= 2 * page->key;
	return (rights & 1) || ((rights & 2) && access->kind == WALK_WRITE &&
				(access->is_user || (paging->cr0 & CR0_WP)));
}

bool walk_is_allowed(const struct walk_paging *paging,
		     const struct walk_page *page,
		     const struct walk_access *access)
{
	if (key_forbids(paging, page, access))
		return false;
	if (access->is_user) {
		if (!page->is_user)
			return false;
		if (access->kind == WALK_WRITE)
			return page->is_writable;
		return access->kind != WALK_FETCH || page->is_executable;
	}
	if (access->kind == WALK_FETCH)
		return page->is_executable &&
		       !(page->is_user && (paging->cr4 & CR4_SMEP));
	if (access->is_smap && page->is_user)
		return false;
	return access->kind == WALK_READ || page->is_writable ||
	       !(paging->cr0 & CR0_WP);
}

/* `address` through the stages after `stage`, narrowing *page by them. */
static bool pass_further(const struct walk *walk, unsigned stage,
			 uint64_t address, const struct walk_access *access,
			 struct walk_page *page, struct walk_fault *fault)
{
	struct walk_page inner;

	if (!walk->stage[stage + 1].translate(walk, stage + 1, address, access,
					      &inner, fault))
		return false;
	page->gpa = inner.gpa;
	page->size = MIN(page->size, inner.size);
	page->is_writable &= inner.is_writable;
	page->is_executable &= inner.is_executable;
	page->is_dirty &= inner.is_dirty;
	return true;
}

PER_FORMAT bool pass_on(const struct walk *walk, unsigned stage,
			uint64_t address, const struct walk_access *access,
			struct walk_page *page, struct walk_fault *fault)
{
	if (stage + 1 >= walk->count) {
		page->gpa = address;
		return true;
	}
	return pass_further(walk, stage, address, access, page, fault);
}

/* Where a table entry of `stage` really is. */
PER_FORMAT bool locate_entry(const struct walk *walk, unsigned stage,
			     uint64_t address, enum walk_kind kind, gpa_t *gpa,
			     struct walk_fault *fault)
{
	struct walk_access access = {
		.kind = kind,
		.is_user = true, /* SDM 3, 28.2.3.2: as data accesses */
		.is_table = true,
	};
	struct walk_page page = { .size = ~0ull };

	if (!pass_on(walk, stage, address, &access, &page, fault))
		return false;
	*gpa = page.gpa;
	return true;
}

/* Sets A in every entry of the trail, and D in the last one for a write. */
PER_FORMAT enum step set_flags(const struct walk *walk, unsigned stage,
			       const struct format *format,
			       const struct trail *trail, bool is_write,
			       struct walk_fault *fault)
{
	for (unsigned i = 0; i < trail->count; i++) {
		uint64_t old = trail->entry[i].value;
		uint64_t new = old | PTE_A;
		gpa_t gpa;

		if (is_write && i == trail->count - 1)
			new |= PTE_D;
		if (new == old)
			continue;
		if (!locate_entry(walk, stage, trail->entry[i].gpa, WALK_WRITE,
				  &gpa, fault))
			return STEP_FAULT;
		if (!walk->exchange(walk->world, gpa, format->entry_size, old,
				    new))
			return STEP_AGAIN;
	}
	return STEP_DONE;
}

PER_FORMAT uint64_t page_frame(const struct format *format, uint64_t entry,
			       uint64_t size)
{
	uint64_t frame = entry & format->address & ~(size - 1);

	if (format->entry_size == 4 && size > PAGE_SIZE)
		frame |= bits_get(entry, 20, 13) << 32;
	return frame;
}

static enum step fail(const struct walk_paging *paging, unsigned stage,
		      uint64_t address, const struct walk_access *access,
		      uint32_t cause, struct walk_fault *fault)
{
	*fault = (struct walk_fault){
		.stage = stage,
		.address = address,
		.error = error_code(paging, access, cause),
	};
	return STEP_FAULT;
}

/* Down the tables from `table`: the last entry and its page's size. */
PER_FORMAT enum step descend(const struct walk *walk, unsigned stage,
			     const struct format *format, uint64_t table,
			     uint64_t address, const struct walk_access *access,
			     struct walk_page *page, struct trail *trail,
			     struct walk_fault *fault)
{
	const struct walk_paging *paging = walk->stage[stage].control;

	for (unsigned level = format->levels;; level--) {
		unsigned shift = PAGE_SHIFT + (level - 1) * format->index_bits;
		uint64_t index = (address >> shift) &
				 (BIT(format->index_bits) - 1);
		uint64_t entry;
		bool is_large;
		gpa_t gpa;

		table += index * format->entry_size;
		if (!locate_entry(walk, stage, table, WALK_READ, &gpa, fault))
			return STEP_FAULT;
		entry = walk->read(walk->world, gpa, format->entry_size);
		if (!(entry & PTE_P))
			return fail(paging, stage, address, access, 0, fault);
		is_large = (entry & PTE_PS) && format->large[level];
		if (entry & reserved_bits(paging, format, level, is_large))
			return fail(paging, stage, address, access,
				    PF_PRESENT | PF_RESERVED, fault);
		trail->entry[trail->count].gpa = table;
		trail->entry[trail->count++].value = entry;
		page->is_writable &= !!(entry & PTE_RW);
		page->is_user &= !!(entry & PTE_US);
		if (format->entry_size == 8)
			page->is_executable &= !(entry & PTE_XD);
		if (level == 1 || is_large) {
			page->size = is_large ? format->large[level] :
						PAGE_SIZE;
			if (format->has_keys)
				page->key = bits_get(entry, 62, 59);
			page->is_global = (entry & PTE_G) &&
					  (paging->cr4 & CR4_PGE);
			page->is_dirty = (entry & PTE_D) ||
					 access->kind == WALK_WRITE;
			page->gpa = page_frame(format, entry, page->size) |
				    (address & (page->size - 1));
			return STEP_DONE;
		}
		table = entry & format->address;
	}
}

PER_FORMAT enum step walk_once(const struct walk *walk, unsigned stage,
			       const struct format *format, uint64_t address,
			       const struct walk_access *access,
			       struct walk_page *page, struct walk_fault *fault)
{
	const struct walk_paging *paging = walk->stage[stage].control;
	uint64_t table = paging->cr3 & format->address;
	struct trail trail = { 0 };
	enum step step;

	*page = (struct walk_page){
		.is_writable = true,
		.is_user = true,
		.is_executable = true,
	};
	if (format == &format_pae) {
		table = paging->pdpte[bits_get(address, 31, 30)];
		if (!(table & PTE_P))
			return fail(paging, stage, address, access, 0, fault);
		table &= format->address;
	}
	step = descend(walk, stage, format, table, address, access, page,
		       &trail, fault);
	if (step != STEP_DONE)
		return step;
	if (!walk_is_allowed(paging, page, access))
		return fail(paging, stage, address, access,
			    PF_PRESENT | (key_forbids(paging, page, access) ?
						  PF_PROTECTION_KEY :
						  0),
			    fault);
	step = set_flags(walk, stage, format, &trail,
			 access->kind == WALK_WRITE, fault);
	if (step != STEP_DONE)
		return step;
	return pass_on(walk, stage, page->gpa, access, page, fault) ?
		       STEP_DONE :
		       STEP_FAULT;
}

bool walk_guest_paging(const struct walk *walk, unsigned stage,
		       uint64_t address, const struct walk_access *access,
		       struct walk_page *page, struct walk_fault *fault)
{
	const struct walk_paging *paging = walk->stage[stage].control;
	enum step step;

	if (!(paging->cr0 & CR0_PG)) {
		*page = (struct walk_page){
			.size = 1ull << 30,
			.is_writable = true,
			.is_user = true,
			.is_executable = true,
			.is_dirty = true,
		};
		return pass_on(walk, stage, (uint32_t)address, access, page,
			       fault);
	}
	/* Outside 64-bit mode a linear address has 32 bits. */
	if (!(paging->efer & EFER_LMA))
		address = (uint32_t)address;
	do {
		if (paging->efer & EFER_LMA)
			step = walk_once(walk, stage, &format_4level, address,
					 access, page, fault);
		else
			step = walk_once(walk, stage, format_of(paging),
					 address, access, page, fault);
	} while (step == STEP_AGAIN);
	return step == STEP_DONE;
}

bool walk_translate(const struct walk *walk, uint64_t address,
		    const struct walk_access *access, struct walk_page *page,
		    struct walk_fault *fault)
{
	return walk->stage[0].translate(walk, 0, address, access, page, fault);
}
