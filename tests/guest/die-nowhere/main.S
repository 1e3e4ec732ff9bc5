/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Must die: jumps to where there is neither RAM nor a device. What is fetched
 * there is no program; with no interrupt table, a triple fault, or a monitor
 * that says that it cannot go on there.
 * expect: status=1|125 stderr=.
 * options: --no-reboot
 */
#include "start.inc"
start:
	lidt	nothing
	mov	$HOLE, %eax
	jmp	*%eax
nothing:
	.word	0
	.long	0
