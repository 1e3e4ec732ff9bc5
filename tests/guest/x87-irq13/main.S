/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An x87 error with CR0.NE = 0: SDM 1, 8.7.2 and appendix D. The next waiting
 * instruction stands still until interrupt 13; port F0h lets it pass while the
 * error is there, and no longer. With NE it is #MF.
 * expect: status=0
 * engines: interp
 */
#include "start.inc"
#include "steps.inc"

#define PIC1 0x20
#define PIC2 0xa0

start:
	load_tables
	catch_faults
	/* IRQ 13 is vector 2Dh; all else is masked. */
	outb_to	PIC1 0x11
	outb_to	PIC1+1 0x20
	outb_to	PIC1+1 0x04
	outb_to	PIC1+1 0x01
	outb_to	PIC2 0x11
	outb_to	PIC2+1 0x28
	outb_to	PIC2+1 0x02
	outb_to	PIC2+1 0x01
	outb_to	PIC1+1 0xfb
	outb_to	PIC2+1 0xdf
	set_gate 0x2d irq13
	mov	%cr0, %eax
	and	$~0x2c, %eax		/* NE, TS, EM */
	mov	%eax, %cr0
	fninit
	fldcw	unmask_zero
	sti

	step	1
	fld1
	fldz
	fdivrp				/* 1 / 0: pends */
	cmpl	$0, count
	must	e
	fnstsw	%ax			/* does not wait */
	test	$0x80, %al
	must	nz
	step	2
1:	fwait				/* waits */
	cmpl	$1, count
	must	e
	cmpl	$1b, where
	must	e
	/* IGNNE# let FWAIT go with the error still there, and does so again. */
	step	3
	fnstsw	%ax
	test	$0x80, %al
	must	nz
	fwait
	cmpl	$1, count
	must	e
	/* Cleared and raised anew: a new interrupt. */
	step	4
	fnclex
	fld1
	cmpl	$1, count
	must	e
	fldz
	fdivrp
2:	fld1
	cmpl	$2, count
	must	e
	cmpl	$2b, where
	must	e
	/* With NE: #MF at the waiting instruction. */
	step	5
	fninit
	fldcw	unmask_zero
	mov	%cr0, %eax
	or	$0x20, %eax
	mov	%eax, %cr0
	set_gate 16 error
	fld1
	fldz
	fdivrp
3:	fwait
	cmpl	$3, count
	must	e
	cmpl	$3b, where
	must	e
	/* TS and MP: FWAIT is #NM, and EM makes every other one #NM. */
	step	6
	set_gate 7 device
	mov	%cr0, %eax
	or	$0x0a, %eax
	mov	%eax, %cr0
	fwait
	cmpl	$4, count
	must	e
	step	7
	mov	%cr0, %eax
	or	$4, %eax
	mov	%eax, %cr0
	fld1
	cmpl	$5, count
	must	e
	mov	%cr0, %eax
	and	$~4, %eax
	mov	%eax, %cr0
	finish	0

irq13:	push	%eax
	push	%edx
	mov	8(%esp), %eax
	mov	%eax, where
	incl	count
	outb_to	0xf0 0
	outb_to	PIC2 0x20
	outb_to	PIC1 0x20
	pop	%edx
	pop	%eax
	iret
error:	push	%eax
	mov	4(%esp), %eax
	mov	%eax, where
	incl	count
	fnclex
	pop	%eax
	iret
device:	incl	count
	clts
	push	%eax
	mov	%cr0, %eax
	and	$~4, %eax		/* EM */
	mov	%eax, %cr0
	pop	%eax
	iret

	.data
unmask_zero:
	.word	0x037b
	.balign	4
count:	.long	0
where:	.long	0
	.text
