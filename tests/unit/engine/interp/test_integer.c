/* SPDX-License-Identifier: BSD-2-Clause */
/* One snippet per family of integer instructions, results written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "machine.h"

#define ZF RFLAGS_ZF
#define CF RFLAGS_CF
#define OF RFLAGS_OF
#define SF RFLAGS_SF
#define PF RFLAGS_PF
#define AF RFLAGS_AF

static struct machine *start(enum x86_mode mode, const uint8_t *begin,
			     const uint8_t *end)
{
	struct machine *machine = machine_create(mode);

	machine_load(machine, MACHINE_CODE, begin, (size_t)(end - begin));
	assert_int_equal(machine_run(machine), INTERP_WAIT);
	return machine;
}

#define RUN(mode, name) start(mode, name##_begin, name##_end)

#define assert_reg(m, reg, value) \
	assert_int_equal((m)->cpu->s.gpr[reg], (uint64_t)(value))
#define assert_flags(m, value) \
	assert_int_equal((m)->cpu->s.rflags &RFLAGS_STATUS, (value))

CODE(add, "mov $0x7fffffff, %eax; mov $1, %ebx; add %ebx, %eax");
static void test_add(void **state)
{
	struct machine *m = RUN(X86_MODE_64, add);

	assert_reg(m, RAX, 0x80000000);
	assert_flags(m, OF | SF | AF | PF);
	assert_int_equal(m->cpu->instructions, 4);
	machine_destroy(m);
}

CODE(sizes, "mov $-1, %rax; mov $-1, %rbx; mov $-1, %rcx; mov $-1, %rdx;"
	    "mov $0x12, %al; mov $0x34, %ah; mov $0x5678, %bx;"
	    "mov $0x9abcdef0, %ecx; movabs $0x1122334455667788, %rdx;"
	    "mov %dl, %ch; add %ah, %al; xchg %al, %ah");
static void test_sizes(void **state)
{
	struct machine *m = RUN(X86_MODE_64, sizes);

	assert_reg(m, RAX, 0xffffffffffff4634);
	assert_reg(m, RBX, 0xffffffffffff5678);
	assert_reg(m, RCX, 0x9abc88f0);
	assert_reg(m, RDX, 0x1122334455667788);
	machine_destroy(m);
}

CODE(memory, "mov $0x20000, %ebx; mov $2, %esi;"
	     "movq $-2, 8(%rbx,%rsi,4); addl $3, 16(%rbx);"
	     "mov 0x20010, %rax; lea -1(%rax,%rsi,8), %rcx;"
	     "movabs 0x20010, %al; cmpb $1, 16(%rbx);"
	     "sete 24(%rbx); mov 24(%rbx), %dl; incw 26(%rbx);"
	     "notl 28(%rbx); negq 32(%rbx); mov here(%rip), %r8d; jmp 1f;"
	     "here: .long 0xcafebabe; 1:");
static void test_memory(void **state)
{
	struct machine *m = RUN(X86_MODE_64, memory);

	/* -2 + 3 in the low half only */
	assert_reg(m, RAX, 0xffffffff00000001);
	assert_reg(m, RCX, 0xffffffff00000001 + 15);
	assert_int_equal(m->cpu->s.gpr[RDX] & 0xff, 1);
	assert_int_equal(load_u16(m->ram + MACHINE_DATA + 26), 1);
	assert_int_equal(load_u32(m->ram + MACHINE_DATA + 28), 0xffffffff);
	assert_reg(m, R8, 0xcafebabe);
	machine_destroy(m);
}

CODE(carry, "mov $-1, %rax; add $1, %rax; mov $5, %ecx; adc $0, %ecx;"
	    "stc; sbb %edx, %edx; stc; inc %ebx; setc %bl; cmc; adc $1, %bl");
static void test_carry(void **state)
{
	struct machine *m = RUN(X86_MODE_64, carry);

	assert_reg(m, RCX, 6);
	assert_reg(m, RDX, 0xffffffff);
	assert_reg(m, RBX, 2);
	machine_destroy(m);
}

CODE(shifts, "mov $0x81, %al; shl $1, %al; setc %bl; mov $0x80000001, %edx;"
	     "sar $31, %edx; mov $0x1234, %cx; rol $4, %cx;"
	     "mov $1, %esi; mov $0x8000000000000000, %rdi;"
	     "shld $1, %rdi, %rsi; mov $0xff, %r8d; stc;"
	     "rcr $1, %r8d; cmp %eax, %eax; shl $0, %r9; sete %r10b;"
	     "movl $0x80, 0x20000; shrl $3, 0x20000");
static void test_shifts(void **state)
{
	struct machine *m = RUN(X86_MODE_64, shifts);

	assert_int_equal(m->cpu->s.gpr[RAX] & 0xff, 2);
	assert_int_equal(m->cpu->s.gpr[RBX] & 0xff, 1);
	assert_reg(m, RDX, 0xffffffff);
	assert_reg(m, RCX, 0x2341);
	assert_reg(m, RSI, 3);
	assert_reg(m, R8, 0x8000007f);
	/* a count of 0 leaves ZF alone */
	assert_reg(m, R10, 1);
	assert_int_equal(m->ram[MACHINE_DATA], 0x10);
	machine_destroy(m);
}

CODE(multiply, "mov $-3, %rax; mov $7, %ecx; imul %rcx; mov %rax, %r8;"
	       "mov %rdx, %r9; mov $-1, %rax; mul %rcx; mov %rdx, %r10;"
	       "imul $-5, %rcx, %r11; mov $100, %eax; cltd; mov $7, %ecx;"
	       "idiv %ecx; mov %eax, %r12d; mov %edx, %r13d;"
	       "mov $-100, %rax; cqto; idiv %rcx; mov %rax, %r14;"
	       "mov %rdx, %r15; mov $200, %ax; mov $7, %bl; div %bl");
static void test_multiply(void **state)
{
	struct machine *m = RUN(X86_MODE_64, multiply);

	assert_reg(m, R8, -21);
	assert_reg(m, R9, -1);
	assert_reg(m, R10, 6);
	assert_reg(m, R11, -35);
	assert_reg(m, R12, 14);
	assert_reg(m, R13, 2);
	assert_reg(m, R14, -14);
	assert_reg(m, R15, -2);
	assert_int_equal(m->cpu->s.gpr[RAX] & 0xffff, 4 << 8 | 28);
	machine_destroy(m);
}

CODE(divide_overflow, "mov $1, %edx; xor %eax, %eax; mov $1, %ecx; div %ecx");
CODE(divide_minimum, "mov $0x8000000000000000, %rax; cqto; mov $-1, %rcx;"
		     "idiv %rcx");
CODE(divide_wide, "mov $-1, %rdx; mov $0, %rax; mov $2, %rcx; idiv %rcx");
static void test_divide_error(void **state)
{
	struct machine *m = RUN(X86_MODE_64, divide_overflow);

	assert_int_equal(machine_vector(m), VECTOR_DE);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 12);
	machine_destroy(m);
	m = RUN(X86_MODE_64, divide_minimum);
	assert_int_equal(machine_vector(m), VECTOR_DE);
	machine_destroy(m);
	/* -2^64 / 2 = -2^63 does fit */
	m = RUN(X86_MODE_64, divide_wide);
	assert_int_equal(machine_vector(m), -1);
	assert_reg(m, RAX, 1ull << 63);
	assert_reg(m, RDX, 0);
	machine_destroy(m);
}

CODE(bits, "mov $0x20008, %ebx; movq $0x10, (%rbx); mov $4, %eax;"
	   "bt %eax, (%rbx); setc %r8b; mov $-63, %rax; bts %rax, (%rbx);"
	   "mov $0x100, %ecx; bsf %ecx, %edx; bsr %ecx, %esi;"
	   "tzcnt %ecx, %r9d; lzcnt %ecx, %r10d; mov $0xff0f, %edi;"
	   "popcnt %edi, %r11d; btc $33, %ecx; btrl $4, (%rbx);"
	   "xor %eax, %eax; mov $77, %r12d; bsf %eax, %r12d");
static void test_bits(void **state)
{
	struct machine *m = RUN(X86_MODE_64, bits);

	assert_reg(m, R8, 1);
	assert_int_equal(load_u64(m->ram + MACHINE_DATA), 2);
	assert_int_equal(load_u64(m->ram + MACHINE_DATA + 8), 0);
	assert_reg(m, RDX, 8);
	assert_reg(m, RSI, 8);
	assert_reg(m, R9, 8);
	assert_reg(m, R10, 23);
	assert_reg(m, R11, 12);
	assert_reg(m, RCX, 0x102);
	assert_reg(m, R12, 77);
	machine_destroy(m);
}

CODE(bmi, "mov $0xf0, %eax; mov $0xff, %ebx; andn %ebx, %eax, %ecx;"
	  "blsr %eax, %edx; blsi %eax, %esi; blsmsk %eax, %edi;"
	  "mov $4, %r15d; bzhi %r15d, %ebx, %r8d; mov $0x0404, %r15d;"
	  "bextr %r15d, %eax, %r9d; mov $0x5, %r14d;"
	  "pdep %eax, %r14d, %r10d; pext %eax, %eax, %r11d;"
	  "rorx $4, %eax, %r12d; mov $2, %r15d;"
	  "shlx %r15, %rax, %r13; mov $-1, %rdx; mulx %rdx, %rax, %rbx");
static void test_bmi(void **state)
{
	struct machine *m = RUN(X86_MODE_64, bmi);

	assert_reg(m, RCX, 0x0f);
	assert_reg(m, RSI, 0x10);
	assert_reg(m, RDI, 0x1f);
	assert_reg(m, R8, 0xf);
	assert_reg(m, R9, 0xf);
	assert_reg(m, R10, 0x50);
	assert_reg(m, R11, 0xf);
	assert_reg(m, R12, 0xf);
	assert_reg(m, R13, 0x3c0);
	assert_reg(m, RAX, 1);
	assert_reg(m, RBX, -2);
	machine_destroy(m);
}

CODE(branches, "xor %eax, %eax; mov $10, %ecx; 1: inc %eax; loop 1b;"
	       "jrcxz 2f; mov $99, %eax; 2: call 3f; mov $4, %ebx; jmp 4f;"
	       "3: mov $5, %edx; cmp $5, %edx; jne 5f; ret $0; 5: hlt;"
	       "4: cmp $-1, %edx; jg 6f; hlt; 6: ja 7f; mov $6, %esi; 7:"
	       "lea 8f(%rip), %rdi; jmp *%rdi; hlt; 8: mov $7, %ebp");
static void test_branches(void **state)
{
	struct machine *m = RUN(X86_MODE_64, branches);

	assert_reg(m, RAX, 10);
	assert_reg(m, RCX, 0);
	assert_reg(m, RBX, 4);
	assert_reg(m, RDX, 5);
	assert_reg(m, RSI, 6);
	assert_reg(m, RBP, 7);
	assert_reg(m, RSP, MACHINE_STACK);
	machine_destroy(m);
}

CODE(stack, "mov $0x1122, %eax; push %rax; push $-5; pushw $7; popw %bx;"
	    "pop %rcx; pop 0x20000; stc; pushf; clc; popf; setc %dl;"
	    "mov %rsp, %rbp; enter $32, $0; mov %rsp, %rsi; leave;"
	    "push %rsp; pop %rdi; movq $3, -8(%rsp); sub $8, %rsp;"
	    "pop 8(%rsp)");
static void test_stack(void **state)
{
	struct machine *m = RUN(X86_MODE_64, stack);

	assert_reg(m, RBX, 7);
	assert_reg(m, RCX, -5);
	assert_int_equal(load_u64(m->ram + MACHINE_DATA), 0x1122);
	assert_reg(m, RDX, 1);
	assert_reg(m, RBP, MACHINE_STACK);
	assert_reg(m, RSI, MACHINE_STACK - 40);
	assert_reg(m, RDI, MACHINE_STACK);
	assert_reg(m, RSP, MACHINE_STACK);
	/* the address of a popped operand is that after the pop */
	assert_int_equal(load_u64(m->ram + MACHINE_STACK + 8), 3);
	machine_destroy(m);
}

CODE(convert, "mov $0x80, %al; cbw; mov %ax, %r8w; cwtl; mov %eax, %r9d;"
	      "cltq; mov %rax, %r10; movzbl %al, %ebx; movsbq %al, %rcx;"
	      "movzwl %ax, %edx; movswl %ax, %esi; movslq %eax, %rdi;"
	      "mov $0x12345678, %r11d; bswap %r11d; movl $0x1020304, 0x20000;"
	      "movbe 0x20000, %r12d; lahf; mov %eax, %r13d; xor %eax, %eax;"
	      "mov $1, %ebp; cmovne %rdi, %rbp; cmove %rbp, %r14;"
	      "mov $0x20000, %ebx; mov $2, %al; xlat");
static void test_convert(void **state)
{
	struct machine *m = RUN(X86_MODE_64, convert);

	assert_reg(m, R8, 0xff80);
	assert_reg(m, R9, 0xffffff80);
	assert_reg(m, R10, -128);
	assert_reg(m, RCX, -128);
	assert_reg(m, RDX, 0xff80);
	assert_reg(m, RSI, 0xffffff80);
	assert_reg(m, RDI, -128);
	assert_reg(m, R11, 0x78563412);
	assert_reg(m, R12, 0x04030201);
	assert_reg(m, RBP, 1);
	assert_reg(m, R14, 1);
	assert_int_equal(m->cpu->s.gpr[RAX] & 0xff, 2);
	machine_destroy(m);
}

CODE(atomic, "mov $0x20000, %ebx; movl $5, (%rbx); lock addl $3, (%rbx);"
	     "mov $1, %eax; xchg %eax, (%rbx); mov $9, %ecx;"
	     "lock xadd %ecx, (%rbx); mov $77, %edx; mov %eax, %esi;"
	     "mov $10, %eax; lock cmpxchg %edx, (%rbx); sete %r8b;"
	     "mov $10, %eax; lock cmpxchg %edx, (%rbx); setne %r9b;"
	     "mov %eax, %r10d; lock btsl $4, (%rbx); setc %r11b;"
	     "lock incl (%rbx); lock negl (%rbx); mov (%rbx), %r12d;"
	     "movq $1, 16(%rbx); movq $2, 24(%rbx); mov $1, %eax;"
	     "mov $2, %edx; mov $4, %ecx; mov %rbx, %rdi; mov $3, %ebx;"
	     "lock cmpxchg16b 16(%rdi); setz %r13b;"
	     "lock cmpxchg8b 16(%rdi); setz %r14b");
static void test_atomic(void **state)
{
	struct machine *m = RUN(X86_MODE_64, atomic);

	assert_reg(m, RSI, 8);
	assert_reg(m, R8, 1);
	assert_reg(m, R9, 1);
	assert_reg(m, R10, 77);
	assert_reg(m, R11, 0);
	assert_reg(m, R12, (uint32_t)-94);
	assert_reg(m, R13, 1);
	assert_int_equal(load_u64(m->ram + MACHINE_DATA + 16), 3);
	assert_int_equal(load_u64(m->ram + MACHINE_DATA + 24), 4);
	assert_reg(m, R14, 0);
	assert_reg(m, RAX, 3);
	assert_reg(m, RDX, 0);
	machine_destroy(m);
}

CODE(unaligned16, "mov $0x20008, %edi; lock cmpxchg16b (%rdi)");
static void test_unaligned16(void **state)
{
	struct machine *m = RUN(X86_MODE_64, unaligned16);

	assert_int_equal(machine_vector(m), VECTOR_GP);
	machine_destroy(m);
}

CODE(random, "stc; rdrand %ecx; setc %al; rdseed %rdx; crc32b %al, %esi;"
	     "mov $-1, %edi; mov $1, %r8d; clc; adcx %edi, %r8d; setc %r9b;"
	     "adox %edi, %r10d");
static void test_random(void **state)
{
	struct machine *m = RUN(X86_MODE_64, random);

	assert_reg(m, RCX, 0x9abcdef0);
	assert_reg(m, RDX, 0x123456789abcdef0);
	assert_int_equal(m->cpu->s.gpr[RAX] & 0xff, 1);
	assert_reg(m, R8, 0);
	assert_reg(m, R9, 1);
	assert_reg(m, R10, 0xffffffff);
	machine_destroy(m);
}

CODE(legacy, ".code32; mov $0x1234, %eax; pusha; popa; push $0x20000;"
	     "pop %ebx; mov $0x0f, %al; clc; aaa; mov %eax, %ecx;"
	     "mov $0x9b, %al; daa; mov %eax, %edx; mov $77, %al; aam;"
	     "mov %ax, %si; aad; mov %ax, %di; enter $8, $1; leave;"
	     "call 1f; 1: pop %ebp; sub $(1b - legacy_begin), %ebp;"
	     ".code64");
static void test_legacy(void **state)
{
	struct machine *m = RUN(X86_MODE_32, legacy);

	assert_reg(m, RBX, 0x20000);
	assert_reg(m, RCX, 0x1305);
	assert_int_equal(m->cpu->s.gpr[RDX] & 0xff, 0x01);
	assert_int_equal(m->cpu->s.gpr[RSI] & 0xffff, 0x0707);
	assert_int_equal(m->cpu->s.gpr[RDI] & 0xffff, 77);
	assert_reg(m, RBP, MACHINE_CODE);
	assert_reg(m, RSP, MACHINE_STACK);
	machine_destroy(m);
}

CODE(bound, ".code32; mov $0x20000, %ebx; movl $1, (%ebx); movl $5, 4(%ebx);"
	    "mov $5, %eax; bound %eax, (%ebx); mov $6, %eax;"
	    "bound %eax, (%ebx); .code64");
static void test_bound(void **state)
{
	struct machine *m = RUN(X86_MODE_32, bound);

	assert_int_equal(machine_vector(m), VECTOR_BR);
	assert_reg(m, RAX, 6);
	machine_destroy(m);
}

/* Code at 1000:0000, 16-bit operands, addresses and stack. */
CODE(real, ".code16; mov $0x2000, %ax; mov %ax, %ds; movw $0x1234, (0);"
	   "push %ax; pop %bx; mov $5, %cx; xor %dx, %dx; 1: inc %dx;"
	   "loop 1b; mov $0xffff, %si; lea 2(%si), %di; addl $1, (0);"
	   "call 2f; jmp 3f; 2: mov %sp, %bp; ret; 3: .code64");
static void test_real(void **state)
{
	struct machine *m = machine_create(X86_MODE_REAL);

	m->cpu->s.segment[SEG_CS].base = MACHINE_CODE;
	m->cpu->s.segment[SEG_CS].selector = MACHINE_CODE >> 4;
	LOAD(m, real);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_reg(m, RBX, 0x2000);
	assert_reg(m, RDX, 5);
	assert_reg(m, RDI, 1);
	assert_reg(m, RBP, 0xfefe);
	assert_reg(m, RSP, 0xff00);
	assert_int_equal(load_u16(m->ram + 0x20000), 0x1235);
	machine_destroy(m);
}

CODE(software, "mov $1, %eax; int3; nop; hlt");
CODE(int_n, "int $0x80");
CODE(undefined, "nop; ud2");
static void test_events(void **state)
{
	struct machine *m = RUN(X86_MODE_64, software);

	assert_int_equal(machine_vector(m), VECTOR_BP);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 6);
	machine_destroy(m);
	m = RUN(X86_MODE_64, int_n);
	assert_int_equal(machine_vector(m), 0x80);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 2);
	machine_destroy(m);
	m = RUN(X86_MODE_64, undefined);
	assert_int_equal(machine_vector(m), VECTOR_UD);
	assert_int_equal(machine_frame_rip(m), MACHINE_CODE + 1);
	assert_int_equal(m->cpu->instructions, 3);
	machine_destroy(m);
}

CODE(ports, "mov $0x3f8, %edx; mov $0x41, %al; out %al, %dx; in $0x60, %eax;"
	    "in (%dx), %ax");
static void test_ports(void **state)
{
	struct machine *m = machine_create(X86_MODE_64);

	m->read_value = 0x11223344;
	LOAD(m, ports);
	assert_int_equal(machine_run(m), INTERP_WAIT);
	assert_int_equal(m->exit_count, 4); /* with HLT */
	assert_int_equal(m->exits[0].io.port, 0x3f8);
	assert_int_equal(m->exits[0].io.access.value, 0x41);
	assert_int_equal(m->exits[0].io.access.size, 1);
	assert_true(m->exits[0].io.access.is_write);
	assert_int_equal(m->exits[1].io.port, 0x60);
	assert_int_equal(m->exits[1].io.access.size, 4);
	assert_reg(m, RAX, 0x11223344);
	machine_destroy(m);
}

/* CPL 3: the TSS's bitmap decides. */
static void check_bitmap(uint8_t bits, int vector)
{
	struct machine *m = machine_create(X86_MODE_64);
	uint8_t *tss = m->ram + MACHINE_TSS;

	store_u16(tss + 102, 0x68);
	tss[0x68 + 0x3f8 / 8] = bits;
	store_u64(tss + 4, MACHINE_STACK - 0x100);
	m->cpu->s.segment[SEG_SS].attributes |= SEGMENT_DPL;
	m->cpu->s.segment[SEG_CS].attributes |= SEGMENT_DPL;
	interp_mode_changed(m->cpu);
	LOAD(m, ports);
	machine_run(m);
	assert_int_equal(machine_vector(m), vector);
	assert_int_equal(m->exits[0].reason, bits & 1 ? EXIT_HLT : EXIT_IO);
	machine_destroy(m);
}

static void test_port_permission(void **state)
{
	/* the other ports are allowed; HLT at CPL 3 faults at the end */
	check_bitmap(0, VECTOR_GP);
	check_bitmap(1, VECTOR_GP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_carry),
		cmocka_unit_test(test_shifts),
		cmocka_unit_test(test_multiply),
		cmocka_unit_test(test_divide_error),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_bmi),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_convert),
		cmocka_unit_test(test_atomic),
		cmocka_unit_test(test_unaligned16),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_port_permission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
