/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter's world for instruction tests: page tables, descriptor
 * tables and state as Linux gives them to a 64-bit process.
 */
#include "guest.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/exit.h"
#include "core/vm.h"
#include "engine/bt/bt.h"
#include "x86/cpuid.h"
#include "x86/regs.h"

/* Guest physical pages. */
enum {
	GPA_PML4,
	GPA_PDPT,
	GPA_PD,
	GPA_PT,
	GPA_KERNEL_PDPT,
	GPA_KERNEL_PD,
	GPA_KERNEL_PT,
	GPA_IDT,
	GPA_GDT,
	GPA_KERNEL_STACK,
	GPA_HANDLERS,
	GPA_WORLD,
};

#define RAM_PAGES (GPA_WORLD + WORLD_PAGES)

/* The last 2 MiB: a physical page is at that offset. */
#define KERNEL_BASE  0xffffffffffe00000ull
#define KERNEL(page) (KERNEL_BASE + (page)*PAGE_SIZE)

#define TSS_OFFSET   256

/* Selectors as Linux has them. */
#define KERNEL_CS      0x10
#define KERNEL_SS      0x18
#define USER_SS	       0x2b
#define USER_CS	       0x33
#define USER_CS_32     0x23
#define TSS_SELECTOR   0x40

#define PTE_P	       BIT(0)
#define PTE_W	       BIT(1)
#define PTE_U	       BIT(2)
#define PTE_A	       BIT(5)
#define PTE_D	       BIT(6)
#define PTE_NX	       BIT(63)

#define HANDLER_STRIDE 16

/* --- the world the interpreter asks --------------------------------------- */

static uint8_t *world_page(void *world, gpa_t gpa, bool *is_writable)
{
	struct guest *guest = world;

	if (gpa >= RAM_PAGES * PAGE_SIZE)
		return NULL;
	*is_writable = true;
	return guest->ram + gpa;
}

static bool world_dirty(void *world, gpa_t gpa)
{
	return true;
}

static enum exit_action world_exit(void *world, struct exit *exit)
{
	return EXIT_FAULT;
}

static uint64_t world_number(void *world)
{
	return 0x123456789;
}

static bool world_has_interrupt(void *world)
{
	return false;
}

static int world_take_interrupt(void *world)
{
	return -1;
}

static uint8_t world_get_tpr(void *world)
{
	return 0;
}

static void world_set_tpr(void *world, uint8_t cr8)
{
}

static const struct interp_ops world_ops = {
	.page = world_page,
	.dirty = world_dirty,
	.exit = world_exit,
	.tsc = world_number,
	.random = world_number,
	.has_interrupt = world_has_interrupt,
	.take_interrupt = world_take_interrupt,
	.get_tpr = world_get_tpr,
	.set_tpr = world_set_tpr,
};

/* --- the processor's features --------------------------------------------- */

/* What this host has of what the interpreter carries. */
static const struct cpuid_leaf offered[] = {
	{ .leaf = 0, .eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u },
	{ .leaf = 1, .eax = ~0u, .ecx = 0x76f83203, .edx = 0x0789ab7f },
	{ .leaf = 7,
	  .has_subleaf = true,
	  .eax = ~0u,
	  .ebx = 0x21dc27a9,
	  .ecx = 0x00400704 },
	{ .leaf = 7, .subleaf = 1, .has_subleaf = true, .eax = 0x10 },
	{ .leaf = 13, .has_subleaf = true, .eax = 7, .ebx = ~0u, .ecx = ~0u },
	{ .leaf = 13, .subleaf = 1, .has_subleaf = true, .eax = 3 },
	{ .leaf = 13,
	  .subleaf = 2,
	  .has_subleaf = true,
	  .eax = ~0u,
	  .ebx = ~0u },
	{ .leaf = 0x80000000, .eax = ~0u },
	{ .leaf = 0x80000001, .ecx = 0x121, .edx = 0x2c100800 },
	{ .leaf = 0x80000008, .eax = ~0u },
};

static void cpuid_fill(struct cpuid_table *table)
{
	table->count = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(offered); i++) {
		struct cpuid_leaf *leaf = &table->leaf[table->count];
		unsigned a, b, c, d;

		if (!__get_cpuid_count(offered[i].leaf, offered[i].subleaf, &a,
				       &b, &c, &d))
			continue;
		*leaf = offered[i];
		leaf->eax &= a;
		leaf->ebx &= b;
		leaf->ecx &= c;
		leaf->edx &= d;
		table->count++;
	}
}

static uint8_t *kernel_page(struct guest *guest, unsigned page)
{
	return guest->ram + page * PAGE_SIZE;
}

/* --- tables --------------------------------------------------------------- */

static void world_map(struct guest *guest, unsigned first, unsigned count,
		      uint64_t bits)
{
	uint8_t *pt = guest->ram + GPA_PT * PAGE_SIZE;

	for (unsigned page = first; page < first + count; page++)
		store_u64(pt + 8 * page, (GPA_WORLD + page) * PAGE_SIZE |
						 PTE_P | PTE_A | bits);
}

static void page_tables_fill(struct guest *guest)
{
	uint64_t table = PTE_P | PTE_W | PTE_U | PTE_A;
	uint8_t *ram = guest->ram;

	store_u64(ram + GPA_PML4 * PAGE_SIZE, GPA_PDPT * PAGE_SIZE | table);
	store_u64(ram + GPA_PDPT * PAGE_SIZE, GPA_PD * PAGE_SIZE | table);
	store_u64(ram + GPA_PD * PAGE_SIZE + 8 * (WORLD_BASE >> 21),
		  GPA_PT * PAGE_SIZE | table);
	world_map(guest, PAGE_CODE, 1, PTE_U);
	world_map(guest, PAGE_DATA, DATA_WRITABLE,
		  PTE_U | PTE_W | PTE_D | PTE_NX);
	world_map(guest, PAGE_DATA + DATA_WRITABLE, DATA_PAGES - DATA_WRITABLE,
		  PTE_U | PTE_NX);

	table = PTE_P | PTE_W | PTE_A;
	store_u64(ram + GPA_PML4 * PAGE_SIZE + 8 * 511,
		  GPA_KERNEL_PDPT * PAGE_SIZE | table);
	store_u64(ram + GPA_KERNEL_PDPT * PAGE_SIZE + 8 * 511,
		  GPA_KERNEL_PD * PAGE_SIZE | table);
	store_u64(ram + GPA_KERNEL_PD * PAGE_SIZE + 8 * 511,
		  GPA_KERNEL_PT * PAGE_SIZE | table);
	for (unsigned page = GPA_IDT; page <= GPA_HANDLERS; page++)
		store_u64(ram + GPA_KERNEL_PT * PAGE_SIZE + 8 * page,
			  page * PAGE_SIZE | table | PTE_D);
}

void guest_map_program(struct guest *guest)
{
	uint64_t data = PTE_U | PTE_W | PTE_D | PTE_NX;

	world_map(guest, PAGE_CODE, CODE_PAGES, PTE_U);
	world_map(guest, PAGE_STACK, STACK_PAGES, data);
	world_map(guest, PAGE_RESULT, RESULT_PAGES, data);
	tlb_flush(guest->cpu);
}

static void descriptor_tables_fill(struct guest *guest)
{
	uint8_t *gdt = kernel_page(guest, GPA_GDT);
	uint8_t *idt = kernel_page(guest, GPA_IDT);
	uint64_t tss = KERNEL(GPA_GDT) + TSS_OFFSET;

	store_u64(gdt + 0x10, 0x00af9b000000ffff);
	store_u64(gdt + 0x18, 0x00cf93000000ffff);
	store_u64(gdt + 0x20, 0x00cffb000000ffff);
	store_u64(gdt + 0x28, 0x00cff3000000ffff);
	store_u64(gdt + 0x30, 0x00affb000000ffff);
	store_u64(gdt + TSS_SELECTOR, 0x00008b0000000067 |
					      (tss & 0xffffff) << 16 |
					      (tss >> 24 & 0xff) << 56);
	store_u64(gdt + TSS_SELECTOR + 8, tss >> 32);
	store_u64(gdt + TSS_OFFSET + 4, KERNEL(GPA_KERNEL_STACK + 1));
	store_u16(gdt + TSS_OFFSET + 102, 0x68); /* no I/O bitmap */
	for (unsigned vector = 0; vector < 32; vector++) {
		uint64_t handler =
			KERNEL(GPA_HANDLERS) + vector * HANDLER_STRIDE;

		/* INT3 and INTO are user mode's to use. */
		bool is_open = vector == VECTOR_BP || vector == VECTOR_OF;
		uint64_t type = is_open ? 0xee00 : 0x8e00;

		store_u64(idt + 16 * vector,
			  (handler & 0xffff) | KERNEL_CS << 16 | type << 32 |
				  (handler >> 16 & 0xffff) << 48);
		store_u64(idt + 16 * vector + 8, handler >> 32);
	}
	memset(kernel_page(guest, GPA_HANDLERS), 0xf4, PAGE_SIZE); /* HLT */
}

/* --- state ---------------------------------------------------------------- */

static void segments_reset(struct cpu_state *s)
{
	static const struct cpu_segment code = { USER_CS, 0xa0fb, ~0u, 0 };
	static const struct cpu_segment data = { USER_SS, 0xc0f3, ~0u, 0 };

	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->segment[i] =
			(struct cpu_segment){ .attributes = SEGMENT_UNUSABLE };
	s->segment[SEG_CS] = code;
	s->segment[SEG_SS] = data;
	s->segment[SEG_GS].base = WORLD_GS_BASE;
	s->ldtr.attributes = SEGMENT_UNUSABLE | 0x82;
	s->tr = (struct cpu_segment){ TSS_SELECTOR, 0x8b, 0x67,
				      KERNEL(GPA_GDT) + TSS_OFFSET };
	s->gdtr = (struct cpu_table){ KERNEL(GPA_GDT), 0x4f };
	s->idtr = (struct cpu_table){ KERNEL(GPA_IDT), 32 * 16 - 1 };
}

#define LDT_SELECTOR(index) ((index) << 3 | 7)
#define DATA_BASE_16	    (WORLD_AT(PAGE_DATA) - 0x8000)

const struct code_kind code_kinds[CODE_KINDS] = {
	[CODE_64] = { "64", X86_MODE_64, USER_CS, USER_SS, 0, 0, ~0ull },
	[CODE_32] = { "32", X86_MODE_32, USER_CS_32, USER_SS, 0, 0, ~0u },
	[CODE_16] = { "16", X86_MODE_16, LDT_SELECTOR(LDT_CODE),
		      LDT_SELECTOR(LDT_DATA), WORLD_AT(PAGE_CODE), DATA_BASE_16,
		      ~0u },
};

void guest_set_kind(struct guest *guest, const struct code_kind *kind)
{
	bool is_16bit = kind->mode == X86_MODE_16;
	uint32_t size = is_16bit ? 0 : SEGMENT_DB | SEGMENT_G;
	uint32_t limit = is_16bit ? LDT_LIMIT : ~0u;
	struct cpu_segment *segment = guest->cpu->s.segment;
	const struct cpu_segment data = {
		kind->ss,
		0xf3 | size,
		limit,
		kind->data_base,
	};

	guest->code_base = kind->code_base;
	if (kind->mode == X86_MODE_64)
		return;
	segment[SEG_CS] = (struct cpu_segment){
		kind->cs,
		0xfb | size,
		limit,
		kind->code_base,
	};
	segment[SEG_SS] = segment[SEG_DS] = segment[SEG_ES] = data;
	interp_mode_changed(guest->cpu);
}

void guest_reset(struct guest *guest, uint64_t rip)
{
	struct cpu_state *s = &guest->cpu->s;

	memset(s->gpr, 0, sizeof(s->gpr));
	s->rip = rip;
	s->rflags = RFLAGS_FIXED1 | RFLAGS_IF;
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	s->cr2 = 0;
	s->cr3 = GPA_PML4 * PAGE_SIZE;
	s->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT |
		 CR4_FSGSBASE | CR4_OSXSAVE;
	s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	s->msr.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	s->dr[6] = DR6_FIXED1;
	s->dr[7] = DR7_FIXED1;
	memset(&s->fpu, 0, sizeof(s->fpu));
	s->fpu.fcw = 0x037f;
	s->fpu.mxcsr = 0x1f80;
	s->activity = CPU_ACTIVE;
	s->sti_shadow = s->mov_ss_shadow = false;
	s->event.is_valid = false;
	segments_reset(s);
	interp_mode_changed(guest->cpu);
}

static int interp_world_create(struct guest *guest)
{
	guest->ram = mmap(NULL, RAM_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guest->ram == MAP_FAILED) {
		guest->ram = NULL;
		return -ENOMEM;
	}
	guest->cpu = interp_create(&world_ops, guest, &guest->cpuid);
	return guest->cpu ? 0 : -ENOMEM;
}

/* HLT, with which every handler begins, ends the run. */
static enum exit_action engine_exit(void *world, struct exit *exit)
{
	struct vcpu *vcpu = world;

	if (exit->reason != EXIT_HLT)
		return EXIT_FAULT;
	vcpu_request(vcpu, VCPU_PAUSE);
	return EXIT_LEAVE;
}

static int apply_options(struct vm *vm, const char *const *options)
{
	for (; options && *options; options++) {
		const struct engine_option *o = vm->engine_ops->options;
		size_t length = strcspn(*options, "=");

		while (o->name && (strlen(o->name) != length ||
				   memcmp(o->name, *options, length)))
			o++;
		if (!o->name || !(*options)[length] ||
		    o->set(vm, *options + length + 1))
			return -EINVAL;
	}
	return 0;
}

static int engine_world_create(struct guest *guest,
			       const struct engine_ops *engine,
			       const char *const *options)
{
	int error;

	guest->vm = calloc(1, sizeof(*guest->vm));
	if (!guest->vm)
		return -ENOMEM;
	error = vm_init(guest->vm, "guest", engine);
	if (!error)
		error = memory_init(&guest->vm->memory, guest->vm,
				    RAM_PAGES * PAGE_SIZE, 0);
	guest->vm->cpuid = &guest->cpuid;
	if (!error)
		error = engine->vm_create(guest->vm);
	if (!error)
		error = apply_options(guest->vm, options);
	if (!error)
		error = vm_add_vcpu(guest->vm);
	if (error)
		return error;
	guest->ram = guest->vm->memory.guest;
	guest->cpu = guest->vm->vcpus[0]->engine;
	guest->ops = *guest->cpu->ops;
	guest->ops.exit = engine_exit;
	guest->cpu->ops = &guest->ops;
	return 0;
}

int guest_init(struct guest *guest, const struct engine_ops *engine,
	       const char *const *options)
{
	int error;

	memset(guest, 0, sizeof(*guest));
	cpuid_fill(&guest->cpuid);
	error = engine ? engine_world_create(guest, engine, options) :
			 interp_world_create(guest);
	if (error)
		return error;
	page_tables_fill(guest);
	descriptor_tables_fill(guest);
	guest_reset(guest, WORLD_AT(PAGE_CODE));
	tlb_flush(guest->cpu);
	return 0;
}

void guest_fini(struct guest *guest)
{
	if (guest->vm) {
		vm_fini(guest->vm);
		free(guest->vm);
		return;
	}
	if (guest->cpu)
		interp_destroy(guest->cpu);
	if (guest->ram)
		munmap(guest->ram, RAM_PAGES * PAGE_SIZE);
}

uint8_t *guest_page(struct guest *guest, unsigned page)
{
	return guest->ram + (GPA_WORLD + page) * PAGE_SIZE;
}

/* --- running -------------------------------------------------------------- */

static bool pushes_error(int vector)
{
	return vector == VECTOR_DF ||
	       (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
	       vector == VECTOR_AC;
}

/* Fills in `stop` when the CPU stands at one of the handlers. */
static bool exception_taken(struct guest *guest, struct guest_stop *stop)
{
	struct cpu_state *s = &guest->cpu->s;
	uint64_t at = s->rip - KERNEL(GPA_HANDLERS);
	const uint8_t *frame;

	if (at >= 32 * HANDLER_STRIDE)
		return false;
	stop->vector = at / HANDLER_STRIDE;
	frame = kernel_page(guest, GPA_KERNEL_STACK) +
		(s->gpr[RSP] - KERNEL(GPA_KERNEL_STACK));
	if (pushes_error(stop->vector)) {
		stop->error = load_u64(frame);
		frame += 8;
	}
	stop->rip = load_u64(frame);
	stop->rflags = load_u64(frame + 16);
	stop->rsp = load_u64(frame + 24);
	return true;
}

bool guest_step(struct guest *guest, uint64_t from, uint64_t limit,
		struct guest_stop *stop)
{
	struct cpu_state *s = &guest->cpu->s;

	*stop = (struct guest_stop){ .vector = -1 };
	for (uint64_t i = 0; i < limit; i++) {
		interp_execute(guest->cpu, 1);
		if (exception_taken(guest, stop))
			return true;
		if (s->rip != from) {
			stop->rip = s->rip;
			stop->rflags = s->rflags;
			stop->rsp = s->gpr[RSP];
			return true;
		}
	}
	return false;
}

/* What the host's oracle calls "it went on": sandbox.c. */
static bool has_gone_on(const struct guest *guest, uint64_t from,
			const struct guest_stop *stop)
{
	const struct cpu_state *s = &guest->cpu->s;

	return stop->vector == VECTOR_PF && (stop->error & PF_FETCH) &&
	       s->cr2 == guest->code_base + stop->rip && stop->rip != from;
}

bool guest_step_engine(struct guest *guest, uint64_t from,
		       struct guest_stop *stop)
{
	struct vm *vm = guest->vm;
	struct vcpu *vcpu = vm->vcpus[0];
	uint64_t before = vcpu->events[BT_INTERPRETED];

	*stop = (struct guest_stop){ .vector = -1 };
	vm->engine_ops->code_changed(vm, (GPA_WORLD + PAGE_CODE) * PAGE_SIZE,
				     PAGE_SIZE);
	if (vm->engine_ops->run(vcpu, NULL) != RUN_PAUSE)
		return false;
	vcpu_take(vcpu, VCPU_LEAVE);
	guest->interpreted = vcpu->events[BT_INTERPRETED] - before;
	if (!exception_taken(guest, stop))
		return false;
	if (stop->vector == VECTOR_BP) {
		stop->vector = -1;
		stop->rip--;
	} else if (has_gone_on(guest, from, stop)) {
		stop->vector = -1;
	}
	if (stop->vector == -1) {
		stop->error = 0;
		stop->rflags &= ~RFLAGS_RF; /* the fetch's */
	}
	return true;
}

bool guest_run(struct guest *guest, uint64_t limit, struct guest_stop *stop)
{
	uint64_t chunk = 1;

	*stop = (struct guest_stop){ .vector = -1 };
	for (uint64_t done = 0; done < limit; done += chunk) {
		interp_execute(guest->cpu, chunk);
		if (exception_taken(guest, stop))
			return true;
	}
	return false;
}
