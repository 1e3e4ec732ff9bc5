/* SPDX-License-Identifier: BSD-2-Clause */
/* Jcc, SETcc and CMOVcc on all combinations of flags, LOOP, JRCXZ, JMP. */
#include "att.inc"

.macro condition cc
	push %r8
	popfq
	mov $0x5555, %eax
	set\cc %al
	cmov\cc %r9, %rax
	j\cc 1f
	or $0x10000, %eax
1:	xor %rax, %r10
	rol $7, %r10
	cmov\cc %r9d, %edx
	xor %rdx, %r10
.endm

	.intel_syntax noprefix
	begin_att
	xor %r12d, %r12d
	mov $0x123456789abcdef0, %r9
	/* The six flags from the six bits of R12. */
2:	mov %r12, %rax
	mov $0x8d5, %ecx
	pdep %rcx, %rcx, %rcx
	mov $0x8d5, %edx
	pdep %rdx, %rax, %r8
	or $0x202, %r8
	mov %r12, %r10
	.irp cc, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
	condition \cc
	.endr
	save %r10
	inc %r12d
	cmp $64, %r12d
	jb 2b
	/* LOOP and friends leave the flags alone. */
	mov $5, %ecx
	xor %eax, %eax
3:	add %ecx, %eax
	loop 3b
	save %rax
	mov $9, %ecx
4:	lea 1(%rax), %rax
	cmp $5, %ecx
	loopne 4b
	save_flags
	save %rcx
	mov $9, %ecx
5:	cmp %eax, %eax
	loope 5b
	save %rcx
	mov $0x100000000, %rcx
	jecxz 6f
	save %rdi
6:	jrcxz 7f
	save %rcx
7:	xor %ecx, %ecx
	jrcxz 8f
	save %rdi
8:	mov $0x100000002, %rcx
	addr32 loop 9f
9:	save %rcx
	lea 10f(%rip), %rax
	jmp *%rax
	save %rdi
10:	lea 11f(%rip), %rax
	mov %rax, 5(%rsi)
	jmp *5(%rsi)
	save %rdi
11:	clc
	cmc
	save_flags 1
	stc
	save_flags 1
	std
	pushfq
	pop %rax
	cld
	and $0x400, %eax
	save %rax
	mov $0xd5, %ah
	sahf
	lahf
	save_flags
	save %rax
	finish_att
