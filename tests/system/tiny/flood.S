/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes 100,000,000 bytes to the serial port, without asking whether it is
 * ready for them, as fast as it can: a million lines of 100 bytes, the first
 * nine of each its number in decimal. Then ends with status 3.
 */
#include "start.inc"
start:
	cld
	xor	%ebx, %ebx
next_line:
	/* The number, from its last digit. */
	mov	%ebx, %eax
	mov	$line + 8, %edi
	mov	$10, %ecx
1:	xor	%edx, %edx
	div	%ecx
	add	$'0', %dl
	mov	%dl, (%edi)
	dec	%edi
	cmp	$line, %edi
	jae	1b

	mov	$SERIAL, %edx
	mov	$line, %esi
	mov	$100, %ecx
	rep outsb
	inc	%ebx
	cmp	$1000000, %ebx
	jb	next_line

	mov	$EXIT_STATUS, %edx
	mov	$3, %al
	out	%al, %dx
1:	hlt
	jmp	1b

	.data
line:
	.fill	9, 1, '0'
	.fill	90, 1, '.'
	.ascii	"\n"
