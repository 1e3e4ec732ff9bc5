/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that continue on the next page, executed again and again while
 * that page is written, mapped elsewhere and taken away. %r15 is the step; the
 * first that fails ends the guest with it as the status.
 * expect: status=0
 */
#include "start.inc"

#define WINDOW 0x200000
#define SECOND (WINDOW + 0x1000)

	.macro	step number:req
	mov	$\number, %r15d
	.endm

	.macro	must condition:req
	j\condition	97f
	jmp	failed
97:
	.endm

/* Puts a function so that its first `before` bytes are on the first page. */
	.macro	place name:req before:req
	mov	$\name, %esi
	mov	$SECOND - \before, %edi
	mov	$\name\()_end - \name, %ecx
	rep	movsb
	mov	$SECOND - \before, %ebp
	.endm

start:
	movl	$pdpt + 3, pml4
	movl	$pd + 3, pdpt
	movl	$0x83, pd
	movl	$table + 3, pd + 8
	movl	$0x200003, table
	movl	$0x201003, table + 8
	movl	$0x203003, table + 16	/* what the second may become */
	enter_long_mode pml4 gdt_pointer
	mov	$16, %eax
	mov	%eax, %ss
	mov	$stack, %rsp
	lidt	idt_pointer
	mov	$page_fault, %eax
	mov	%ax, idt + 14 * 16
	movw	$8, idt + 14 * 16 + 2
	movw	$0x8e00, idt + 14 * 16 + 4
	shr	$16, %eax
	mov	%ax, idt + 14 * 16 + 6

	step	1			/* a constant, half of it beyond */
	place	constant 3
	mov	$4, %r12d
1:	call	*%rbp
	cmp	$0x44332211, %eax
	must	e
	dec	%r12d
	jnz	1b
	step	2			/* its last bytes change */
	movb	$0x55, SECOND
	call	*%rbp
	cmp	$0x44552211, %eax
	must	e
	movb	$0x66, SECOND + 1
	call	*%rbp
	cmp	$0x66552211, %eax
	must	e
	step	3			/* another frame is there */
	movl	$0x90c38877, WINDOW + 0x2000
	movl	$0x203003, table + 8
	invlpg	SECOND
	mov	$3, %r12d
1:	call	*%rbp
	cmp	$0x88772211, %eax
	must	e
	dec	%r12d
	jnz	1b
	movl	$0x201003, table + 8
	invlpg	SECOND
	call	*%rbp
	cmp	$0x66552211, %eax
	must	e
	step	4			/* and none: a fault on the second page */
	movl	$0, table + 8
	invlpg	SECOND
	movl	$0, faults
	call	*%rbp
	cmp	$0x66552211, %eax
	must	e
	cmpl	$1, faults
	must	e
	cmpq	$SECOND - 3, fault_rip
	must	e

	.irp	before, 1, 2, 3, 4, 5
	step	10 + \before		/* a branch that depends on flags */
	place	branch (6 + \before)
	mov	$5, %r12d
1:	xor	%edi, %edi
	call	*%rbp
	cmp	$1, %eax
	must	e
	mov	$1, %edi
	call	*%rbp
	cmp	$2, %eax
	must	e
	dec	%r12d
	jnz	1b
	.endr

	.irp	before, 1, 3, 6, 8, 10, 11
	step	20 + \before		/* memory, and flags from before */
	place	carry (1 + \before)
	movl	$0, number
	mov	$5, %r12d
1:	call	*%rbp
	cmp	$1, %eax
	must	e
	dec	%r12d
	jnz	1b
	cmpl	$5 * 0x01020305, number
	must	e
	.endr

	.irp	before, 1, 2, 3, 4
	step	40 + \before		/* a call */
	place	caller \before
	mov	$5, %r12d
1:	mov	$7, %eax
	call	*%rbp
	cmp	$7, %eax
	must	e
	dec	%r12d
	jnz	1b
	.endr
	finish	0

constant:
	mov	$0x44332211, %eax
	ret
constant_end:

branch:
	test	%edi, %edi
	mov	$1, %al			/* pads; leaves the flags */
	.byte	0x3e, 0x90
	.byte	0x0f, 0x84		/* jz, 32 bits */
	.long	2f - 1f
1:	mov	$2, %eax
	ret
2:	mov	$1, %eax
	ret
branch_end:

/* CF is 1 before; 01020304h and it are added; CF is 0 after: EAX = 1. */
carry:
	stc
	adcl	$0x01020304, number
	mov	$1, %eax
	sbb	$0, %eax
	ret
carry_end:

caller:
	call	1f
	ret
1:	ret
caller_end:

page_fault:
	incl	faults
	add	$8, %rsp
	push	%rax
	mov	%cr2, %rax
	cmp	$SECOND, %rax
	must	e
	mov	8(%rsp), %rax
	mov	%rax, fault_rip
	movl	$0x201003, table + 8
	pop	%rax
	iretq
failed:
	mov	%r15b, %al
	mov	$EXIT_STATUS, %edx
	out	%al, %dx
1:	hlt
	jmp	1b

	.data
	.balign	8
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.quad	gdt
idt_pointer:
	.word	0xfff
	.quad	idt
	.balign	8
faults:	.quad	0
fault_rip:
	.quad	0
number:	.quad	0
	.bss
	.balign	4096
pml4:	.space	4096
pdpt:	.space	4096
pd:	.space	4096
table:	.space	4096
