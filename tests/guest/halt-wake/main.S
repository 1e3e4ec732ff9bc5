/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HLT waits for the i8254, three times, through the i8259: three exits by HLT.
 * expect: status=0 hlt=3 io/i8259=11
 */
#include "start.inc"
start:
	load_tables
	set_gate 32 tick
	/* The i8259s, at vectors 32 and 40; only IRQ 0 comes through. */
	outb_to	0x20 0x11
	outb_to	0xa0 0x11
	outb_to	0x21 32
	outb_to	0xa1 40
	outb_to	0x21 4
	outb_to	0xa1 2
	outb_to	0x21 1
	outb_to	0xa1 1
	xor	%ebx, %ebx
	outb_to	0x21 0xfe
	/* Channel 0 once, in 0.8 ms: no second tick comes between HLT and CLI,
	 * however long the host lets us wait there. */
1:	outb_to	0x43 0x30
	outb_to	0x40 0xe8
	outb_to	0x40 0x03
	sti
	hlt
	cli
	cmp	$3, %ebx
	jb	1b
	finish	0
tick:
	push	%eax
	push	%edx
	inc	%ebx
	cmp	$3, %ebx
	jae	1f
	outb_to	0x20 0x20
1:	pop	%edx
	pop	%eax
	iret
