/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Must die: the page directory is all zeroes when paging comes on.
 * expect: status=125 stderr=triple triple-fault=1
 * options: --no-reboot
 */
#include "start.inc"
start:
	mov	$directory, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	finish	0
	.bss
	.balign	4096
directory:
	.space	4096
