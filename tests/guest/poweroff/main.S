/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SLP_EN with sleep type 5 in PM1 control powers off: status 0.
 * expect: status=0 io=1
 */
#include "start.inc"
start:
	mov	$0x604, %edx
	mov	$0x2000 | 5 << 10, %eax
	out	%ax, %dx
1:	hlt
	jmp	1b
