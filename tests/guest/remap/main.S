/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code whose pages change under it: by INVLPG, by CR3, while it waits for a
 * return, and by stores through another linear address. What a translator has
 * chained from page to page must follow at once.
 * expect: status=0 output=64 io=4
 */
#include "start.inc"
#define CALLER	0x400000
#define CALLED	0x401000
start:
	movl	$pdpt + 7, pml4
	movl	$pd + 7, pdpt
	movl	$0x87, pd		/* 2 MiB, present, writable */
	movl	$table + 7, pd + 16
	movl	$pdpt_2 + 7, pml4_2	/* the same, with another table */
	movl	$pd_2 + 7, pdpt_2
	movl	$0x87, pd_2
	movl	$table_2 + 7, pd_2 + 16
	movl	$caller + 7, table
	movl	$called + 7, table + 8
	movl	$caller + 7, table_2
	movl	$called_2 + 7, table_2 + 8
	enter_long_mode pml4 descriptor
	mov	$my_stack, %rsp
	mov	$CALLER, %ebx
	mov	$CALLER + (indirect - caller), %ebp

	/* INVLPG: 1 and 2 in turn, by a direct and an indirect call. */
	mov	$200, %r12d
	xor	%r13d, %r13d
1:	movl	$called + 7, table + 8
	invlpg	CALLED
	call	*%rbx
	add	%eax, %r13d
	call	*%rbp
	add	%eax, %r13d
	movl	$called_2 + 7, table + 8
	invlpg	CALLED
	call	*%rbx
	add	%eax, %r13d
	call	*%rbp
	add	%eax, %r13d
	dec	%r12d
	jnz	1b
	cmp	$200 * 2 * (1 + 2), %r13d
	expect	e

	/* CR3 */
	movl	$called + 7, table + 8
	mov	$200, %r12d
	xor	%r13d, %r13d
1:	mov	$pml4, %eax
	mov	%rax, %cr3
	call	*%rbx
	add	%eax, %r13d
	mov	$pml4_2, %eax
	mov	%rax, %cr3
	call	*%rbx
	add	%eax, %r13d
	dec	%r12d
	jnz	1b
	cmp	$200 * (1 + 2), %r13d
	expect	e
	mov	$pml4, %eax
	mov	%rax, %cr3

	/* The page that is returned to. */
	mov	$remapper, %r15d
	mov	$200, %r12d
1:	mov	$CALLER + (waits - caller), %eax
	mov	$caller + 7, %r14d		/* no change yet */
	call	*%rax
	cmp	$20, %eax
	expect	e
	mov	$CALLER + (waits - caller), %eax
	mov	$caller_2 + 7, %r14d
	call	*%rax
	cmp	$10, %eax
	expect	e
	mov	$CALLER + (waits - caller), %eax
	mov	$caller + 7, %r14d
	call	*%rax
	cmp	$20, %eax
	expect	e
	dec	%r12d
	jnz	1b

	/* Stores through the other address: to the code, and beside it. */
	mov	$200, %r12d
	xor	%r13d, %r13d
1:	movb	%r12b, called + 1
	call	*%rbp
	add	%eax, %r13d
	incl	called + 64
	call	*%rbx
	add	%eax, %r13d
	dec	%r12d
	jnz	1b
	cmp	$200 * 201, %r13d
	expect	e
	cmpl	$200, called + 64
	expect	e

	outb_to	SERIAL '6'
	outb_to	SERIAL '4'
	outb_to	SERIAL '\n'
	finish	0

	/* Puts R14 in the place of the page that called. */
remapper:
	mov	%r14d, table
	invlpg	CALLER
	ret

	/* What runs elsewhere than it is linked. */
	.balign	4096
caller:	.byte	0xe8			/* call CALLED */
	.long	CALLED - (CALLER + 5)
	ret
indirect:
	mov	$CALLED, %eax
	call	*%rax
	ret
waits:	call	*%r15
	mov	$20, %eax
	ret
	.balign	4096
caller_2:
	.byte	0xe8
	.long	CALLED - (CALLER + 5)
	ret
	mov	$CALLED, %eax
	call	*%rax
	ret
	call	*%r15
	mov	$10, %eax
	ret
	.balign	4096
called:	mov	$1, %eax
	ret
	.space	96
	.balign	4096
called_2:
	mov	$2, %eax
	ret
	long_mode_tables
table:	.space	4096
pml4_2:	.space	4096
pdpt_2:	.space	4096
pd_2:	.space	4096
table_2:
	.space	4096
	.space	4096
my_stack:
