/* SPDX-License-Identifier: BSD-2-Clause */
/* Matching accesses with DR0 to DR3, SDM 3, 17.2.4 and 17.2.5. */
#include "engine/interp/debug.h"

#include "base/checked.h"

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

void debug_note_access(struct interp *cpu, gva_t gva, unsigned size,
		       enum mmu_access access)
{
	unsigned kinds = 1 << BREAK_ACCESS;

	if (access == MMU_WRITE)
		kinds |= 1 << BREAK_WRITE;
	cpu->debug_hits |= hits(&cpu->s, kinds, gva, size);
}

void debug_note_port(struct interp *cpu, uint16_t port, unsigned size)
{
	if (cpu->s.cr4 & CR4_DE)
		cpu->debug_hits |= hits(&cpu->s, 1 << BREAK_IO, port, size);
}
