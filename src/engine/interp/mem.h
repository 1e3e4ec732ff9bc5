/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fast paths of guest memory: a TLB hit within a page. What they do not
 * decide goes to mmu.c. Included by interp.h, where the contracts stand.
 */
#pragma once

#include <string.h>

#include "base/bits.h"
#include "engine/interp/interp.h"

uint64_t mem_read_slow(struct interp *cpu, enum segment segment,
		       uint64_t offset, unsigned size);
void mem_write_slow(struct interp *cpu, enum segment segment, uint64_t offset,
		    uint64_t value, unsigned size);
const uint8_t *mem_fetch_slow(struct interp *cpu, gva_t gva, gpa_t *gpa);

static inline unsigned tlb_index(gva_t gva)
{
	return (gva >> PAGE_SHIFT) % TLB_ENTRIES;
}

/* The host address of [gva, +size), or NULL; an operand on two pages misses. */
static inline uint8_t *tlb_find(struct interp *cpu, enum mmu_view view,
				enum mmu_access access, gva_t gva,
				unsigned size)
{
	const struct tlb_entry *entry =
		&cpu->tlb.entry[view][access][tlb_index(gva)];

	if (likely((gva ^ entry->tag) <= PAGE_SIZE - size))
		return (uint8_t *)(gva + entry->addend);
	return NULL;
}

/* The linear address when neither limit nor type can matter: is_flat. */
static inline gva_t mem_flat(const struct interp *cpu, enum segment segment,
			     uint64_t offset)
{
	return segment >= SEG_FS ? offset + cpu->s.segment[segment].base :
				   offset;
}

static inline uint64_t host_load(const uint8_t *host, unsigned size)
{
	switch (size) {
	case 1:
		return *host;
	case 2:
		return load_u16(host);
	case 4:
		return load_u32(host);
	default:
		return load_u64(host);
	}
}

static inline void host_store(uint8_t *host, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		*host = value;
		break;
	case 2:
		store_u16(host, value);
		break;
	case 4:
		store_u32(host, value);
		break;
	default:
		store_u64(host, value);
		break;
	}
}

/* Book-keeping of a write: the executing page's block must end. */
static inline void mem_written(struct interp *cpu, const uint8_t *host)
{
	if (unlikely(((uintptr_t)host & PAGE_MASK) ==
		     (uintptr_t)cpu->code_page))
		cpu->end_block = true;
}

static inline uint64_t mem_read(struct interp *cpu, enum segment segment,
				uint64_t offset, unsigned size)
{
	if (likely(cpu->is_flat)) {
		gva_t gva = mem_flat(cpu, segment, offset);
		const uint8_t *host =
			tlb_find(cpu, cpu->view, MMU_READ, gva, size);

		if (likely(host))
			return host_load(host, size);
	}
	return mem_read_slow(cpu, segment, offset, size);
}

static inline void mem_write(struct interp *cpu, enum segment segment,
			     uint64_t offset, uint64_t value, unsigned size)
{
	if (likely(cpu->is_flat)) {
		gva_t gva = mem_flat(cpu, segment, offset);
		uint8_t *host = tlb_find(cpu, cpu->view, MMU_WRITE, gva, size);

		if (likely(host)) {
			host_store(host, value, size);
			mem_written(cpu, host);
			return;
		}
	}
	mem_write_slow(cpu, segment, offset, value, size);
}

/* Fetches know no SMAP. */
static inline enum mmu_view mem_code_view(const struct interp *cpu)
{
	return cpu->cpl == 3 ? MMU_USER : MMU_SUPERVISOR;
}

static inline const uint8_t *mem_fetch(struct interp *cpu, gva_t gva,
				       gpa_t *gpa)
{
	enum mmu_view view = mem_code_view(cpu);
	const uint8_t *host = tlb_find(cpu, view, MMU_EXEC, gva, 1);

	if (unlikely(!host))
		return mem_fetch_slow(cpu, gva, gpa);
	*gpa = cpu->tlb.code_gpa[view][tlb_index(gva)] | (gva & ~PAGE_MASK);
	return host;
}
