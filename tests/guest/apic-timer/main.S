/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer, one shot and periodic, wakes a halted processor. The
 * PM timer moves.
 * expect: status=0 io/debugexit=1
 */
#include "start.inc"
start:
	load_tables
	set_gate 48 tick
	movl	$0x1ff, LAPIC + 0xf0
	movl	$0, LAPIC + 0x80	/* TPR: all may come */
	movl	$0xb, LAPIC + 0x3e0	/* divide by 1 */
	movl	$48, LAPIC + 0x320	/* one shot */
	xor	%ebx, %ebx
	movl	$1000000, LAPIC + 0x380
	sti
	hlt
	cli
	cmp	$1, %ebx
	expect	e
	cmpl	$0, LAPIC + 0x390	/* it has run out */
	expect	e
	movl	$0x20000 | 48, LAPIC + 0x320	/* periodic */
	movl	$1000000, LAPIC + 0x380
1:	sti
	hlt
	cli
	cmp	$4, %ebx
	jb	1b
	movl	$0x10000, LAPIC + 0x320
	/* The PM timer moves, too. */
	mov	$0x608, %edx
	in	%dx, %eax
	mov	%eax, %esi
	mov	$1000000, %ecx
2:	in	%dx, %eax
	cmp	%eax, %esi
	jne	3f
	dec	%ecx
	jnz	2b
3:	cmp	%eax, %esi
	expect	ne
	finish	0
tick:
	inc	%ebx
	movl	$0, LAPIC + 0xb0	/* EOI */
	iret
