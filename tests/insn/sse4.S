/* SPDX-License-Identifier: BSD-2-Clause */
/* SSE3, SSSE3, SSE4.1, SSE4.2, AES and PCLMULQDQ. */
#include "att.inc"

	.intel_syntax noprefix
	begin_att
	xor %ebx, %ebx
1:	movups (%rsi,%rbx), %xmm8
	movups 5(%rsi,%rbx), %xmm0
	.irp op, haddps, hsubpd, addsubps, pshufb, phaddw, phaddd, phaddsw, phsubw, pmaddubsw, pmulhrsw, psignb, psignd, pminsb, pminsd, pminuw, pminud, pmaxsb, pmaxsd, pmaxuw, pmaxud, pmulld, pmuldq, pcmpeqq, pcmpgtq, packusdw, pblendvb, blendvps, blendvpd, aesenc, aesenclast, aesdec, aesdeclast
	movaps %xmm8, %xmm1
	\op 32(%rsi), %xmm1
	save_xmm %xmm1
	.endr
	.irp op, pabsb, pabsw, pabsd, pmovsxbw, pmovsxbd, pmovsxbq, pmovsxwd, pmovsxdq, pmovzxbw, pmovzxbq, pmovzxwd, pmovzxdq, phminposuw, aesimc, movsldup, movshdup, movddup
	\op %xmm8, %xmm1
	save_xmm %xmm1
	.endr
	pmovzxbq 1(%rsi,%rbx), %xmm1
	save_xmm %xmm1
	ptest %xmm0, %xmm8
	save_flags
	.irp op, blendps, blendpd, pblendw, palignr, dpps, dppd, mpsadbw, pclmulqdq, insertps
	movaps %xmm8, %xmm1
	\op $0x31, %xmm0, %xmm1
	save_xmm %xmm1
	movaps %xmm8, %xmm1
	\op $0xc6, %xmm0, %xmm1
	save_xmm %xmm1
	.endr
	.irp op, roundps, roundpd, roundss, roundsd
	.irp mode, 0, 1, 2, 3, 4, 12
	\op $\mode, %xmm8, %xmm1
	save_xmm %xmm1
	.endr
	.endr
	aeskeygenassist $0x1b, %xmm8, %xmm1
	save_xmm %xmm1
	pextrb $7, %xmm8, %eax
	save %rax
	pextrd $2, %xmm8, %eax
	save %rax
	pextrq $1, %xmm8, %rax
	save %rax
	extractps $3, %xmm8, %eax
	save %rax
	pinsrb $9, %ebx, %xmm1
	pinsrd $1, %eax, %xmm1
	pinsrq $1, %r8, %xmm1
	pextrb $3, %xmm8, 1000(%rsi)
	pextrq $0, %xmm8, 1001(%rsi)
	save_xmm %xmm1
	lddqu 3(%rsi,%rbx), %xmm1
	movntdqa 48(%rsi), %xmm2
	save_xmm %xmm1
	save_xmm %xmm2
	mov %ebx, %eax
	and $31, %eax
	sub $9, %eax
	mov $11, %edx
	.irp mode, 0x00, 0x05, 0x0a, 0x0f, 0x18, 0x3d, 0x46, 0x7c
	pcmpestri $\mode, %xmm0, %xmm8
	save_flags
	save %rcx
	pcmpistri $\mode, %xmm0, %xmm8
	save_flags
	save %rcx
	movaps %xmm0, %xmm9
	pcmpestrm $\mode, %xmm9, %xmm8
	save_flags
	save_xmm %xmm0
	pcmpistrm $\mode, %xmm9, %xmm8
	save_xmm %xmm0
	movaps %xmm9, %xmm0
	.endr
	add $41, %ebx
	cmp $500, %ebx
	jb 1b
	finish_att
