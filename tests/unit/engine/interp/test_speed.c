/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions per second of loops such as compilers make, with paging on. The
 * figure is printed; the test fails only where something is badly wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "machine.h"
#include "../../scale.h"

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Sorts 512 words again and again: loads, stores, compares, branches. */
CODE(sort, "9: mov $0x20000, %rbx; mov $12345, %eax; xor %ecx, %ecx;"
	   "1: imul $1103515245, %eax, %eax; add $12345, %eax;"
	   "mov %eax, (%rbx,%rcx,4); inc %ecx; cmp $512, %ecx; jne 1b;"
	   "mov $1, %esi;"
	   "2: mov (%rbx,%rsi,4), %edx; mov %rsi, %rdi;"
	   "3: test %rdi, %rdi; je 4f; mov -4(%rbx,%rdi,4), %r8d;"
	   "cmp %edx, %r8d; jle 4f; mov %r8d, (%rbx,%rdi,4); dec %rdi;"
	   "jmp 3b; 4: mov %edx, (%rbx,%rdi,4); inc %rsi; cmp $512, %rsi;"
	   "jne 2b; jmp 9b");

/* Calls, stack frames, flags: what a kernel does most of the time. */
CODE(calls, "mov $0x20000, %ebx; 1: mov %rbx, %rdi; call 2f; add $8, %rbx;"
	    "and $0x20ff8, %ebx; jmp 1b;"
	    "2: push %rbp; mov %rsp, %rbp; push %r12; push %rbx;"
	    "mov (%rdi), %rax; lea 1(%rax), %rdx; mov %rdx, (%rdi);"
	    "movzbl 4(%rdi), %ecx; test %cl, %cl; jne 3f; xor %r12d, %r12d;"
	    "shr $3, %rax; and $7, %eax; cmp $5, %eax; ja 3f;"
	    "sub $1, %r12; 3: mov %r12, %rax; pop %rbx; pop %r12; pop %rbp;"
	    "ret");

/* The same in 32-bit code. */
CODE(calls32, ".code32; mov $0x20000, %ebx; 1: mov %ebx, %edi; call 2f;"
	      "add $8, %ebx; and $0x20ff8, %ebx; jmp 1b;"
	      "2: push %ebp; mov %esp, %ebp; push %esi; push %ebx;"
	      "mov (%edi), %eax; lea 1(%eax), %edx; mov %edx, (%edi);"
	      "movzbl 4(%edi), %ecx; test %cl, %cl; jne 3f; xor %esi, %esi;"
	      "shr $3, %eax; and $7, %eax; cmp $5, %eax; ja 3f;"
	      "sub $1, %esi; 3: mov %esi, %eax; pop %ebx; pop %esi; pop %ebp;"
	      "ret; .code64");

static void measure(const char *name, enum x86_mode mode, const uint8_t *begin,
		    const uint8_t *end)
{
	struct machine *m = machine_create(mode);
	uint64_t count = test_scale(3, 30, 100) * 1000000;
	double start, rate;

	if (mode == X86_MODE_64)
		machine_paging(m);
	machine_load(m, MACHINE_CODE, begin, (size_t)(end - begin));
	start = seconds();
	assert_int_equal(interp_execute(m->cpu, count), INTERP_LEAVE);
	rate = (double)count / (seconds() - start) / 1e6;
	print_message("%s: %.1f million instructions a second\n", name, rate);
	assert_true(m->cpu->instructions == count);
	assert_true(rate > 1);
	machine_destroy(m);
}

static void test_speed(void **state)
{
	measure("sort", X86_MODE_64, sort_begin, sort_end);
	measure("calls", X86_MODE_64, calls_begin, calls_end);
	measure("calls, 32-bit", X86_MODE_32, calls32_begin, calls32_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
