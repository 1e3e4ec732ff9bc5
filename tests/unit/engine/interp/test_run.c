/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop and the block cache: code that changes, code on two pages,
 * faults in the middle of a block, single steps, interrupts and their shadows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "machine.h"
#include "engine/interp/block.h"

#define assert_reg(m, reg, value) \
	assert_int_equal((m)->cpu->s.gpr[reg], (uint64_t)(value))

static struct machine *start(void)
{
	struct machine *m = machine_create(X86_MODE_64);

	machine_paging(m);
	return m;
}

/* --- self-modifying code -------------------------------------------------- */

/* The store changes the constant of the next instruction. */
CODE(same_block, "movb $7, 1f+1(%rip); 1: mov $5, %eax; mov $1, %ebx");
static void test_same_block(void **state)
{
	struct machine *m = start();

	LOAD(m, same_block);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RAX, 7);
	assert_reg(m, RBX, 1);
	machine_destroy(m);
}

/* A string store does too. */
CODE(by_string, "lea 1f+1(%rip), %rdi; mov $7, %al; mov $1, %ecx; rep stosb;"
		"1: mov $5, %eax");
static void test_by_string(void **state)
{
	struct machine *m = start();

	LOAD(m, by_string);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RAX, 7);
	machine_destroy(m);
}

/* A block that has run is changed from another page, and runs again. */
CODE(other_page, "mov $2, %ecx; 1: call 2f; mov %eax, 0x20000(,%rcx,4);"
		 "incb 2f+1(%rip); loop 1b; jmp 3f; .balign 4096;"
		 "2: mov $5, %eax; ret; 3:");
static void test_other_page(void **state)
{
	struct machine *m = start();

	LOAD(m, other_page);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 8), 5);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 4), 6);
	machine_destroy(m);
}

/* Written through another linear address of the same page. */
CODE(alias, "mov $2, %ecx; 1: mov $5, %eax; mov %eax, 0x20000(,%rcx,4);"
	    "incb 0x90006; loop 1b");
static void test_alias(void **state)
{
	struct machine *m = start();

	*machine_pte(m, 0x90000) = MACHINE_CODE | 7;
	LOAD(m, alias);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 8), 5);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 4), 6);
	machine_destroy(m);
}

/* By a device, which tells nobody. */
static void change_code(struct machine *machine, struct exit *exit)
{
	machine->ram[MACHINE_CODE + 6]++;
}

CODE(by_device, "mov $2, %ecx; 1: mov $5, %eax; mov %eax, 0x20000(,%rcx,4);"
		"out %al, $1; loop 1b");
static void test_by_device(void **state)
{
	struct machine *m = start();

	m->hook = change_code;
	LOAD(m, by_device);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 8), 5);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 4), 6);
	machine_destroy(m);
}

/* --- page boundaries ------------------------------------------------------ */

/* A five-byte instruction with `first` bytes on the first page; the second is
 * mapped to where its neighbour is not. */
static void check_crossing(unsigned first)
{
	static const uint8_t code[] = { 0xb8, 1, 2, 3, 4, 0xf4 };
	struct machine *m = start();
	uint64_t at = MACHINE_CODE + 0x1000 - first;

	*machine_pte(m, MACHINE_CODE + 0x1000) = 0x90000 | 7;
	memcpy(m->ram + at, code, first);
	memcpy(m->ram + 0x90000, code + first, sizeof(code) - first);
	m->cpu->s.rip = at;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RAX, 0x04030201);
	/* the part on the second page changes */
	m->ram[0x90000 + 4 - first] = 9;
	m->cpu->s.rip = at;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RAX, 0x09030201);
	/* another page comes in its place */
	*machine_pte(m, MACHINE_CODE + 0x1000) = 0x91000 | 7;
	memcpy(m->ram + 0x91000, m->ram + 0x90000, 16);
	m->ram[0x91000 + 4 - first] = 8;
	tlb_flush(m->cpu);
	m->cpu->s.rip = at;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RAX, 0x08030201);
	machine_destroy(m);
}

static void test_crossing(void **state)
{
	for (unsigned first = 1; first < 5; first++)
		check_crossing(first);
}

/* The second page is not there: the fault names it, nothing has happened. */
static void test_crossing_fault(void **state)
{
	struct machine *m = start();

	*machine_pte(m, MACHINE_CODE + 0x1000) = 0;
	memcpy(m->ram + MACHINE_CODE + 0xffc, "\x90\x90\xb8\x01", 4);
	m->cpu->s.rip = MACHINE_CODE + 0xffc;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_PF);
	assert_int_equal(m->cpu->s.cr2, MACHINE_CODE + 0x1000);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 0xffe);
	/* two NOPs, the fault, HLT */
	assert_int_equal(m->cpu->instructions, 4);
	machine_destroy(m);
}

/* Sixteen bytes of prefixes are too many, wherever the page ends. */
static void test_too_long(void **state)
{
	struct machine *m = start();
	uint64_t at = MACHINE_CODE + 0x1000 - 8;

	memset(m->ram + at, 0x66, 16);
	m->cpu->s.rip = at;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_GP);
	assert_int_equal(machine_frame_rip(m), at);
	machine_destroy(m);
}

/* CS's limit in 32-bit code: the instruction that reaches past it faults. */
CODE(limit, ".code32; nop; nop; mov $1, %eax; .code64");
static void test_limit(void **state)
{
	struct machine *m = machine_create(X86_MODE_32);

	LOAD(m, limit);
	m->cpu->s.segment[SEG_CS].limit = MACHINE_CODE + 5;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_GP);
	assert_int_equal(load_u32(m->ram + m->cpu->s.gpr[RSP] + 4),
			 MACHINE_CODE + 2);
	assert_reg(m, RAX, 0);
	machine_destroy(m);
}

/* --- faults --------------------------------------------------------------- */

CODE(middle, "mov $1, %eax; mov $2, %ebx; mov %ebx, 0x30000; mov $3, %eax");
static void test_fault_in_block(void **state)
{
	struct machine *m = start();

	*machine_pte(m, 0x30000) = 0;
	LOAD(m, middle);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_PF);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 10);
	assert_int_equal(m->cpu->s.cr2, 0x30000);
	assert_reg(m, RAX, 1);
	assert_int_equal(m->cpu->instructions, 4);
	machine_destroy(m);
}

CODE(far_away, "mov $0x8000000000000000, %rax; jmp *%rax");
static void test_not_canonical(void **state)
{
	struct machine *m = start();

	LOAD(m, far_away);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_GP);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 10);
	machine_destroy(m);
}

static void test_triple_fault(void **state)
{
	struct machine *m = start();

	m->cpu->s.idtr.limit = 0;
	LOAD(m, far_away);
	assert_int_equal(machine_run(m), INTERP_SHUTDOWN);
	assert_int_equal(m->cpu->s.activity, CPU_SHUTDOWN);
	machine_destroy(m);
}

/* --- stepping ------------------------------------------------------------- */

CODE(count, "mov $1, %eax; mov $2, %ebx; 1: jmp 1b");
static void test_count(void **state)
{
	struct machine *m = start();

	LOAD(m, count);
	assert_int_equal(interp_execute(m->cpu, 1), INTERP_LEAVE);
	assert_int_equal(m->cpu->s.rip, MACHINE_CODE + 5);
	assert_reg(m, RBX, 0);
	assert_int_equal(interp_execute(m->cpu, 1000), INTERP_LEAVE);
	assert_int_equal(m->cpu->instructions, 1001);
	assert_reg(m, RBX, 2);
	machine_destroy(m);
}

/* TF set by POPF takes effect after the next instruction. */
CODE(trap_flag, "push $0x102; popf; mov $1, %eax; mov $2, %eax");
static void test_trap_flag(void **state)
{
	struct machine *m = start();

	LOAD(m, trap_flag);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_DB);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 11);
	assert_reg(m, RAX, 1);
	assert_true(m->cpu->s.dr[6] & DR6_BS);
	assert_false(m->cpu->s.rflags & RFLAGS_TF);
	machine_destroy(m);
}

/* Each element of a repetition is a step. */
CODE(trap_string, "push $0x102; mov $3, %ecx; mov $0x20000, %edi; popf;"
		  "rep stosb");
static void test_trap_string(void **state)
{
	struct machine *m = start();

	LOAD(m, trap_string);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_DB);
	assert_reg(m, RCX, 2);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 16);
	machine_destroy(m);
}

/* --- interrupts ----------------------------------------------------------- */

CODE(enable, "mov $1, %eax; sti; mov $2, %eax; mov $3, %eax");
static void test_interrupt(void **state)
{
	struct machine *m = start();

	m->interrupt = 0x40;
	LOAD(m, enable);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	/* one instruction after STI still comes first */
	assert_int_equal(machine_vector(m), 0x40);
	assert_reg(m, RAX, 2);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 11);
	assert_int_equal(m->interrupts_taken, 1);
	machine_destroy(m);
}

/* HLT waits with the interrupt's RIP after it. */
CODE(halt, "sti; hlt; mov $9, %eax");
static void test_halt(void **state)
{
	struct machine *m = start();

	LOAD(m, halt);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(m->cpu->s.activity, CPU_HALTED);
	assert_int_equal(interp_execute(m->cpu, ~0ull), INTERP_WAIT);
	assert_int_equal(m->cpu->s.rip, MACHINE_CODE + 2);
	m->interrupt = 0x41;
	assert_int_equal(interp_execute(m->cpu, ~0ull), INTERP_WAIT);
	assert_int_equal(machine_vector(m), 0x41);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 2);
	machine_destroy(m);
}

static void test_nmi(void **state)
{
	struct machine *m = start();

	m->cpu->s.nmi_is_pending = true;
	LOAD(m, enable);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_NMI);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE);
	assert_true(m->cpu->s.nmi_is_blocked);
	/* a second one waits for IRET */
	m->cpu->s.nmi_is_pending = true;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_true(m->cpu->s.nmi_is_pending);
	machine_destroy(m);
}

/* Who wants one instruction has one decoded, and runs on from there. */
CODE(find_one, "mov $5, %eax; mov $6, %ebx");
static void test_find_one(void **state)
{
	struct machine *m = start();
	const struct block *block;

	LOAD(m, find_one);
	block = block_find_one(m->cpu);
	assert_int_equal(block->count, 1);
	assert_int_equal(block->op[0].insn.op, OP_MOV);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RBX, 6);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_block),
		cmocka_unit_test(test_by_string),
		cmocka_unit_test(test_other_page),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_by_device),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_crossing_fault),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_fault_in_block),
		cmocka_unit_test(test_not_canonical),
		cmocka_unit_test(test_triple_fault),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_trap_flag),
		cmocka_unit_test(test_trap_string),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_halt),
		cmocka_unit_test(test_nmi),
		cmocka_unit_test(test_find_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
