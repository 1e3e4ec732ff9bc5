/* SPDX-License-Identifier: BSD-2-Clause */
/* Control registers, MSRs and the other system instructions. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "x86/msr.h"
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

/* Runs the code that stands at WORLD_CODE; the vector it stopped with or -1. */
static int run(struct world *w)
{
	assert_int_equal(world_run(w), INTERP_WAIT);
	return world_vector(w);
}

static int write_cr(struct world *w, unsigned number, uint64_t value)
{
	WORLD_CODE_BYTES(w, 0x0f, 0x22, 0xc0 | number << 3);
	w->cpu->s.gpr[RAX] = value;
	return run(w);
}

static void test_cr0(void **state)
{
	uint64_t paging = CR0_PE | CR0_PG | CR0_ET;
	struct world *w = *state;

	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 0, paging | CR0_TS), -1);
	assert_int_equal(w->cpu->s.cr0, paging | CR0_TS);
	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 0, CR0_PG | CR0_ET), VECTOR_GP);
	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 0, paging | CR0_NW), VECTOR_GP);
	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 0, paging | BIT(32)), VECTOR_GP);
	/* Paging off in 64-bit mode. */
	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 0, CR0_PE), VECTOR_GP);
	world_long_mode(w, 3);
	assert_int_equal(write_cr(w, 0, paging), VECTOR_GP);
	/* LME without PAE. */
	world_protected_mode(w, 0);
	w->cpu->s.msr.efer = EFER_LME;
	assert_int_equal(write_cr(w, 0, paging), VECTOR_GP);
	/* lmsw cannot clear PE; clts */
	world_long_mode(w, 0);
	w->cpu->s.cr0 |= CR0_TS;
	w->cpu->s.gpr[RAX] = 0x2;
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0xf0);
	assert_int_equal(run(w), -1);
	assert_int_equal(w->cpu->s.cr0 & 0xf, CR0_PE | CR0_MP);
	world_long_mode(w, 0);
	w->cpu->s.cr0 |= CR0_TS;
	WORLD_CODE_BYTES(w, 0x0f, 0x06);
	assert_int_equal(run(w), -1);
	assert_false(w->cpu->s.cr0 & CR0_TS);
	/* CR1 and CR5 to CR7 do not exist. */
	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 5, 0), VECTOR_UD);
}

static void test_cr3_cr4(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 3, BIT(46) | WORLD_PML4), VECTOR_GP);
	world_long_mode(w, 0); /* bit 63 without PCIDE */
	assert_int_equal(write_cr(w, 3, BIT(63) | WORLD_PML4), VECTOR_GP);
	world_long_mode(w, 0);
	s->cr4 |= CR4_PCIDE;
	assert_int_equal(write_cr(w, 3, BIT(63) | WORLD_PML4 | 5), -1);
	assert_int_equal(s->cr3, WORLD_PML4 | 5);

	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 4, CR4_PAE | BIT(15)), VECTOR_GP);
	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 4, CR4_PGE), VECTOR_GP); /* PAE off */
	world_long_mode(w, 0);
	s->cr3 |= 1;
	assert_int_equal(write_cr(w, 4, CR4_PAE | CR4_PCIDE), VECTOR_GP);
	world_long_mode(w, 0);
	assert_int_equal(write_cr(w, 4, CR4_PAE | CR4_PCIDE), -1);
	world_protected_mode(w, 0);
	assert_int_equal(write_cr(w, 4, CR4_PCIDE), VECTOR_GP);
}

static void test_pae_pointers(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_protected_mode(w, 0);
	s->cr4 = CR4_PAE;
	s->cr3 = 0x90020;
	store_u64(w->ram + 0x90020, 0x91000 | 1);
	store_u64(w->ram + 0x91000, 0xe3); /* 2 MiB at 0 */
	assert_int_equal(write_cr(w, 0, CR0_PE | CR0_PG), -1);
	assert_int_equal(s->pdpte[0], 0x91001);
	/* They are loaded with CR3, not walked. */
	store_u64(w->ram + 0x90020, 0);
	tlb_flush(w->cpu);
	assert_int_equal(mem_read(w->cpu, SEG_DS, WORLD_CODE, 1), 0x0f);
	world_protected_mode(w, 0);
	s->cr4 = CR4_PAE;
	store_u64(w->ram + 0x90020, 0x91000 | 3);
	assert_int_equal(write_cr(w, 0, CR0_PE | CR0_PG), VECTOR_GP);
}

static void test_cr8(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	WORLD_CODE_BYTES(w, 0x44, 0x0f, 0x22, 0xc0); /* mov cr8, rax */
	w->cpu->s.gpr[RAX] = 9;
	assert_int_equal(run(w), -1);
	assert_int_equal(w->tpr, 9);
	world_long_mode(w, 0);
	w->cpu->s.gpr[RAX] = 16;
	assert_int_equal(run(w), VECTOR_GP);
}

static void test_debug_registers(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	/* mov dr7, rax */
	world_long_mode(w, 0);
	s->gpr[RAX] = 0xffffffff & ~DR7_GD;
	WORLD_CODE_BYTES(w, 0x0f, 0x23, 0xf8);
	assert_int_equal(run(w), -1);
	assert_int_equal(s->dr[7], 0xffff07ff);
	world_long_mode(w, 0);
	s->gpr[RAX] = BIT(32);
	assert_int_equal(run(w), VECTOR_GP);
	/* General detect: before the access, and off in the handler. */
	world_long_mode(w, 0);
	s->dr[7] = DR7_FIXED1 | DR7_GD;
	s->dr[6] = DR6_FIXED1;
	assert_int_equal(run(w), VECTOR_DB);
	assert_int_equal(world_stack(w, 0), WORLD_CODE);
	assert_int_equal(s->dr[6], DR6_FIXED1 | DR6_BD);
	assert_int_equal(s->dr[7], DR7_FIXED1);
	/* DR4 is DR6, unless CR4.DE. */
	world_long_mode(w, 0);
	WORLD_CODE_BYTES(w, 0x0f, 0x21, 0xe0); /* mov rax, dr4 */
	assert_int_equal(run(w), -1);
	assert_int_equal(s->gpr[RAX], s->dr[6]);
	world_long_mode(w, 0);
	s->cr4 |= CR4_DE;
	assert_int_equal(run(w), VECTOR_UD);
}

static int write_msr(struct world *w, uint32_t index, uint64_t value)
{
	WORLD_CODE_BYTES(w, 0x0f, 0x30);
	w->cpu->s.gpr[RCX] = index;
	w->cpu->s.gpr[RAX] = (uint32_t)value;
	w->cpu->s.gpr[RDX] = value >> 32;
	return run(w);
}

static uint64_t read_msr(struct world *w, uint32_t index)
{
	world_long_mode(w, 0);
	WORLD_CODE_BYTES(w, 0x0f, 0x32);
	w->cpu->s.gpr[RCX] = index;
	w->cpu->s.gpr[RAX] = ~0ull;
	assert_int_equal(run(w), -1);
	return w->cpu->s.gpr[RDX] << 32 | w->cpu->s.gpr[RAX];
}

static void test_msr_values(void **state)
{
	static const struct {
		uint32_t index;
		uint64_t value;
		bool is_valid;
	} cases[] = {
		{ MSR_LSTAR, 0xffffffff81000000, true },
		{ MSR_LSTAR, 1ull << 47, false },
		{ MSR_KERNEL_GS_BASE, 0xffff888000000000, true },
		{ MSR_KERNEL_GS_BASE, 1ull << 63, false },
		{ MSR_GS_BASE, 0x1000, true },
		{ MSR_STAR, 0x0023001000000000, true },
		{ MSR_SYSENTER_EIP, 0xffffffff81001000, true },
		{ MSR_TSC_AUX, 0xffffffff, true },
		{ MSR_TSC_AUX, 1ull << 32, false },
		{ MSR_PAT, 0x0407050600070106, true },
		{ MSR_PAT, 0x0407050600070206, false },
		{ MSR_EFER, EFER_LME | EFER_LMA | EFER_SCE, true },
		{ MSR_EFER, EFER_LMA | EFER_SCE, false }, /* LME, paging on */
		{ MSR_EFER, EFER_LME | BIT(1), false },
		{ MSR_MTRR_PHYSBASE0, 0xc0000000 | MEMORY_TYPE_UC, true },
		{ MSR_MTRR_PHYSBASE0 + 2, 0xc0000000 | 7, false },
		{ MSR_MTRR_PHYSBASE0 + 1, 0x3fffc0000800, true },
		{ MSR_MTRR_PHYSBASE0 + 1, BIT(46) | 0x800, false },
		{ MSR_MTRR_FIX64K_00000, 0x0606060606060606, true },
		{ MSR_MTRR_FIX4K_F8000, 0x0505050505050505, true },
		{ MSR_MTRR_FIX4K_F8000, 0x0202020202020202, false },
		{ MSR_MTRR_DEF_TYPE, MTRR_DEF_TYPE_E | MEMORY_TYPE_WB, true },
		{ MSR_MTRR_DEF_TYPE, BIT(12), false },
		{ MSR_MTRRCAP, 0, false },
		{ MSR_MCG_CAP, 0, false },
	};
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		world_long_mode(w, 0);
		assert_int_equal(write_msr(w, cases[i].index, cases[i].value),
				 cases[i].is_valid ? -1 : VECTOR_GP);
		/* EFER and GS are set up anew for reading. */
		if (cases[i].is_valid && cases[i].index != MSR_EFER &&
		    cases[i].index != MSR_GS_BASE)
			assert_int_equal(read_msr(w, cases[i].index),
					 cases[i].value);
	}
	assert_int_equal(w->cpu->s.msr.mtrr_fixed[10], 0x0505050505050505);
	assert_int_equal(w->cpu->s.msr.mtrr_physical[0][1], 0x3fffc0000800);
	world_long_mode(w, 3);
	assert_int_equal(write_msr(w, MSR_STAR, 0), VECTOR_GP);
}

static void test_msr_exits(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	assert_int_equal(write_msr(w, MSR_APIC_BASE, 0x123456789), -1);
	assert_int_equal(w->exits[0].reason, EXIT_WRMSR);
	assert_int_equal(w->exits[0].msr.index, MSR_APIC_BASE);
	assert_int_equal(w->exits[0].msr.value, 0x123456789);
	w->mmio_value = 0xabcdef0123456789;
	assert_int_equal(read_msr(w, MSR_APIC_BASE), 0xabcdef0123456789);
	w->action = EXIT_FAULT;
	world_long_mode(w, 0);
	assert_int_equal(write_msr(w, MSR_APIC_BASE, 0), VECTOR_GP);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
}

static void test_time_stamp(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	w->tsc = 0x100000000;
	world_long_mode(w, 0);
	assert_int_equal(write_msr(w, MSR_TSC, 0x500000007), -1);
	assert_int_equal(s->msr.tsc_adjust, 0x400000007);
	assert_int_equal(read_msr(w, MSR_TSC), 0x500000007);
	/* The local APIC counts without the adjustment. */
	w->exit_count = 0;
	world_long_mode(w, 0);
	assert_int_equal(write_msr(w, MSR_TSC_DEADLINE, 0x500001007), -1);
	assert_int_equal(w->exits[0].msr.value, 0x100001000);
	w->mmio_value = 0x100001000;
	assert_int_equal(read_msr(w, MSR_TSC_DEADLINE), 0x500001007);
	/* rdtscp */
	world_long_mode(w, 3);
	s->msr.tsc_aux = 42;
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0xf9);
	run(w);
	assert_int_equal(s->gpr[RAX], 7);
	assert_int_equal(s->gpr[RDX], 5);
	assert_int_equal(s->gpr[RCX], 42);
	world_long_mode(w, 3);
	s->cr4 |= CR4_TSD;
	WORLD_CODE_BYTES(w, 0x0f, 0x31);
	assert_int_equal(run(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
}

static void test_descriptor_tables(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	/* lgdt [rdi]; sgdt [rsi] */
	world_long_mode(w, 0);
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0x17, 0x0f, 0x01, 0x06);
	store_u16(w->ram + WORLD_DATA, 0x1234);
	store_u64(w->ram + WORLD_DATA + 2, 0xffff800000005000);
	s->gpr[RDI] = WORLD_DATA;
	s->gpr[RSI] = WORLD_DATA + 16;
	assert_int_equal(run(w), -1);
	assert_int_equal(s->gdtr.base, 0xffff800000005000);
	assert_int_equal(s->gdtr.limit, 0x1234);
	assert_memory_equal(w->ram + WORLD_DATA, w->ram + WORLD_DATA + 16, 10);
	world_long_mode(w, 0);
	store_u64(w->ram + WORLD_DATA + 2, 1ull << 47);
	assert_int_equal(run(w), VECTOR_GP);
	/* UMIP keeps level 3 from SGDT. */
	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0x06);
	s->cr4 |= CR4_UMIP;
	assert_int_equal(run(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
}

static void test_task_register(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;
	uint8_t *tss = w->ram + WORLD_GDT + WORLD_TR;

	/* ltr ax: a busy TSS is refused, an available one becomes busy. */
	world_long_mode(w, 0);
	s->gpr[RAX] = WORLD_TR;
	WORLD_CODE_BYTES(w, 0x0f, 0x00, 0xd8);
	assert_int_equal(run(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 0), WORLD_TR);
	world_long_mode(w, 0);
	tss[5] = 0x89;
	store_u64(tss + 8, 0xffff8000);
	assert_int_equal(run(w), -1);
	assert_int_equal(tss[5], 0x8b);
	assert_int_equal(s->tr.base, 0xffff800000000000 | WORLD_TSS);
	/* lldt ax, null: no LDT */
	world_long_mode(w, 0);
	s->gpr[RAX] = 0;
	WORLD_CODE_BYTES(w, 0x0f, 0x00, 0xd0);
	assert_int_equal(run(w), -1);
	assert_true(s->ldtr.attributes & SEGMENT_UNUSABLE);
}

static void test_interrupt_flag(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0xfa);
	assert_int_equal(run(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
	world_long_mode(w, 3);
	s->rflags |= RFLAGS_IOPL | RFLAGS_IF;
	run(w); /* then HLT faults */
	assert_int_equal(world_stack(w, 1), WORLD_CODE + 1);
	assert_false(world_stack(w, 3) & RFLAGS_IF);
	/* PVI: VIF in place of IF, and #GP for STI while VIP. */
	world_long_mode(w, 3);
	s->cr4 |= CR4_PVI;
	s->rflags |= RFLAGS_IF;
	WORLD_CODE_BYTES(w, 0xfb);
	run(w);
	assert_true(world_stack(w, 3) & RFLAGS_VIF);
	world_long_mode(w, 3);
	s->cr4 |= CR4_PVI;
	s->rflags |= RFLAGS_VIP;
	assert_int_equal(run(w), VECTOR_GP);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
}

static void test_xcr0(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0xd1); /* xsetbv */
	assert_int_equal(run(w), VECTOR_UD);
	for (uint64_t value = 0; value < 8; value++) {
		bool is_valid = value == 1 || value == 3 || value == 7;

		world_long_mode(w, 0);
		s->cr4 |= CR4_OSXSAVE;
		s->gpr[RAX] = value;
		s->gpr[RCX] = s->gpr[RDX] = 0;
		assert_int_equal(run(w), is_valid ? -1 : VECTOR_GP);
	}
	assert_int_equal(s->xcr0, 7);
}

static void test_exits(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	w->cpu->s.gpr[RAX] = 5;
	w->cpu->s.gpr[RSI] = 6;
	WORLD_CODE_BYTES(w, 0x0f, 0x01, 0xc1, 0x0f, 0xa2); /* vmcall; cpuid */
	assert_int_equal(run(w), -1);
	assert_int_equal(w->exits[0].reason, EXIT_VMCALL);
	assert_int_equal(w->exits[0].vmcall.number, 5);
	assert_int_equal(w->exits[0].vmcall.argument[3], 6);
	assert_true(w->exits[0].vmcall.is_64bit);
	assert_int_equal(w->exits[1].reason, EXIT_CPUID);
	assert_int_equal(w->exits[2].reason, EXIT_HLT);
	assert_int_equal(w->exit_count, 3);
	/* Level 3 may not halt: no exit. */
	world_long_mode(w, 3);
	w->exit_count = 0;
	WORLD_CODE_BYTES(w, 0x90);
	assert_int_equal(run(w), VECTOR_GP);
	assert_int_equal(w->exit_count, 1);
}

static void test_invalidation(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	/* mov rax, [rdi]; mov [rsi], rbx (the PTE); invlpg [rdi];
	 * mov rcx, [rdi] */
	world_long_mode(w, 0);
	WORLD_CODE_BYTES(w, 0x48, 0x8b, 0x07, 0x48, 0x89, 0x1e, 0x0f, 0x01,
			 0x3f, 0x48, 0x8b, 0x0f);
	s->gpr[RDI] = 0x50000;
	s->gpr[RSI] = WORLD_PT + 0x50 * 8;
	s->gpr[RBX] = 0x60000 | WORLD_P;
	store_u64(w->ram + 0x50000, 50);
	store_u64(w->ram + 0x60000, 60);
	assert_int_equal(run(w), -1);
	assert_int_equal(s->gpr[RAX], 50);
	assert_int_equal(s->gpr[RCX], 60);

	/* invpcid rax, [rdi] */
	for (unsigned type = 0; type < 5; type++) {
		world_long_mode(w, 0);
		WORLD_CODE_BYTES(w, 0x66, 0x0f, 0x38, 0x82, 0x07);
		s->gpr[RAX] = type;
		s->gpr[RDI] = WORLD_DATA;
		memset(w->ram + WORLD_DATA, 0, 16);
		assert_int_equal(run(w), type < 4 ? -1 : VECTOR_GP);
	}
	world_long_mode(w, 0);
	s->gpr[RAX] = 1;
	store_u64(w->ram + WORLD_DATA, 5);
	assert_int_equal(run(w), VECTOR_GP); /* a PCID without PCIDE */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cr0),
		TEST(test_cr3_cr4),
		TEST(test_pae_pointers),
		TEST(test_cr8),
		TEST(test_debug_registers),
		TEST(test_msr_values),
		TEST(test_msr_exits),
		TEST(test_time_stamp),
		TEST(test_descriptor_tables),
		TEST(test_task_register),
		TEST(test_interrupt_flag),
		TEST(test_xcr0),
		TEST(test_exits),
		TEST(test_invalidation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
