/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as code, page tables and descriptors of a processor of interp, in
 * any mode and at any privilege: the guest does what it wants, and nothing but
 * its RAM is touched. RAM ends where the sanitizer looks; the processor's state
 * stays one that the rest of the engine may rely on.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/interp/interp.h"
#include "x86/regs.h"

#define RAM   0x40000u
#define ROM   0x38000u /* and what follows cannot be written */
#define CODE  0x1000u
#define CODES 0x2000u
#define IDT   0x4000u
#define GDT   0x5000u
#define TSS   0x6000u
#define PAGES 0x8000u /* four levels, the last maps all of RAM */
#define STACK 0x20000u

/* Code that loops does not take the time of other inputs. */
#define INSTRUCTIONS 2000
#define RUNS	     16

/* What the first bytes of an input choose. */
struct head {
	uint8_t mode; /* enum x86_mode, and bit 7: paging */
	uint8_t cpl; /* bits 0-1; bit 2: an IDT full of input */
	uint16_t cr4;
	uint32_t seed;
	uint32_t flags;
	uint32_t page_bits; /* of the page tables' last level */
};

struct world {
	struct interp *cpu;
	uint8_t *ram;
	uint64_t random;
	unsigned interrupts;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static uint64_t next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint8_t *world_page(void *argument, gpa_t gpa, bool *is_writable)
{
	struct world *world = argument;

	check((gpa & ~PAGE_MASK) == 0);
	*is_writable = gpa < ROM;
	return gpa < RAM ? world->ram + gpa : NULL;
}

static bool world_dirty(void *argument, gpa_t gpa)
{
	check(gpa < ROM);
	return next(&((struct world *)argument)->random) & 7;
}

static void check_access(const struct access *access)
{
	unsigned size = access->size;

	check(size == 1 || size == 2 || size == 4 || size == 8);
}

static enum exit_action world_exit(void *argument, struct exit *exit)
{
	struct world *world = argument;
	uint64_t random = next(&world->random);

	check(exit->reason < EXIT_REASON_COUNT);
	switch (exit->reason) {
	case EXIT_HLT:
		return EXIT_WAIT;
	case EXIT_IO:
		check_access(&exit->io.access);
		check(exit->io.access.size <= 4);
		if (!exit->io.access.is_write)
			exit->io.access.value = random;
		break;
	case EXIT_MMIO:
		check_access(&exit->mmio.access);
		check(exit->mmio.gpa >= ROM);
		if (!exit->mmio.access.is_write)
			exit->mmio.access.value = random;
		break;
	case EXIT_RDMSR:
	case EXIT_WRMSR:
		if (random & 1)
			return EXIT_FAULT;
		exit->msr.value = random;
		break;
	case EXIT_CPUID:
		exit->cpuid.eax = exit->cpuid.ebx = (uint32_t)random;
		break;
	default:
		break;
	}
	return random & 0xf00 ? EXIT_RESUME : EXIT_LEAVE;
}

static uint64_t world_random(void *argument)
{
	return next(&((struct world *)argument)->random);
}

static bool world_has_interrupt(void *argument)
{
	return ((struct world *)argument)->interrupts != 0;
}

static int world_take_interrupt(void *argument)
{
	struct world *world = argument;

	world->interrupts--;
	return 32 + (int)(next(&world->random) % 224);
}

static uint8_t world_get_tpr(void *argument)
{
	return 0;
}

static void world_set_tpr(void *argument, uint8_t cr8)
{
	check(cr8 < 16);
}

static const struct interp_ops ops = {
	.page = world_page,
	.dirty = world_dirty,
	.exit = world_exit,
	.tsc = world_random,
	.random = world_random,
	.has_interrupt = world_has_interrupt,
	.take_interrupt = world_take_interrupt,
	.get_tpr = world_get_tpr,
	.set_tpr = world_set_tpr,
};

/* Everywhere the same input, over and over; on top of it what must be right for
 * anything to run at all. */
static void fill_ram(struct world *world, const struct head *head,
		     const uint8_t *data, size_t size)
{
	uint8_t *ram = world->ram;
	bool is_64 = (head->mode & 3) == X86_MODE_64;
	unsigned gate = is_64 ? 16 : 8;
	uint64_t code = is_64 ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull;
	uint64_t dpl = (uint64_t)(head->cpl & 3) << 45;

	for (unsigned i = 0; i < RAM; i++)
		ram[i] = size ? data[i % size] : 0xf4;
	if (!(head->cpl & 4))
		for (unsigned i = 0; i < 256; i++)
			store_u64(ram + IDT + i * gate,
				  (CODE + i % CODES) | 8 << 16 |
					  0xee00ull << 32);
	store_u64(ram + GDT + 0x08, code);
	store_u64(ram + GDT + 0x10, 0x00cf93000000ffffull);
	store_u64(ram + GDT + 0x18, code | dpl);
	store_u64(ram + GDT + 0x20, 0x00cf93000000ffffull | dpl);
	store_u64(ram + GDT + 0x28, 0x00008b0000002067ull | TSS << 16);
	store_u64(ram + GDT + 0x30, 0);
	store_u64(ram + TSS + 4, STACK);
	for (unsigned level = 0; level < 3; level++)
		store_u64(ram + PAGES + level * PAGE_SIZE,
			  (PAGES + (level + 1) * PAGE_SIZE) | 7);
	for (unsigned i = 0; i < RAM / PAGE_SIZE; i++)
		store_u64(ram + PAGES + 3 * PAGE_SIZE + i * 8,
			  i * PAGE_SIZE | 0x67 |
				  (head->page_bits >> i % 32 & 1 ?
					   next(&world->random) & 0xc00 :
					   0));
}

static void set_state(struct world *world, const struct head *head)
{
	struct cpu_state *s = &world->cpu->s;
	enum x86_mode mode = head->mode & 3;
	uint32_t dpl = mode == X86_MODE_REAL ? 0 : head->cpl & 3;
	uint32_t size = mode == X86_MODE_64 ? SEGMENT_L :
			mode == X86_MODE_32 ? SEGMENT_DB :
					      0;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->segment[i] = (struct cpu_segment){
			.selector = (uint16_t)(0x20 | dpl),
			.attributes = 3 | SEGMENT_S | SEGMENT_P | dpl << 5 |
				      (size ? SEGMENT_DB : 0),
			.limit = size ? 0xffffffff : 0xffff,
		};
	s->segment[SEG_CS].selector = (uint16_t)(0x18 | dpl);
	s->segment[SEG_CS].attributes = 11 | SEGMENT_S | SEGMENT_P | dpl << 5 |
					size;
	s->tr = (struct cpu_segment){ .selector = 0x28,
				      .attributes = 11 | SEGMENT_P,
				      .limit = 0x2067,
				      .base = TSS };
	s->gdtr = (struct cpu_table){ GDT, 0x37 };
	s->idtr =
		(struct cpu_table){ IDT, mode == X86_MODE_64 ? 0xfff : 0x7ff };
	s->cr0 &= ~(uint64_t)(CR0_CD | CR0_NW);
	s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	if (mode != X86_MODE_REAL)
		s->cr0 |= CR0_PE;
	if (mode == X86_MODE_64 || head->mode & 0x80) {
		s->cr3 = PAGES;
		s->cr4 |= CR4_PAE;
	}
	if (mode == X86_MODE_64) {
		s->cr4 |= head->cr4 & (CR4_SMEP | CR4_SMAP | CR4_UMIP |
				       CR4_PGE | CR4_TSD | CR4_DE);
		s->msr.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
		s->cr0 |= CR0_PG | CR0_WP;
	}
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = next(&world->random) %
			    (next(&world->random) & 1 ? RAM + PAGE_SIZE : 16);
	s->gpr[RSP] = STACK;
	s->rip = CODE;
	s->rflags = RFLAGS_FIXED1 |
		    (head->flags & (RFLAGS_STATUS | RFLAGS_IF | RFLAGS_DF |
				    RFLAGS_TF | RFLAGS_AC));
	s->activity = CPU_ACTIVE;
	interp_mode_changed(world->cpu);
	tlb_flush(world->cpu);
}

static void check_state(const struct cpu_state *s)
{
	check(s->rflags & RFLAGS_FIXED1);
	check(!(s->rflags & (1ull << 3 | 1ull << 5 | 1ull << 15)));
	check(!(s->cr0 & CR0_PG) || s->cr0 & CR0_PE);
	check(!(s->msr.efer & EFER_LMA) ==
	      !(s->cr0 & CR0_PG && s->msr.efer & EFER_LME));
	check(!(s->msr.efer & EFER_LMA) || s->cr4 & CR4_PAE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* One for all inputs: it takes longer to make than to run. */
	static struct world world;
	static struct cpu_state initial;
	struct head head;

	if (size < sizeof(head))
		return 0;
	if (!world.cpu) {
		world.ram = aligned_alloc(PAGE_SIZE, RAM);
		world.cpu = interp_create(&ops, &world, NULL);
		check(world.ram && world.cpu);
		initial = world.cpu->s;
	}
	memcpy(&head, data, sizeof(head));
	world.random = head.seed;
	world.cpu->s = initial;
	fill_ram(&world, &head, data + sizeof(head), size - sizeof(head));
	set_state(&world, &head);
	for (unsigned i = 0; i < RUNS; i++) {
		atomic_store(&world.cpu->attention, 0);
		world.interrupts = next(&world.random) % 3 == 0;
		if (interp_execute(world.cpu, INSTRUCTIONS / RUNS) ==
		    INTERP_SHUTDOWN)
			break;
		check_state(&world.cpu->s);
	}
	return 0;
}
