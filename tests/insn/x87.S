/* SPDX-License-Identifier: BSD-2-Clause */
/* The x87: constants, arithmetic in three precisions, comparisons, BCD, control
 * and status, and the MMX registers that lie over it. */
#include "insn.inc"
	begin
	.macro	top
	fstp	tbyte ptr [rsi]
	mov	rax, [rsi]
	keep	rax
	movzx	eax, word ptr [rsi + 8]
	keep	rax
	.endm
	.macro	state
	fnstsw	ax
	movzx	eax, ax
	and	eax, 0xbfff & ~0x4700 | 0x3800
	keep	rax
	.endm
	fninit
	.irp	op, fld1, fldz, fldpi, fldl2e, fldl2t, fldlg2, fldln2
	\op
	top
	.endr
	.irp	control, 0x037f, 0x0f7f, 0x027f, 0x007f, 0x0b7f
	fninit
	mov	word ptr [rsi + 16], \control
	fldcw	[rsi + 16]
	fldpi
	fld1
	fadd	st, st(1)
	fmul	st, st(1)
	fdivp	st(1), st
	fsqrt
	top
	state
	fild	dword ptr [rip + integers]
	fidiv	dword ptr [rip + integers + 4]
	fld	st
	frndint
	top
	fistp	qword ptr [rsi]
	mov	rax, [rsi]
	keep	rax
	fld	qword ptr [rip + real]
	fsub	dword ptr [rip + single]
	fst	dword ptr [rsi]
	mov	eax, [rsi]
	keep	rax
	fstp	qword ptr [rsi]
	mov	rax, [rsi]
	keep	rax
	state
	.endr
	fninit
	fld	qword ptr [rip + real]
	fbstp	[rsi]
	mov	rax, [rsi]
	keep	rax
	fld1
	fldpi
	fcomi	st, st(1)
	keep_flags CF|PF|ZF
	fucomip	st, st(1)
	keep_flags CF|PF|ZF
	ftst
	fnstsw	ax
	and	eax, 0x4500
	keep	rax
	fxam
	fnstsw	ax
	and	eax, 0x4700
	keep	rax
	fchs
	fabs
	fxch
	fdivr	st, st(1)
	top
	fld1
	fldz
	fdivp	st(1), st
	state
	fstp	st
	fnclex
	fstcw	[rsi]
	movzx	eax, word ptr [rsi]
	keep	rax
	fninit
	fld1
	fldpi
	fscale
	top
	fldpi
	fxtract
	top
	top
	/* MMX. */
	movq	mm0, [rip + integers]
	movq	mm1, [rip + real]
	paddsb	mm0, mm1
	pmaddwd	mm1, mm0
	movq	[rsi], mm1
	mov	rax, [rsi]
	keep	rax
	movq	rax, mm0
	keep	rax
	emms
	fninit
	finish
	.section .rodata
	.balign	8
integers: .long	22, 7
real:	.double	-12345.678
single:	.float	0.1
