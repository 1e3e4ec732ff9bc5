/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that rewrites itself every iteration: the constant of the instruction
 * behind, without a jump in between, by each kind of store, at its own address
 * and through another one; the constant of one that lies on two pages; and a
 * function that is made anew before each call. R15 is the step; the first that
 * fails ends the guest with it.
 * expect: status=0
 * engines: interp
 * (Through another address a processor wants a serializing instruction, SDM 3,
 * 8.1.3; QEMU, on which kvm runs here, misses it.)
 */
#include "start.inc"
#include "long.inc"

#define ROUNDS 300
#define ALIAS  0x40000000		/* of the first GiB, once more */

	.macro	must condition:req
	j\condition	97f
	jmp	failed
97:
	.endm

	/* R12D counts; EAX must become it by an instruction that `store` has
	 * changed: the four bytes at RDI. */
	.macro	rewrites step:req alias:req store:vararg
	mov	$\step, %r15d
	mov	$ROUNDS, %r12d
95:	lea	94f + 1(%rip), %rdi
	add	$\alias, %rdi
	mov	%r12d, %edx
	\store
94:	mov	$0x11223344, %eax
	cmp	%r12d, %eax
	must	e
	dec	%r12d
	jnz	95b
	.endm

	.macro	all_stores first:req alias:req
	rewrites \first + 0, \alias, mov %edx, (%rdi)
	rewrites \first + 1, \alias, xchg %edx, (%rdi)
	rewrites \first + 2, \alias, movnti %edx, (%rdi)
	rewrites \first + 3, \alias, by_movs
	rewrites \first + 4, \alias, by_stos
	rewrites \first + 5, \alias, by_lock
	rewrites \first + 6, \alias, by_push
	rewrites \first + 7, \alias, by_vector
	rewrites \first + 8, \alias, by_bytes
	.endm

	.macro	by_movs
	mov	%edx, number
	mov	$number, %esi
	mov	$4, %ecx
	rep movsb
	.endm
	.macro	by_stos
	mov	%edx, %eax
	mov	$1, %ecx
	rep stosl
	.endm
	.macro	by_lock
	sub	(%rdi), %edx
	lock add %edx, (%rdi)
	.endm
	.macro	by_push			/* the four bytes behind are kept */
	mov	%rsp, %rbp
	mov	4(%rdi), %eax
	shl	$32, %rax
	or	%rax, %rdx
	lea	8(%rdi), %rsp
	push	%rdx
	mov	%rbp, %rsp
	.endm
	.macro	by_vector
	movd	%edx, %xmm0
	movss	%xmm0, (%rdi)
	.endm
	.macro	by_bytes
	.rept	4
	mov	%dl, (%rdi)
	ror	$8, %edx
	inc	%rdi
	.endr
	.endm

start:
	set_up_long_mode
	movl	$pd + 7, pdpt + 8	/* the second GiB is the first */
	mov	%cr4, %rax
	or	$0x600, %eax		/* OSFXSR */
	mov	%rax, %cr4
	mov	%cr0, %rax
	or	$2, %eax
	mov	%rax, %cr0
	cld
	all_stores 10, 0
	all_stores 30, ALIAS

	/* The instruction is on two pages, its last two bytes on the second. */
	mov	$50, %r15d
	mov	$ROUNDS, %r12d
	movb	$0xb8, pages + 0x1000 - 3	/* mov $.., %eax; ret */
	movb	$0xc3, pages + 0x1000 + 2
1:	mov	%r12d, %edx
	shl	$7, %edx
	mov	%edx, pages + 0x1000 - 2
	mov	$pages + 0x1000 - 3, %ecx
	call	*%rcx
	cmp	%edx, %eax
	must	e
	dec	%r12d
	jnz	1b

	/* Another function each time, at a place that wanders. */
	mov	$51, %r15d
	mov	$ROUNDS * 10, %r12d
2:	imul	$37, %r12d, %edi
	and	$0x1fff, %edi
	add	$pages, %edi
	mov	%rdi, %rbx
	mov	%r12d, %ecx
	and	$15, %ecx
	inc	%ecx
	mov	%ecx, %edx
3:	movw	$0xc0ff, (%rdi)		/* inc %eax */
	add	$2, %edi
	loop	3b
	movb	$0xc3, (%rdi)
	xor	%eax, %eax
	call	*%rbx
	cmp	%edx, %eax
	must	e
	dec	%r12d
	jnz	2b

	finish	0
failed:
	mov	%r15b, %al
	mov	$EXIT_STATUS, %edx
	out	%al, %dx
1:	hlt
	jmp	1b

	.data
	.balign	8
number:	.quad	0
	.bss
	.balign	4096
pages:	.space	3 * 4096
