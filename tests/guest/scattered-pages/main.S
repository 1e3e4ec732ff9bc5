/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code at 100,000 linear pages, far from one another, three times over; they are
 * eight pages of memory. And code in 10,000 pages of memory. Each call adds the
 * page's own number to a sum that must be right in the end.
 * expect: status=0
 */
#include "start.inc"
#include "long.inc"

#define PAGES   100000
#define ROUNDS  3
#define OWN     10000
#define MEMORY  0x1000000

start:
	set_up_long_mode
	/* One table in every entry of one directory in every entry of another:
	 * 8 pages in each 2 MiB of 512 GiB, at 512 GiB. */
	movq	$many_pdpt + 7, pml4 + 8
	xor	%ecx, %ecx
1:	movq	$many_pd + 7, many_pdpt(, %rcx, 8)
	movq	$many_pt + 7, many_pd(, %rcx, 8)
	inc	%ecx
	cmp	$512, %ecx
	jb	1b
	xor	%ecx, %ecx
2:	mov	%ecx, %eax
	shl	$12, %eax
	add	$code_pages + 7, %eax
	mov	%ecx, %edx		/* every 64th, and some more */
	shl	$6, %edx
	add	%ecx, %edx
	mov	%rax, many_pt(, %rdx, 8)
	/* add $1 << n, %rax; ret */
	mov	%ecx, %edi
	shl	$12, %edi
	add	$code_pages, %edi
	movw	$0x0548, (%rdi)
	mov	$1, %eax
	shl	%cl, %eax
	mov	%eax, 2(%rdi)
	movb	$0xc3, 6(%rdi)
	inc	%ecx
	cmp	$8, %ecx
	jb	2b

	mov	$ROUNDS, %r15d
3:	mov	$12345, %r12d		/* the same pages in each round */
	mov	$PAGES, %r13d
	xor	%eax, %eax
	xor	%r14d, %r14d		/* what the sum should be */
4:	imul	$1664525, %r12d
	add	$1013904223, %r12d
	mov	%r12d, %ecx
	shr	$29, %ecx		/* which of the eight */
	mov	$1, %edx
	shl	%cl, %edx
	add	%rdx, %r14
	imul	$65, %ecx
	shl	$12, %rcx
	mov	%r12d, %ebx		/* and in which 2 MiB */
	shr	$8, %ebx
	and	$0x3ffff, %ebx
	shl	$21, %rbx
	add	%rcx, %rbx
	bts	$39, %rbx
	call	*%rbx
	dec	%r13d
	jnz	4b
	cmp	%r14, %rax
	expect	e
	dec	%r15d
	jnz	3b

	/* Memory: the page's number is in its code. */
	mov	$MEMORY, %edi
	xor	%ecx, %ecx
5:	movw	$0x0548, (%rdi)
	mov	%ecx, 2(%rdi)
	movb	$0xc3, 6(%rdi)
	add	$0x1000, %edi
	inc	%ecx
	cmp	$OWN, %ecx
	jb	5b
	mov	$ROUNDS, %r15d
6:	xor	%eax, %eax
	mov	$MEMORY, %ebx
	mov	$OWN, %r13d
7:	call	*%rbx
	add	$0x1000, %ebx
	dec	%r13d
	jnz	7b
	cmp	$OWN * (OWN - 1) / 2, %rax
	expect	e
	dec	%r15d
	jnz	6b
	finish	0

	.bss
	.balign	4096
many_pdpt:
	.space	4096
many_pd:
	.space	4096
many_pt:
	.space	4096
code_pages:
	.space	8 * 4096
