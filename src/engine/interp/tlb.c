/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software TLB's generations: how it is flushed in O(1), how PCIDs keep
 * their translations, how global pages survive (SDM 3, 4.10).
 *
 * A tag holds a generation number; an entry of another generation does not
 * hit. Flushing takes a new number. When the numbers are used up the
 * whole TLB is cleared and counting starts again.
 *
 * The two halves of the linear address space have a number each:
 *  - The lower half's belongs to the current PCID. Numbers of PCIDs that were
 *    switched away from are kept in a few banks, so that a MOV to CR3 with bit
 *    63 set finds its translations again. Global pages in the lower half are
 *    treated as the PCID's own.
 *  - The upper half's is shared by all PCIDs: systems keep their global pages
 *    there. Once a page that is not global has been seen in it, the next
 *    switch takes a new number for it too.
 *
 * Entries hold 4 KiB. A page is dropped in its slot in every table, whatever
 * the generation; large pages are remembered coarsely in two filters per half,
 * and an INVLPG that might hit one drops 4 MiB, or, of the larger ones,
 * everything.
 */
#include "engine/interp/mmu.h"

#include "core/vcpu.h"

static void forget_banks(struct tlb *tlb)
{
	memset(tlb->bank, 0, sizeof(tlb->bank));
}

/* Generation 0, which no lookup asks for. */
static uint64_t no_tag(unsigned index)
{
	return (uint64_t)index << PAGE_SHIFT;
}

static void clear_entries(struct tlb *tlb)
{
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned access = 0; access < MMU_ACCESSES; access++)
			for (unsigned i = 0; i < TLB_ENTRIES; i++)
				tlb->entry[view][access][i].tag = no_tag(i);
}

static void forget_all_victims(struct tlb *tlb)
{
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned access = 0; access < MMU_ACCESSES; access++)
			for (unsigned i = 0; i < TLB_VICTIMS; i++)
				tlb->victim[view][access][i].generation = 0;
}

static void set_generation(struct tlb *tlb, unsigned half, uint64_t number)
{
	tlb->generation[half] = number << PAGE_SHIFT;
}

static void clear_all(struct tlb *tlb)
{
	clear_entries(tlb);
	forget_all_victims(tlb);
	memset(tlb->large_2m, 0, sizeof(tlb->large_2m));
	memset(tlb->large_1g, 0, sizeof(tlb->large_1g));
	tlb->has_local_high = false;
	forget_banks(tlb);
	set_generation(tlb, 0, 1);
	set_generation(tlb, 1, 2);
	tlb->last_generation = 2;
}

static void renew(struct tlb *tlb, unsigned half)
{
	/* 0: as calloc left it. */
	if (!tlb->last_generation ||
	    tlb->last_generation >= TLB_GENERATIONS - 1)
		clear_all(tlb);
	else
		set_generation(tlb, half, ++tlb->last_generation);
	if (half)
		tlb->has_local_high = false;
}

/* Drops what is not global of the upper half. */
static void renew_high_if_local(struct tlb *tlb)
{
	if (tlb->has_local_high)
		renew(tlb, 1);
}

static void count_flush(struct interp *cpu)
{
	if (cpu->vcpu)
		vcpu_event(cpu->vcpu, INTERP_TLB_FLUSHES, 1);
}

void tlb_flush(struct interp *cpu)
{
	struct tlb *tlb = &cpu->tlb;

	/* The filters start anew, so no old generation may come back. */
	forget_banks(tlb);
	tlb->user_keys = 0;
	tlb->supervisor_keys = 0;
	memset(tlb->large_2m, 0, sizeof(tlb->large_2m));
	memset(tlb->large_1g, 0, sizeof(tlb->large_1g));
	renew(tlb, 0);
	renew(tlb, 1);
	tlb->pcid = cpu->s.cr4 & CR4_PCIDE ? cpu->s.cr3 & CR3_PCID : 0;
	cpu->end_block = true;
	count_flush(cpu);
}

void tlb_flush_local(struct interp *cpu)
{
	forget_banks(&cpu->tlb);
	renew(&cpu->tlb, 0);
	renew_high_if_local(&cpu->tlb);
	cpu->end_block = true;
	count_flush(cpu);
}

static struct tlb_bank *find_bank(struct tlb *tlb, uint16_t pcid)
{
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (tlb->bank[i].generation && tlb->bank[i].pcid == pcid)
			return &tlb->bank[i];
	return NULL;
}

static void save_current(struct tlb *tlb)
{
	struct tlb_bank *bank = find_bank(tlb, tlb->pcid);

	if (!bank)
		bank = &tlb->bank[tlb->next_bank++ % TLB_BANKS];
	bank->pcid = tlb->pcid;
	bank->generation = (uint16_t)(tlb->generation[0] >> PAGE_SHIFT);
}

void tlb_flush_pcid(struct interp *cpu, uint16_t pcid)
{
	struct tlb *tlb = &cpu->tlb;
	struct tlb_bank *bank = find_bank(tlb, pcid);

	if (bank)
		bank->generation = 0;
	if (pcid == tlb->pcid) {
		renew(tlb, 0);
		renew_high_if_local(tlb);
		cpu->end_block = true;
	}
	count_flush(cpu);
}

void tlb_load_cr3(struct interp *cpu, bool keep)
{
	struct tlb *tlb = &cpu->tlb;
	uint16_t pcid = cpu->s.cr4 & CR4_PCIDE ? cpu->s.cr3 & CR3_PCID : 0;
	struct tlb_bank *bank;

	cpu->end_block = true;
	renew_high_if_local(tlb);
	if (keep && pcid == tlb->pcid)
		return;
	if (pcid != tlb->pcid)
		save_current(tlb);
	tlb->pcid = pcid;
	bank = find_bank(tlb, pcid);
	if (keep && bank) {
		set_generation(tlb, 0, bank->generation);
	} else {
		renew(tlb, 0);
		count_flush(cpu);
	}
	/* The current PCID's number is in generation[0] alone; clear_all may
	 * have emptied the banks meanwhile. */
	bank = find_bank(tlb, pcid);
	if (bank)
		bank->generation = 0;
}

void tlb_drop_last(struct interp *cpu, enum mmu_view view, unsigned index)
{
	struct tlb *tlb = &cpu->tlb;

	for (unsigned access = 0; access < MMU_ACCESSES; access++)
		tlb->entry[tlb->last_view][access][tlb->last_index].tag =
			no_tag(tlb->last_index);
	tlb->last_view = view;
	tlb->last_index = index;
}

/* --- victims ---------------------------------------------------------------- */

static struct tlb_victim *victim_of(struct tlb *tlb, enum mmu_view view,
				    enum mmu_access access, gva_t gva)
{
	return &tlb->victim[view][access][tlb_index(gva) % TLB_VICTIMS];
}

void tlb_keep(struct interp *cpu, enum mmu_view view, enum mmu_access access,
	      gva_t gva)
{
	struct tlb *tlb = &cpu->tlb;
	unsigned index = tlb_index(gva);
	const struct tlb_entry *entry = &tlb->entry[view][access][index];
	uint64_t generation = tlb->generation[entry->tag >> 63];
	gva_t page = entry->tag ^ generation;

	/* Of another generation, or none: then the index is not its own. */
	if (tlb_index(page) != index || page == (gva & PAGE_MASK) ||
	    tlb->has_one_entry)
		return;
	*victim_of(tlb, view, access, gva) = (struct tlb_victim){
		.page = page,
		.generation = generation,
		.host = entry->host,
		.code_gpa = access == MMU_EXEC ? tlb->code_gpa[view][index] : 0,
	};
}

bool tlb_recall(struct interp *cpu, enum mmu_view view, enum mmu_access access,
		gva_t gva)
{
	struct tlb *tlb = &cpu->tlb;
	struct tlb_victim *victim = victim_of(tlb, view, access, gva);
	struct tlb_victim found = *victim;
	unsigned index = tlb_index(gva);

	if (found.page != (gva & PAGE_MASK) ||
	    found.generation != tlb->generation[gva >> 63])
		return false;
	victim->generation = 0;
	tlb_keep(cpu, view, access, gva);
	tlb->entry[view][access][index] = (struct tlb_entry){
		.tag = tlb_tag(cpu, gva),
		.host = found.host,
	};
	if (access == MMU_EXEC)
		tlb->code_gpa[view][index] = found.code_gpa;
	return true;
}

void tlb_forget_host(struct interp *cpu, const uint8_t *host)
{
	for (unsigned view = 0; view < MMU_VIEWS; view++) {
		struct tlb_victim *victim = cpu->tlb.victim[view][MMU_WRITE];

		for (unsigned i = 0; i < TLB_VICTIMS; i++)
			if (victim[i].host == host)
				victim[i].generation = 0;
	}
}

static void forget_victims(struct tlb *tlb, gva_t gva, uint64_t size)
{
	if (size > PAGE_SIZE) {
		forget_all_victims(tlb);
		return;
	}
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned access = 0; access < MMU_ACCESSES; access++)
			victim_of(tlb, view, access, gva)->generation = 0;
}

/* --- protection keys -------------------------------------------------------- */

/*
 * An entry's rights are those that its page had under PKRU or PKRS as they were
 * (SDM 3, 4.6.2), so a change of either flushes, if it concerns a key that any
 * entry's page may have. Most are of keys that nobody used yet.
 */
void tlb_note_key(struct interp *cpu, bool is_user, unsigned key)
{
	if (is_user)
		cpu->tlb.user_keys |= BIT(key);
	else
		cpu->tlb.supervisor_keys |= BIT(key);
}

static void flush_if_used(struct interp *cpu, uint16_t keys, uint32_t changed)
{
	for (unsigned key = 0; key < 16; key++) {
		if (!(keys & BIT(key)) || !(changed >> 2 * key & 3))
			continue;
		tlb_flush(cpu);
		return;
	}
}

void interp_load_pkru(struct interp *cpu, uint32_t value)
{
	uint32_t changed = cpu->s.pkru ^ value;

	cpu->s.pkru = value;
	if (changed)
		flush_if_used(cpu, cpu->tlb.user_keys, changed);
}

void tlb_pkrs_changes(struct interp *cpu, uint32_t changed)
{
	if (changed)
		flush_if_used(cpu, cpu->tlb.supervisor_keys, changed);
}

/* --- one page --------------------------------------------------------------- */

/* The larger of the sizes that are not 1 GiB: 32-bit paging's. */
#define LARGE (4ull << 20)

/* Bit numbers in the filters: 4 MiB of linear space each, and 1 GiB. */
static unsigned hash_2m(gva_t gva)
{
	return ((gva >> 22) ^ (gva >> 31)) % 512;
}

static unsigned hash_1g(gva_t gva)
{
	return (gva >> 30) % 64;
}

static uint64_t *filter_2m(struct tlb *tlb, gva_t gva)
{
	return &tlb->large_2m[gva >> 63][hash_2m(gva) / 64];
}

void tlb_note_large(struct interp *cpu, gva_t gva, uint64_t size)
{
	struct tlb *tlb = &cpu->tlb;

	if (size > LARGE)
		tlb->large_1g[gva >> 63] |= BIT(hash_1g(gva));
	else
		*filter_2m(tlb, gva) |= BIT(hash_2m(gva) % 64);
}

/* Whatever their generation. The slots of up to 4 MiB are one run. */
static void drop_range(struct tlb_entry *entry, gva_t gva, uint64_t size)
{
	unsigned first = tlb_index(gva);

	_Static_assert(TLB_ENTRIES * PAGE_SIZE >= LARGE, "else all of them");
	for (unsigned i = first; i < first + size / PAGE_SIZE; i++)
		if (!((entry[i].tag ^ gva) & ~(TLB_ENTRIES * PAGE_SIZE - 1)))
			entry[i].tag = no_tag(i);
}

void tlb_flush_page(struct interp *cpu, gva_t gva)
{
	struct tlb *tlb = &cpu->tlb;

	cpu->end_block = true;
	tlb->page_flushes++;
	tlb->flushed_size = PAGE_SIZE;
	if (*filter_2m(tlb, gva) & BIT(hash_2m(gva) % 64))
		tlb->flushed_size = LARGE;
	tlb->flushed_page = gva & ~(tlb->flushed_size - 1);
	if (tlb->large_1g[gva >> 63] & BIT(hash_1g(gva))) {
		tlb_flush(cpu);
		return;
	}
	forget_victims(tlb, gva, tlb->flushed_size);
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned access = 0; access < MMU_ACCESSES; access++)
			drop_range(tlb->entry[view][access], tlb->flushed_page,
				   tlb->flushed_size);
}
