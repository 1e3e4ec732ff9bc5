/* SPDX-License-Identifier: BSD-2-Clause */
/* FXSAVE, XSAVE, XSAVEC and their loads: what is written, what is left alone,
 * and what comes back. */
#include "att.inc"

/* The area at 1024(%rsi) up to its AVX part, and what it stands in. */
.macro save_area
	xor %ebp, %ebp
7:	mov 1024(%rsi,%rbp), %rax
	/* FIP, FDP, FOP and the MXCSR mask are the processor's own affair. */
	cmp $8, %ebp
	je 8f
	cmp $16, %ebp
	je 8f
	cmp $24, %ebp
	jne 9f
8:	xor %eax, %eax
9:	save %rax
	add $8, %ebp
	cmp $832, %ebp
	jb 7b
.endm

.macro fill_area
	xor %ebp, %ebp
7:	movq $0x5a, 1024(%rsi,%rbp)
	add $8, %ebp
	cmp $1024, %ebp
	jb 7b
.endm

.macro fill_state
	fninit
	fldpi
	fld1
	movl $0x3fa1, -4(%rsp)
	ldmxcsr -4(%rsp)
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups 3*\n(%rsi), %ymm\n
	.endr
.endm

.macro save_state
	.irp n, 0, 1, 7, 8, 15
	save_ymm %ymm\n
	.endr
	stmxcsr (%rdi)
	movl $0, 4(%rdi)
	fnstcw 4(%rdi)
	fnstsw 6(%rdi)
	lea 8(%rdi), %rdi
	fstpt -16(%rsp)
	mov -16(%rsp), %rax
	save %rax
.endm

	.intel_syntax noprefix
	begin_att
	mov $1, %ecx
	.irp insn, fxsave, fxsave64
	fill_area
	fill_state
	\insn 1024(%rsi)
	save_area
	vzeroall
	fninit
	fxrstor64 1024(%rsi)
	save_state
	.endr
	.irp insn, xsave, xsavec
	.irp mask, 7, 1, 2, 4, 5, 6, 0
	fill_area
	fill_state
	movq $0, 1024+512(%rsi)
	mov $\mask, %eax
	xor %edx, %edx
	\insn 1024(%rsi)
	save_area
	.endr
	.endr
	/* Back, part by part; the other parts keep what they have. */
	.irp insn, xsave, xsavec
	.irp mask, 7, 1, 2, 4, 6, 3
	fill_area
	fill_state
	.irp at, 0, 8, 16, 24, 32, 40, 48, 56
	movq $0, 1024+512+\at(%rsi)
	.endr
	mov $7, %eax
	xor %edx, %edx
	\insn 1024(%rsi)
	vzeroall
	vpcmpeqd %ymm1, %ymm1, %ymm1
	vpcmpeqd %ymm15, %ymm15, %ymm15
	movl $0x1f80, -4(%rsp)
	ldmxcsr -4(%rsp)
	fninit
	fldz
	mov $\mask, %eax
	xrstor 1024(%rsi)
	save_state
	.endr
	.endr
	/* A component that is not there goes to its initial state. */
	.irp have, 0, 1, 2, 4, 6
	fill_state
	mov $7, %eax
	xor %edx, %edx
	xsave 1024(%rsi)
	movq $\have, 1024+512(%rsi)
	fill_state
	xrstor 1024(%rsi)
	save_state
	.endr
	xor %ecx, %ecx
	xgetbv
	and $7, %eax
	save %rax
	fninit
	finish_att
