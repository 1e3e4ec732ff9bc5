/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports and addresses without an owner read all ones and lose writes.
 * expect: status=0 io=5 mmio=3
 */
#include "start.inc"
start:
	mov	$0x2e8, %edx
	mov	$0, %eax
	out	%al, %dx
	in	%dx, %al
	cmp	$0xff, %al
	expect	e
	in	%dx, %ax
	cmp	$0xffff, %ax
	expect	e
	in	%dx, %eax
	cmp	$-1, %eax
	expect	e
	mov	HOLE, %eax
	cmp	$-1, %eax
	expect	e
	movl	$0x12345678, HOLE + 0x1000
	movzbl	HOLE + 0x1000, %eax
	cmp	$0xff, %eax
	expect	e
	finish	0
