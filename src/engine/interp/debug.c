/* SPDX-License-Identifier: BSD-2-Clause */
/* Matching accesses with DR0 to DR3, SDM 3, 17.2.4 and 17.2.5, and with what a
 * debugger set. */
#include "engine/interp/debug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "engine/interp/block.h"

/* R/Wn of DR7; BREAK_IO only with CR4.DE. */
enum break_kind { BREAK_EXECUTE, BREAK_WRITE, BREAK_IO, BREAK_ACCESS };

static enum break_kind kind_of(const struct cpu_state *s, unsigned n)
{
	return (enum break_kind)bits_get(s->dr[7], 17 + 4 * n, 16 + 4 * n);
}

static unsigned length_of(const struct cpu_state *s, unsigned n)
{
	static const uint8_t length[] = { 1, 2, 8, 4 };

	return length[bits_get(s->dr[7], 19 + 4 * n, 18 + 4 * n)];
}

/* DR6 bits of the enabled breakpoints of `kinds`, a set of 1 << kind, that
 * share a byte with the access. */
static uint64_t hits(const struct cpu_state *s, unsigned kinds,
		     uint64_t address, unsigned size)
{
	uint64_t found = 0;

	for (unsigned n = 0; n < 4; n++) {
		unsigned length = length_of(s, n);

		if (!(s->dr[7] >> 2 * n & 3) || !(kinds >> kind_of(s, n) & 1))
			continue;
		/* The low bits of the address are ignored (17.2.5). */
		if (ranges_overlap(align_down(s->dr[n], length), length,
				   address, size))
			found |= BIT(n);
	}
	return found;
}

uint64_t debug_code_hits(const struct interp *cpu, gva_t gva)
{
	return hits(&cpu->s, 1 << BREAK_EXECUTE, gva, 1);
}

static void debugger_note(struct interp *cpu, gva_t gva, unsigned size,
			  enum mmu_access access)
{
	for (size_t i = 0; i < cpu->debugger.count; i++) {
		const struct breakpoint *point = &cpu->debugger.list[i];

		if (point->kind == BREAKPOINT_EXECUTE ||
		    (point->kind == BREAKPOINT_WRITE && access != MMU_WRITE) ||
		    !ranges_overlap(point->address, point->size, gva, size))
			continue;
		cpu->debugger.is_hit = true;
		cpu->debugger.hit = *point;
	}
}

void debug_note_access(struct interp *cpu, gva_t gva, unsigned size,
		       enum mmu_access access)
{
	unsigned kinds = 1 << BREAK_ACCESS;

	if (access == MMU_WRITE)
		kinds |= 1 << BREAK_WRITE;
	cpu->debug_hits |= hits(&cpu->s, kinds, gva, size);
	if (cpu->debugger.has_data)
		debugger_note(cpu, gva, size, access);
}

void debug_note_port(struct interp *cpu, uint16_t port, unsigned size)
{
	if (cpu->s.cr4 & CR4_DE)
		cpu->debug_hits |= hits(&cpu->s, 1 << BREAK_IO, port, size);
}

/* --- the debugger's ------------------------------------------------------- */

int debugger_set(struct interp *cpu, const struct breakpoint *list,
		 size_t count)
{
	struct breakpoint *copy = NULL;

	if (count) {
		copy = calloc(count, sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, list, count * sizeof(*copy));
	}
	debugger_fini(cpu);
	cpu->debugger.list = copy;
	cpu->debugger.count = count;
	cpu->debugger.has_code = cpu->debugger.has_data = false;
	for (size_t i = 0; i < count; i++) {
		if (copy[i].kind == BREAKPOINT_EXECUTE)
			cpu->debugger.has_code = true;
		else
			cpu->debugger.has_data = true;
	}
	interp_mode_changed(cpu);
	return 0;
}

void debugger_fini(struct interp *cpu)
{
	free(cpu->debugger.list);
	cpu->debugger.list = NULL;
	cpu->debugger.count = 0;
}

static gva_t code_address(const struct interp *cpu)
{
	return cpu->mode == X86_MODE_64 ?
		       cpu->s.rip :
		       (uint32_t)(cpu->s.segment[SEG_CS].base + cpu->s.rip);
}

static const struct breakpoint *find_code(const struct interp *cpu, gva_t gva)
{
	for (size_t i = 0; i < cpu->debugger.count; i++)
		if (cpu->debugger.list[i].kind == BREAKPOINT_EXECUTE &&
		    cpu->debugger.list[i].address == gva)
			return &cpu->debugger.list[i];
	return NULL;
}

bool debugger_stops_here(struct interp *cpu)
{
	const struct breakpoint *point;

	if (cpu->debugger.is_stepping)
		return false;
	point = find_code(cpu, code_address(cpu));
	if (point)
		cpu->debugger.hit = *point;
	return point;
}

unsigned debugger_clip(const struct interp *cpu, const struct block *block,
		       unsigned count)
{
	gva_t gva = code_address(cpu);

	for (unsigned i = 0; i < count; i++) {
		if (i && find_code(cpu, gva))
			return i;
		gva += block->op[i].insn.len;
	}
	return count;
}
