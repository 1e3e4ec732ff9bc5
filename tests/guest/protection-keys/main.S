/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protection keys of user and supervisor pages: what PKRU and IA32_PKRS forbid
 * faults at once, though the page was in use before, and only that; by WRPKRU,
 * WRMSR and XRSTOR (SDM 3, 4.6.2; SDM 1, 13.5.7).
 * expect: status=0 io=1
 * engines: interp
 * options: --cpu x86-64-v3,+pku,+pks
 */
#include "start.inc"

#define USER	   0x400000 /* a user page of key 2 */
#define SUPERVISOR 0x600000 /* a supervisor page of key 3 */
#define PKRS	   0x6e1

	.macro	wrpkru_to value:req
	mov	$\value, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
	.endm

	.macro	wrpkrs_to value:req
	mov	$\value, %eax
	mov	$PKRS, %ecx
	xor	%edx, %edx
	wrmsr
	.endm

/* So many faults since the last time, the last one with this error code. */
	.macro	faults count:req error=0
	cmp	$\count, %r8d
	expect	e
	.if	\count
	cmp	$\error, %r9d
	expect	e
	.endif
	xor	%r8d, %r8d
	.endm

	.macro	write_protect on:req
	mov	%cr0, %rax
	.if	\on
	or	$0x10000, %eax
	.else
	and	$~0x10000, %eax
	.endif
	mov	%rax, %cr0
	.endm

	.macro	ospke_is value:req
	mov	$7, %eax
	xor	%ecx, %ecx
	cpuid
	shr	$3, %ecx
	and	$3, %ecx		/* PKU, OSPKE */
	cmp	$1 | \value << 1, %ecx
	expect	e
	.endm

start:
	movl	$pdpt + 7, pml4
	movl	$pd + 7, pdpt
	movl	$0x83, pd		/* 2 MiB, present, writable */
	movl	$USER | 0x87, pd + 16
	movl	$2 << 27, pd + 20
	movl	$SUPERVISOR | 0x83, pd + 24
	movl	$3 << 27, pd + 28
	enter_long_mode pml4 descriptor
	mov	$16, %eax
	mov	%eax, %ss
	mov	$stack, %esp
	mov	$fault, %eax
	mov	%ax, idt + 14 * 16
	movw	$8, idt + 14 * 16 + 2
	movw	$0x8e00, idt + 14 * 16 + 4
	shr	$16, %eax
	mov	%ax, idt + 14 * 16 + 6
	lidt	idt_descriptor
	xor	%r8d, %r8d
	write_protect 1
	mov	$USER, %esi
	mov	$SUPERVISOR, %edi

	ospke_is 0
	mov	%cr4, %rax
	or	$0x1440200, %eax	/* PKE, PKS, OSXSAVE, OSFXSR */
	mov	%rax, %cr4
	ospke_is 1

	/* User pages, by a supervisor's access: AD, then WD with and without
	 * CR0.WP. Other keys are no matter, nor are supervisor pages. */
	mov	%rax, (%rsi)
	wrpkru_to 0x10
	mov	(%rsi), %rbx
	faults	1 0x21
	wrpkru_to 0x20
	mov	(%rsi), %rbx
	faults	0
	mov	%rbx, (%rsi)
	faults	1 0x23
	wrpkru_to 0x20
	write_protect 0
	mov	%rbx, (%rsi)
	faults	0
	write_protect 1
	wrpkru_to 0xffffffcf
	mov	%rbx, (%rsi)
	mov	%rbx, (%rdi)
	faults	0

	/* Supervisor pages. */
	wrpkru_to 0
	wrpkrs_to 0x40
	mov	%rbx, (%rsi)
	faults	0
	mov	(%rdi), %rbx
	faults	1 0x21
	wrpkrs_to 0x80
	mov	(%rdi), %rbx
	faults	0
	mov	%rbx, (%rdi)
	faults	1 0x23
	wrpkrs_to 0

	/* PKRU is component 9. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$0x207, %eax
	xsetbv
	wrpkru_to 0x10
	mov	$0x207, %eax
	xor	%edx, %edx
	xsave64	area
	xsavec64 compact
	wrpkru_to 0
	mov	(%rsi), %rbx
	faults	0
	mov	$7, %eax		/* not asked for */
	xrstor64 area
	mov	(%rsi), %rbx
	faults	0
	mov	$0x200, %eax
	xrstor64 area
	mov	(%rsi), %rbx
	faults	1 0x21
	mov	$0x207, %eax
	xor	%edx, %edx
	xrstor64 compact
	xor	%ecx, %ecx
	rdpkru
	cmp	$0x10, %eax
	expect	e
	mov	(%rsi), %rbx
	faults	1 0x21
	/* In its initial state it is 0, and says so. */
	mov	$0x207, %eax
	xor	%edx, %edx
	xsave64	area
	testb	$2, area + 513
	expect	z
	wrpkru_to 0x10
	mov	$0x207, %eax
	xrstor64 area
	xor	%ecx, %ecx
	rdpkru
	test	%eax, %eax
	expect	z
	finish	0

/* Gives all rights, and does it again. */
fault:
	pop	%r9
	inc	%r8d
	wrpkru_to 0
	wrpkrs_to 0
	iretq

idt_descriptor:
	.word	2047
	.quad	idt
	long_mode_tables
area:	.space	4096
compact:
	.space	4096
