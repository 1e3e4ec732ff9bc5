/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers CPUID from a table (SDM 2, CPUID; APM 3, appendix E). */
#include "x86/cpuid.h"

#include <cpuid.h>

#include "base/bits.h"

/* Subleaves below this are asked for where a leaf has no count of its own. */
#define SUBLEAVES_MAX 32

const struct cpuid_leaf *cpuid_find(const struct cpuid_table *table,
				    uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < table->count; i++) {
		const struct cpuid_leaf *entry = &table->leaf[i];

		if (entry->leaf == leaf &&
		    (!entry->has_subleaf || entry->subleaf == subleaf))
			return entry;
	}
	return NULL;
}

uint32_t cpuid_value(const struct cpuid_table *table, uint32_t leaf,
		     uint32_t subleaf, enum cpuid_register reg)
{
	const struct cpuid_leaf *entry = cpuid_find(table, leaf, subleaf);

	if (!entry)
		return 0;
	switch (reg) {
	case CPUID_EAX:
		return entry->eax;
	case CPUID_EBX:
		return entry->ebx;
	case CPUID_ECX:
		return entry->ecx;
	default:
		return entry->edx;
	}
}

bool cpuid_has_bit(const struct cpuid_table *table, uint32_t leaf,
		   uint32_t subleaf, enum cpuid_register reg, unsigned bit)
{
	return cpuid_value(table, leaf, subleaf, reg) >> bit & 1;
}

bool cpuid_has(const struct cpuid_table *table, enum insn_feature feature)
{
	static const struct {
		uint32_t leaf;
		uint8_t subleaf, reg, bit;
	} places[FEAT_COUNT] = {
#define FEATURE(name, leaf, subleaf, reg, bit, class) \
	[FEAT_##name] = { leaf, subleaf, reg, bit },
#include "x86/features.def"
#undef FEATURE
	};

	/* Leaf 0 stands for what every processor has. */
	return !places[feature].leaf ||
	       cpuid_has_bit(table, places[feature].leaf,
			     places[feature].subleaf, places[feature].reg,
			     places[feature].bit);
}

bool cpuid_is_amd(const struct cpuid_table *table)
{
	uint32_t ebx = cpuid_value(table, 0, 0, CPUID_EBX);

	return ebx == signature_AMD_ebx || ebx == 0x6f677948; /* "Hygo" */
}

/* ECX selects among several answers (SDM 2, table 3-8). */
static bool has_subleaves(uint32_t leaf)
{
	switch (leaf) {
	case 4:
	case 7:
	case 0xb:
	case 0xd:
	case 0xf:
	case 0x10:
	case 0x12:
	case 0x14:
	case 0x17:
	case 0x18:
	case 0x1d:
	case 0x1e:
	case 0x1f:
	case 0x8000001d:
	case 0x80000020:
	case 0x80000026:
		return true;
	default:
		return false;
	}
}

static void host_range(struct cpuid_table *table, uint32_t first)
{
	uint32_t last, b, c, d;

	__cpuid(first, last, b, c, d);
	if (last < first || last > first + 0xff)
		return;
	for (uint32_t leaf = first; leaf <= last; leaf++) {
		unsigned count = has_subleaves(leaf) ? SUBLEAVES_MAX : 1;

		for (unsigned i = 0; i < count; i++) {
			struct cpuid_leaf entry = {
				.leaf = leaf,
				.subleaf = i,
				.has_subleaf = count > 1,
			};

			__cpuid_count(leaf, i, entry.eax, entry.ebx, entry.ecx,
				      entry.edx);
			if (i && !entry.eax && !entry.ebx)
				continue;
			if (table->count == CPUID_LEAVES_MAX)
				return;
			table->leaf[table->count++] = entry;
		}
	}
}

void cpuid_host(struct cpuid_table *table)
{
	*table = (struct cpuid_table){ 0 };
	host_range(table, 0);
	host_range(table, 0x80000000);
}

/*
 * Where the answer is for a leaf that the table does not hold. Past the
 * highest basic or hypervisor leaf Intel's processors answer as for the highest
 * basic one (SDM 2, CPUID), AMD's with zeros (APM 3, CPUID).
 */
static const struct cpuid_leaf *
find_out_of_range(const struct cpuid_table *table, uint32_t leaf,
		  uint32_t subleaf)
{
	uint32_t range = leaf & 0x80000000;

	if ((leaf & 0xf0000000) == 0x40000000)
		range = 0x40000000;
	if (cpuid_is_amd(table) ||
	    leaf <= cpuid_value(table, range, 0, CPUID_EAX))
		return NULL;
	return cpuid_find(table, cpuid_value(table, 0, 0, CPUID_EAX), subleaf);
}

/* Bytes of the XSAVE area for these components, in the standard format. */
static uint32_t xsave_size(const struct cpuid_table *table, uint64_t xcr0)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < 32; i++) {
		uint32_t end;

		if (!(xcr0 & BIT(i)))
			continue;
		end = cpuid_value(table, 0xd, i, CPUID_EAX) +
		      cpuid_value(table, 0xd, i, CPUID_EBX);
		size = MAX(size, end);
	}
	return size;
}

/* And in the compacted one: SDM 1, 13.4.3. */
static uint32_t compact_size(const struct cpuid_table *table, uint64_t xcr0)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < 32; i++) {
		if (!(xcr0 & BIT(i)))
			continue;
		if (cpuid_has_bit(table, 0xd, i, CPUID_ECX, 1))
			size = align_up(size, 64);
		size += cpuid_value(table, 0xd, i, CPUID_EAX);
	}
	return size;
}

void cpuid_query(const struct cpuid_table *table, uint32_t apic_id,
		 uint64_t cr4, uint64_t xcr0, uint32_t leaf, uint32_t subleaf,
		 uint32_t regs[4])
{
	const struct cpuid_leaf *entry = cpuid_find(table, leaf, subleaf);

	if (!entry) {
		entry = find_out_of_range(table, leaf, subleaf);
		if (entry)
			leaf = entry->leaf;
	}
	regs[0] = entry ? entry->eax : 0;
	regs[1] = entry ? entry->ebx : 0;
	regs[2] = entry ? entry->ecx : 0;
	regs[3] = entry ? entry->edx : 0;

	switch (leaf) {
	case 1:
		regs[1] = (regs[1] & 0x00ffffff) | apic_id << 24;
		if (cr4 & CR4_OSXSAVE)
			regs[2] |= BIT(27);
		break;
	case 7:
		if (entry && subleaf == 0 && (cr4 & CR4_PKE))
			regs[2] |= BIT(4);
		break;
	case 0xb:
	case 0x1f:
		/* Levels past the last: type 0, but the id and level stay. */
		if (!cpuid_find(table, leaf, 0))
			break;
		regs[2] = (regs[2] & ~0xffu) | (subleaf & 0xff);
		regs[3] = apic_id;
		break;
	case 0xd:
		if (entry && subleaf == 0)
			regs[1] = xsave_size(table, xcr0);
		if (entry && subleaf == 1 && (regs[0] & (BIT(1) | BIT(3))))
			regs[1] = compact_size(table, xcr0);
		break;
	}
}
