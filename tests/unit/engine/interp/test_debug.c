/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's breakpoints: faults before code, traps after data and ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "machine.h"

#define assert_reg(m, reg, value) \
	assert_int_equal((m)->cpu->s.gpr[reg], (uint64_t)(value))

/* Breakpoint n at `address` with R/W and LEN as DR7 has them. */
static void set_breakpoint(struct machine *m, unsigned n, uint64_t address,
			   unsigned kind, unsigned length)
{
	m->cpu->s.dr[n] = address;
	m->cpu->s.dr[7] |= 2ull << 2 * n | (uint64_t)kind << (16 + 4 * n) |
			   (uint64_t)length << (18 + 4 * n);
	interp_mode_changed(m->cpu);
}

static uint64_t hits(const struct machine *m)
{
	return m->cpu->s.dr[6] & (BITS(3, 0) | DR6_BS);
}

/* RFLAGS of the handler's frame. */
static uint64_t frame_flags(const struct machine *m)
{
	return load_u64(m->ram + m->cpu->s.gpr[RSP] + 16);
}

CODE(code, "mov $1, %eax; mov $2, %eax; mov $3, %eax");
static void test_code(void **state)
{
	struct machine *m = machine_create(X86_MODE_64);

	LOAD(m, code);
	set_breakpoint(m, 2, MACHINE_CODE + 5, 0, 0);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_DB);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 5);
	assert_int_equal(hits(m), BIT(2));
	assert_false(frame_flags(m) & RFLAGS_RF); /* SDM 3, 17.3.1.1 */
	assert_reg(m, RAX, 1);
	/* with RF it goes on */
	m->cpu->s.rip = MACHINE_CODE + 5;
	m->cpu->s.rflags |= RFLAGS_RF;
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), -1);
	assert_reg(m, RAX, 3);
	machine_destroy(m);
}

CODE(data, "mov 0x20000, %eax; movb $1, 0x20006; mov $1, %ebx;"
	   "mov 0x20004, %rcx; mov $2, %ebx");
static void check_data(unsigned kind, unsigned length, uint64_t address,
		       uint64_t rip)
{
	struct machine *m = machine_create(X86_MODE_64);

	LOAD(m, data);
	set_breakpoint(m, 0, address, kind, length);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	if (rip) {
		assert_int_equal(machine_vector(m), VECTOR_DB);
		assert_int_equal(machine_frame_rip(m), rip);
		assert_int_equal(hits(m), BIT(0));
		assert_false(frame_flags(m) & RFLAGS_RF);
	} else {
		assert_int_equal(machine_vector(m), -1);
	}
	machine_destroy(m);
}

static void test_data(void **state)
{
	/* reads and writes, four bytes at 20004: the store to 20006 */
	check_data(3, 3, MACHINE_DATA + 4, MACHINE_CODE + 15);
	/* writes only */
	check_data(1, 3, MACHINE_DATA + 4, MACHINE_CODE + 15);
	check_data(1, 0, MACHINE_DATA + 5, 0);
	/* one byte that only the last load reaches */
	check_data(3, 0, MACHINE_DATA + 11, MACHINE_CODE + 28);
	/* eight bytes, the address's low bits ignored */
	check_data(3, 2, MACHINE_DATA + 6, MACHINE_CODE + 7);
	check_data(3, 3, MACHINE_DATA + 12, 0);
}

CODE(ports, "out %al, $0x42; in $0x41, %al; mov $1, %eax");
static void test_port(void **state)
{
	struct machine *m = machine_create(X86_MODE_64);

	m->cpu->s.cr4 |= CR4_DE;
	LOAD(m, ports);
	set_breakpoint(m, 3, 0x41, 2, 0);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_DB);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 4);
	assert_int_equal(hits(m), BIT(3));
	assert_int_equal(m->exits[1].io.port, 0x41);
	machine_destroy(m);
}

/* Each element of a repeated store is looked at. */
CODE(string, "mov $0x20000, %edi; mov $100, %ecx; rep stosb");
static void test_string(void **state)
{
	struct machine *m = machine_create(X86_MODE_64);

	LOAD(m, string);
	set_breakpoint(m, 1, MACHINE_DATA + 10, 1, 0);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_DB);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 10);
	assert_reg(m, RCX, 89);
	assert_int_equal(hits(m), BIT(1));
	machine_destroy(m);
}

/* Data and single step at once: one #DB that tells both. */
static void test_both(void **state)
{
	struct machine *m = machine_create(X86_MODE_64);

	LOAD(m, data);
	m->cpu->s.rflags |= RFLAGS_TF;
	set_breakpoint(m, 0, MACHINE_DATA, 3, 0);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(machine_vector(m), VECTOR_DB);
	assert_int_equal(hits(m), BIT(0) | DR6_BS);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_code), cmocka_unit_test(test_data),
		cmocka_unit_test(test_port), cmocka_unit_test(test_string),
		cmocka_unit_test(test_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
