/* SPDX-License-Identifier: BSD-2-Clause */
/* Says that it started, then spins with interrupts off for good. */
#include "start.inc"
start:
	mov	$SERIAL, %edx
	mov	$message, %esi
	mov	$9, %ecx
	cld
	rep outsb
	cli
1:	jmp	1b
message:
	.ascii	"spinning\n"
