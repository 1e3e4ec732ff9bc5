/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software TLB: how it is flushed, how PCIDs keep their translations, how
 * global pages survive (SDM 3, 4.10).
 *
 * The two halves of the linear address space are flushed apart. Each has a list
 * of the entries that were filled since its last flush, which empties just them.
 *  - The lower half's are the current PCID's. Those of PCIDs that were switched
 *    away from are kept in a few banks, so that a MOV to CR3 with bit 63 set
 *    finds its translations again. Global pages in the lower half are treated
 *    as the PCID's own.
 *  - The upper half is shared by all PCIDs: systems keep their global pages
 *    there. Once a page that is not global has been seen in it, the next
 *    switch flushes it too.
 *
 * What else is known of a half's translations (bt's ids, the victims) goes by
 * its generation, a number that changes with each flush and comes back with a
 * bank. When the numbers are used up everything is flushed, and counting starts
 * again.
 *
 * Entries hold 4 KiB. A page is dropped in its slot in every table; large pages
 * are remembered coarsely in two filters per half, and an INVLPG that might hit
 * one drops 4 MiB, or, of the larger ones, everything.
 */
#include "engine/interp/mmu.h"

#include "core/vcpu.h"

#define GENERATIONS UINT16_MAX

/* Not memset: the guest's vectors may be in the processor. */
static void forget_banks(struct tlb *tlb)
{
	for (unsigned i = 0; i < TLB_BANKS; i++)
		tlb->bank[i].generation = 0;
}

/* --- entries ---------------------------------------------------------------- */

#define NUMBERS ((unsigned)(MMU_VIEWS * MMU_ACCESSES * TLB_ENTRIES))

_Static_assert(NUMBERS <= UINT16_MAX + 1, "struct tlb_fills");

static struct tlb_entry *entry_at(struct tlb *tlb, unsigned number)
{
	return &tlb->entry[0][0][0] + number;
}

static unsigned number_of(enum mmu_view view, enum mmu_access access,
			  unsigned index)
{
	return (view * MMU_ACCESSES + access) * TLB_ENTRIES + index;
}

/* NULL: it is not that of a page of code. */
static gpa_t *code_gpa_at(struct tlb *tlb, unsigned number)
{
	unsigned table = number / TLB_ENTRIES;

	return table % MMU_ACCESSES == MMU_EXEC ?
		       &tlb->code_gpa[table / MMU_ACCESSES]
				     [number % TLB_ENTRIES] :
		       NULL;
}

/* A page of another slot. 0 is that of most, as calloc leaves them. */
static gva_t no_tag(unsigned index)
{
	return index ? 0 : PAGE_SIZE;
}

static bool is_empty(const struct tlb_entry *entry, unsigned number)
{
	return tlb_index(entry->tag) != number % TLB_ENTRIES;
}

static void empty(struct tlb_entry *entry, unsigned number)
{
	entry->tag = no_tag(number % TLB_ENTRIES);
}

static void put_entry(struct tlb *tlb, unsigned number,
		      const struct tlb_entry *entry)
{
	struct tlb_entry *at = entry_at(tlb, number);
	unsigned half = entry->tag >> 63;
	struct tlb_fills *fills = &tlb->fills[half];
	bool is_listed = !is_empty(at, number) && at->tag >> 63 == half;

	*at = *entry;
	if (!is_listed && fills->count < TLB_FILLS)
		fills->number[fills->count++] = (uint16_t)number;
}

static void empty_if_in(struct tlb *tlb, unsigned number, unsigned half)
{
	struct tlb_entry *entry = entry_at(tlb, number);

	if (entry->tag >> 63 == half)
		empty(entry, number);
}

static void empty_half(struct tlb *tlb, unsigned half)
{
	struct tlb_fills *fills = &tlb->fills[half];

	if (fills->count < TLB_FILLS)
		for (unsigned i = 0; i < fills->count; i++)
			empty_if_in(tlb, fills->number[i], half);
	else
		for (unsigned number = 0; number < NUMBERS; number++)
			empty_if_in(tlb, number, half);
	fills->count = 0;
}

/* --- flushing --------------------------------------------------------------- */

static void forget_all_victims(struct tlb *tlb)
{
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned access = 0; access < MMU_ACCESSES; access++)
			for (unsigned i = 0; i < TLB_VICTIMS; i++)
				tlb->victim[view][access][i].generation = 0;
}

/* As calloc left it, too. */
static void clear_all(struct tlb *tlb)
{
	for (unsigned number = 0; number < NUMBERS; number += TLB_ENTRIES)
		empty(entry_at(tlb, number), number);
	empty_half(tlb, 0);
	empty_half(tlb, 1);
	forget_all_victims(tlb);
	memset(tlb->large_2m, 0, sizeof(tlb->large_2m));
	memset(tlb->large_1g, 0, sizeof(tlb->large_1g));
	tlb->has_local_high = false;
	forget_banks(tlb);
	tlb->has_global_low = false;
	tlb->generation[0] = 1;
	tlb->generation[1] = 2;
	tlb->last_generation = 2;
}

static void renew(struct tlb *tlb, unsigned half)
{
	if (!tlb->last_generation || tlb->last_generation == GENERATIONS) {
		clear_all(tlb);
	} else {
		empty_half(tlb, half);
		tlb->generation[half] = ++tlb->last_generation;
	}
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
	tlb->has_global_low = false;
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

/* Takes it out, so that it is not taken again. */
static void save_entry(struct tlb *tlb, struct tlb_bank *bank, unsigned number)
{
	struct tlb_entry *entry = entry_at(tlb, number);
	const gpa_t *code_gpa = code_gpa_at(tlb, number);

	if (entry->tag >> 63 || is_empty(entry, number))
		return;
	bank->saved[bank->count++] = (struct tlb_saved){
		.entry = *entry,
		.code_gpa = code_gpa ? *code_gpa : 0,
		.number = (uint16_t)number,
	};
	empty(entry, number);
}

/* The lower half's entries, those filled last first. They leave the TLB when its
 * half is flushed. */
static void save_current(struct tlb *tlb)
{
	struct tlb_bank *bank = find_bank(tlb, tlb->pcid);
	const struct tlb_fills *fills = &tlb->fills[0];

	if (!bank)
		bank = &tlb->bank[tlb->next_bank++ % TLB_BANKS];
	bank->pcid = tlb->pcid;
	bank->generation = (uint16_t)tlb->generation[0];
	bank->count = 0;
	for (unsigned i = fills->count; i-- > 0 && bank->count < TLB_SAVED;)
		save_entry(tlb, bank, fills->number[i]);
}

static void restore(struct tlb *tlb, const struct tlb_bank *bank)
{
	empty_half(tlb, 0);
	tlb->generation[0] = bank->generation;
	for (unsigned i = 0; i < bank->count; i++) {
		const struct tlb_saved *saved = &bank->saved[i];
		gpa_t *code_gpa = code_gpa_at(tlb, saved->number);

		/* Not in place of the other half's. */
		if (!is_empty(entry_at(tlb, saved->number), saved->number))
			continue;
		put_entry(tlb, saved->number, &saved->entry);
		if (code_gpa)
			*code_gpa = saved->code_gpa;
	}
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
		restore(tlb, bank);
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
		empty(&tlb->entry[tlb->last_view][access][tlb->last_index],
		      tlb->last_index);
	tlb->last_view = view;
	tlb->last_index = index;
}

/* --- victims ---------------------------------------------------------------- */

static struct tlb_victim *victim_of(struct tlb *tlb, enum mmu_view view,
				    enum mmu_access access, gva_t gva)
{
	return &tlb->victim[view][access][tlb_index(gva) % TLB_VICTIMS];
}

static void keep_victim(struct tlb *tlb, enum mmu_view view,
			enum mmu_access access, gva_t gva)
{
	unsigned index = tlb_index(gva);
	const struct tlb_entry *entry = &tlb->entry[view][access][index];

	if (is_empty(entry, index) || entry->tag == (gva & PAGE_MASK) ||
	    tlb->has_one_entry)
		return;
	*victim_of(tlb, view, access, gva) = (struct tlb_victim){
		.entry = *entry,
		.generation = tlb->generation[entry->tag >> 63],
		.code_gpa = access == MMU_EXEC ? tlb->code_gpa[view][index] : 0,
	};
}

void tlb_enter(struct interp *cpu, enum mmu_view view, enum mmu_access access,
	       gva_t gva, const uint8_t *host)
{
	gva_t page = gva & PAGE_MASK;
	struct tlb_entry entry = { page, (uint64_t)host - page };

	keep_victim(&cpu->tlb, view, access, gva);
	put_entry(&cpu->tlb, number_of(view, access, tlb_index(gva)), &entry);
}

bool tlb_recall(struct interp *cpu, enum mmu_view view, enum mmu_access access,
		gva_t gva)
{
	struct tlb *tlb = &cpu->tlb;
	struct tlb_victim *victim = victim_of(tlb, view, access, gva);
	struct tlb_victim found = *victim;
	unsigned index = tlb_index(gva);

	if (found.entry.tag != (gva & PAGE_MASK) ||
	    found.generation != tlb->generation[gva >> 63])
		return false;
	victim->generation = 0;
	keep_victim(tlb, view, access, gva);
	put_entry(tlb, number_of(view, access, index), &found.entry);
	if (access == MMU_EXEC)
		tlb->code_gpa[view][index] = found.code_gpa;
	return true;
}

static bool is_of_host(const struct tlb_entry *entry, const uint8_t *host)
{
	return entry->tag + entry->addend == (uint64_t)host;
}

/* Whatever is allowed there: reading comes back with a walk. */
static void forget_saved(struct tlb_bank *bank, const uint8_t *host)
{
	unsigned count = 0;

	for (unsigned i = 0; i < bank->count; i++)
		if (!is_of_host(&bank->saved[i].entry, host))
			bank->saved[count++] = bank->saved[i];
	bank->count = count;
}

void tlb_forget_host(struct interp *cpu, const uint8_t *host)
{
	struct tlb *tlb = &cpu->tlb;

	for (unsigned view = 0; view < MMU_VIEWS; view++) {
		struct tlb_entry *entry = tlb->entry[view][MMU_WRITE];
		struct tlb_victim *victim = tlb->victim[view][MMU_WRITE];

		for (unsigned i = 0; i < TLB_ENTRIES; i++)
			if (is_of_host(&entry[i], host))
				empty(&entry[i], i);
		for (unsigned i = 0; i < TLB_VICTIMS; i++)
			if (is_of_host(&victim[i].entry, host))
				victim[i].generation = 0;
	}
	for (unsigned i = 0; i < TLB_BANKS; i++)
		if (tlb->bank[i].generation)
			forget_saved(&tlb->bank[i], host);
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

/* The slots of up to 4 MiB are one run. */
static void drop_range(struct tlb_entry *entry, gva_t gva, uint64_t size)
{
	unsigned first = tlb_index(gva);

	_Static_assert(TLB_ENTRIES * PAGE_SIZE >= LARGE, "else all of them");
	for (unsigned i = first; i < first + size / PAGE_SIZE; i++)
		if (!((entry[i].tag ^ gva) & ~(TLB_ENTRIES * PAGE_SIZE - 1)))
			empty(&entry[i], i);
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
	/* Other PCIDs' too, if it is global. */
	if (tlb->has_global_low && !(gva >> 63))
		forget_banks(tlb);
	forget_victims(tlb, gva, tlb->flushed_size);
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		for (unsigned access = 0; access < MMU_ACCESSES; access++)
			drop_range(tlb->entry[view][access], tlb->flushed_page,
				   tlb->flushed_size);
}
