/* SPDX-License-Identifier: BSD-2-Clause */
/* String instructions: directions, overlaps, progress up to a fault, polling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "machine.h"

#define assert_reg(m, reg, value) \
	assert_int_equal((m)->cpu->s.gpr[reg], (uint64_t)(value))

static struct machine *start(void)
{
	struct machine *m = machine_create(X86_MODE_64);

	machine_paging(m);
	for (unsigned i = 0; i < 0x4000; i++)
		m->ram[MACHINE_DATA + i] = (uint8_t)(i * 7 + i / 256);
	m->cpu->s.gpr[RSI] = MACHINE_DATA;
	return m;
}

CODE(movs, "rep movsb");
CODE(movsq, "rep movsq");

static void test_move(void **state)
{
	struct machine *m = start();

	/* across pages on both sides, at different offsets */
	m->cpu->s.gpr[RSI] = MACHINE_DATA + 5;
	m->cpu->s.gpr[RDI] = MACHINE_DATA + 0x8ff3;
	m->cpu->s.gpr[RCX] = 0x3001;
	LOAD(m, movs);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_memory_equal(m->ram + MACHINE_DATA + 5,
			    m->ram + MACHINE_DATA + 0x8ff3, 0x3001);
	assert_reg(m, RCX, 0);
	assert_reg(m, RSI, MACHINE_DATA + 5 + 0x3001);
	assert_reg(m, RDI, MACHINE_DATA + 0x8ff3 + 0x3001);
	assert_int_equal(m->cpu->instructions, 2);
	machine_destroy(m);
}

/* Elements that lie on two pages. */
static void test_move_straddling(void **state)
{
	struct machine *m = start();

	m->cpu->s.gpr[RSI] = MACHINE_DATA + 3;
	m->cpu->s.gpr[RDI] = MACHINE_DATA + 0x8001;
	m->cpu->s.gpr[RCX] = 0x500;
	LOAD(m, movsq);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_memory_equal(m->ram + MACHINE_DATA + 3,
			    m->ram + MACHINE_DATA + 0x8001, 0x2800);
	assert_reg(m, RCX, 0);
	machine_destroy(m);
}

/* A destination just above the source repeats the pattern. */
static void test_move_overlapping(void **state)
{
	struct machine *m = start();

	memcpy(m->ram + MACHINE_DATA, "abc", 3);
	m->cpu->s.gpr[RDI] = MACHINE_DATA + 3;
	m->cpu->s.gpr[RCX] = 9000;
	LOAD(m, movs);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	for (unsigned i = 0; i < 9003; i++)
		assert_int_equal(m->ram[MACHINE_DATA + i], "abc"[i % 3]);
	machine_destroy(m);
}

CODE(backwards, "std; rep movsb; cld");
static void test_move_backwards(void **state)
{
	struct machine *m = start();
	uint8_t before[600];

	memcpy(before, m->ram + MACHINE_DATA, 600);
	m->cpu->s.gpr[RSI] = MACHINE_DATA + 599;
	m->cpu->s.gpr[RDI] = MACHINE_DATA + 609;
	m->cpu->s.gpr[RCX] = 600;
	LOAD(m, backwards);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_memory_equal(m->ram + MACHINE_DATA + 10, before, 600);
	assert_reg(m, RSI, MACHINE_DATA - 1);
	machine_destroy(m);
}

/* A page that is not there: what came before it is done and counted. */
static void test_progress(void **state)
{
	struct machine *m = start();

	*machine_pte(m, MACHINE_DATA + 0xa000) = 0;
	m->cpu->s.gpr[RDI] = MACHINE_DATA + 0x8ffd;
	m->cpu->s.gpr[RCX] = 0x2000;
	LOAD(m, movs);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_PF);
	assert_int_equal(m->cpu->s.cr2, MACHINE_DATA + 0xa000);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE);
	assert_reg(m, RCX, 0x2000 - 0x1003);
	assert_reg(m, RDI, MACHINE_DATA + 0xa000);
	assert_reg(m, RSI, MACHINE_DATA + 0x1003);
	assert_memory_equal(m->ram + MACHINE_DATA,
			    m->ram + MACHINE_DATA + 0x8ffd, 0x1003);
	assert_int_equal(m->ram[MACHINE_DATA + 0xa000], 0);
	machine_destroy(m);
}

/* An element that reaches into a page that is not there changes nothing. */
static void test_progress_straddling(void **state)
{
	struct machine *m = start();

	*machine_pte(m, MACHINE_DATA + 0x9000) = 0;
	m->cpu->s.gpr[RDI] = MACHINE_DATA + 0x8fec;
	m->cpu->s.gpr[RCX] = 100;
	LOAD(m, movsq);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_PF);
	assert_int_equal(m->cpu->s.cr2, MACHINE_DATA + 0x9000);
	assert_reg(m, RCX, 98);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 0x8ffc), 0);
	machine_destroy(m);
}

CODE(fill, "mov $0x1122334455667788, %rax; mov $0x28001, %edi;"
	   "mov $1500, %ecx; rep stosl");
static void test_fill(void **state)
{
	struct machine *m = start();

	LOAD(m, fill);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	for (unsigned i = 0; i < 1500; i++)
		assert_int_equal(load_u32(m->ram + 0x28001 + 4 * i),
				 0x55667788);
	assert_int_equal(m->ram[0x28000], 0);
	assert_int_equal(m->ram[0x28001 + 6000], 0);
	assert_reg(m, RDI, 0x28001 + 6000);
	machine_destroy(m);
}

CODE(scan, "mov $0x20000, %edi; xor %eax, %eax; mov $-1, %rcx;"
	   "repne scasb; sete %bl; not %rcx; mov %rcx, %r8;"
	   "mov $0x20000, %esi; mov $0x24000, %edi; mov $0x1800, %ecx;"
	   "repe cmpsb; seta %r9b; mov %rcx, %r10; mov %rsi, %r11;"
	   "mov $3, %ecx; mov $0x20000, %esi; rep lodsw; mov %ax, %r12w");
static void test_scan(void **state)
{
	struct machine *m = start();

	memset(m->ram + MACHINE_DATA, 'x', 0x1234);
	m->ram[MACHINE_DATA + 0x1234] = 0;
	memcpy(m->ram + MACHINE_DATA + 0x4000, m->ram + MACHINE_DATA, 0x2000);
	m->ram[MACHINE_DATA + 0x5100] = 'w';
	store_u16(m->ram + MACHINE_DATA + 4, 0xabcd);
	store_u16(m->ram + MACHINE_DATA + 0x4004, 0xabcd);
	LOAD(m, scan);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RBX, 1);
	assert_reg(m, R8, 0x1235);
	assert_reg(m, R9, 1);
	assert_reg(m, R10, 0x1800 - 0x1101);
	assert_reg(m, R11, MACHINE_DATA + 0x1101);
	assert_reg(m, R12, 0xabcd);
	machine_destroy(m);
}

/* 16-bit indices wrap within the segment. */
CODE(wrapping, ".code16; mov $0xfffe, %di; mov $6, %cx; mov $0x5a, %al;"
	       "rep stosb; .code64");
static void test_wrapping(void **state)
{
	struct machine *m = machine_create(X86_MODE_REAL);

	m->cpu->s.segment[SEG_CS].base = MACHINE_CODE;
	m->cpu->s.segment[SEG_ES].base = MACHINE_DATA;
	LOAD(m, wrapping);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(m->ram[MACHINE_DATA + 0xffff], 0x5a);
	assert_int_equal(m->ram[MACHINE_DATA + 3], 0x5a);
	assert_int_equal(m->ram[MACHINE_DATA + 4], 0);
	assert_int_equal(m->ram[MACHINE_DATA + 0x10000], 0);
	assert_reg(m, RDI, 4);
	machine_destroy(m);
}

/* A request stops a long repetition soon, with the rest still to do. */
static void test_attention(void **state)
{
	struct machine *m = start();

	m->cpu->s.gpr[RDI] = MACHINE_DATA + 0x8000;
	m->cpu->s.gpr[RCX] = 0x4000;
	LOAD(m, movs);
	atomic_store(&m->cpu->attention, INTERP_ATTENTION);
	assert_int_equal(interp_execute(m->cpu, ~0ull), INTERP_LEAVE);
	assert_reg(m, RCX, 0x4000);
	/* the flag comes up after the instruction has begun */
	atomic_store(&m->cpu->attention, 0);
	assert_int_equal(interp_execute(m->cpu, 1), INTERP_LEAVE);
	assert_reg(m, RCX, 0);
	assert_int_equal(m->cpu->instructions, 1);
	machine_destroy(m);
}

CODE(ins, "mov $0x60, %edx; mov $0x20000, %edi; mov $3, %ecx; rep insw;"
	  "mov $0x20001, %esi; mov $2, %ecx; rep outsb");
static void test_ports(void **state)
{
	struct machine *m = start();

	m->read_value = 0xbeef;
	LOAD(m, ins);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(m->exit_count, 6); /* with HLT */
	assert_int_equal(load_u16(m->ram + MACHINE_DATA + 4), 0xbeef);
	assert_int_equal(m->exits[3].io.access.value, 0xbe);
	assert_int_equal(m->exits[4].io.access.value, 0xef);
	assert_int_equal(m->exits[4].io.access.size, 1);
	machine_destroy(m);
}

static void ask_for_attention(struct machine *machine, struct exit *exit)
{
	if (exit->reason == EXIT_IO)
		atomic_store(&machine->cpu->attention, INTERP_ATTENTION);
}

/* Interrupted after each element, it still does each exactly once. */
static void test_ports_interrupted(void **state)
{
	struct machine *m = start();

	m->hook = ask_for_attention;
	LOAD(m, ins);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(m->exit_count, 6);
	assert_int_equal(m->cpu->instructions, 8);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_move_straddling),
		cmocka_unit_test(test_move_overlapping),
		cmocka_unit_test(test_move_backwards),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_progress_straddling),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_wrapping),
		cmocka_unit_test(test_attention),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_ports_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
