/* SPDX-License-Identifier: BSD-2-Clause */
/* AVX, AVX2, FMA and F16C: upper halves, masks, gathers, permutations. */
#include "insn.inc"
	begin
	vmovdqu	ymm1, ymmword ptr [rip + left]
	.irp	op, vpaddb, vpaddw, vpsubd, vpmullw, vpmulld, vpmuludq, vpmaddubsw, vpand, vpxor, vpcmpeqd, vpcmpgtq, vpshufb, vpacksswb, vpunpckhdq, vpmaxsb, vpsadbw, vpsllvd, vpsrlvq, vpsravd, vpermd, vpermps
	\op	ymm0, ymm1, ymmword ptr [rip + right]
	keep_ymm 0
	.endr
	.irp	op, vpaddb, vpshufb, vpsllvd
	\op	xmm0, xmm1, xmmword ptr [rip + right]
	keep_ymm 0
	.endr
	vmovups	ymm2, ymmword ptr [rip + floats]
	vmovups	ymm3, ymmword ptr [rip + floats + 4]
	.irp	op, vaddps, vsubps, vmulps, vdivps, vminps, vmaxps, vhaddps, vaddsubps
	\op	ymm0, ymm2, ymm3
	keep_ymm 0
	.endr
	.irp	op, vfmadd132ps, vfmadd213ps, vfmsub231ps, vfnmadd231ps, vfmaddsub213ps
	vmovaps	ymm0, ymm2
	\op	ymm0, ymm3, ymm2
	keep_ymm 0
	.endr
	vfmadd231sd xmm0, xmm2, xmm3
	keep_ymm 0
	vcmpps	ymm0, ymm2, ymm3, 13
	keep_ymm 0
	vblendvps ymm4, ymm2, ymm3, ymm0
	keep_ymm 4
	vperm2i128 ymm0, ymm1, ymm2, 0x21
	keep_ymm 0
	vpermq	ymm0, ymm1, 0x4b
	keep_ymm 0
	vextracti128 xmm0, ymm1, 1
	keep_ymm 0
	vinserti128 ymm0, ymm2, xmm1, 1
	keep_ymm 0
	vpbroadcastb ymm0, xmm1
	keep_ymm 0
	vbroadcastsd ymm0, qword ptr [rip + left + 8]
	keep_ymm 0
	vpmovmskb eax, ymm1
	keep	rax
	vmovmskps eax, ymm2
	keep	rax
	vptest	ymm1, ymm2
	keep_flags
	vpcmpeqd ymm5, ymm5, ymm5
	vpmovsxbd ymm6, qword ptr [rip + indices]
	lea	rbx, [rip + left]
	vpxor	ymm0, ymm0, ymm0
	vpgatherdd ymm0, [rbx + ymm6 * 4], ymm5
	keep_ymm 0
	keep_ymm 5
	vpcmpgtd ymm5, ymm1, ymm2
	vpmaskmovd [rsi], ymm5, ymm1
	vmaskmovps ymm0, ymm5, [rsi + 4]
	keep_ymm 0
	vcvtps2ph xmm0, ymm2, 0
	keep_ymm 0
	vcvtph2ps ymm0, xmm0
	keep_ymm 0
	vcvtdq2pd ymm0, xmm1
	keep_ymm 0
	vroundpd ymm0, ymm0, 3
	keep_ymm 0
	vdpps	ymm0, ymm2, ymm3, 0xf1
	keep_ymm 0
	vmpsadbw ymm0, ymm1, ymm2, 5
	keep_ymm 0
	vpalignr ymm0, ymm1, ymm2, 7
	keep_ymm 0
	/* An SSE instruction leaves the upper half; VZEROUPPER does not. */
	vmovaps	ymm7, ymm1
	paddb	xmm7, xmm7
	keep_ymm 7
	vzeroupper
	vmovdqu	[rdi], ymm7
	add	rdi, 32
	vzeroall
	vmovdqu	[rdi], ymm2
	add	rdi, 32
	finish
	.section .rodata
	.balign	32
left:	.quad	0x80ff7f0012345678, 0x0123456789abcdef, 0x1111, -1
right:	.quad	0x0101ff7f80000102, 0xfedcba9800000080, 0x1f, 3
floats:	.float	1.5, -2.5, 3.25, 1e10, 3.0, 7.0, -1e-10, 0.1, 5.0, 6.5
indices: .byte	0, 7, 3, 1, 2, 6, 5, 4
