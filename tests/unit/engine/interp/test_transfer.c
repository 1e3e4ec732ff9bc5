/* SPDX-License-Identifier: BSD-2-Clause */
/* Far transfers, system calls, segment loads: SDM 3, chapter 5. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "x86/segment.h"

static int setup(void **state)
{
	static struct world world;

	world_init(&world, NULL);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	world_fini(*state);
	return 0;
}

static void expect_fault(struct world *w, int vector, uint32_t error)
{
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), vector);
	assert_int_equal(world_stack(w, 0), error);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
}

/* --- IRET ----------------------------------------------------------------- */

static void push_frame(struct world *w, uint64_t rip, uint16_t cs,
		       uint64_t flags, uint64_t rsp, uint16_t ss)
{
	uint64_t frame[] = { rip, cs, flags, rsp, ss };

	w->cpu->s.gpr[RSP] = WORLD_STACK - sizeof(frame);
	memcpy(w->ram + WORLD_STACK - sizeof(frame), frame, sizeof(frame));
	WORLD_CODE_BYTES(w, 0x48, 0xcf); /* iretq */
}

static void test_iret_outer(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	segment_load(w->cpu, SEG_FS, WORLD_KERNEL_DATA);
	segment_load(w->cpu, SEG_ES, WORLD_USER_DATA);
	segment_load(w->cpu, SEG_DS, 3);
	segment_load(w->cpu, SEG_GS, 1);
	s->segment[SEG_GS].base = 0x12345000;
	push_frame(w, 0x10100, WORLD_USER_CODE,
		   RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_AC, 0x12345,
		   WORLD_USER_DATA);
	/* There: push rax; hlt, which is #GP at CPL 3. */
	w->ram[0x10100] = 0x50;
	w->ram[0x10101] = 0xf4;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 1), 0x10101);
	assert_int_equal(world_stack(w, 2), WORLD_USER_CODE);
	assert_int_equal(world_stack(w, 3) & (RFLAGS_IF | RFLAGS_AC),
			 RFLAGS_IF | RFLAGS_AC);
	assert_int_equal(world_stack(w, 4), 0x12345 - 8);
	assert_int_equal(world_stack(w, 5), WORLD_USER_DATA);
	/* Kernel segments are not carried out. */
	assert_int_equal(s->segment[SEG_FS].selector, 0);
	assert_true(s->segment[SEG_FS].attributes & SEGMENT_UNUSABLE);
	assert_int_equal(s->segment[SEG_ES].selector, WORLD_USER_DATA);
	/* The RPL of a null selector is not either; the base stays. */
	assert_int_equal(s->segment[SEG_DS].selector, 0);
	assert_int_equal(s->segment[SEG_GS].selector, 0);
	assert_int_equal(s->segment[SEG_GS].base, 0x12345000);
}

static void test_iret_to_compatibility_mode(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	push_frame(w, 0x10100, WORLD_USER_CODE32, RFLAGS_FIXED1, 0x12340,
		   WORLD_USER_DATA);
	/* inc eax (a REX prefix in 64-bit mode); int 80h */
	memcpy(w->ram + 0x10100, "\x40\xcd\x80", 3);
	world_gate(w, 0x80, 0xee, 0);
	w->cpu->s.gpr[RAX] = 0xffffffff;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), 0x80);
	assert_int_equal(w->cpu->s.gpr[RAX], 0);
	assert_int_equal(world_stack(w, 0), 0x10103);
	assert_int_equal(world_stack(w, 1), WORLD_USER_CODE32);
}

static void test_iret_same_level(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	/* A null SS is what a handler's frame may hold at level 0. */
	push_frame(w, 0x10100, WORLD_KERNEL_CODE, RFLAGS_FIXED1, 0x12340, 0);
	w->ram[0x10100] = 0xf4;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(w->cpu->s.rip, 0x10101);
	assert_int_equal(w->cpu->s.gpr[RSP], 0x12340);
	assert_int_equal(w->cpu->s.segment[SEG_SS].selector, 0);
}

static void test_iret_faults(void **state)
{
	static const struct {
		uint64_t rip;
		uint16_t cs, ss;
		int vector;
		uint16_t error;
	} cases[] = {
		{ 0x10100, 0, WORLD_USER_DATA, VECTOR_GP, 0 },
		{ 0x10100, 0x1000 | 3, WORLD_USER_DATA, VECTOR_GP, 0x1000 },
		{ 0x10100, WORLD_USER_DATA, WORLD_USER_DATA, VECTOR_GP,
		  WORLD_USER_DATA & ~3 },
		/* RPL is not the segment's DPL. */
		{ 0x10100, WORLD_KERNEL_CODE | 3, WORLD_USER_DATA, VECTOR_GP,
		  WORLD_KERNEL_CODE },
		{ 0x10100, WORLD_USER_CODE, 0, VECTOR_GP, 0 },
		{ 0x10100, WORLD_USER_CODE, WORLD_KERNEL_DATA, VECTOR_GP,
		  WORLD_KERNEL_DATA },
		{ 0x10100, WORLD_KERNEL_CODE, WORLD_READ_ONLY, VECTOR_GP,
		  WORLD_READ_ONLY },
		{ 0x10100, WORLD_KERNEL_CODE, WORLD_ABSENT, VECTOR_SS,
		  WORLD_ABSENT },
		{ 1ull << 47, WORLD_USER_CODE, WORLD_USER_DATA, VECTOR_GP, 0 },
	};
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		world_long_mode(w, 0);
		push_frame(w, cases[i].rip, cases[i].cs, RFLAGS_FIXED1, 0x12340,
			   cases[i].ss);
		expect_fault(w, cases[i].vector, cases[i].error);
		/* Nothing was committed: the old stack, with the frame. */
		assert_int_equal(world_stack(w, 4), WORLD_STACK - 40);
	}
	world_long_mode(w, 0);
	push_frame(w, 0x10100, WORLD_USER_CODE, RFLAGS_FIXED1, 0,
		   WORLD_USER_DATA);
	w->cpu->s.rflags |= RFLAGS_NT;
	expect_fault(w, VECTOR_GP, 0);
}

static void test_iret_flags_by_level(void **state)
{
	struct world *w = *state;
	uint64_t image = RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_CF;

	world_long_mode(w, 3);
	push_frame(w, 0x10100, WORLD_USER_CODE, image, 0x12340,
		   WORLD_USER_DATA);
	w->ram[0x10100] = 0xf4;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_GP);
	/* Level 3 changes neither IF nor IOPL. */
	assert_int_equal(world_stack(w, 3),
			 RFLAGS_FIXED1 | RFLAGS_CF | RFLAGS_RF);
}

/* --- SYSCALL and SYSENTER ------------------------------------------------- */

static void set_star(struct world *w)
{
	struct cpu_msrs *msr = &w->cpu->s.msr;

	msr->star = (uint64_t)WORLD_USER_CODE32 << 48 |
		    (uint64_t)WORLD_KERNEL_CODE << 32;
	msr->lstar = 0x10200;
	msr->fmask = RFLAGS_IF | RFLAGS_TF | RFLAGS_AC;
}

static void test_syscall_and_back(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 3);
	set_star(w);
	s->rflags |= RFLAGS_IF | RFLAGS_CF;
	WORLD_CODE_BYTES(w, 0x0f, 0x05, 0xf4);
	memcpy(w->ram + 0x10200, "\xf4", 1);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(s->rip, 0x10201);
	assert_int_equal(s->gpr[RCX], WORLD_CODE + 2);
	assert_int_equal(s->gpr[R11], RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_CF);
	assert_int_equal(s->rflags, RFLAGS_FIXED1 | RFLAGS_CF);
	assert_int_equal(s->segment[SEG_CS].selector, WORLD_KERNEL_CODE);
	assert_int_equal(s->segment[SEG_SS].selector, WORLD_KERNEL_DATA);
	assert_int_equal(w->cpu->cpl, 0);
	assert_int_equal(s->gpr[RSP], WORLD_STACK);
	/* sysretq */
	s->activity = CPU_ACTIVE;
	memcpy(w->ram + 0x10201, "\x48\x0f\x07", 3);
	tlb_flush(w->cpu);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_GP); /* HLT at CPL 3 */
	assert_int_equal(world_stack(w, 1), WORLD_CODE + 2);
	assert_int_equal(world_stack(w, 2), WORLD_USER_CODE);
	assert_int_equal(world_stack(w, 3),
			 RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_CF | RFLAGS_RF);
	assert_int_equal(world_stack(w, 5), WORLD_USER_DATA);
}

/* SYSRET that sets TF traps before the first instruction it returns to. */
static void test_sysret_trap_flag(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	set_star(w);
	s->gpr[RCX] = 0x10300;
	s->gpr[R11] = RFLAGS_FIXED1 | RFLAGS_TF;
	WORLD_CODE_BYTES(w, 0x48, 0x0f, 0x07);
	memcpy(w->ram + 0x10300, "\x90\xf4", 2);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_DB);
	assert_int_equal(world_stack(w, 0), 0x10300);
	assert_int_equal(world_stack(w, 1), WORLD_USER_CODE);
	assert_true(world_stack(w, 2) & RFLAGS_TF);
	assert_true(s->dr[6] & DR6_BS);
	/* One trap, not two, when TF was set before, too. */
	world_long_mode(w, 0);
	s->rflags |= RFLAGS_TF;
	s->gpr[RCX] = 0x10300;
	s->gpr[R11] = RFLAGS_FIXED1 | RFLAGS_TF;
	WORLD_CODE_BYTES(w, 0x48, 0x0f, 0x07);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_DB);
	assert_int_equal(world_stack(w, 0), 0x10300);
	assert_int_equal(world_stack(w, 1), WORLD_USER_CODE);
	assert_int_equal(s->gpr[RSP], WORLD_STACK0 - 40);
	assert_false(s->event.is_valid);
}

static void test_syscall_faults(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 3);
	w->cpu->s.msr.efer &= ~EFER_SCE;
	WORLD_CODE_BYTES(w, 0x0f, 0x05);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_UD);
	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0x48, 0x0f, 0x07);
	expect_fault(w, VECTOR_GP, 0);
	/* The famous one: a non-canonical RCX faults at level 0, on its stack
	 * of level 3. */
	world_long_mode(w, 0);
	w->cpu->s.gpr[RCX] = 1ull << 47;
	expect_fault(w, VECTOR_GP, 0);
	assert_int_equal(world_stack(w, 2), WORLD_KERNEL_CODE);
}

static void test_sysenter(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0x0f, 0x34);
	expect_fault(w, VECTOR_GP, 0); /* SYSENTER_CS is null */
	world_long_mode(w, 3);
	s->msr.sysenter_cs = WORLD_KERNEL_CODE;
	s->msr.sysenter_esp = WORLD_STACK0;
	s->msr.sysenter_eip = 0x10200;
	s->rflags |= RFLAGS_IF;
	w->ram[0x10200] = 0xf4;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(s->rip, 0x10201);
	assert_int_equal(s->gpr[RSP], WORLD_STACK0);
	assert_false(s->rflags & RFLAGS_IF);
	assert_int_equal(w->cpu->mode, X86_MODE_64);
	assert_int_equal(s->segment[SEG_SS].selector, WORLD_KERNEL_DATA);
}

static void test_swapgs_and_bases(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	s->segment[SEG_GS].base = 1;
	s->msr.kernel_gs_base = 2;
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0xf8);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(s->segment[SEG_GS].base, 2);
	assert_int_equal(s->msr.kernel_gs_base, 1);
	world_long_mode(w, 3);
	expect_fault(w, VECTOR_GP, 0);

	world_long_mode(w, 3); /* wrfsbase rax */
	s->gpr[RAX] = 0x123456789;
	WORLD_CODE_BYTES(w, 0xf3, 0x48, 0x0f, 0xae, 0xd0);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_UD);
	world_long_mode(w, 3);
	s->cr4 |= CR4_FSGSBASE;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(s->segment[SEG_FS].base, 0x123456789);
	world_long_mode(w, 3);
	s->cr4 |= CR4_FSGSBASE;
	s->gpr[RAX] = 1ull << 47;
	expect_fault(w, VECTOR_GP, 0);
}

/* --- JMP, CALL, RET ------------------------------------------------------- */

/* jmp far [rdi], call far [rdi]: 16:32 */
static void far_pointer(struct world *w, uint32_t offset, uint16_t selector,
			bool is_call)
{
	WORLD_CODE_BYTES(w, 0xff, is_call ? 0x1f : 0x2f);
	store_u32(w->ram + WORLD_DATA, offset);
	store_u16(w->ram + WORLD_DATA + 4, selector);
	w->cpu->s.gpr[RDI] = WORLD_DATA;
}

static void test_far_jump(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	far_pointer(w, 0x10100, WORLD_KERNEL_CODE32, false);
	memcpy(w->ram + 0x10100, "\x40\xf4", 2); /* inc eax */
	w->cpu->s.gpr[RAX] = 1;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(w->cpu->mode, X86_MODE_32);
	assert_int_equal(w->cpu->s.gpr[RAX], 2);
	world_long_mode(w, 0);
	far_pointer(w, 0x10100, 0, false);
	expect_fault(w, VECTOR_GP, 0);
	world_long_mode(w, 0);
	far_pointer(w, 0x10100, WORLD_USER_CODE, false);
	expect_fault(w, VECTOR_GP, WORLD_USER_CODE & ~3);
	world_long_mode(w, 0);
	far_pointer(w, 0x10100, WORLD_KERNEL_DATA, false);
	expect_fault(w, VECTOR_GP, WORLD_KERNEL_DATA);
	world_long_mode(w, 0); /* a TSS: no task switches in long mode */
	far_pointer(w, 0x10100, WORLD_TR, false);
	expect_fault(w, VECTOR_GP, WORLD_TR);
}

static void set_call_gate(struct world *w, uint8_t attributes, uint16_t code,
			  unsigned parameters)
{
	uint8_t *gate = w->ram + WORLD_GDT + WORLD_CALL_GATE;

	memset(gate, 0, cpu_is_long_mode(&w->cpu->s) ? 16 : 8);
	store_u16(gate, 0x0100);
	store_u16(gate + 2, code);
	gate[4] = parameters;
	gate[5] = attributes;
	store_u16(gate + 6, 1);
	w->ram[0x10100] = 0xf4;
}

static void test_call_gate_64(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 3);
	set_call_gate(w, 0xec, WORLD_KERNEL_CODE, 0);
	far_pointer(w, 0x99999999, WORLD_CALL_GATE | 3, true);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(w->cpu->s.rip, 0x10101);
	assert_int_equal(w->cpu->cpl, 0);
	assert_int_equal(w->cpu->s.gpr[RSP], WORLD_STACK0 - 32);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 2);
	assert_int_equal(world_stack(w, 1), WORLD_USER_CODE);
	assert_int_equal(world_stack(w, 2), WORLD_STACK);
	assert_int_equal(world_stack(w, 3), WORLD_USER_DATA);
	/* And back: retfq. */
	w->cpu->s.activity = CPU_ACTIVE;
	memcpy(w->ram + 0x10101, "\x48\xcb", 2);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 1), WORLD_CODE + 2);
	assert_int_equal(world_stack(w, 4), WORLD_STACK);
	/* Its DPL keeps level 3 out. */
	world_long_mode(w, 3);
	set_call_gate(w, 0x8c, WORLD_KERNEL_CODE, 0);
	expect_fault(w, VECTOR_GP, WORLD_CALL_GATE);
	world_long_mode(w, 3);
	set_call_gate(w, 0x6c, WORLD_KERNEL_CODE, 0);
	expect_fault(w, VECTOR_NP, WORLD_CALL_GATE);
	world_long_mode(w, 3);
	set_call_gate(w, 0xec, WORLD_KERNEL_CODE32, 0);
	expect_fault(w, VECTOR_GP, WORLD_KERNEL_CODE32);
}

static void test_call_gate_32_copies_parameters(void **state)
{
	struct world *w = *state;

	world_protected_mode(w, 3);
	set_call_gate(w, 0xec, WORLD_KERNEL_CODE32, 2);
	far_pointer(w, 0, WORLD_CALL_GATE | 3, true);
	store_u32(w->ram + WORLD_STACK, 111);
	store_u32(w->ram + WORLD_STACK + 4, 222);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(w->cpu->s.rip, 0x10101);
	assert_int_equal(w->cpu->s.gpr[RSP], WORLD_STACK0 - 24);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 2);
	assert_int_equal(world_stack(w, 1), WORLD_USER_CODE32);
	assert_int_equal(world_stack(w, 2), 111);
	assert_int_equal(world_stack(w, 3), 222);
	assert_int_equal(world_stack(w, 4), WORLD_STACK);
	assert_int_equal(world_stack(w, 5), WORLD_USER_DATA);
	/* retf 8 drops them on both stacks. */
	w->cpu->s.activity = CPU_ACTIVE;
	memcpy(w->ram + 0x10101, "\xca\x08\x00", 3);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 4), WORLD_STACK + 8);
}

static void test_real_mode(void **state)
{
	struct world *w = *state;

	/* call 1020h:0; there: mov ax, 5; retf */
	world_real_mode(w);
	WORLD_CODE_BYTES(w, 0x9a, 0x00, 0x00, 0x20, 0x10);
	memcpy(w->ram + 0x10200, "\xb8\x05\x00\xcb", 4);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(w->cpu->s.gpr[RAX], 5);
	assert_int_equal(w->cpu->s.rip, 6);
	assert_int_equal(w->cpu->s.segment[SEG_CS].base, WORLD_CODE);
	assert_int_equal(w->cpu->s.gpr[RSP], 0x7000);
}

/* CR0.PE, far jump to 32 bits, CR4.PAE, EFER.LME, CR0.PG, far jump to 64. */
static void test_real_to_long_mode(void **state)
{
	static const uint8_t code16[] = {
		0x0f,
		0x20,
		0xc0, /* mov eax, cr0 */
		0x0c,
		0x01, /* or al, 1 */
		0x0f,
		0x22,
		0xc0, /* mov cr0, eax */
		0x66,
		0xea,
		0x10,
		0x00,
		0x01,
		0x00, /* jmp 30h:10010h */
		WORLD_KERNEL_CODE32,
		0x00,
	};
	static const uint8_t code32[] = {
		0xb8,
		0x20,
		0x00,
		0x00,
		0x00, /* mov eax, PAE */
		0x0f,
		0x22,
		0xe0, /* mov cr4, eax */
		0xb9,
		0x80,
		0x00,
		0x00,
		0xc0, /* mov ecx, EFER */
		0xb8,
		0x00,
		0x01,
		0x00,
		0x00, /* mov eax, LME */
		0x31,
		0xd2, /* xor edx, edx */
		0x0f,
		0x30, /* wrmsr */
		0xb8,
		0x00,
		0x10,
		0x00,
		0x00, /* mov eax, PML4 */
		0x0f,
		0x22,
		0xd8, /* mov cr3, eax */
		0x0f,
		0x20,
		0xc0, /* mov eax, cr0 */
		0x0d,
		0x00,
		0x00,
		0x00,
		0x80, /* or eax, PG */
		0x0f,
		0x22,
		0xc0, /* mov cr0, eax */
		0xea,
		0x00,
		0x01,
		0x01,
		0x00, /* jmp 8:10100h */
		WORLD_KERNEL_CODE,
		0x00,
	};
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0); /* the tables */
	world_real_mode(w);
	s->gdtr = (struct cpu_table){ .base = WORLD_GDT, .limit = 0xfff };
	s->cr0 &= ~(CR0_CD | CR0_NW);
	world_code(w, code16, sizeof(code16));
	memcpy(w->ram + WORLD_CODE + 16, code32, sizeof(code32));
	memcpy(w->ram + 0x10100, "\x48\xff\xc3\xf4", 4); /* inc rbx; hlt */
	s->gpr[RBX] = ~0u;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(s->rip, 0x10104);
	assert_int_equal(w->cpu->mode, X86_MODE_64);
	assert_int_equal(s->msr.efer, EFER_LME | EFER_LMA);
	assert_int_equal(s->gpr[RBX], 1ull << 32);
}

/* --- segment loads -------------------------------------------------------- */

#define FAULTS(world, call) \
	(setjmp((world)->cpu->fault) ? true : ((call), false))

static void expect_load_fault(struct world *w, enum segment index,
			      uint16_t selector, int vector, uint32_t error)
{
	struct cpu_segment before = w->cpu->s.segment[index];

	assert_true(FAULTS(w, segment_load(w->cpu, index, selector)));
	assert_int_equal(w->cpu->pending.vector, vector);
	assert_int_equal(w->cpu->pending.error_code, error);
	assert_memory_equal(&before, &w->cpu->s.segment[index], sizeof(before));
}

static void test_segment_loads(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	expect_load_fault(w, SEG_DS, 0x1000, VECTOR_GP, 0x1000);
	expect_load_fault(w, SEG_DS, 0x1000 | 4, VECTOR_GP, 0x1004);
	expect_load_fault(w, SEG_DS, WORLD_ABSENT, VECTOR_NP, WORLD_ABSENT);
	expect_load_fault(w, SEG_DS, WORLD_TR, VECTOR_GP, WORLD_TR);
	expect_load_fault(w, SEG_DS, WORLD_KERNEL_DATA | 3, VECTOR_GP,
			  WORLD_KERNEL_DATA);
	expect_load_fault(w, SEG_SS, WORLD_READ_ONLY, VECTOR_GP,
			  WORLD_READ_ONLY);
	expect_load_fault(w, SEG_SS, WORLD_ABSENT, VECTOR_SS, WORLD_ABSENT);
	expect_load_fault(w, SEG_SS, WORLD_USER_DATA, VECTOR_GP,
			  WORLD_USER_DATA & ~3);
	expect_load_fault(w, SEG_SS, 3, VECTOR_GP, 0);
	segment_load(w->cpu, SEG_SS, 0);
	assert_true(s->segment[SEG_SS].attributes & SEGMENT_UNUSABLE);
	segment_load(w->cpu, SEG_DS, WORLD_USER_DATA);
	assert_int_equal(s->segment[SEG_DS].limit, 0xffffffff);
	/* The accessed bit is set in memory. */
	w->ram[WORLD_GDT + WORLD_SMALL + 5] &= ~1;
	segment_load(w->cpu, SEG_ES, WORLD_SMALL);
	assert_int_equal(w->ram[WORLD_GDT + WORLD_SMALL + 5] & 1, 1);
	assert_int_equal(s->segment[SEG_ES].limit, 0xfff);

	world_long_mode(w, 3);
	expect_load_fault(w, SEG_DS, WORLD_KERNEL_DATA, VECTOR_GP,
			  WORLD_KERNEL_DATA);
	expect_load_fault(w, SEG_SS, 0, VECTOR_GP, 0);
	segment_load(w->cpu, SEG_GS, 0);
	assert_int_equal(s->segment[SEG_GS].base, 0);
	segment_load(w->cpu, SEG_FS, 3);
	assert_int_equal(s->segment[SEG_FS].selector, 3);
}

static void test_lar_lsl_verr(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	/* lar ebx, ax; lsl ecx, ax; hlt */
	world_long_mode(w, 0);
	s->gpr[RAX] = WORLD_SMALL;
	WORLD_CODE_BYTES(w, 0x0f, 0x02, 0xd8, 0x0f, 0x03, 0xc8);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_true(s->rflags & RFLAGS_ZF);
	assert_int_equal(s->gpr[RBX] & ~0x100, 0x409200);
	assert_int_equal(s->gpr[RCX], 0xfff);
	world_long_mode(w, 0);
	s->gpr[RAX] = 0;
	s->gpr[RBX] = 77;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_false(s->rflags & RFLAGS_ZF);
	assert_int_equal(s->gpr[RBX], 77);
	/* verw ax */
	world_long_mode(w, 0);
	s->gpr[RAX] = WORLD_READ_ONLY;
	s->rflags |= RFLAGS_ZF;
	WORLD_CODE_BYTES(w, 0x0f, 0x00, 0xe8);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_false(s->rflags & RFLAGS_ZF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* In compatibility mode AMD's processors go to CSTAR (APM 3, SYSCALL), Intel's
 * have no such instruction there. */
static void run_syscall32(struct world *w, uint32_t vendor)
{
	static struct cpuid_table cpuid;
	struct cpu_state *s;

	cpuid = (struct cpuid_table){
		.count = 2,
		.leaf = { { .leaf = 0, .eax = 1, .ebx = vendor },
			  { .leaf = 0x80000001, .edx = ~0u } },
	};
	world_init(w, &cpuid);
	world_long_mode(w, 3);
	s = &w->cpu->s;
	s->segment[SEG_CS].selector = WORLD_USER_CODE32;
	s->segment[SEG_CS].attributes ^= SEGMENT_L | SEGMENT_DB;
	s->msr.efer |= EFER_SCE;
	s->msr.star = (uint64_t)WORLD_KERNEL_CODE << 32;
	s->msr.cstar = 0x10100;
	s->msr.lstar = 0x10200;
	interp_mode_changed(w->cpu);
	w->ram[0x10100] = 0xf4;
	WORLD_CODE_BYTES(w, 0x0f, 0x05);
	assert_int_equal(world_run(w), INTERP_WAIT);
}

static void test_syscall_compatibility_mode(void **state)
{
	static struct world world;

	run_syscall32(&world, 0x68747541); /* "Auth" */
	assert_int_equal(world.cpu->s.rip, 0x10101);
	assert_int_equal(world.cpu->s.gpr[RCX], WORLD_CODE + 2);
	assert_int_equal(world.cpu->mode, X86_MODE_64);
	assert_int_equal(world.cpu->cpl, 0);
	world_fini(&world);
	run_syscall32(&world, 0x756e6547); /* "Genu" */
	assert_int_equal(world_vector(&world), VECTOR_UD);
	world_fini(&world);
}

/* PREFETCHW, without its own bit of CPUID, with or without long mode. */
static void run_prefetchw(struct world *w, bool has_long_mode)
{
	static struct cpuid_table cpuid;

	cpuid = (struct cpuid_table){
		.count = 2,
		.leaf = { { .leaf = 0, .eax = 1 },
			  { .leaf = 0x80000001,
			    .edx = has_long_mode ? BIT(29) : 0 } },
	};
	world_init(w, &cpuid);
	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0x0f, 0x0d, 0x08, 0xf4); /* [rax]; hlt: #GP */
	assert_int_equal(world_run(w), INTERP_WAIT);
}

static void test_prefetchw_comes_with_long_mode(void **state)
{
	static struct world world;

	run_prefetchw(&world, true);
	assert_int_equal(world_vector(&world), VECTOR_GP);
	world_fini(&world);
	run_prefetchw(&world, false);
	assert_int_equal(world_vector(&world), VECTOR_UD);
	world_fini(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_iret_outer),
		TEST(test_iret_to_compatibility_mode),
		TEST(test_iret_same_level),
		TEST(test_iret_faults),
		TEST(test_iret_flags_by_level),
		TEST(test_syscall_and_back),
		TEST(test_sysret_trap_flag),
		TEST(test_syscall_faults),
		cmocka_unit_test(test_syscall_compatibility_mode),
		cmocka_unit_test(test_prefetchw_comes_with_long_mode),
		TEST(test_sysenter),
		TEST(test_swapgs_and_bases),
		TEST(test_far_jump),
		TEST(test_call_gate_64),
		TEST(test_call_gate_32_copies_parameters),
		TEST(test_real_mode),
		TEST(test_real_to_long_mode),
		TEST(test_segment_loads),
		TEST(test_lar_lsl_verr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
