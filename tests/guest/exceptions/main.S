/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions of the guest are the guest's: the monitor hears nothing of them.
 * expect: status=0 io=1 hlt=0 mmio=0
 */
#include "start.inc"
start:
	load_tables
	set_gate 0 divide
	set_gate 3 breakpoint
	set_gate 6 undefined
	set_gate 13 protection
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	mov	$1, %eax
	xor	%edx, %edx
	div	%ecx			/* #DE: skipped, two bytes */
	int3				/* #BP: after it */
	ud2				/* #UD: skipped, two bytes */
	mov	$0x1234, %eax
	mov	%eax, %fs		/* #GP: beyond the table; two bytes */
	cmp	$15, %ebx
	expect	e
	finish	0
divide:
	or	$1, %ebx
	addl	$2, (%esp)
	iret
breakpoint:
	or	$2, %ebx
	iret
undefined:
	or	$4, %ebx
	addl	$2, (%esp)
	iret
protection:
	pop	%eax			/* the selector, as the error code */
	cmp	$0x1234, %eax
	jne	1f
	or	$8, %ebx
1:	addl	$2, (%esp)
	iret
