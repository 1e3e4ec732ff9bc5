/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Near branches to addresses that are not canonical: #GP(0) with the branch's
 * own RIP, and RSP as before it (SDM 2, JMP, CALL, RET); in code that has run
 * well before, and when other branches came in between. Code that runs off
 * the lower half's end faults there. R15 is the step; the first that fails ends the guest with it.
 * expect: status=0
 * engines: interp
 * (kvm runs on QEMU here, which faults at the target.)
 */
#include "start.inc"
#include "long.inc"

#define NOWHERE 0x8000000000001234

	.macro	must condition:req
	j\condition	97f
	jmp	failed
97:
	.endm

	/* The instruction at `at` must fault there, with this RSP. */
	.macro	nowhere at:req
	lea	\at(%rip), %rax
	mov	%rax, wanted_rip
	mov	%rsp, wanted_rsp
	lea	96f(%rip), %rax
	mov	%rax, after
	.endm

	/* Comes after the branch: the handler goes on at 96. */
	.macro	faulted
	jmp	failed
96:	cmpl	$1, faults
	must	e
	movl	$0, faults
	.endm

start:
	set_up_long_mode
	set_gate64 13 protection
	mov	$1000, %r12d
again:
	mov	$NOWHERE, %rbx
	test	$1, %r12d
	jz	1f
	mov	$0x5aa5000000000000, %rbx
1:
	mov	$1, %r15d
	nowhere	2f
2:	jmp	*%rbx
	faulted
	mov	$2, %r15d
	nowhere	2f
	push	%rbx
	add	$8, %rsp
2:	jmp	*-8(%rsp)
	faulted
	mov	$3, %r15d
	nowhere	2f
2:	call	*%rbx
	faulted
	mov	$4, %r15d
	mov	%rbx, target
	nowhere	2f
2:	call	*target
	faulted
	mov	$5, %r15d
	push	%rbx
	nowhere	2f
2:	ret
	faulted
	pop	%rax
	mov	$6, %r15d
	push	%rbx
	nowhere	2f
2:	ret	$0x108
	faulted
	pop	%rax
	mov	$7, %r15d		/* called well, then returns nowhere */
	call	3f
	jmp	4f
3:	mov	(%rsp), %rdi
	mov	%rbx, (%rsp)
	nowhere	2f
2:	ret
	faulted
	mov	%rdi, (%rsp)
	ret
4:
	mov	$8, %r15d		/* the same code, well and ill in turn */
	lea	5f(%rip), %rcx
	mov	$3, %r13d
4:	nowhere	2f
2:	jmp	*%rcx
	faulted
	mov	$3, %r13d
	jmp	6f
5:	dec	%r13d
	jnz	4b
	mov	%rbx, %rcx
	jmp	4b
6:
	/* From the last page of the lower half, in which only its code's last
	 * bytes are. */
	mov	$9, %r15d
	movq	$last_pdpt + 3, pml4 + 255 * 8
	movq	$last_pd + 3, last_pdpt + 511 * 8
	movq	$last_pt + 3, last_pd + 511 * 8
	movq	$last_page + 3, last_pt + 511 * 8
	mov	$0x7ffffffff000, %rbp
	movl	$0x9090000b, last_page + 0xffc
	movw	$0x70eb, last_page + 0xff8	/* jmp +112 */
	movb	$0x00, last_page + 0xff7
	lea	0xff8(%rbp), %rdx
	mov	%rdx, wanted_rip
	mov	%rsp, wanted_rsp
	lea	96f(%rip), %rax
	mov	%rax, after
	jmp	*%rdx
	faulted
	mov	$10, %r15d
	movl	$0x000000e8, last_page + 0xff8	/* call +112 */
	movb	$0, last_page + 0xffc
	movb	$0x70, last_page + 0xff9
	mov	%rsp, wanted_rsp
	lea	96f(%rip), %rax
	mov	%rax, after
	jmp	*%rdx
	faulted
	mov	$11, %r15d		/* jz, not taken: off the end; taken */
	movw	$0x7074, last_page + 0xffe
	lea	0xffe(%rbp), %rdx
	mov	$0x800000000000, %rax
	mov	%rax, wanted_rip
	lea	96f(%rip), %rax
	mov	%rax, after
	test	%rdx, %rdx
	jmp	*%rdx
	faulted
	mov	$12, %r15d
	mov	%rdx, wanted_rip
	lea	96f(%rip), %rax
	mov	%rax, after
	xor	%eax, %eax
	jmp	*%rdx
	faulted
	dec	%r12d
	jnz	again
	finish	0

protection:
	cmpq	$0, (%rsp)		/* the error code */
	must	e
	mov	8(%rsp), %rax
	cmp	%rax, wanted_rip
	must	e
	mov	32(%rsp), %rax
	cmp	%rax, wanted_rsp
	must	e
	incl	faults
	mov	after, %rax
	mov	%rax, 8(%rsp)
	add	$8, %rsp
	iretq
failed:
	mov	%r15b, %al
	mov	$EXIT_STATUS, %edx
	out	%al, %dx
1:	hlt
	jmp	1b

	.bss
	.balign	4096
last_pdpt:
	.space	4096
last_pd:
	.space	4096
last_pt:
	.space	4096
last_page:
	.space	4096
wanted_rip:
	.space	8
wanted_rsp:
	.space	8
after:	.space	8
target:	.space	8
faults:	.space	8
