/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REP OUTSB and REP INSB are one exit an element, and none for no element.
 * expect: status=0 output=0123456789 io=19 io/com1=18
 */
#include "start.inc"
start:
	cld
	mov	$SERIAL, %edx
	mov	$text, %esi
	mov	$11, %ecx
	rep outsb
	cmp	$text + 11, %esi
	expect	e
	/* The scratch register: seven bytes of it. */
	mov	$SERIAL + 7, %edx
	mov	$buffer, %edi
	mov	$7, %ecx
	rep insb
	cmp	$buffer + 7, %edi
	expect	e
	xor	%ecx, %ecx
	rep outsb
	finish	0
text:	.ascii	"0123456789\n"
	.bss
buffer:	.space	16
