/* SPDX-License-Identifier: BSD-2-Clause */
/* Three bytes to the serial port, then ends with status 42: four port writes. */
#include "tiny.inc"
start:
	mov	$SERIAL, %edx
	mov	$'h', %al
	out	%al, %dx
	mov	$'i', %al
	out	%al, %dx
	mov	$'\n', %al
	out	%al, %dx
	mov	$EXIT_STATUS, %edx
	mov	$42, %al
	out	%al, %dx
1:	hlt
	jmp	1b
