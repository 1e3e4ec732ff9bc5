/* SPDX-License-Identifier: BSD-2-Clause */
/* MMX and what SSE to SSSE3 added to it, and the way it shares x87 state. */
#include "att.inc"

.macro save_mm reg
	movq \reg, (%rdi)
	lea 8(%rdi), %rdi
.endm

	.intel_syntax noprefix
	begin_att
	xor %ebx, %ebx
1:	movq (%rsi,%rbx,8), %mm0
	.irp op, paddb, paddw, paddd, paddq, paddsb, paddsw, paddusb, paddusw, psubb, psubw, psubd, psubq, psubsb, psubsw, psubusb, psubusw, pmullw, pmulhw, pmulhuw, pmaddwd, pmuludq, pand, pandn, por, pxor, pcmpeqb, pcmpeqw, pcmpeqd, pcmpgtb, pcmpgtw, pcmpgtd, packsswb, packssdw, packuswb, punpcklbw, punpcklwd, punpckldq, punpckhbw, punpckhwd, punpckhdq, pavgb, pavgw, pminub, pmaxub, pminsw, pmaxsw, psadbw, pshufb, phaddw, phaddd, phaddsw, phsubw, phsubd, phsubsw, pmaddubsw, pmulhrsw, psignb, psignw, psignd
	movq %mm0, %mm7
	\op 3(%rsi,%rbx,8), %mm7
	save_mm %mm7
	.endr
	.irp op, pabsb, pabsw, pabsd
	\op %mm0, %mm7
	save_mm %mm7
	.endr
	movd %ebx, %mm1
	.irp op, psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad
	movq %mm0, %mm7
	\op %mm1, %mm7
	\op $3, %mm7
	save_mm %mm7
	.endr
	pshufw $0x1b, %mm0, %mm7
	save_mm %mm7
	palignr $5, %mm0, %mm7
	save_mm %mm7
	pinsrw $2, %ebx, %mm7
	pextrw $1, %mm7, %eax
	save %rax
	pmovmskb %mm0, %eax
	save %rax
	movq2dq %mm0, %xmm1
	movdq2q %xmm1, %mm6
	save_mm %mm6
	cvtpi2ps %mm0, %xmm2
	cvtpi2pd %mm0, %xmm3
	cvtps2pi %xmm2, %mm5
	cvttpd2pi %xmm3, %mm4
	save_xmm %xmm2
	save_xmm %xmm3
	save_mm %mm5
	save_mm %mm4
	add $1, %ebx
	cmp $40, %ebx
	jb 1b
	mov %rdi, %r14
	lea 2048(%rsi), %rdi
	maskmovq %mm1, %mm0
	mov %r14, %rdi
	mov 2048(%rsi), %rax
	save %rax
	/* MMX leaves all registers valid and ones in the exponent. */
	fnstenv (%rsi)
	mov 8(%rsi), %eax		/* the tags; above them is FIP */
	save %rax
	fstpt (%rsi)
	mov 8(%rsi), %ax
	save %rax
	emms
	fnstenv (%rsi)
	mov 8(%rsi), %eax
	save %rax
	movd %mm3, %rax
	save %rax
	movntq %mm3, (%rsi)
	emms
	finish_att
