/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INTA of a PCI device by the LPC bridge's PIRQ routing to the i8259s: a level
 * that comes again until the device's handler acknowledges it, that the command
 * register's bit 10 holds back, and that goes where the routing register says
 * (ICH9 data sheet 13.1.17; PCI 3.0, 6.2.2; i8259A, level-triggered mode).
 * expect: status=0
 * options: --machine testdev
 */
#include "start.inc"
#include "steps.inc"

#define PIC1	 0x20
#define PIC2	 0xa0
#define ELCR	 0x4d0
#define EDU	 (1 << 31 | 2 << 11) /* slot 2, INTA: PIRQ C */
#define LPC	 (1 << 31 | 0x1f << 11)
#define PIRQC	 0x62
#define RAISE	 0x60
#define ACK	 0x64

	.macro	config_address of:req offset:req
	mov	$0xcf8, %edx
	mov	$(\of) + (\offset & 0xfc), %eax
	out	%eax, %dx
	.endm

	.macro	config_write of:req offset:req value:req size=b
	config_address \of, \offset
	mov	$0xcfc + (\offset & 3), %edx
	.ifc	\size, w
	mov	$\value, %ax
	out	%ax, %dx
	.else
	mov	$\value, %al
	out	%al, %dx
	.endif
	.endm

/* So many interrupts of this vector since the last time, and no other. */
	.macro	came vector:req times:req
	call	settle
	must_equal count+4*\vector, \times
	movl	$0, count+4*\vector
	mov	total, %eax
	cmp	$\times, %eax
	must	e
	movl	$0, total
	.endm

	.macro	handler vector:req
	.subsection 1
vector_\vector:
	pusha
	mov	$\vector, %esi
	jmp	handle
	.previous
	set_gate (0x20+\vector), vector_\vector
	.endm

start:
	load_tables
	catch_faults
	outb_to	PIC1 0x11
	outb_to	PIC2 0x11
	outb_to	PIC1+1 0x20
	outb_to	PIC2+1 0x28
	outb_to	PIC1+1 4
	outb_to	PIC2+1 2
	outb_to	PIC1+1 1
	outb_to	PIC2+1 1
	handler	5
	handler	10
	handler	11
	outb_to	PIC1+1 0xdb		/* 2 and 5 */
	outb_to	PIC2+1 0xf3		/* 10 and 11 */

	/* As firmware would leave it: its BAR, its line, a level. */
	step	1
	config_address EDU, 0
	mov	$0xcfc, %edx
	in	%dx, %eax
	cmp	$0x11e81234, %eax
	must	e
	config_address EDU, 0x10
	mov	$0xcfc, %edx
	in	%dx, %eax
	and	$~0xf, %eax
	mov	%eax, %ebp
	must	nz
	config_address EDU, 0x3c
	mov	$0xcfd, %edx
	in	%dx, %al
	cmp	$1, %al			/* INTA */
	must	e
	mov	$0xcfc, %edx
	in	%dx, %al
	cmp	$11, %al
	must	e
	mov	$ELCR+1, %edx
	in	%dx, %al
	test	$8, %al
	must	nz
	sti

	/* It comes until it is acknowledged: twice without, then with. */
	step	2
	movl	$3, acknowledge_at
	movl	$1, RAISE(%ebp)
	came	11, 3
	step	3
	movl	$1, acknowledge_at
	movl	$2, RAISE(%ebp)
	came	11, 1
	/* Masked in the i8259, then not. */
	step	4
	outb_to	PIC2+1 0xfb
	movl	$1, RAISE(%ebp)
	came	11, 0
	outb_to	PIC2+1 0xf3
	came	11, 1
	/* Disabled in the device. */
	step	5
	config_write EDU, 5, 0x04
	movl	$1, RAISE(%ebp)
	came	11, 0
	config_address EDU, 4
	mov	$0xcfe, %edx
	in	%dx, %al
	test	$8, %al			/* its status says it */
	must	nz
	config_write EDU, 5, 0
	came	11, 1
	/* Elsewhere: IRQ 5, of the other i8259. */
	step	6
	mov	$ELCR, %edx
	in	%dx, %al
	or	$0x20, %al
	out	%al, %dx
	config_write LPC, PIRQC, 5
	movl	$2, acknowledge_at
	movl	$1, RAISE(%ebp)
	came	5, 2
	/* Nowhere, and from there to IRQ 10 while it is asserted. */
	step	7
	movl	$1, acknowledge_at
	config_write LPC, PIRQC, 0x80
	movl	$1, RAISE(%ebp)
	came	10, 0
	config_write LPC, PIRQC, 10
	came	10, 1
	finish	0

handle:	incl	count(,%esi,4)
	mov	count(,%esi,4), %eax
	incl	total
	cmp	acknowledge_at, %eax
	jb	1f
	movl	$-1, ACK(%ebp)
1:	mov	$0x20, %al
	cmp	$8, %esi
	jb	2f
	out	%al, $PIC2
2:	out	%al, $PIC1
	popa
	iret

/* Time for what is on its way, with interrupts on. */
settle:	mov	$2000, %ecx
1:	in	$PIC1+1, %al
	loop	1b
	ret

	.bss
count:	.space	64
total:	.space	4
acknowledge_at:
	.space	4
