/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery of exceptions and interrupts: SDM 3, chapter 6. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

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

static void expect_vector(struct world *w, int vector)
{
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(world_vector(w), vector);
}

/* The frame of 64-bit mode, above an error code if there is one. */
static void expect_frame(const struct world *w, unsigned at, uint64_t rip,
			 uint16_t cs, uint64_t flags, uint64_t rsp, uint16_t ss)
{
	assert_int_equal(world_stack(w, at), rip);
	assert_int_equal(world_stack(w, at + 1), cs);
	assert_int_equal(world_stack(w, at + 2), flags);
	assert_int_equal(world_stack(w, at + 3), rsp);
	assert_int_equal(world_stack(w, at + 4), ss);
}

static void test_fault_from_user(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 3);
	s->rflags |= RFLAGS_IF | RFLAGS_CF | RFLAGS_NT;
	s->gpr[RSP] = 0x12345;
	WORLD_CODE_BYTES(w, 0x90, 0x0f, 0x0b); /* nop; ud2 */
	expect_vector(w, VECTOR_UD);
	assert_int_equal(s->gpr[RSP], WORLD_STACK0 - 40);
	expect_frame(w, 0, WORLD_CODE + 1, WORLD_USER_CODE,
		     RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_CF | RFLAGS_NT |
			     RFLAGS_RF,
		     0x12345, WORLD_USER_DATA);
	assert_int_equal(s->rflags, RFLAGS_FIXED1 | RFLAGS_CF);
	assert_int_equal(s->segment[SEG_CS].selector, WORLD_KERNEL_CODE);
	assert_int_equal(s->segment[SEG_SS].selector, 0);
	assert_true(s->segment[SEG_SS].attributes & SEGMENT_UNUSABLE);
	assert_int_equal(w->cpu->cpl, 0);
}

static void test_same_level_aligns(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	s->gpr[RSP] = WORLD_STACK - 3;
	s->rflags |= RFLAGS_IF;
	world_gate(w, VECTOR_UD, 0x8f, 0); /* trap gate */
	WORLD_CODE_BYTES(w, 0x0f, 0x0b);
	expect_vector(w, VECTOR_UD);
	assert_int_equal(s->gpr[RSP], WORLD_STACK - 16 - 40);
	expect_frame(w, 0, WORLD_CODE, WORLD_KERNEL_CODE,
		     RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_RF, WORLD_STACK - 3,
		     WORLD_KERNEL_DATA);
	assert_true(s->rflags & RFLAGS_IF);
	assert_int_equal(s->segment[SEG_SS].selector, WORLD_KERNEL_DATA);
}

static void test_interrupt_stack_table(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	world_gate(w, VECTOR_UD, 0x8e, 1);
	WORLD_CODE_BYTES(w, 0x0f, 0x0b);
	expect_vector(w, VECTOR_UD);
	assert_int_equal(w->cpu->s.gpr[RSP], WORLD_IST1 - 40);
	assert_int_equal(w->cpu->s.segment[SEG_SS].selector, WORLD_KERNEL_DATA);
	/* Even when level 3 comes in, whose stack would be RSP0. */
	world_long_mode(w, 3);
	world_gate(w, VECTOR_UD, 0x8e, 1);
	expect_vector(w, VECTOR_UD);
	assert_int_equal(w->cpu->s.gpr[RSP], WORLD_IST1 - 40);
	assert_int_equal(w->cpu->s.segment[SEG_SS].selector, 0);
}

static void test_software_interrupts(void **state)
{
	struct world *w = *state;

	/* INT n and INT3 need DPL 3 from level 3; they return behind. */
	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0xcd, 0x80);
	expect_vector(w, VECTOR_GP);
	assert_int_equal(world_stack(w, 0), 0x80 * 8 + 2);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
	world_long_mode(w, 3);
	world_gate(w, 0x80, 0xee, 0);
	expect_vector(w, 0x80);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 2);
	assert_false(world_stack(w, 2) & RFLAGS_RF);
	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0xcc);
	expect_vector(w, VECTOR_GP);
	assert_int_equal(world_stack(w, 0), VECTOR_BP * 8 + 2);
	world_long_mode(w, 3);
	world_gate(w, VECTOR_BP, 0xef, 0);
	expect_vector(w, VECTOR_BP);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 1);
	/* Hardware's events ask for no DPL. */
	world_long_mode(w, 3);
	WORLD_CODE_BYTES(w, 0xf1); /* int1 */
	expect_vector(w, VECTOR_DB);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 1);
	/* A gate that is not there. */
	world_long_mode(w, 0);
	world_gate(w, 0x80, 0x0e, 0);
	WORLD_CODE_BYTES(w, 0xcd, 0x80);
	expect_vector(w, VECTOR_NP);
	assert_int_equal(world_stack(w, 0), 0x80 * 8 + 2);
	/* Beyond the table. */
	world_long_mode(w, 0);
	w->cpu->s.idtr.limit = 0x80 * 16 + 14;
	expect_vector(w, VECTOR_GP);
	assert_int_equal(world_stack(w, 0), 0x80 * 8 + 2);
	/* An INT n that cannot be delivered has EXT clear, a fault set. */
	world_long_mode(w, 0);
	world_gate(w, VECTOR_UD, 0x0e, 0);
	WORLD_CODE_BYTES(w, 0x0f, 0x0b);
	expect_vector(w, VECTOR_NP);
	assert_int_equal(world_stack(w, 0), VECTOR_UD * 8 + 3);
}

static void test_double_fault(void **state)
{
	struct world *w = *state;

	/* #GP, whose gate is absent: #NP on #GP. */
	world_long_mode(w, 0);
	world_gate(w, VECTOR_GP, 0x0e, 0);
	w->cpu->s.gpr[RDI] = 1ull << 47;
	WORLD_CODE_BYTES(w, 0x48, 0x8b, 0x07);
	expect_vector(w, VECTOR_DF);
	assert_int_equal(world_stack(w, 0), 0);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
	/* #PF during #GP is delivered after it, and is benign to it. */
	world_long_mode(w, 0);
	world_gate(w, VECTOR_GP, 0x8e, 1);
	store_u64(w->ram + WORLD_TSS + 0x24, 0x90000);
	world_map(w, 0x8f000, 0, 0);
	w->cpu->s.gpr[RDI] = 1ull << 47;
	expect_vector(w, VECTOR_PF);
	assert_int_equal(w->cpu->s.cr2, 0x90000 - 8);
	assert_int_equal(world_stack(w, 0), PF_WRITE);
	/* #PF during #PF. */
	world_long_mode(w, 0);
	world_gate(w, VECTOR_PF, 0x8e, 1);
	store_u64(w->ram + WORLD_TSS + 0x24, 0x90000);
	world_map(w, 0x8f000, 0, 0);
	world_map(w, WORLD_DATA, 0, 0);
	w->cpu->s.gpr[RDI] = WORLD_DATA;
	expect_vector(w, VECTOR_DF);
	assert_int_equal(w->cpu->s.cr2, 0x90000 - 8);
}

static void test_triple_fault(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	w->cpu->s.idtr.limit = 0;
	WORLD_CODE_BYTES(w, 0x0f, 0x0b);
	assert_int_equal(world_run(w), INTERP_SHUTDOWN);
	/* What was interrupted is still to be seen. */
	assert_int_equal(w->cpu->s.rip, WORLD_CODE);
	assert_int_equal(w->cpu->s.gpr[RSP], WORLD_STACK);
}

static void test_bad_stack_is_inner_fault(void **state)
{
	struct world *w = *state;

	/* The TSS is too short for RSP0: #TS(TR). */
	world_long_mode(w, 3);
	w->cpu->s.tr.limit = 10;
	world_gate(w, VECTOR_TS, 0x8e, 0);
	WORLD_CODE_BYTES(w, 0x0f, 0x0b);
	/* #TS needs the stack as well: #DF, which needs it too. */
	assert_int_equal(world_run(w), INTERP_SHUTDOWN);
	/* RSP0 is not canonical: #SS, from the IST. */
	world_long_mode(w, 3);
	store_u64(w->ram + WORLD_TSS + 4, (1ull << 47) + 0x1000);
	world_gate(w, VECTOR_SS, 0x8e, 1);
	expect_vector(w, VECTOR_SS);
	assert_int_equal(world_stack(w, 0), 1); /* EXT */
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
}

static void test_interrupt_window(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	/* sti; nop; nop: taken after the first nop. */
	world_long_mode(w, 0);
	w->interrupt = 0x30;
	WORLD_CODE_BYTES(w, 0x90, 0xfb, 0x90, 0x90);
	expect_vector(w, 0x30);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 3);
	assert_false(s->rflags & RFLAGS_IF);
	/* mov ss, ax; nop */
	world_long_mode(w, 0);
	s->gpr[RAX] = WORLD_KERNEL_DATA;
	s->gpr[RBX] = 0;
	w->interrupt = 0x30;
	WORLD_CODE_BYTES(w, 0xfb, 0x8e, 0xd0, 0x90, 0x90);
	expect_vector(w, 0x30);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 4);
}

static void test_nmi(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_long_mode(w, 0);
	s->nmi_is_pending = true;
	WORLD_CODE_BYTES(w, 0x90);
	expect_vector(w, VECTOR_NMI);
	assert_true(s->nmi_is_blocked);
	/* A second one waits for IRET. */
	w->ram[WORLD_HANDLERS + 2 * 16] = 0x48; /* iretq */
	w->ram[WORLD_HANDLERS + 2 * 16 + 1] = 0xcf;
	world_long_mode(w, 0);
	w->ram[WORLD_HANDLERS + 2 * 16] = 0x48;
	w->ram[WORLD_HANDLERS + 2 * 16 + 1] = 0xcf;
	s->nmi_is_blocked = true;
	s->nmi_is_pending = true;
	WORLD_CODE_BYTES(w, 0x90);
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_int_equal(s->rip, WORLD_CODE + 2);
	assert_true(s->nmi_is_pending);
	s->nmi_is_blocked = false;
	s->activity = CPU_ACTIVE;
	s->rip = WORLD_CODE;
	assert_int_equal(world_run(w), INTERP_WAIT);
	assert_false(s->nmi_is_blocked || s->nmi_is_pending);
	assert_int_equal(s->rip, WORLD_CODE + 2);
}

static void test_single_step(void **state)
{
	struct world *w = *state;

	world_long_mode(w, 0);
	w->cpu->s.rflags |= RFLAGS_TF;
	WORLD_CODE_BYTES(w, 0x90, 0x90);
	expect_vector(w, VECTOR_DB);
	assert_int_equal(world_stack(w, 0), WORLD_CODE + 1);
	assert_true(w->cpu->s.dr[6] & DR6_BS);
	assert_true(world_stack(w, 2) & RFLAGS_TF);
	assert_false(w->cpu->s.rflags & RFLAGS_TF);
}

static void test_protected_mode(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_protected_mode(w, 3);
	s->rflags |= RFLAGS_IF;
	WORLD_CODE_BYTES(w, 0x0f, 0x0b);
	expect_vector(w, VECTOR_UD);
	assert_int_equal(s->gpr[RSP], WORLD_STACK0 - 20);
	expect_frame(w, 0, WORLD_CODE, WORLD_USER_CODE32,
		     RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_RF, WORLD_STACK,
		     WORLD_USER_DATA);
	assert_int_equal(s->segment[SEG_SS].selector, WORLD_KERNEL_DATA);
	assert_int_equal(w->cpu->cpl, 0);
	/* Within a level: three words, with an error code four. */
	world_protected_mode(w, 0);
	WORLD_CODE_BYTES(w, 0xcd, 0x80);
	world_gate(w, 0x80, 0x0e, 0);
	expect_vector(w, VECTOR_NP);
	assert_int_equal(s->gpr[RSP], WORLD_STACK - 16);
	assert_int_equal(world_stack(w, 0), 0x80 * 8 + 2);
	assert_int_equal(world_stack(w, 1), WORLD_CODE);
	/* A 16-bit gate pushes words. */
	world_protected_mode(w, 0);
	world_gate(w, 0x80, 0x86, 0);
	expect_vector(w, 0x80);
	assert_int_equal(s->gpr[RSP], WORLD_STACK - 6);
	/* SS0 with the wrong privilege: #TS(SS0). */
	world_protected_mode(w, 3);
	store_u32(w->ram + WORLD_TSS + 8, WORLD_USER_DATA);
	WORLD_CODE_BYTES(w, 0x0f, 0x0b);
	assert_int_equal(world_run(w), INTERP_SHUTDOWN);
	assert_int_equal(w->cpu->pending.vector, VECTOR_TS);
	assert_int_equal(w->cpu->pending.error_code,
			 (WORLD_USER_DATA & ~3) | 1);
}

static void test_real_mode(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	world_real_mode(w);
	s->rflags |= RFLAGS_IF | RFLAGS_CF;
	WORLD_CODE_BYTES(w, 0x90, 0xcd, 0x21);
	expect_vector(w, 0x21);
	assert_int_equal(s->gpr[RSP], 0x7000 - 6);
	assert_int_equal(load_u16(w->ram + 0x7000 - 6), 3);
	assert_int_equal(load_u16(w->ram + 0x7000 - 4), WORLD_CODE >> 4);
	assert_int_equal(load_u16(w->ram + 0x7000 - 2),
			 RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_CF);
	assert_false(s->rflags & RFLAGS_IF);
	assert_int_equal(s->segment[SEG_CS].base, 0);
}

static void expect_segment(const struct cpu_segment *is,
			   const struct cpu_segment *wanted)
{
	assert_int_equal(is->selector, wanted->selector);
	assert_int_equal(is->attributes, wanted->attributes);
	assert_int_equal(is->limit, wanted->limit);
	assert_int_equal(is->base, wanted->base);
}

/* All that a delivery changes. */
static void expect_state(const struct cpu_state *is,
			 const struct cpu_state *wanted)
{
	assert_memory_equal(is->gpr, wanted->gpr, sizeof(is->gpr));
	assert_int_equal(is->rip, wanted->rip);
	assert_int_equal(is->rflags, wanted->rflags);
	assert_int_equal(is->cr2, wanted->cr2);
	expect_segment(&is->segment[SEG_CS], &wanted->segment[SEG_CS]);
	expect_segment(&is->segment[SEG_SS], &wanted->segment[SEG_SS]);
}

/* The same event from a cold TLB, step by step, and from a warm one. */
static void expect_the_same(struct world *w, const struct cpu_event *event)
{
	struct cpu_state before = w->cpu->s, slow;
	uint8_t frame[64];
	const uint8_t *top;

	tlb_flush(w->cpu);
	assert_false(event_deliver_quick(w->cpu, event));
	expect_state(&w->cpu->s, &before);
	assert_true(event_deliver(w->cpu, event));
	slow = w->cpu->s;
	top = w->ram + slow.gpr[RSP];
	memcpy(frame, top, sizeof(frame));
	memset(w->ram + slow.gpr[RSP], 0xcc, 40);

	w->cpu->s = before;
	interp_mode_changed(w->cpu);
	assert_true(event_deliver_quick(w->cpu, event));
	expect_state(&w->cpu->s, &slow);
	assert_memory_equal(top, frame, event->has_error_code ? 48 : 40);
}

static void test_quick_delivery(void **state)
{
	struct world *w = *state;
	const struct cpu_event fault = {
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_PF,
		.has_error_code = true,
		.error_code = 6,
		.payload = 0x123456789000,
	};
	const struct cpu_event interrupt = {
		.is_valid = true,
		.kind = CPU_EVENT_INTERRUPT,
		.vector = 0x30,
	};

	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (unsigned ist = 0; ist < 2; ist++) {
			world_long_mode(w, cpl);
			w->cpu->s.rflags |= RFLAGS_IF | RFLAGS_CF | RFLAGS_NT;
			w->cpu->s.gpr[RSP] -= 3;
			world_gate(w, VECTOR_PF, 0x8e, ist);
			world_gate(w, 0x30, 0x8f, ist);
			expect_the_same(w, &fault);
			world_long_mode(w, cpl);
			world_gate(w, 0x30, 0x8f, ist);
			expect_the_same(w, &interrupt);
		}
}

/* Whatever is not as usual is left to the long way, untouched. */
static void expect_not_quick(struct world *w)
{
	const struct cpu_event event = {
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_UD,
	};
	struct cpu_state before = w->cpu->s;

	assert_false(event_deliver_quick(w->cpu, &event));
	expect_state(&w->cpu->s, &before);
}

static void warm(struct world *w)
{
	const struct cpu_event event = {
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_UD,
	};

	world_long_mode(w, 3);
	assert_true(event_deliver(w->cpu, &event));
	world_long_mode(w, 3);
}

static void test_not_quick(void **state)
{
	struct world *w = *state;
	struct cpu_state *s = &w->cpu->s;

	warm(w);
	world_gate(w, VECTOR_UD, 0x0e, 0); /* not present */
	expect_not_quick(w);
	warm(w);
	world_gate(w, VECTOR_UD, 0x8c, 0); /* a call gate's type */
	expect_not_quick(w);
	warm(w);
	s->idtr.limit = VECTOR_UD * 16 + 14;
	expect_not_quick(w);
	warm(w);
	s->gdtr.limit = WORLD_KERNEL_CODE + 6;
	expect_not_quick(w);
	warm(w);
	s->tr.limit = 4 + 6;
	expect_not_quick(w);
	warm(w);
	store_u64(w->ram + WORLD_TSS + 4, 1ull << 47);
	expect_not_quick(w);
	warm(w);
	/* The frame lies on two pages. */
	store_u64(w->ram + WORLD_TSS + 4, WORLD_STACK0 + 16);
	expect_not_quick(w);
	warm(w);
	/* Accessed has to be set first. */
	w->ram[WORLD_GDT + WORLD_KERNEL_CODE + 5] &= ~1;
	expect_not_quick(w);
	warm(w);
	w->ram[WORLD_GDT + WORLD_KERNEL_CODE + 5] |= 4; /* conforming */
	expect_not_quick(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fault_from_user),
		TEST(test_same_level_aligns),
		TEST(test_interrupt_stack_table),
		TEST(test_software_interrupts),
		TEST(test_double_fault),
		TEST(test_triple_fault),
		TEST(test_bad_stack_is_inner_fault),
		TEST(test_interrupt_window),
		TEST(test_nmi),
		TEST(test_single_step),
		TEST(test_protected_mode),
		TEST(test_real_mode),
		TEST(test_quick_delivery),
		TEST(test_not_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
