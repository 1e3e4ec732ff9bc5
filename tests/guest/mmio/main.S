/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads and writes of the HPET's and the IOAPIC's registers: seven exits. A
 * read-modify-write instruction is a read and a write.
 * expect: status=0 mmio=9 mmio/hpet=3 mmio/ioapic=6 io=1
 */
#include "start.inc"
start:
	mov	HPET + 4, %eax		/* period, in femtoseconds */
	cmp	$100000000, %eax
	expect	be
	test	%eax, %eax
	expect	nz
	andl	$0xfffffffe, HPET + 0x10	/* a read and a write */
	movl	$0, IOAPIC		/* index: the id */
	movl	$0x0f000000, IOAPIC + 0x10
	mov	IOAPIC + 0x10, %eax
	cmp	$0x0f000000, %eax
	expect	e
	movl	$1, IOAPIC		/* index: the version */
	mov	IOAPIC + 0x10, %eax
	shr	$16, %eax
	cmp	$23, %al		/* the last of 24 inputs */
	expect	e
	movl	$0, IOAPIC
	finish	0
