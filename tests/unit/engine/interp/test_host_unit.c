/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x87 and vector units: when they may run, which exception comes when they
 * may not, and that nothing is half-done when one comes.
 */
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "engine/interp/fpu.h"
#include "x86/regs.h"

#define DATA MACHINE_DATA

/* RBX = DATA in all of them. */
CODE(sse, "addps (%rbx), %xmm1\n hlt");
CODE(sse_unaligned, "addps 4(%rbx), %xmm1\n hlt");
CODE(avx, "vaddpd %ymm2, %ymm2, %ymm1\n hlt");
CODE(avx_store, "vmovups %ymm1, 4080(%rbx)\n hlt");
CODE(avx_load, "vmovups 4080(%rbx), %ymm1\n hlt");
CODE(legacy, "paddb %xmm2, %xmm1\n hlt");
CODE(mmx, "paddb (%rbx), %mm1\n hlt");
CODE(x87, "fld1\n hlt");
CODE(x87_store, "fstpl 4092(%rbx)\n hlt");
CODE(x87_divide, "fldz\n fld1\n fdivp\n fnstsw %ax\n fwait\n hlt");
CODE(x87_divide_store, "fistpl (%rbx)\n fnop\n hlt");
CODE(fwait, "fwait\n hlt");
CODE(fxsave, "fxsave64 (%rbx)\n hlt");
CODE(fxrstor, "fxrstor64 (%rbx)\n hlt");
CODE(xsave, "xsave64 (%rbx)\n hlt");
CODE(xrstor, "xrstor64 (%rbx)\n hlt");
CODE(ldmxcsr, "ldmxcsr (%rbx)\n hlt");
CODE(divide, "divss %xmm2, %xmm1\n hlt");
CODE(both, "divps %xmm2, %xmm1\n hlt");
CODE(compare, "comiss %xmm2, %xmm1\n hlt");
CODE(to_rsp, "movq %xmm1, %rsp\n hlt");
CODE(gather, "vpgatherdd %xmm3, (%rbx,%xmm2,1), %xmm1\n hlt");
CODE(masked, "vmaskmovps %ymm1, %ymm2, 4080(%rbx)\n hlt");

static int setup(void **state)
{
	struct machine *m = machine_create(X86_MODE_64);
	struct cpu_state *s = &m->cpu->s;

	machine_paging(m);
	s->gpr[RBX] = DATA;
	s->cr0 |= CR0_NE | CR0_MP;
	s->cr4 |= CR4_OSXSAVE;
	s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	x87_init(&s->fpu);
	s->fpu.mxcsr = MXCSR_INIT;
	interp_mode_changed(m->cpu);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	machine_destroy(*state);
	return 0;
}

static void expect(struct machine *m, int vector)
{
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), vector);
}

static void put_floats(struct machine *m, unsigned reg, float a, float b,
		       float c, float d)
{
	float values[4] = { a, b, c, d };

	memcpy(m->cpu->s.fpu.ymm[reg], values, sizeof(values));
}

/* --- #NM and #UD ---------------------------------------------------------- */

static void test_task_switched(void **state)
{
	struct machine *m = *state;

	m->cpu->s.cr0 |= CR0_TS;
	LOAD(m, sse);
	expect(m, VECTOR_NM);
	LOAD(m, avx);
	expect(m, VECTOR_NM);
	LOAD(m, mmx);
	expect(m, VECTOR_NM);
	LOAD(m, x87);
	expect(m, VECTOR_NM);
	LOAD(m, fxsave);
	expect(m, VECTOR_NM);
	LOAD(m, xsave);
	expect(m, VECTOR_NM);
	LOAD(m, fwait);
	expect(m, VECTOR_NM);
	m->cpu->s.cr0 &= ~CR0_MP;
	LOAD(m, fwait);
	expect(m, -1);
}

static void test_emulation(void **state)
{
	struct machine *m = *state;

	m->cpu->s.cr0 |= CR0_EM;
	LOAD(m, x87);
	expect(m, VECTOR_NM);
	LOAD(m, sse);
	expect(m, VECTOR_UD);
	LOAD(m, mmx);
	expect(m, VECTOR_UD);
	LOAD(m, fxsave);
	expect(m, VECTOR_NM);
	LOAD(m, avx); /* has no say in VEX */
	expect(m, -1);
}

static void test_not_enabled(void **state)
{
	struct machine *m = *state;

	/* #UD comes before #NM. */
	m->cpu->s.cr0 |= CR0_TS;
	m->cpu->s.xcr0 = XCR0_X87 | XCR0_SSE;
	LOAD(m, avx);
	expect(m, VECTOR_UD);
	m->cpu->s.xcr0 |= XCR0_AVX;
	m->cpu->s.cr4 &= ~CR4_OSXSAVE;
	LOAD(m, avx);
	expect(m, VECTOR_UD);
	LOAD(m, xsave);
	expect(m, VECTOR_UD);
	m->cpu->s.cr4 &= ~CR4_OSFXSR;
	LOAD(m, sse);
	expect(m, VECTOR_UD);
	m->cpu->s.cr0 &= ~CR0_TS;
	LOAD(m, mmx); /* needs no OSFXSR */
	expect(m, -1);
}

static void test_alignment(void **state)
{
	struct machine *m = *state;

	LOAD(m, sse);
	expect(m, -1);
	LOAD(m, sse_unaligned);
	expect(m, VECTOR_GP);
	m->cpu->s.gpr[RBX] = DATA + 8;
	LOAD(m, fxsave);
	expect(m, VECTOR_GP);
	m->cpu->s.gpr[RBX] = DATA + 16;
	LOAD(m, xsave);
	expect(m, VECTOR_GP);
}

/* --- exceptions of the units ---------------------------------------------- */

static void test_simd_exceptions(void **state)
{
	struct machine *m = *state;
	struct cpu_fpu *fpu = &m->cpu->s.fpu;
	uint8_t before[32];

	put_floats(m, 1, 1, 2, 3, 4);
	put_floats(m, 2, 0, 0, 0, 0);
	memcpy(before, fpu->ymm[1], 32);
	fpu->mxcsr = MXCSR_INIT & ~BIT(9); /* ZM = 0 */
	LOAD(m, divide);
	expect(m, VECTOR_XM);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE);
	assert_memory_equal(before, fpu->ymm[1], 32);
	assert_int_equal(fpu->mxcsr, (MXCSR_INIT & ~BIT(9)) | BIT(2));

	fpu->mxcsr = MXCSR_INIT & ~BIT(9);
	m->cpu->s.cr4 &= ~CR4_OSXMMEXCPT;
	LOAD(m, divide);
	expect(m, VECTOR_UD);
	assert_memory_equal(before, fpu->ymm[1], 32);

	fpu->mxcsr = MXCSR_INIT;
	LOAD(m, divide);
	expect(m, -1);
	assert_int_equal(load_u32(fpu->ymm[1]), 0x7f800000);
	assert_int_equal(fpu->mxcsr, MXCSR_INIT | BIT(2));
}

/* SDM 1, 11.5.2: what is found before the computation hides what follows. */
static void test_simd_priority(void **state)
{
	struct machine *m = *state;
	struct cpu_fpu *fpu = &m->cpu->s.fpu;

	put_floats(m, 1, 1, 1, 2e-38f, 1);
	put_floats(m, 2, 0, 3, 1e30f, 3); /* ZE; PE; UE */
	fpu->mxcsr = MXCSR_INIT & ~BIT(9);
	LOAD(m, both);
	expect(m, VECTOR_XM);
	assert_int_equal(fpu->mxcsr & MXCSR_FLAGS, BIT(2));

	/* An exact result is an underflow too when that is not masked. */
	put_floats(m, 1, 0x1p-130f, 0, 0, 0);
	put_floats(m, 2, 2, 1, 1, 1);
	fpu->mxcsr = MXCSR_INIT & ~BIT(11);
	LOAD(m, both);
	expect(m, VECTOR_XM);
	assert_int_equal(fpu->mxcsr & BIT(4), BIT(4));
}

static void test_x87_pending(void **state)
{
	struct machine *m = *state;
	struct cpu_fpu *fpu = &m->cpu->s.fpu;

	fpu->fcw = FCW_INIT & ~BIT(2); /* ZM = 0 */
	LOAD(m, x87_divide);
	expect(m, VECTOR_MF);
	/* FNSTSW does not wait; FWAIT, two bytes behind it, does. */
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 8);
	assert_int_equal(m->cpu->s.gpr[RAX] & (FSW_ES | BIT(2)),
			 FSW_ES | BIT(2));
	LOAD(m, mmx);
	expect(m, VECTOR_MF);
	assert_int_equal(fpu->fip, MACHINE_CODE + 4);
}

/* An unmasked invalid operation keeps a store from storing and popping. */
static void test_x87_store_refused(void **state)
{
	struct machine *m = *state;
	struct cpu_fpu *fpu = &m->cpu->s.fpu;

	fpu->fcw = FCW_INIT & ~BIT(0);
	fpu->ftw = 0x80;
	fpu->fsw = 7 << 11;
	fpu->st[0] = (struct cpu_x87_register){ BIT(63), 0x7fff };
	store_u32(m->ram + DATA, 0x12345678);
	LOAD(m, x87_divide_store);
	expect(m, VECTOR_MF);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 2);
	assert_int_equal(load_u32(m->ram + DATA), 0x12345678);
	assert_int_equal(fpu->ftw, 0x80);
}

/* --- faults on the way ---------------------------------------------------- */

static void expect_page_fault(struct machine *m, gva_t gva)
{
	expect(m, VECTOR_PF);
	assert_int_equal(m->cpu->s.cr2, gva);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE);
}

static void test_second_page_store(void **state)
{
	struct machine *m = *state;
	uint8_t before[64], *at = m->ram + DATA + 4064;

	*machine_pte(m, DATA + 4096) = 0;
	memset(m->cpu->s.fpu.ymm[1], 0x5a, 32);
	memset(at, 0x11, 64);
	memcpy(before, at, 64);
	LOAD(m, avx_store);
	expect_page_fault(m, DATA + 4096);
	assert_memory_equal(before, at, 64);

	m->cpu->s.gpr[RSP] = MACHINE_STACK;
	m->cpu->s.fpu.ftw = 0x80;
	m->cpu->s.fpu.fsw = 7 << 11;
	m->cpu->s.fpu.st[0] = (struct cpu_x87_register){ BIT(63), 0x3fff };
	LOAD(m, x87_store);
	expect_page_fault(m, DATA + 4096);
	assert_memory_equal(before, at, 64);
	assert_int_equal(m->cpu->s.fpu.ftw, 0x80);
	assert_int_equal(m->cpu->s.fpu.fsw, 7 << 11);
}

static void test_second_page_load(void **state)
{
	struct machine *m = *state;
	uint8_t before[32];

	*machine_pte(m, DATA + 4096) = 0;
	memset(m->cpu->s.fpu.ymm[1], 0x5a, 32);
	memcpy(before, m->cpu->s.fpu.ymm[1], 32);
	LOAD(m, avx_load);
	expect_page_fault(m, DATA + 4096);
	assert_memory_equal(before, m->cpu->s.fpu.ymm[1], 32);
}

static void test_masked_off_does_not_fault(void **state)
{
	struct machine *m = *state;
	uint8_t *at = m->ram + DATA + 4080;

	*machine_pte(m, DATA + 4096) = 0;
	memset(m->cpu->s.fpu.ymm[1], 0x5a, 32);
	memset(m->cpu->s.fpu.ymm[2], 0, 32);
	m->cpu->s.fpu.ymm[2][7] = 0x80; /* the second element only */
	LOAD(m, masked);
	expect(m, -1);
	assert_int_equal(load_u32(at), 0);
	assert_int_equal(load_u32(at + 4), 0x5a5a5a5a);

	m->cpu->s.fpu.ymm[2][31] = 0x80; /* and the last */
	memset(at, 0, 16);
	LOAD(m, masked);
	expect_page_fault(m, DATA + 4096 + 12);
	assert_int_equal(load_u32(at + 4), 0);
}

/* Elements before the one that faults are done, and say so in the mask. */
static void test_gather_restarts(void **state)
{
	struct machine *m = *state;
	struct cpu_fpu *fpu = &m->cpu->s.fpu;
	uint64_t *pte = machine_pte(m, DATA + 4096), kept = *pte;

	for (unsigned i = 0; i < 4; i++) {
		store_u32(fpu->ymm[2] + 4 * i, i * 2048);
		store_u32(m->ram + DATA + i * 2048, 100 + i);
	}
	memset(fpu->ymm[3], 0xff, 16);
	*pte = 0;
	LOAD(m, gather);
	expect_page_fault(m, DATA + 4096);
	assert_int_equal(load_u32(fpu->ymm[1] + 4), 101);
	assert_int_equal(load_u64(fpu->ymm[3]), 0);
	assert_int_equal(load_u64(fpu->ymm[3] + 8), ~0ull);

	*pte = kept;
	tlb_flush(m->cpu);
	store_u32(m->ram + DATA, 7); /* not read again */
	LOAD(m, gather);
	expect(m, -1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(load_u32(fpu->ymm[1] + 4 * i), 100 + i);
	assert_int_equal(load_u64(fpu->ymm[3] + 8), 0);
}

/* --- results -------------------------------------------------------------- */

static void test_upper_halves(void **state)
{
	struct machine *m = *state;
	struct cpu_fpu *fpu = &m->cpu->s.fpu;

	memset(fpu->ymm[1], 1, 32);
	memset(fpu->ymm[2], 2, 32);
	LOAD(m, legacy);
	expect(m, -1);
	assert_int_equal(fpu->ymm[1][15], 3);
	assert_int_equal(fpu->ymm[1][16], 1);
}

static void test_stack_pointer_as_operand(void **state)
{
	struct machine *m = *state;

	store_u64(m->cpu->s.fpu.ymm[1], 0x123456789abcdef0);
	LOAD(m, to_rsp);
	expect(m, -1);
	assert_int_equal(m->cpu->s.gpr[RSP], 0x123456789abcdef0);
}

static void test_flags(void **state)
{
	struct machine *m = *state;

	put_floats(m, 1, 1, 0, 0, 0);
	put_floats(m, 2, 2, 0, 0, 0);
	m->cpu->s.rflags |= RFLAGS_OF | RFLAGS_DF | RFLAGS_ZF;
	LOAD(m, compare);
	expect(m, -1);
	assert_int_equal(m->cpu->s.rflags & (RFLAGS_STATUS | RFLAGS_DF),
			 RFLAGS_CF | RFLAGS_DF);
}

/* --- saving and restoring ------------------------------------------------- */

static void test_reserved_mxcsr(void **state)
{
	struct machine *m = *state;

	store_u32(m->ram + DATA, 0x10000);
	LOAD(m, ldmxcsr);
	expect(m, VECTOR_GP);
	assert_int_equal(m->cpu->s.fpu.mxcsr, MXCSR_INIT);
	store_u32(m->ram + DATA + 24, 0x10000);
	LOAD(m, fxrstor);
	expect(m, VECTOR_GP);
	store_u32(m->ram + DATA + 24, 0x1fa0);
	LOAD(m, fxrstor);
	expect(m, -1);
	assert_int_equal(m->cpu->s.fpu.mxcsr, 0x1fa0);
}

static void test_xrstor_header(void **state)
{
	struct machine *m = *state;
	uint8_t *header = m->ram + DATA + 512;

	m->cpu->s.gpr[RAX] = 7;
	LOAD(m, xrstor);
	expect(m, -1);
	store_u64(header, BIT(5)); /* not in XCR0 */
	LOAD(m, xrstor);
	expect(m, VECTOR_GP);
	store_u64(header, 0);
	store_u64(header + 16, 1); /* reserved */
	LOAD(m, xrstor);
	expect(m, VECTOR_GP);
	store_u64(header + 16, 0);
	store_u64(header + 8, 7); /* XCOMP_BV of the standard form */
	LOAD(m, xrstor);
	expect(m, VECTOR_GP);
}

static void test_xsave_round_trip(void **state)
{
	struct machine *m = *state;
	struct cpu_fpu *fpu = &m->cpu->s.fpu, before;

	for (unsigned i = 0; i < 16; i++)
		memset(fpu->ymm[i], 16 + i, 32);
	fpu->mxcsr = 0x3f80;
	fpu->ftw = 0xc0;
	fpu->fsw = 6 << 11;
	fpu->st[0] = (struct cpu_x87_register){ BIT(63) | 5, 0x4001 };
	before = *fpu;
	m->cpu->s.gpr[RAX] = 7;
	LOAD(m, xsave);
	expect(m, -1);
	assert_int_equal(load_u64(m->ram + DATA + 512), 7);
	memset(fpu->ymm, 0, sizeof(fpu->ymm));
	x87_init(fpu);
	LOAD(m, xrstor);
	expect(m, -1);
	assert_memory_equal(before.ymm, fpu->ymm, sizeof(before.ymm));
	assert_int_equal(fpu->mxcsr, 0x3f80);
	assert_int_equal(fpu->ftw, 0xc0);
	assert_int_equal(fpu->fsw, 6 << 11);
	assert_int_equal(fpu->st[0].mantissa, BIT(63) | 5);
	assert_int_equal(fpu->st[0].sign_exponent, 0x4001);

	/* What is not in the area goes to its initial state. */
	store_u64(m->ram + DATA + 512, 0);
	LOAD(m, xrstor);
	expect(m, -1);
	assert_int_equal(fpu_in_use(fpu), 0);
	assert_int_equal(fpu->mxcsr, 0x3f80);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_task_switched),
		TEST(test_emulation),
		TEST(test_not_enabled),
		TEST(test_alignment),
		TEST(test_simd_exceptions),
		TEST(test_simd_priority),
		TEST(test_x87_pending),
		TEST(test_x87_store_refused),
		TEST(test_second_page_store),
		TEST(test_second_page_load),
		TEST(test_masked_off_does_not_fault),
		TEST(test_gather_restarts),
		TEST(test_upper_halves),
		TEST(test_stack_pointer_as_operand),
		TEST(test_flags),
		TEST(test_reserved_mxcsr),
		TEST(test_xrstor_header),
		TEST(test_xsave_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
