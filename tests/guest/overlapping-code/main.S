/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jumps into the middle of instructions, their own among them: the same bytes
 * are two streams of code, both right, again and again.
 * expect: status=0
 */
#include "start.inc"
#include "long.inc"
start:
	set_up_long_mode
	mov	$2000, %r15d
next:
	/* EB FF: to its own second byte; FF C0: inc %eax */
	xor	%eax, %eax
	.byte	0xeb, 0xff, 0xc0
	cmp	$1, %eax
	expect	e

	/* mov $.., %eax whose constant is code: 31 C9 sub-stream clears ECX */
	mov	$7, %ecx
	test	$1, %r15d
	jz	1f
	jmp	2f + 1
1:
2:	.byte	0xb8, 0x31, 0xc9, 0xeb, 0x00	/* or: xor %ecx, %ecx; jmp */
	test	$1, %r15d
	jz	3f
	test	%ecx, %ecx
	expect	z
	jmp	4f
3:	cmp	$0x00ebc931, %eax
	expect	e
	cmp	$7, %ecx
	expect	e
4:
	/* A prefix or none: lock add, or add, of the same bytes. */
	movl	$0, word
	mov	$5, %edx
	lea	5f(%rip), %rbx
	test	$1, %r15d
	jz	1f
	inc	%rbx
1:	call	*%rbx
	cmpl	$5, word
	expect	e

	/* REX or none: 64 bits or 32. */
	mov	$-1, %rax
	lea	6f(%rip), %rbx
	test	$1, %r15d
	jz	1f
	inc	%rbx
1:	call	*%rbx
	mov	$-1, %ecx		/* 32: the upper half is gone */
	test	$1, %r15d
	jnz	1f
	mov	$-1, %rcx
1:	cmp	%rcx, %rax
	expect	e

	/* A chain in which each entry is one byte further: NOPs, and a sum
	 * that tells where it was entered. */
	mov	%r15d, %ebx
	and	$7, %ebx
	mov	$8, %ecx
	sub	%ebx, %ecx
	xor	%eax, %eax
	lea	7f(%rip), %rdx
	lea	(%rdx, %rbx, 2), %rdx
	call	*%rdx
	cmp	%ecx, %eax
	expect	e

	/* A return into the middle of the call that it returns from. */
	xor	%eax, %eax
	lea	8f + 1(%rip), %rbx
	call	8f
	cmp	$3, %eax
	expect	e

	dec	%r15d
	jnz	next
	finish	0

5:	.byte	0xf0
	add	%edx, word(%rip)
	ret
6:	.byte	0x48
	or	%eax, %eax
	ret
7:	.rept	8
	inc	%eax
	.endr
	ret
	/* 83 C0 01: add $1, %eax; from its middle C0 01 xx: rol; so pick bytes
	 * that are an instruction both ways: 04 02 = add $2, %al; 02 .. */
8:	.byte	0x04, 0x90		/* add $0x90, %al, or nop */
	test	%eax, %eax
	js	9f
	cmp	$0x90, %eax
	je	9f
	add	$2, %eax
	ret
9:	mov	$1, %eax
	push	%rbx			/* back, one byte on */
	ret

	.data
	.balign	8
word:	.long	0
