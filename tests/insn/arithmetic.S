/* SPDX-License-Identifier: BSD-2-Clause */
/* Two-operand arithmetic and logic of every size on the edges of the number
 * range, with carry in and out. */
#include "insn.inc"
	begin
	.macro	two name:req mask=ALL
	.irp	carry, 0, 1
	.irp	a, 0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, -1, -0x80000000
	.irp	b, 0, 1, 0x7f, -1, -0x80
	mov	rax, \a
	mov	rbx, \b
	flags	\carry
	\name	al, bl
	keep_flags \mask
	keep	rax
	.endr
	.endr
	.endr
	.irp	b, 1, 0x8000, -1
	mov	rax, 0x7fffffffffff7fff
	mov	rbx, \b
	flags	CF
	\name	ax, bx
	keep_flags \mask
	keep	rax
	flags	CF
	\name	eax, ebx
	keep_flags \mask
	keep	rax
	mov	rax, 0x7fffffffffffffff
	flags	CF
	\name	rax, rbx
	keep_flags \mask
	keep	rax
	mov	[rsi], rax
	flags	CF
	\name	word ptr [rsi + 3], 0x55
	keep_flags \mask
	mov	rax, [rsi]
	keep	rax
	.endr
	.endm
	two	add
	two	adc
	two	sub
	two	sbb
	two	cmp
	two	and ALL-AF
	two	or ALL-AF
	two	xor ALL-AF
	two	test ALL-AF
	.macro	one name:req mask=ALL
	.irp	a, 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x7fffffff, -1
	mov	rax, \a
	flags	CF|OF
	\name	al
	keep_flags \mask
	\name	ax
	keep_flags \mask
	\name	eax
	keep_flags \mask
	\name	rax
	keep_flags \mask
	keep	rax
	.endr
	.endm
	one	inc
	one	dec
	one	neg
	one	not 0
	finish
