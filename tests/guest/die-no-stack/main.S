/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Must die: a double fault whose frame has nowhere to go, the stack's segment
 * being too small for it. (QEMU, under L1's KVM, checks no limit there.)
 * engines: interp
 * expect: status=125 stderr=triple triple-fault=1
 * options: --no-reboot
 */
#include "start.inc"
start:
	load_tables
	set_gate 6 handler
	set_gate 8 handler
	set_gate 12 handler
	lgdt	1f
	mov	$24, %eax
	mov	%eax, %ss
	mov	$0x10000, %esp
	ud2
handler:
	finish	2
1:	.word	31
	.long	2f
	.balign	8
2:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
	.quad	0x0040930000000fff	/* 4 KiB of data */
