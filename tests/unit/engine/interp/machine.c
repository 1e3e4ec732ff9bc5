/* SPDX-License-Identifier: BSD-2-Clause */
/* A processor in a world of an array of bytes. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "x86/regs.h"

static uint8_t *world_page(void *world, gpa_t gpa, bool *is_writable)
{
	struct machine *machine = world;

	if (gpa >= MACHINE_RAM)
		return NULL;
	*is_writable = true;
	return machine->ram + gpa;
}

static bool world_dirty(void *world, gpa_t gpa)
{
	return true;
}

static enum exit_action world_exit(void *world, struct exit *exit)
{
	struct machine *machine = world;

	if (machine->exit_count < MACHINE_EXITS_MAX)
		machine->exits[machine->exit_count] = *exit;
	machine->exit_count++;
	if (machine->hook)
		machine->hook(machine, exit);
	switch (exit->reason) {
	case EXIT_HLT:
		return EXIT_WAIT;
	case EXIT_IO:
		if (!exit->io.access.is_write)
			exit->io.access.value = machine->read_value;
		return machine->action;
	case EXIT_MMIO:
		if (!exit->mmio.access.is_write)
			exit->mmio.access.value = machine->read_value;
		return machine->action;
	default:
		return EXIT_RESUME;
	}
}

static uint64_t world_tsc(void *world)
{
	return 12345;
}

static uint64_t world_random(void *world)
{
	return 0x123456789abcdef0ull;
}

static bool world_has_interrupt(void *world)
{
	return ((struct machine *)world)->interrupt >= 0;
}

static int world_take_interrupt(void *world)
{
	struct machine *machine = world;
	int vector = machine->interrupt;

	machine->interrupt = -1;
	machine->interrupts_taken++;
	return vector;
}

static uint8_t world_get_tpr(void *world)
{
	return 0;
}

static void world_set_tpr(void *world, uint8_t cr8)
{
}

static const struct interp_ops ops = {
	.page = world_page,
	.dirty = world_dirty,
	.exit = world_exit,
	.tsc = world_tsc,
	.random = world_random,
	.has_interrupt = world_has_interrupt,
	.take_interrupt = world_take_interrupt,
	.get_tpr = world_get_tpr,
	.set_tpr = world_set_tpr,
};

static void set_segments(struct cpu_state *s, enum x86_mode mode)
{
	uint32_t size = mode == X86_MODE_64 ? SEGMENT_L :
			mode == X86_MODE_32 ? SEGMENT_DB :
					      0;
	uint32_t limit = size ? 0xffffffff : 0xffff;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->segment[i] = (struct cpu_segment){
			.selector = 0x10,
			.attributes = 3 | SEGMENT_S | SEGMENT_P |
				      (mode == X86_MODE_32 ? SEGMENT_DB : 0),
			.limit = limit,
		};
	s->segment[SEG_CS].selector = 8;
	s->segment[SEG_CS].attributes = 11 | SEGMENT_S | SEGMENT_P | size;
	s->tr = (struct cpu_segment){
		.selector = 0x28,
		.attributes = 11 | SEGMENT_P,
		.limit = 0x1fff,
		.base = MACHINE_TSS,
	};
}

static void set_gdt(struct machine *machine, enum x86_mode mode)
{
	uint64_t code = mode == X86_MODE_64 ? 0x00af9b000000ffffull :
			mode == X86_MODE_32 ? 0x00cf9b000000ffffull :
					      0x00009b000000ffffull;
	uint8_t *gdt = machine->ram + MACHINE_GDT;

	store_u64(gdt + 8, code);
	store_u64(gdt + 0x10, 0x00cf93000000ffffull);
	machine->cpu->s.gdtr = (struct cpu_table){ MACHINE_GDT, 0x2f };
}

/* Interrupt gates to the handlers; of 32-bit code's size but in long mode. */
static void set_idt(struct machine *machine, enum x86_mode mode)
{
	unsigned size = mode == X86_MODE_64 ? 16 : 8;
	uint8_t *idt = machine->ram + MACHINE_IDT;

	for (unsigned i = 0; i < 256; i++) {
		uint64_t entry = MACHINE_HANDLERS + i;

		store_u64(idt + i * size, (entry & 0xffff) | 8 << 16 |
						  0xee00ull << 32 |
						  (entry >> 16) << 48);
	}
	memset(machine->ram + MACHINE_HANDLERS, 0xf4, 256);
	machine->cpu->s.idtr =
		(struct cpu_table){ MACHINE_IDT, (uint16_t)(256 * size - 1) };
}

struct machine *machine_create(enum x86_mode mode)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	struct cpu_state *s;

	machine->ram = aligned_alloc(4096, MACHINE_RAM);
	memset(machine->ram, 0, MACHINE_RAM);
	machine->interrupt = -1;
	machine->cpu = interp_create(&ops, machine, NULL);
	s = &machine->cpu->s;
	set_segments(s, mode);
	if (mode != X86_MODE_REAL) {
		s->cr0 |= CR0_PE;
		set_gdt(machine, mode);
		set_idt(machine, mode);
	}
	s->cr0 &= ~(CR0_CD | CR0_NW);
	if (mode == X86_MODE_64) {
		s->msr.efer = EFER_LME | EFER_LMA;
		s->cr4 |= CR4_PAE;
	}
	s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[RSP] = mode == X86_MODE_REAL || mode == X86_MODE_16 ?
			      0xff00 :
			      MACHINE_STACK;
	s->rflags = RFLAGS_FIXED1;
	s->activity = CPU_ACTIVE;
	interp_mode_changed(machine->cpu);
	tlb_flush(machine->cpu);
	return machine;
}

void machine_destroy(struct machine *machine)
{
	interp_destroy(machine->cpu);
	free(machine->ram);
	free(machine);
}

uint64_t *machine_pte(struct machine *machine, gva_t gva)
{
	return (uint64_t *)(machine->ram + MACHINE_PAGES + 0x3000) + gva / 4096;
}

void machine_paging(struct machine *machine)
{
	uint8_t *tables = machine->ram + MACHINE_PAGES;

	for (unsigned level = 0; level < 3; level++)
		store_u64(tables + level * 0x1000,
			  (MACHINE_PAGES + (level + 1) * 0x1000) | 7);
	for (unsigned i = 0; i < MACHINE_RAM / 4096; i++)
		*machine_pte(machine, i * 4096) = i * 4096 | 7;
	machine->cpu->s.cr3 = MACHINE_PAGES;
	machine->cpu->s.cr0 |= CR0_PG | CR0_WP;
	tlb_flush(machine->cpu);
	interp_mode_changed(machine->cpu);
}

void machine_load(struct machine *machine, uint64_t address, const void *code,
		  size_t size)
{
	memcpy(machine->ram + address, code, size);
	machine->ram[address + size] = 0xf4;
	machine->cpu->s.rip = address - machine->cpu->s.segment[SEG_CS].base;
}

enum interp_result machine_run(struct machine *machine)
{
	enum interp_result result;
	uint64_t end = machine->cpu->instructions + 100000;

	machine->cpu->s.activity = CPU_ACTIVE;
	do {
		atomic_store(&machine->cpu->attention, 0);
		result = interp_execute(machine->cpu,
					end - machine->cpu->instructions);
	} while (result == INTERP_LEAVE && machine->cpu->instructions < end);
	return result;
}

int machine_vector(const struct machine *machine)
{
	uint64_t rip = machine->cpu->s.rip - 1;

	if (rip < MACHINE_HANDLERS || rip >= MACHINE_HANDLERS + 256)
		return -1;
	return (int)(rip - MACHINE_HANDLERS);
}

uint64_t machine_frame_rip(const struct machine *machine)
{
	uint64_t vectors = 1 << VECTOR_DF | 1 << VECTOR_TS | 1 << VECTOR_NP |
			   1 << VECTOR_SS | 1 << VECTOR_GP | 1 << VECTOR_PF |
			   1 << VECTOR_AC;
	const uint8_t *frame = machine->ram + machine->cpu->s.gpr[RSP];

	if (machine_vector(machine) < 32 &&
	    (vectors >> machine_vector(machine) & 1))
		frame += 8;
	return load_u64(frame);
}
