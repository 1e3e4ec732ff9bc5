/* SPDX-License-Identifier: BSD-2-Clause */
/* Shifts and rotates by immediate, CL and one; counts at and beyond the size.
 * A count of zero changes no flag; OF is defined for counts of one only. */
#include "insn.inc"
	begin
	.macro	by count:req mask:req
	.irp	op, shl, shr, sar
	.irp	reg, al, ax, eax, rax
	mov	rax, 0x8123456789abcdef
	mov	cl, \count
	flags	CF|OF|ZF|SF
	\op	\reg, cl
	keep_flags \mask
	keep	rax
	.endr
	.endr
	.irp	op, rol, ror, rcl, rcr
	.irp	reg, al, ax, eax, rax
	mov	rax, 0x8123456789abcdef
	mov	cl, \count
	flags	CF|ZF|SF
	\op	\reg, cl
	keep_flags (\mask & ~OF) | ZF | SF
	keep	rax
	.endr
	.endr
	.endm
	by	0 CF|PF|ZF|SF|OF
	by	1 CF|PF|ZF|SF|OF
	by	3 CF|PF|ZF|SF
	by	7 CF|PF|ZF|SF
	by	32 PF|ZF|SF
	by	33 PF|ZF|SF
	by	63 PF|ZF|SF
	by	64 CF|PF|ZF|SF|OF
	.irp	op, shl, shr, sar, rol, ror, rcl, rcr
	mov	rax, 0x8123456789abcdef
	mov	[rsi], rax
	flags	CF
	\op	dword ptr [rsi + 1], 1
	keep_flags CF|OF
	\op	qword ptr [rsi], 5
	keep_flags CF
	mov	rax, [rsi]
	keep	rax
	.endr
	.irp	count, 0, 1, 4, 15, 31
	mov	rax, 0x8123456789abcdef
	mov	rbx, 0xfedcba9876543210
	mov	cl, \count
	flags	CF
	shld	ax, bx, \count % 16
	keep	rax
	shrd	eax, ebx, cl
	keep_flags CF|PF|ZF|SF
	keep	rax
	shld	rax, rbx, cl
	keep_flags CF|PF|ZF|SF
	keep	rax
	shlx	rdx, rax, rbx
	keep	rdx
	sarx	edx, ebx, ecx
	keep	rdx
	shrx	rdx, rbx, rcx
	keep	rdx
	rorx	rdx, rbx, 13
	keep	rdx
	.endr
	finish
