/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs random bytes as code at CPL 3, COUNT times over, from random registers, and
 * writes down how each ended: when all engines say the same, invalid code, jumps
 * into instructions, stores to code, and faults of all kinds go as they should.
 *
 * The command line: eight characters of seed, then "x" if status flags count, too.
 * A record is 8 bytes: CRC-32C of the registers, CR2 and the user's memory; RIP's
 * low word; the vector; 1. One that the timer ended is all 0.
 *
 * What has no one result is kept away: no TSC (CR4.TSD), no RDRAND and RDSEED
 * (0F C7), nothing that stores the x87's pointers (D9, DD, AE), no rotation by a
 * constant and no DIV (C0, C1, F6, F7), whose flags the manual leaves open: all by
 * leaving bytes out.
 */
#include "start.inc"
#include "long.inc"

#ifndef COUNT
#define COUNT     10000
#endif
#define USER      0x2800000		/* linear and physical */
#define PAGES     8			/* a table's: see user_pages */
#define ALIAS     0x25800000		/* of the supervisor's, all of them */
#define POOL      0x2c00000
#define POOL_SIZE 0x40000
#define X2APIC    0x800
#define DEADLINE  0x6e0
#define TIMER     48

start:
	mov	24(%ebx), %esi		/* hvm_start_info: command line */
	mov	(%esi), %eax
	mov	%eax, seed
	mov	4(%esi), %eax
	mov	%eax, seed + 4
	mov	8(%esi), %al
	mov	%al, has_flags
	set_up_long_mode
	/* The kernel's are the supervisor's; the user's are of 4 KiB. */
	mov	$pd, %edi
	mov	$512, %ecx
1:	andb	$~4, (%rdi)
	add	$8, %edi
	loop	1b
	movq	$user_table + 7, pd + USER / 0x200000 * 8
	movq	$USER + 0x83, pd + ALIAS / 0x200000 * 8
	mov	$user_pages, %esi
	mov	$user_table, %edi
	mov	$PAGES, %ecx
	rep movsq
	mov	%cr3, %rax
	mov	%rax, %cr3
	mov	%cr4, %rax
	or	$0x604, %eax		/* OSXMMEXCPT, OSFXSR, TSD */
	mov	%rax, %cr4
	mov	%cr0, %rax
	or	$0x22, %eax		/* NE, MP */
	mov	%rax, %cr0

	.altmacro
	.macro	gate n dpl
	set_gate64 \n vector_\n \dpl
	.endm
	.irp	n, 0,1,2,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,48
	gate	\n 0
	.endr
	gate	3 3
	gate	4 3
	mov	$0xc0000081, %ecx	/* STAR, LSTAR, FMASK */
	xor	%eax, %eax
	mov	$0x00130008, %edx
	wrmsr
	inc	%ecx
	mov	$vector_128, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0xc0000084, %ecx
	mov	$0x47700, %eax
	wrmsr
	mov	$0x1b, %ecx		/* APIC_BASE: x2APIC */
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$X2APIC + 0x0f, %ecx
	mov	$0x1ff, %eax
	xor	%edx, %edx
	wrmsr
	mov	$X2APIC + 0x32, %ecx
	mov	$0x40000 | TIMER, %eax
	wrmsr

	/* The pool: half any bytes, half such as begin what compilers make. */
	mov	$POOL, %edi
	mov	$POOL_SIZE, %r8d
2:	call	random
	mov	%eax, %edx
	shr	$8, %edx
	test	$1, %edx
	jz	3f
	shr	%edx
	and	$63, %edx
	mov	common(%rdx), %al
3:	cmp	$0xd9, %al
	je	4f
	cmp	$0xdd, %al
	je	4f
	cmp	$0xae, %al
	je	4f
	cmp	$0xf6, %al
	je	4f
	cmp	$0xf7, %al
	je	4f
	cmp	$0xc0, %al
	je	4f
	cmp	$0xc1, %al
	je	4f
	cmp	$0xc7, %al
	jne	5f
	cmpb	$0x0f, -1(%rdi)
	jne	5f
4:	mov	$0x90, %al
5:	stosb
	dec	%r8d
	jnz	2b

next:
	incl	number
	cmpl	$COUNT, number
	ja	report
	mov	$stack, %rsp
	cld
	mov	$0x1b, %eax
	mov	%eax, %ds
	mov	%eax, %es
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	fxrstor	fpu
	/* All of the user's memory anew. */
	call	random
	and	$POOL_SIZE - 1 - 0x8000, %eax
	lea	POOL(%rax), %esi
	mov	$ALIAS, %edi
	mov	$PAGES * 512, %ecx
	rep movsq
	/* Registers: pointers into its memory, small numbers, large ones. */
	mov	$registers, %ebx
6:	call	random
	mov	%eax, %ecx
	shr	$30, %ecx
	cmp	$1, %ecx
	jb	7f
	je	8f
	and	$0x7fff, %eax
	add	$USER, %rax
	jmp	7f
8:	movsx	%al, %rax
7:	mov	%rax, (%rbx)
	add	$8, %ebx
	cmp	$registers_end, %ebx
	jb	6b
	mov	tsc_khz, %eax
	test	%eax, %eax
	jnz	9f
	mov	$0x40000010, %eax
	cpuid
	mov	%eax, tsc_khz
9:
#ifdef ONLY				/* one of them, to look at it */
	shl	$12, %rax
#endif
	lea	(%rax, %rax), %rcx	/* 2 ms */
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	%rcx, %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$DEADLINE, %ecx
	wrmsr
	pushq	$0x1b
	call	random
	and	$0x7ff8, %eax
	add	$USER, %rax
	push	%rax			/* RSP */
	call	random
	and	$0x8d5, %eax
	or	$0x202, %eax
	push	%rax
	pushq	$0x23
	call	random
	and	$0x1fff, %eax
	add	$USER + 0x1000, %rax
	push	%rax
	mov	$registers, %ebx
	.irp	r, rax, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	mov	(%rbx), %\r
	add	$8, %ebx
	.endr
	mov	(%rbx), %rbx
#ifdef ONLY
	/* */				/* one of them, to look at it */
	cmpl	$ONLY, number
	jne	next
#endif
	iretq

	.macro	entry n
vector_\n:
	.if	(\n != 8) && ((\n < 10) || (\n > 14)) && (\n != 17) && (\n != 21)
	push	$0
	.endif
	push	$\n
	jmp	ended
	.endm
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21
	entry	\n
	.endr
vector_48:
	cld
	mov	$X2APIC + 0x0b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	mov	number, %eax
	movq	$0, records - 8(, %rax, 8)
	jmp	next
vector_128:				/* SYSCALL: no stack yet */
	mov	%rsp, user_rsp
	mov	$stack, %rsp
	pushq	$0x1b
	pushq	user_rsp
	push	%r11
	pushq	$0x23
	push	%rcx
	push	$0
	push	$128

ended:
	cld
	.irp	r, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
	push	%\r
	.endr
	/* 15 registers, vector, error, RIP, CS, RFLAGS, RSP, SS */
	cmpb	$'x', has_flags
	je	1f
	andq	$~0x8d5, 19 * 8(%rsp)
	cmpq	$128, 15 * 8(%rsp)	/* R11 has them */
	jne	1f
	andq	$~0x8d5, 10 * 8(%rsp)
1:	mov	$-1, %eax
	mov	%rsp, %rsi
	mov	$22, %ecx
2:	crc32q	(%rsi), %rax
	add	$8, %rsi
	loop	2b
	cmpq	$14, 15 * 8(%rsp)
	jne	3f
	mov	%cr2, %rdx
	crc32q	%rdx, %rax
3:	mov	$ALIAS, %esi
	mov	$PAGES * 512, %ecx
4:	crc32q	(%rsi), %rax
	add	$8, %rsi
	loop	4b
	mov	number, %ebx
	mov	%eax, records - 8(, %rbx, 8)
	mov	17 * 8(%rsp), %rax
	mov	%ax, records - 4(, %rbx, 8)
	mov	15 * 8(%rsp), %eax
	mov	%al, records - 2(, %rbx, 8)
	movb	$1, records - 1(, %rbx, 8)
	xor	%eax, %eax		/* no timer any more */
	xor	%edx, %edx
	mov	$DEADLINE, %ecx
	wrmsr
	jmp	next

/* EAX: 32 random bits; RCX and RDX are lost. xorshift64*. */
random:
	mov	seed, %rax
	mov	%rax, %rcx
	shr	$12, %rcx
	xor	%rcx, %rax
	mov	%rax, %rcx
	shl	$25, %rcx
	xor	%rcx, %rax
	mov	%rax, %rcx
	shr	$27, %rcx
	xor	%rcx, %rax
	mov	%rax, seed
	mov	$0x2545f4914f6cdd1d, %rcx
	imul	%rcx, %rax
	shr	$32, %rax
	ret

report:
	mov	$SERIAL, %edx
	mov	$records, %esi
	mov	$COUNT * 8, %ecx
	rep outsb
	finish	0

	.data
	.balign	8
/* Nothing; code and data; nothing; data; to be read only; not to be executed. */
user_pages:
	.quad	0, USER + 0x1007, USER + 0x2007, 0
	.quad	USER + 0x4007, USER + 0x5007, USER + 0x6005
	.quad	0x8000000000000007 + USER + 0x7000
common:
	.byte	0x48, 0x48, 0x48, 0x4c, 0x49, 0x41, 0x44, 0x66
	.byte	0x01, 0x03, 0x29, 0x2b, 0x31, 0x33, 0x39, 0x3b
	.byte	0x89, 0x89, 0x8b, 0x8b, 0x88, 0x8a, 0x8d, 0x63
	.byte	0x85, 0x83, 0x81, 0x2d, 0xff, 0xfe, 0xd1, 0xd3
	.byte	0x0f, 0x0f, 0x0f, 0xb6, 0xaf, 0x44, 0x45, 0x84
	.byte	0x74, 0x75, 0x72, 0x73, 0x7c, 0x7f, 0xeb, 0xe8
	.byte	0x50, 0x53, 0x58, 0x5b, 0xc3, 0xa4, 0xab, 0xf3
	.byte	0x11, 0x19, 0x21, 0x09, 0x10, 0x6f, 0xef, 0xf2
	.balign	16
fpu:	.word	0x37f, 0, 0, 0
	.quad	0, 0
	.long	0x1f80, 0
	.space	480
	.bss
	.balign	4096
user_table:
	.space	4096
seed:	.space	8
registers:
	.space	15 * 8
registers_end:
user_rsp:
	.space	8
tsc_khz:
	.space	8
number:	.space	8
has_flags:
	.space	8
records:
	.space	COUNT * 8
