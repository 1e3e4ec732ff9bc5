/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that changes itself runs as changed, at once, in the same block and
 * a thousand times over.
 * expect: status=0 io=1
 */
#include "start.inc"
start:
	mov	$1000, %ecx
	xor	%ebx, %ebx
1:	incb	patch + 1
	jmp	2f			/* a serialising jump, for the manual */
2:
patch:	mov	$0, %al
	movzbl	%al, %eax
	add	%eax, %ebx
	dec	%ecx
	jnz	1b
	/* The sum of n mod 256 for n = 1..1000. */
	cmp	$3 * 32640 + 232 * 233 / 2, %ebx
	expect	e
	finish	0
