/* SPDX-License-Identifier: BSD-2-Clause */
/* PUSH, POP, PUSHF, POPF, ENTER, LEAVE, CALL, RET. */
#include "att.inc"

/* RSP relative to where it began, and the top of the stack. */
.macro save_stack
	mov %rsp, %rax
	sub %r14, %rax
	save %rax
	mov (%rsp), %rax
	save %rax
.endm

	.intel_syntax noprefix
	begin_att
	sub $2048, %rsp
	mov %rsp, %r14
	mov $-64, %rcx
1:	movq $0x77, (%rsp,%rcx,8)
	inc %rcx
	cmp $64, %rcx
	jl 1b
	mov $0x1122334455667788, %rbx
	push %rbx
	save_stack
	pushw %bx
	save_stack
	push $-3
	save_stack
	push $0x12345678
	save_stack
	pushw $0x1234
	save_stack
	push (%rsi)
	save_stack
	pushw 3(%rsi)
	save_stack
	push %rsp
	pop %rax
	sub %rsp, %rax
	save %rax
	popw %cx
	save %rcx
	pop 16(%rsi)
	mov 16(%rsi), %rax
	save %rax
	popw 40(%rsi)
	save_stack
	push %rsp
	pop 8(%rsp)
	mov 8(%rsp), %rax
	sub %rsp, %rax
	save %rax
	push %rsp
	pop %rsp
	mov %rsp, %rax
	sub %r14, %rax
	save %rax
	mov %r14, %rsp
	/* Flags: what user mode may change. */
	pushq $0x204cd5
	popfq
	pushfq
	pop %rax
	and $0x204cd5, %eax
	save %rax
	pushq $0x8d7
	popfq
	pushfw
	movzwl (%rsp), %eax
	and $0xcd5, %eax
	save %rax
	popfw
	/* POP with RSP as base uses the value after the increment. */
	push $77
	pop 24(%rsp)
	mov 24(%rsp), %rax
	save %rax
	mov %rsp, %rbp
	push $1
	push $2
	enter $32, $0
	save_stack
	leave
	save_stack
	mov %r14, %rbp
	push $3
	push $4
	enter $16, $3
	save_stack
	mov -8(%rbp), %rax
	save %rax
	leave
	mov %r14, %rsp
	call 1f
	save_stack
	jmp 2f
1:	mov (%rsp), %rax
	lea (%rip), %rcx
	sub %rcx, %rax
	save %rax
	ret
2:	push $5
	push $6
	call 3f
	save_stack
	jmp 4f
3:	ret $8
4:	mov %r14, %rsp
	lea 5f(%rip), %rax
	push %rax
	call *(%rsp)
	save_stack
	jmp 6f
5:	ret $16
6:	mov %r14, %rsp
	/* What is read and what is pushed are further apart than a page. */
	lea -0x1800(%rsp), %rsp
	lea 7f(%rip), %rax
	mov %rax, 0x10c8(%rsp)
	mov $7, %ebx
	call *0x10c8(%rsp)
	save %rbx
	push 0x10c8(%rsp)
	pop %rcx
	sub %rax, %rcx
	save %rcx
	mov %r14, %rsp
	jmp 8f
7:	inc %ebx
	ret
8:
	lea 8(%rsi), %rbp
	mov $0x42, %eax
	mov %rax, 8(%rsi)
	mov %rsp, %r13
	leave
	mov %rsp, %rax
	sub %rsi, %rax
	save %rax
	mov %r13, %rsp
	save %rbp
	lea 2048(%r14), %rsp
	finish_att
