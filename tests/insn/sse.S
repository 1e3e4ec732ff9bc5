/* SPDX-License-Identifier: BSD-2-Clause */
/* SSE to SSE4.2: integers, conversions and arithmetic with rounding modes. */
#include "insn.inc"
	begin
	.macro	integers name:req
	movdqa	xmm0, xmmword ptr [rip + left]
	\name	xmm0, [rip + right]
	keep_xmm 0
	.endm
	.irp	op, paddb, paddw, paddd, paddq, psubusb, psubsw, pmullw, pmulhuw, pmuludq, pmaddwd, psadbw, pavgb, pmaxub, pminsw, pcmpeqb, pcmpgtw, pand, pandn, por, pxor, packsswb, packuswb, punpcklbw, punpckhqdq, pshufb, phaddw, psignb, pmulhrsw, pabsd, pmovsxbw, pmulld, pminuw, pmaxsd, pcmpeqq, pcmpgtq, packusdw, phminposuw
	integers \op
	.endr
	.irp	op, addps, subpd, mulps, divpd, minps, maxpd, sqrtps, addsubps, haddpd, andnps, cmpltps, cmpunordpd, unpcklps, addss, divsd, sqrtsd, cvtdq2ps, cvttps2dq, cvtps2pd, cvtpd2ps, cvtsd2ss
	integers \op
	.endr
	.irp	mode, 0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x9fc0
	mov	dword ptr [rsi], \mode
	ldmxcsr	[rsi]
	movdqa	xmm0, xmmword ptr [rip + floats]
	divps	xmm0, xmmword ptr [rip + floats + 16]
	keep_xmm 0
	cvtps2dq xmm0, xmmword ptr [rip + floats]
	keep_xmm 0
	movsd	xmm1, qword ptr [rip + doubles]
	divsd	xmm1, qword ptr [rip + doubles + 8]
	keep_xmm 1
	cvtsd2si rax, xmm1
	keep	rax
	roundsd	xmm2, xmm1, 4
	keep_xmm 2
	stmxcsr	[rsi]
	mov	eax, [rsi]
	keep	rax
	.endr
	mov	dword ptr [rsi], 0x1f80
	ldmxcsr	[rsi]
	movss	xmm0, dword ptr [rip + floats]
	.irp	at, 0, 4, 8, 12, 16
	ucomiss	xmm0, dword ptr [rip + floats + \at]
	keep_flags
	comisd	xmm0, qword ptr [rip + doubles]
	keep_flags
	.endr
	stmxcsr	[rsi]
	mov	eax, [rsi]
	keep	rax
	movdqa	xmm0, xmmword ptr [rip + left]
	pmovmskb eax, xmm0
	keep	rax
	pextrb	eax, xmm0, 3
	keep	rax
	pextrq	[rsi], xmm0, 1
	mov	rax, [rsi]
	keep	rax
	pinsrw	xmm0, eax, 2
	keep_xmm 0
	pshufd	xmm1, xmm0, 0x1b
	keep_xmm 1
	palignr	xmm1, xmm0, 5
	keep_xmm 1
	psrldq	xmm1, 3
	keep_xmm 1
	.irp	kind, 0, 0x0c, 0x18, 0x44, 0x5a
	pcmpistri xmm0, xmmword ptr [rip + right], \kind
	keep_flags
	keep	rcx
	mov	eax, 7
	mov	edx, 9
	pcmpestrm xmm1, xmmword ptr [rip + left], \kind
	keep_flags
	.endr
	ptest	xmm0, xmm1
	keep_flags
	movnti	[rsi], rax
	movntdq	[rsi], xmm0
	movlps	xmm2, [rsi]
	movhps	xmm2, [rsi + 1]
	keep_xmm 2
	cvtsi2sd xmm3, rax
	cvtsi2ss xmm3, ecx
	keep_xmm 3
	aesenc	xmm0, xmm1
	aesdeclast xmm0, xmm1
	aeskeygenassist xmm2, xmm0, 0x36
	keep_xmm 0
	keep_xmm 2
	pclmulqdq xmm0, xmm1, 0x11
	keep_xmm 0
	/* FXSAVE and back: control, status and a register. */
	fxsave64 [rsi]
	mov	eax, [rsi + 24]
	keep	rax
	pxor	xmm0, xmm0
	fxrstor64 [rsi]
	keep_xmm 0
	finish
	.section .rodata
	.balign	16
left:	.quad	0x80ff7f0012345678, 0x0123456789abcdef
right:	.quad	0x0101ff7f80000102, 0xfedcba9800000080
floats:	.float	1.5, -2.5, 3.25, 1e30, 3.0, 7.0, -1e-30, 0.1
doubles: .double 1e10, 3.0
