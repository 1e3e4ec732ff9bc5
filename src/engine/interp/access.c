/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory accesses that are not a TLB hit within a page: segment checks
 * (SDM 3, 5.3 to 5.5), alignment checks, operands on two pages, MMIO.
 *
 * An operand on two pages is translated whole before a byte of it moves, so a
 * fault on either page leaves memory as it was.
 */
#include "engine/interp/mmu.h"

#include <pthread.h>

#include "engine/interp/debug.h"

/* --- segmentation --------------------------------------------------------- */

static bool is_protected(const struct interp *cpu)
{
	return (cpu->s.cr0 & CR0_PE) && !(cpu->s.rflags & RFLAGS_VM);
}

/* Type and limit of a segment outside 64-bit mode. */
static bool segment_allows(const struct interp *cpu,
			   const struct cpu_segment *segment, uint64_t offset,
			   unsigned size, enum mmu_access access)
{
	uint32_t attributes = segment->attributes;
	uint64_t last = offset + size - 1;
	bool is_code = attributes & SEGMENT_CODE;

	if (is_protected(cpu)) {
		if (attributes & SEGMENT_UNUSABLE)
			return false;
		if (access == MMU_WRITE &&
		    (is_code || !(attributes & SEGMENT_WRITABLE)))
			return false;
		if (access == MMU_READ && is_code &&
		    !(attributes & SEGMENT_WRITABLE))
			return false;
	}
	if (!is_code && (attributes & SEGMENT_EXPAND_DOWN))
		return offset > segment->limit &&
		       last <= (attributes & SEGMENT_DB ? 0xffffffff : 0xffff);
	return last <= segment->limit;
}

/* False: #GP(0), or #SS(0) for the stack segment. */
static bool linear(const struct interp *cpu, enum segment index,
		   uint64_t offset, unsigned size, enum mmu_access access,
		   gva_t *gva)
{
	const struct cpu_segment *segment = &cpu->s.segment[index];

	if (cpu->mode == X86_MODE_64) {
		*gva = mem_flat(cpu, index, offset);
		return gva_is_canonical(*gva) &&
		       gva_is_canonical(*gva + size - 1);
	}
	*gva = (uint32_t)(segment->base + offset);
	return segment_allows(cpu, segment, offset, size, access);
}

gva_t mem_linear(struct interp *cpu, enum segment segment, uint64_t offset,
		 unsigned size, enum mmu_access access)
{
	gva_t gva;

	if (unlikely(!linear(cpu, segment, offset, size, access, &gva)))
		interp_fault(cpu, segment == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
	if (unlikely(cpu->has_breakpoints))
		debug_note_access(cpu, gva, size, access);
	return gva;
}

/* SDM 3, 6.15, #AC: only at CPL 3, with CR0.AM and EFLAGS.AC. */
static void check_alignment(struct interp *cpu, gva_t gva, unsigned size)
{
	if ((gva & (size - 1)) && cpu->cpl == 3 && (cpu->s.cr0 & CR0_AM) &&
	    (cpu->s.rflags & RFLAGS_AC))
		interp_fault(cpu, VECTOR_AC, 0);
}

/* --- an operand and its parts --------------------------------------------- */

struct operand_places {
	unsigned count;
	unsigned size[2];
	struct mem_place place[2];
};

/* Where the page after `gva`'s starts: 32-bit linear addresses wrap. */
static gva_t next_page(const struct interp *cpu, gva_t gva)
{
	gva_t next = (gva & PAGE_MASK) + PAGE_SIZE;

	return cpu_is_long_mode(&cpu->s) ? next : (uint32_t)next;
}

static bool locate(struct interp *cpu, gva_t gva, unsigned size,
		   enum mmu_access access, enum mmu_view view,
		   struct operand_places *places, gva_t *fault_gva,
		   struct walk_fault *fault)
{
	unsigned first = MIN(size, PAGE_SIZE - (gva & ~PAGE_MASK));

	places->count = first < size ? 2 : 1;
	places->size[0] = first;
	places->size[1] = size - first;
	for (unsigned i = 0; i < places->count; i++) {
		*fault_gva = i ? next_page(cpu, gva) : gva;
		if (!mmu_translate(cpu, *fault_gva, access, view,
				   &places->place[i], fault))
			return false;
	}
	return true;
}

static void locate_or_fault(struct interp *cpu, gva_t gva, unsigned size,
			    enum mmu_access access, enum mmu_view view,
			    struct operand_places *places)
{
	struct walk_fault fault;
	gva_t fault_gva;

	if (!locate(cpu, gva, size, access, view, places, &fault_gva, &fault))
		interp_page_fault(cpu, fault_gva, fault.error);
}

/* MMIO goes in pieces of a power of two, 8 bytes at the most. */
static unsigned piece_size(unsigned size)
{
	return size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
}

/* In place of memcpy, which uses vector registers: they may be the guest's. */
static void copy(uint8_t *to, const uint8_t *from, size_t size)
{
	if (size > 64) {
		__asm__ volatile("rep movsb"
				 : "+D"(to), "+S"(from), "+c"(size)
				 :
				 : "memory");
		return;
	}
	for (; size >= 8; size -= 8, to += 8, from += 8)
		store_u64(to, load_u64(from));
	while (size--)
		*to++ = *from++;
}

static void place_read(struct interp *cpu, const struct mem_place *place,
		       uint8_t *to, unsigned size)
{
	gpa_t gpa = place->gpa;

	if (place->host) {
		copy(to, place->host, size);
		return;
	}
	while (size) {
		unsigned piece = piece_size(size);

		host_store(to, mmio_read(cpu, gpa, piece), piece);
		gpa += piece;
		to += piece;
		size -= piece;
	}
}

static void place_write(struct interp *cpu, const struct mem_place *place,
			const uint8_t *from, unsigned size)
{
	gpa_t gpa = place->gpa;

	if (place->host) {
		copy(place->host, from, size);
		mem_written(cpu, place->host);
		return;
	}
	while (size) {
		unsigned piece = piece_size(size);

		mmio_write(cpu, gpa, host_load(from, piece), piece);
		gpa += piece;
		from += piece;
		size -= piece;
	}
}

static void read_parts(struct interp *cpu, const struct operand_places *places,
		       uint8_t *to)
{
	place_read(cpu, &places->place[0], to, places->size[0]);
	if (places->count == 2)
		place_read(cpu, &places->place[1], to + places->size[0],
			   places->size[1]);
}

static void write_parts(struct interp *cpu, const struct operand_places *places,
			const uint8_t *from)
{
	place_write(cpu, &places->place[0], from, places->size[0]);
	if (places->count == 2)
		place_write(cpu, &places->place[1], from + places->size[0],
			    places->size[1]);
}

/* A value of 1, 2, 4 or 8 bytes: one host access where it is in one place. */
static uint64_t read_value(struct interp *cpu, gva_t gva, unsigned size,
			   enum mmu_view view)
{
	struct operand_places places;
	uint8_t bytes[8] = { 0 };

	locate_or_fault(cpu, gva, size, MMU_READ, view, &places);
	if (places.count == 1)
		return places.place[0].host ?
			       host_load(places.place[0].host, size) :
			       mmio_read(cpu, places.place[0].gpa, size);
	read_parts(cpu, &places, bytes);
	return load_u64(bytes);
}

static void write_value(struct interp *cpu, gva_t gva, uint64_t value,
			unsigned size, enum mmu_view view)
{
	struct operand_places places;
	uint8_t bytes[8];

	locate_or_fault(cpu, gva, size, MMU_WRITE, view, &places);
	if (places.count == 1 && places.place[0].host) {
		host_store(places.place[0].host, value, size);
		mem_written(cpu, places.place[0].host);
		return;
	}
	store_u64(bytes, value);
	write_parts(cpu, &places, bytes);
}

/* --- the contracts of interp.h -------------------------------------------- */

uint64_t mem_read_slow(struct interp *cpu, enum segment segment,
		       uint64_t offset, unsigned size)
{
	gva_t gva = mem_linear(cpu, segment, offset, size, MMU_READ);

	check_alignment(cpu, gva, size);
	return read_value(cpu, gva, size, cpu->view);
}

void mem_write_slow(struct interp *cpu, enum segment segment, uint64_t offset,
		    uint64_t value, unsigned size)
{
	gva_t gva = mem_linear(cpu, segment, offset, size, MMU_WRITE);

	check_alignment(cpu, gva, size);
	write_value(cpu, gva, value, size, cpu->view);
}

void mem_read_bytes(struct interp *cpu, enum segment segment, uint64_t offset,
		    void *to, unsigned size)
{
	gva_t gva = mem_linear(cpu, segment, offset, size, MMU_READ);
	struct operand_places places;

	locate_or_fault(cpu, gva, size, MMU_READ, cpu->view, &places);
	read_parts(cpu, &places, to);
}

void mem_write_bytes(struct interp *cpu, enum segment segment, uint64_t offset,
		     const void *from, unsigned size)
{
	gva_t gva = mem_linear(cpu, segment, offset, size, MMU_WRITE);
	struct operand_places places;

	locate_or_fault(cpu, gva, size, MMU_WRITE, cpu->view, &places);
	write_parts(cpu, &places, from);
}

void mem_check_write(struct interp *cpu, enum segment segment, uint64_t offset,
		     unsigned size)
{
	gva_t gva = mem_linear(cpu, segment, offset, size, MMU_WRITE);
	struct operand_places places;

	locate_or_fault(cpu, gva, size, MMU_WRITE, cpu->view, &places);
}

uint8_t *mem_span(struct interp *cpu, enum segment segment, uint64_t offset,
		  unsigned *size, enum mmu_access access)
{
	struct walk_fault fault;
	struct mem_place place;
	gva_t gva;

	/* Breakpoints want each element. */
	if (unlikely(cpu->has_breakpoints))
		return NULL;
	/* Before limits are checked: the cut depends on the base only. */
	gva = cpu->s.segment[segment].base;
	if (cpu->mode == X86_MODE_64 && segment < SEG_FS)
		gva = 0;
	gva += offset;
	*size = MIN(*size, PAGE_SIZE - (gva & ~PAGE_MASK));
	if (!linear(cpu, segment, offset, *size, access, &gva) ||
	    !mmu_translate(cpu, gva, access, cpu->view, &place, &fault))
		return NULL;
	if (place.host && access == MMU_WRITE)
		mem_written(cpu, place.host);
	return place.host;
}

/* --- system accesses ------------------------------------------------------ */

/* Implicit supervisor accesses: EFLAGS.AC does not lift SMAP (SDM 3, 4.6.1). */
static enum mmu_view system_view(const struct interp *cpu)
{
	return cpu->s.cr4 & CR4_SMAP ? MMU_SMAP : MMU_SUPERVISOR;
}

static gva_t system_linear(struct interp *cpu, gva_t gva, unsigned size)
{
	if (!cpu_is_long_mode(&cpu->s))
		return (uint32_t)gva;
	if (!gva_is_canonical(gva) || !gva_is_canonical(gva + size - 1))
		interp_fault(cpu, VECTOR_GP, 0);
	return gva;
}

uint64_t mem_read_system(struct interp *cpu, gva_t gva, unsigned size)
{
	return read_value(cpu, system_linear(cpu, gva, size), size,
			  system_view(cpu));
}

void mem_write_system(struct interp *cpu, gva_t gva, uint64_t value,
		      unsigned size)
{
	write_value(cpu, system_linear(cpu, gva, size), value, size,
		    system_view(cpu));
}

void mem_check_system(struct interp *cpu, gva_t gva, unsigned size,
		      enum mmu_access access)
{
	struct operand_places places;

	locate_or_fault(cpu, system_linear(cpu, gva, size), size, access,
			system_view(cpu), &places);
}

uint64_t mem_read_linear(struct interp *cpu, gva_t gva, unsigned size,
			 enum mmu_view view)
{
	return read_value(cpu, gva, size, view);
}

void mem_write_linear(struct interp *cpu, gva_t gva, uint64_t value,
		      unsigned size, enum mmu_view view)
{
	write_value(cpu, gva, value, size, view);
}

/* --- read-modify-write ---------------------------------------------------- */

/*
 * The split lock of all vCPUs. It guards no data of ours: it keeps bounced
 * locked operations from overlapping, as a locked bus would.
 */
static pthread_mutex_t split_lock = PTHREAD_MUTEX_INITIALIZER;

void mem_rmw_begin(struct interp *cpu, struct mem_rmw *rmw,
		   enum segment segment, uint64_t offset, unsigned size,
		   bool is_locked)
{
	struct operand_places places;
	uint8_t *to = rmw->bounce;

	rmw->is_bounced = false;
	rmw->is_locked = is_locked;
	rmw->size = size;
	if (likely(cpu->is_flat)) {
		rmw->gva = mem_flat(cpu, segment, offset);
		rmw->host = tlb_find(cpu, cpu->view, MMU_WRITE, rmw->gva, size);
		if (likely(rmw->host))
			return;
	}
	rmw->gva = mem_linear(cpu, segment, offset, size, MMU_WRITE);
	if (size <= 8)
		check_alignment(cpu, rmw->gva, size);
	locate_or_fault(cpu, rmw->gva, size, MMU_WRITE, cpu->view, &places);
	rmw->host = places.place[0].host;
	if (places.count == 1 && rmw->host)
		return;

	rmw->is_bounced = true;
	rmw->host = rmw->bounce;
	if (is_locked)
		pthread_mutex_lock(&split_lock);
	for (unsigned i = 0; i < 2; i++) {
		rmw->part[i].size = i < places.count ? places.size[i] : 0;
		if (!rmw->part[i].size)
			continue;
		rmw->part[i].host = places.place[i].host;
		rmw->part[i].gpa = places.place[i].gpa;
		place_read(cpu, &places.place[i], to, places.size[i]);
		to += places.size[i];
	}
}

void mem_rmw_end(struct interp *cpu, struct mem_rmw *rmw)
{
	const uint8_t *from = rmw->bounce;

	if (likely(!rmw->is_bounced)) {
		mem_written(cpu, rmw->host);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct mem_place place = {
			.host = rmw->part[i].host,
			.gpa = rmw->part[i].gpa,
		};

		place_write(cpu, &place, from, rmw->part[i].size);
		from += rmw->part[i].size;
	}
	if (rmw->is_locked)
		pthread_mutex_unlock(&split_lock);
}
