/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An indirect jump and call whose targets are the next instruction, through memory
 * that no TLB holds yet, so that a translator leaves its code for them.
 * expect: status=0 output=64 io=4
 */
#include "start.inc"
start:
	movl	$pdpt + 7, pml4
	movl	$pd + 7, pdpt
	movl	$0x87, pd		/* 2 MiB, present, writable */
	enter_long_mode pml4 descriptor
	mov	$my_stack, %rsp
	movq	$2f, page_1
	movq	$3f, page_2
	mov	%cr3, %rax
	mov	%rax, %cr3
	jmp	*page_1
2:	call	*page_2
3:	cmpq	$3b, my_stack - 8		/* what it pushed */
	expect	e
	outb_to	SERIAL '6'
	outb_to	SERIAL '4'
	outb_to	SERIAL '\n'
	finish	0
	long_mode_tables
page_1:	.space	4096
page_2:	.space	4096
	.space	4096
my_stack:
