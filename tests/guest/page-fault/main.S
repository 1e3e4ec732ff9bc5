/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 32-bit paging with 4 MiB pages: a fault on a page that is not there has its
 * address in CR2 and its kind in the error code; the page is then put there and
 * the write happens once.
 * expect: status=0 io=1
 */
#include "start.inc"
start:
	load_tables
	set_gate 14 fault
	movl	$0x83, directory
	mov	$directory, %eax
	mov	%eax, %cr3
	mov	$0x10, %eax		/* PSE */
	mov	%eax, %cr4
	mov	%cr0, %eax
	or	$0x80010000, %eax	/* PG, WP */
	mov	%eax, %cr0
	xor	%ebx, %ebx
	movl	$0, counter
	movl	$1, counter + 0x400000	/* the same frame, one page on */
	cmp	$1, %ebx
	expect	e
	cmpl	$1, counter
	expect	e
	/* The processor has set accessed and dirty. */
	mov	directory + 4, %eax
	and	$0x60, %eax
	cmp	$0x60, %eax
	expect	e
	finish	0
fault:
	pop	%eax
	cmp	$2, %eax		/* write, not present */
	jne	1f
	mov	%cr2, %eax
	cmp	$counter + 0x400000, %eax
	jne	1f
	inc	%ebx
	movl	$0x83, directory + 4
1:	iret
	.bss
	.balign	4096
directory:
	.space	4096
counter:
	.space	4
