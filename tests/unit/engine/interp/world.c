/* SPDX-License-Identifier: BSD-2-Clause */
/* The world of the interpreter's unit tests: see world.h. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "x86/segment.h"

/* --- the interpreter's operations ----------------------------------------- */

static uint8_t *world_page(void *self, gpa_t gpa, bool *is_writable)
{
	struct world *world = self;

	*is_writable = gpa != WORLD_ROM;
	return gpa < WORLD_RAM_SIZE ? world->ram + gpa : NULL;
}

static bool world_piece(void *self, gpa_t gpa, struct interp_piece *piece)
{
	*piece = (struct interp_piece){
		.size = WORLD_ROM,
		.host = ((struct world *)self)->ram,
	};
	return gpa < WORLD_ROM;
}

static bool world_dirty(void *self, gpa_t gpa)
{
	struct world *world = self;

	world->dirty_count++;
	world->dirty_last = gpa;
	return true;
}

static enum exit_action world_exit(void *self, struct exit *exit)
{
	struct world *world = self;

	if (world->exit_count < WORLD_EXITS_MAX)
		world->exits[world->exit_count++] = *exit;
	if (exit->reason == EXIT_HLT)
		return EXIT_WAIT;
	if (exit->reason == EXIT_MMIO && !exit->mmio.access.is_write)
		exit->mmio.access.value = world->mmio_value;
	if (exit->reason == EXIT_RDMSR)
		exit->msr.value = world->mmio_value;
	return world->action;
}

static uint64_t world_tsc(void *self)
{
	return ((struct world *)self)->tsc;
}

static uint64_t world_random(void *self)
{
	return 0x0123456789abcdef;
}

static bool world_has_interrupt(void *self)
{
	return ((struct world *)self)->interrupt >= 0;
}

static int world_take_interrupt(void *self)
{
	struct world *world = self;
	int vector = world->interrupt;

	world->interrupt = -1;
	return vector;
}

static uint8_t world_get_tpr(void *self)
{
	return ((struct world *)self)->tpr;
}

static void world_set_tpr(void *self, uint8_t cr8)
{
	((struct world *)self)->tpr = cr8;
}

static const struct interp_ops world_ops = {
	.page = world_page,
	.piece = world_piece,
	.dirty = world_dirty,
	.exit = world_exit,
	.tsc = world_tsc,
	.random = world_random,
	.has_interrupt = world_has_interrupt,
	.take_interrupt = world_take_interrupt,
	.get_tpr = world_get_tpr,
	.set_tpr = world_set_tpr,
};

void world_init(struct world *world, const struct cpuid_table *cpuid)
{
	memset(world, 0, sizeof(*world));
	world->interrupt = -1;
	world->ram = aligned_alloc(4096, WORLD_RAM_SIZE);
	assert_non_null(world->ram);
	memset(world->ram, 0, WORLD_RAM_SIZE);
	world->cpu = interp_create(&world_ops, world, cpuid);
	assert_non_null(world->cpu);
}

void world_fini(struct world *world)
{
	interp_destroy(world->cpu);
	free(world->ram);
}

/* --- tables --------------------------------------------------------------- */

#define CODE (SEGMENT_P | SEGMENT_S | SEGMENT_CODE | 3 | SEGMENT_G)
#define DATA (SEGMENT_P | SEGMENT_S | 3 | SEGMENT_G | SEGMENT_DB)
#define USER SEGMENT_DPL

static void set_descriptor(struct world *world, unsigned selector,
			   uint64_t descriptor)
{
	store_u64(world->ram + WORLD_GDT + (selector & ~7u), descriptor);
}

static void make_gdt(struct world *world)
{
	static const struct {
		unsigned selector;
		uint32_t limit, attributes;
	} rows[] = {
		{ WORLD_KERNEL_CODE, ~0u, CODE | SEGMENT_L },
		{ WORLD_KERNEL_DATA, ~0u, DATA },
		{ WORLD_USER_CODE32, ~0u, CODE | USER | SEGMENT_DB },
		{ WORLD_USER_DATA, ~0u, DATA | USER },
		{ WORLD_USER_CODE, ~0u, CODE | USER | SEGMENT_L },
		{ WORLD_KERNEL_CODE32, ~0u, CODE | SEGMENT_DB },
		{ WORLD_READ_ONLY, ~0u, DATA & ~SEGMENT_WRITABLE },
		{ WORLD_ABSENT, ~0u, DATA & ~SEGMENT_P },
		{ WORLD_SMALL, 0xfff, DATA & ~SEGMENT_G },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		set_descriptor(world, rows[i].selector,
			       descriptor_make(0, rows[i].limit,
					       rows[i].attributes));
	set_descriptor(world, WORLD_TR,
		       descriptor_make(WORLD_TSS, 0x67,
				       SEGMENT_P | SYSTEM_TSS32_BUSY));
	world->cpu->s.gdtr.base = WORLD_GDT;
	world->cpu->s.gdtr.limit = 0xfff;
}

void world_gate(struct world *world, unsigned vector, uint8_t attributes,
		unsigned ist)
{
	bool is_long = cpu_is_long_mode(&world->cpu->s);
	uint8_t *gate = world->ram + WORLD_IDT + vector * (is_long ? 16 : 8);
	uint32_t handler = WORLD_HANDLERS + vector * 16;

	memset(gate, 0, is_long ? 16 : 8);
	store_u16(gate, handler);
	store_u16(gate + 2, is_long ? WORLD_KERNEL_CODE : WORLD_KERNEL_CODE32);
	gate[4] = ist;
	gate[5] = attributes;
	store_u16(gate + 6, handler >> 16);
}

static void make_idt(struct world *world)
{
	for (unsigned i = 0; i < 256; i++) {
		world->ram[WORLD_HANDLERS + i * 16] = 0xf4; /* hlt */
		world_gate(world, i, 0x8e, 0);
	}
	world->cpu->s.idtr.base = WORLD_IDT;
	world->cpu->s.idtr.limit = 0xfff;
}

static void set_segment(struct world *world, struct cpu_segment *segment,
			unsigned selector)
{
	*segment = segment_from_descriptor(
		selector, load_u64(world->ram + WORLD_GDT + (selector & ~7u)));
}

static void load_segments(struct world *world, unsigned code, unsigned data)
{
	struct cpu_state *s = &world->cpu->s;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_segment(world, &s->segment[i], i == SEG_CS ? code : data);
	set_segment(world, &s->tr, WORLD_TR);
	s->ldtr = (struct cpu_segment){ .attributes = SEGMENT_UNUSABLE };
	s->gpr[RSP] = WORLD_STACK;
	s->rip = WORLD_CODE;
	s->activity = CPU_ACTIVE;
	s->rflags = RFLAGS_FIXED1;
	tlb_flush(world->cpu);
	interp_mode_changed(world->cpu);
}

void world_long_mode(struct world *world, unsigned cpl)
{
	uint64_t bits = WORLD_P | WORLD_RW | WORLD_US;
	struct cpu_state *s = &world->cpu->s;

	s->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
	s->cr3 = WORLD_PML4;
	s->cr4 = CR4_PAE | CR4_PGE;
	s->msr.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	store_u64(world->ram + WORLD_PML4, 0x2000 | bits);
	store_u64(world->ram + WORLD_PML4 + 256 * 8, 0x2000 | bits);
	store_u64(world->ram + 0x2000, 0x3000 | bits);
	store_u64(world->ram + 0x3000, WORLD_PT | bits);
	for (unsigned i = 0; i < 512; i++)
		store_u64(world->ram + WORLD_PT + i * 8,
			  (uint64_t)i << 12 | bits);
	/* 40000000h, through the second entry of the PDPT. */
	store_u64(world->ram + 0x2000 + 8, 0x2f000 | bits);
	store_u64(world->ram + 0x2f000, WORLD_MMIO | bits | BIT(7));
	make_gdt(world);
	make_idt(world);
	store_u64(world->ram + WORLD_TSS + 4, WORLD_STACK0);
	store_u64(world->ram + WORLD_TSS + 0x24, WORLD_IST1);
	load_segments(world, cpl ? WORLD_USER_CODE : WORLD_KERNEL_CODE,
		      cpl ? WORLD_USER_DATA : WORLD_KERNEL_DATA);
}

void world_protected_mode(struct world *world, unsigned cpl)
{
	struct cpu_state *s = &world->cpu->s;

	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	s->cr4 = 0;
	s->msr.efer = 0;
	make_gdt(world);
	make_idt(world);
	store_u32(world->ram + WORLD_TSS + 4, WORLD_STACK0);
	store_u32(world->ram + WORLD_TSS + 8, WORLD_KERNEL_DATA);
	load_segments(world, cpl ? WORLD_USER_CODE32 : WORLD_KERNEL_CODE32,
		      cpl ? WORLD_USER_DATA : WORLD_KERNEL_DATA);
}

void world_real_mode(struct world *world)
{
	struct cpu_state *s = &world->cpu->s;

	cpu_state_reset(s, true);
	for (unsigned i = 0; i < 256; i++) {
		world->ram[WORLD_HANDLERS + i * 16] = 0xf4;
		store_u16(world->ram + i * 4, WORLD_HANDLERS + i * 16);
	}
	s->segment[SEG_CS].selector = WORLD_CODE >> 4;
	s->segment[SEG_CS].base = WORLD_CODE;
	s->rip = 0;
	s->gpr[RSP] = 0x7000;
	tlb_flush(world->cpu);
	interp_mode_changed(world->cpu);
}

/* --- use ------------------------------------------------------------------ */

void world_code(struct world *world, const void *bytes, size_t size)
{
	memcpy(world->ram + WORLD_CODE, bytes, size);
	world->ram[WORLD_CODE + size] = 0xf4;
}

void world_map(struct world *world, gva_t gva, gpa_t frame, uint64_t bits)
{
	store_u64(world->ram + WORLD_PT + gva / 4096 * 8, frame | bits);
	tlb_flush(world->cpu);
}

uint64_t world_pte(const struct world *world, gva_t gva)
{
	return load_u64(world->ram + WORLD_PT + gva / 4096 * 8);
}

enum interp_result world_run(struct world *world)
{
	return interp_execute(world->cpu, 1000);
}

int world_vector(const struct world *world)
{
	uint64_t rip = world->cpu->s.rip;

	if (rip < WORLD_HANDLERS || rip >= WORLD_HANDLERS + 256 * 16)
		return -1;
	return (rip - WORLD_HANDLERS) / 16;
}

uint64_t world_stack(const struct world *world, unsigned number)
{
	const struct cpu_state *s = &world->cpu->s;
	const uint8_t *top = world->ram + s->gpr[RSP] + s->segment[SEG_SS].base;

	return cpu_is_long_mode(s) ? load_u64(top + number * 8) :
				     load_u32(top + number * 4);
}
