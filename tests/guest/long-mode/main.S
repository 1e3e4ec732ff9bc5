/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goes to long mode by its own page tables, and says so.
 * expect: status=0 output=64 io=4
 */
#include "start.inc"
start:
	movl	$pdpt + 7, pml4
	movl	$pd + 7, pdpt
	movl	$0x87, pd		/* 2 MiB, present, writable */
	enter_long_mode pml4 descriptor
	mov	$0x1122334455667788, %rax
	shr	$32, %rax
	cmp	$0x11223344, %eax
	expect	e
	outb_to	SERIAL '6'
	outb_to	SERIAL '4'
	outb_to	SERIAL '\n'
	finish	0
	long_mode_tables
