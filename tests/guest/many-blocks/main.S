/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * More code than any cache of translations holds: 5 MiB that add and jump, run
 * from one end to the other, changed, and run again. Beside it a function that
 * is called all the time and whose translation must survive or come back.
 * expect: status=0
 * engines: interp
 */
#include "start.inc"
#include "long.inc"

#define CODE  0x1000000
#define UNITS 0xa0000			/* of 8 bytes */
#define PAGE  512			/* units a page */

start:
	set_up_long_mode
	/* add $1, %rax (4 bytes); jmp to the next (2); 2 bytes to jump over.
	 * The last of each page returns. */
	mov	$CODE, %edi
	mov	$0x909002eb01c08348, %rax
	mov	$UNITS, %ecx
	rep stosq
	mov	$CODE, %edi
	mov	$UNITS / PAGE, %ecx
1:	movb	$0xc3, 0x1000 - 4(%rdi)
	add	$0x1000, %edi
	loop	1b

	mov	$1, %r15d		/* what each adds */
2:	mov	$CODE, %ebx
	mov	$UNITS / PAGE, %r14d
	xor	%eax, %eax
	xor	%r12d, %r12d
3:	call	*%rbx
	call	beside
	add	$0x1000, %ebx
	dec	%r14d
	jnz	3b
	mov	%r15d, %ecx
	imul	$UNITS, %rcx, %rcx
	cmp	%rcx, %rax
	expect	e
	cmp	$UNITS / PAGE, %r12d
	expect	e
	/* A store to each unit. */
	inc	%r15d
	mov	$CODE, %edi
	mov	$UNITS, %ecx
4:	mov	%r15b, 3(%rdi)
	add	$8, %edi
	loop	4b
	cmp	$3, %r15d
	jb	2b
	finish	0
beside:
	inc	%r12d
	ret
