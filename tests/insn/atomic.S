/* SPDX-License-Identifier: BSD-2-Clause */
/* Locked read-modify-writes, XCHG, XADD, CMPXCHG and its 8 and 16 byte forms,
 * on operands within a page and over two. */
#include "att.inc"

.macro locked_binary op, at
	lock \op\()b %cl, \at(%rsi)
	save_flags
	lock \op\()w %cx, \at(%rsi)
	save_flags
	lock \op\()l %ecx, \at(%rsi)
	save_flags
	lock \op\()q %rcx, \at(%rsi)
	save_flags
	lock \op\()q $0x5a, \at(%rsi)
	mov \at(%rsi), %rdx
	save %rdx
.endm

.macro locked_unary op, at
	lock \op\()w \at(%rsi)
	lock \op\()q \at(%rsi)
	save_flags
.endm

.macro locked_bit op, at
	lock \op\()q $33, \at(%rsi)
	save_flags 1
	lock \op\()l $33, \at(%rsi)
	save_flags 1
.endm

.macro locked at
	.irp op, add, or, adc, sbb, and, sub, xor
	locked_binary \op, \at
	.endr
	.irp op, inc, dec, neg, not
	locked_unary \op, \at
	.endr
	.irp op, bts, btr, btc
	locked_bit \op, \at
	.endr
	.irp reg, %cl, %cx, %ecx, %rcx
	mov %r8, %rcx
	xchg \reg, \at(%rsi)
	save %rcx
	mov %r8, %rcx
	lock xadd \reg, \at(%rsi)
	save_flags
	save %rcx
	.endr
	mov \at(%rsi), %rdx
	save %rdx
	mov \at(%rsi), %rax
	lock cmpxchg %r8, \at(%rsi)
	save_flags
	lock cmpxchg %ecx, \at(%rsi)
	save_flags
	save %rax
	lock cmpxchg %cl, \at(%rsi)
	save_flags
	mov $0x77, %eax
	lock cmpxchg %cx, \at(%rsi)
	save_flags
	save %rax
	mov \at(%rsi), %eax
	mov 4+\at(%rsi), %edx
	mov $0x11111111, %ebx
	mov $0x22222222, %ecx
	lock cmpxchg8b \at(%rsi)
	save_flags 0x40
	lock cmpxchg8b \at(%rsi)
	save_flags 0x40
	save %rax
	save %rdx
.endm

	.intel_syntax noprefix
	begin_att
	mov $0x123456789abcdef1, %rcx
	mov %rcx, %r8
	locked 0
	locked 64
	mov %r8, %rcx
	locked 61
	locked 4093
	mov 128(%rsi), %rax
	mov 136(%rsi), %rdx
	mov $-3, %rbx
	mov %r8, %rcx
	lock cmpxchg16b 128(%rsi)
	save_flags 0x40
	lock cmpxchg16b 128(%rsi)
	save_flags 0x40
	save %rax
	save %rdx
	cmpxchg16b 144(%rsi)
	save %rax
	save %rdx
	/* Registers: the forms without memory. */
	mov $5, %eax
	mov $5, %ebx
	cmpxchg %rcx, %rbx
	save_flags
	save %rbx
	cmpxchg %rcx, %rbx
	xadd %rax, %rbx
	save_flags
	save %rax
	save %rbx
	xchg %ax, %bx
	xchg %al, %ah
	save %rax
	finish_att
