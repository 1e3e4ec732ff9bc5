/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry states. Linux's boot.rst wants: interrupts off, flat segments __BOOT_CS
 * (10h) and __BOOT_DS (18h) from a loaded GDT, ESI or RSI at the zero page; for
 * 64-bit entry also paging with an identity map. PVH wants flat 32-bit segments
 * without paging, EBX at the start info, a 32-bit TSS in TR, CR4 zero. Multiboot
 * wants the same of the segments, its magic number in EAX and EBX at its
 * information.
 */
#include "boot/entry.h"

#include "base/bits.h"
#include "boot/e820.h"
#include "boot/multiboot.h"
#include "core/memory.h"
#include "x86/paging.h"

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TSS  0x20
#define TSS_LIMIT     0x67

#define CODE32	      0xc09bu /* execute, read, accessed; 4 GiB, D */
#define CODE64	      0xa09bu
#define DATA	      0xc093u
#define TSS_BUSY      0x008bu

#define TABLE_ENTRIES 512
#define IDENTITY_GIB  4

/* SDM 3, figure 3-8, from the attributes' VMCS layout. */
static uint64_t descriptor(uint32_t attributes, uint32_t base, uint32_t limit)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	       (uint64_t)(attributes & 0xff) << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 |
	       (uint64_t)(attributes >> 12 & 0xf) << 52 |
	       (uint64_t)(base >> 24) << 56;
}

static int write_gdt(struct memory *memory, bool is_64bit)
{
	uint64_t gdt[6] = {
		[SELECTOR_CODE / 8] =
			descriptor(is_64bit ? CODE64 : CODE32, 0, 0xfffff),
		[SELECTOR_DATA / 8] = descriptor(DATA, 0, 0xfffff),
		[SELECTOR_TSS / 8] = descriptor(TSS_BUSY, BOOT_TSS, TSS_LIMIT),
	};

	return memory_write(memory, BOOT_GDT, gdt, sizeof(gdt));
}

/* The first 4 GiB onto themselves, in pages of 2 MiB. */
static int write_page_tables(struct memory *memory)
{
	const gpa_t pml4 = BOOT_PAGE_TABLES, pdpt = pml4 + PAGE_SIZE;
	uint64_t table[TABLE_ENTRIES] = { 0 };
	int error;

	table[0] = pdpt | PTE_P | PTE_RW;
	error = memory_write(memory, pml4, table, sizeof(table));
	for (unsigned i = 0; i < IDENTITY_GIB; i++)
		table[i] = (pdpt + (i + 1) * PAGE_SIZE) | PTE_P | PTE_RW;
	if (!error)
		error = memory_write(memory, pdpt, table, sizeof(table));
	for (unsigned i = 0; i < IDENTITY_GIB && !error; i++) {
		for (uint64_t j = 0; j < TABLE_ENTRIES; j++)
			table[j] = ((uint64_t)i << 30 | j << 21) | PTE_P |
				   PTE_RW | PTE_PS;
		error = memory_write(memory, pdpt + (i + 1) * PAGE_SIZE, table,
				     sizeof(table));
	}
	return error;
}

int entry_write(struct memory *memory, enum entry_protocol protocol)
{
	int error = write_gdt(memory, protocol == ENTRY_LINUX64);

	if (!error)
		error = memory_fill(memory, BOOT_TSS, 0, TSS_LIMIT + 1);
	if (!error && protocol == ENTRY_LINUX64)
		error = write_page_tables(memory);
	return error;
}

#define MTRR_UC		  0x00ull
#define MTRR_WP		  0x05ull
#define MTRR_WB		  0x06ull
#define MTRR_EIGHT(type)  ((type)*0x0101010101010101ull)
#define MTRR_FIXED_ENABLE BIT(10)
#define MTRR_ENABLE	  BIT(11)
#define MTRR_VALID	  BIT(11)

static void set_uncached(uint64_t mtrr[2], uint64_t base, uint64_t size,
			 unsigned address_bits)
{
	mtrr[0] = base | MTRR_UC;
	mtrr[1] = (BITS(address_bits - 1, 12) & ~(size - 1)) | MTRR_VALID;
}

void entry_set_mtrrs(struct cpu_msrs *msr, unsigned address_bits)
{
	msr->mtrr_def_type = MTRR_WB | MTRR_FIXED_ENABLE | MTRR_ENABLE;
	/* [0]: 0, [1]: 80000h, [2]: a0000h, [3] to [10]: c0000h to 1 MiB */
	for (int i = 0; i < 11; i++)
		msr->mtrr_fixed[i] = MTRR_EIGHT(i < 2  ? MTRR_WB :
						i == 2 ? MTRR_UC :
							 MTRR_WP);
	/* The hole: a range is a power of two, at a multiple of its size. */
	set_uncached(msr->mtrr_physical[0], BOARD_ECAM_BASE, BOARD_ECAM_SIZE,
		     address_bits);
	set_uncached(msr->mtrr_physical[1], BOARD_ECAM_BASE + BOARD_ECAM_SIZE,
		     MEMORY_HOLE_END - BOARD_ECAM_BASE - BOARD_ECAM_SIZE,
		     address_bits);
}

#define SETUP_ENTRY 0x20 /* paragraphs above the boot sector */

/* As RESET# leaves it, but for where it is. */
static void enter_real_mode(struct cpu_state *state, uint64_t setup)
{
	for (int i = 0; i < SEG_COUNT; i++) {
		state->segment[i].selector = setup >> 4;
		state->segment[i].base = setup;
	}
	state->segment[SEG_CS].selector += SETUP_ENTRY;
	state->segment[SEG_CS].base += SETUP_ENTRY << 4;
	state->rip = 0;
	state->gpr[RSP] = BOOT_REAL_MODE_STACK;
	state->gpr[RDX] = 0;
}

void entry_state(struct cpu_state *state, enum entry_protocol protocol,
		 uint64_t rip)
{
	bool is_64bit = protocol == ENTRY_LINUX64;
	struct cpu_segment data = { SELECTOR_DATA, DATA, 0xffffffff, 0 };

	cpu_state_reset(state, true);
	if (protocol == ENTRY_LINUX16) {
		enter_real_mode(state, rip);
		return;
	}
	state->rip = rip;
	state->rflags = RFLAGS_FIXED1;
	for (int i = 0; i < SEG_COUNT; i++)
		state->segment[i] = data;
	state->segment[SEG_CS] =
		(struct cpu_segment){ SELECTOR_CODE, is_64bit ? CODE64 : CODE32,
				      0xffffffff, 0 };
	state->tr = (struct cpu_segment){ SELECTOR_TSS, TSS_BUSY, TSS_LIMIT,
					  BOOT_TSS };
	state->ldtr = (struct cpu_segment){ 0, SEGMENT_UNUSABLE, 0, 0 };
	state->gdtr = (struct cpu_table){ BOOT_GDT, 6 * 8 - 1 };
	state->idtr = (struct cpu_table){ 0, 0 };
	state->cr0 = CR0_PE | CR0_ET | CR0_NE;
	state->gpr[RSP] = BOOT_STACK_TOP;
	state->gpr[RDX] = 0;
	if (protocol == ENTRY_MULTIBOOT)
		state->gpr[RAX] = MULTIBOOT_BOOT_MAGIC;
	if (protocol == ENTRY_PVH || protocol == ENTRY_MULTIBOOT)
		state->gpr[RBX] = BOOT_START_INFO;
	else
		state->gpr[RSI] = BOOT_ZERO_PAGE;
	if (is_64bit) {
		state->cr0 |= CR0_PG;
		state->cr3 = BOOT_PAGE_TABLES;
		state->cr4 = CR4_PAE;
		state->msr.efer = EFER_LME | EFER_LMA;
	}
}
