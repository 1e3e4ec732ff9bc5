/* SPDX-License-Identifier: BSD-2-Clause */
/* MUL, IMUL in three forms, DIV, IDIV, and the conversions that go with them. */
#include "insn.inc"
	begin
	.irp	a, 0, 1, 7, 0x80, 0x8000, 0x7fffffff, -1, -7
	.irp	b, 1, 3, 0x7f, -1, -128, 0x12345678
	mov	rbx, \b
	.irp	op, mul, imul
	.irp	reg, bl, bx, ebx, rbx
	mov	rax, \a
	mov	rdx, 0x1122334455667788
	\op	\reg
	keep_flags CF|OF
	keep	rax
	keep	rdx
	.endr
	.endr
	mov	rcx, \a
	imul	cx, bx
	keep_flags CF|OF
	imul	ecx, ebx
	keep	rcx
	imul	rcx, rbx, -99
	keep_flags CF|OF
	keep	rcx
	.endr
	.endr
	.irp	a, 0, 1, 100, 0x7fff, -100
	.irp	b, 1, 3, 0x7f, -3
	mov	rbx, \b
	mov	rax, \a
	cqo
	idiv	rbx
	keep	rax
	keep	rdx
	mov	eax, \a
	cdq
	idiv	ebx
	keep	rax
	keep	rdx
	mov	ax, \a & 0x7fff
	cwd
	idiv	bx
	keep	rax
	keep	rdx
	xor	edx, edx
	mov	rax, \a
	div	rbx
	keep	rax
	keep	rdx
	mov	ax, 100
	mov	bl, 7
	div	bl
	keep	rax
	mov	ax, -100
	idiv	bl
	keep	rax
	cbw
	keep	rax
	cwde
	keep	rax
	cdqe
	keep	rax
	.endr
	.endr
	finish
