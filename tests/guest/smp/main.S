/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INIT and start-up IPIs to all but this processor: three others go from real
 * to protected mode and each adds one, a thousand times, under LOCK.
 * expect: status=0 io=1
 * options: -c 4
 */
#include "start.inc"
start:
	load_tables
	cld
	mov	$trampoline, %esi
	mov	$0x8000, %edi
	mov	$trampoline_end - trampoline, %ecx
	rep movsb
	movl	$0x1ff, LAPIC + 0xf0	/* software-enabled */
	movl	$0xc4500, LAPIC + 0x300	/* INIT, all but self */
	mov	$1000000, %ecx
1:	pause
	dec	%ecx
	jnz	1b
	movl	$0xc4608, LAPIC + 0x300	/* start-up at 8000h */
2:	pause
	cmpl	$3, finished
	jb	2b
	cmpl	$3000, counter
	expect	e
	finish	0

	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	0x8000 + descriptor - trampoline
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$8, $ap
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
descriptor:
	.word	23
	.long	0x8000 + gdt - trampoline
trampoline_end:
	.code32
ap:	mov	$16, %eax
	mov	%eax, %ds
	mov	$1000, %ecx
1:	lock incl counter
	dec	%ecx
	jnz	1b
	lock incl finished
2:	cli
	hlt
	jmp	2b
	.bss
counter:
	.space	4
finished:
	.space	4
