/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes 100,000,000 bytes to the serial port as fast as the port lets it: with
 * the FIFOs on, 16 bytes whenever the transmitter is empty (line status, bit
 * 5). 1,250,000 lines of 80 bytes, the first nine of each its number in
 * decimal. Then ends with status 3.
 */
#include "start.inc"
start:
	cld
	outb_to	SERIAL + 2 1
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

	mov	$line, %esi
2:	mov	$SERIAL + 5, %edx
3:	in	%dx, %al
	test	$0x20, %al
	jnz	4f
	pause
	jmp	3b
4:	mov	$SERIAL, %edx
	mov	$16, %ecx
	rep outsb
	cmp	$line + 80, %esi
	jb	2b
	inc	%ebx
	cmp	$1250000, %ebx
	jb	next_line

	/* Wait for the last byte to have left: transmitter and FIFO empty. */
	mov	$SERIAL + 5, %edx
5:	in	%dx, %al
	test	$0x40, %al
	jz	5b
	finish	3

	.data
line:
	.fill	9, 1, '0'
	.fill	70, 1, '.'
	.ascii	"\n"
