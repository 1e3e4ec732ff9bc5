/* SPDX-License-Identifier: BSD-2-Clause */
/* Moves of every kind: extension, conditional, exchange, the stack, addresses. */
#include "insn.inc"
	begin
	mov	rbx, 0x8182838485868788
	mov	[rsi], rbx
	movzx	eax, bl
	keep	rax
	movzx	ax, bh
	keep	rax
	movzx	rax, word ptr [rsi + 1]
	keep	rax
	movsx	ax, bl
	keep	rax
	movsx	eax, bx
	keep	rax
	movsx	rax, byte ptr [rsi]
	keep	rax
	movsxd	rax, ebx
	keep	rax
	mov	ah, bl
	keep	rax
	mov	sil, bl
	mov	rax, rsi
	and	eax, 0xff
	keep	rax
	and	rsi, -4096
	/* Every condition, on flags of three kinds. */
	.irp	f, 0, CF|ZF, SF|PF, OF, SF|OF|ZF
	.irp	c, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
	xor	eax, eax
	mov	rcx, -1
	flags	\f
	set\c	al
	cmov\c	rcx, rbx
	cmov\c	edx, eax
	keep	rax
	keep	rcx
	j\c	1f
	keep	rbx
1:
	.endr
	.endr
	/* A 32-bit conditional move clears the upper half even if it does not. */
	mov	rcx, -1
	flags	0
	cmove	ecx, ebx
	keep	rcx
	/* The second bytes of registers, to memory and from it. */
	mov	rdx, 0x1122334455667788
	mov	rcx, 0x99aabbccddeeff00
	flags	CF|ZF
	mov	[rsi + 16], bh
	mov	[rsi + 17], dh
	mov	ch, [rsi + 16]
	keep_flags
	adc	[rsi + 16], dh
	keep_flags
	add	bh, [rsi + 17]
	keep_flags
	cmp	[rsi + 16], ah
	keep_flags
	xchg	[rsi + 17], ch
	keep	rbx
	keep	rcx
	keep	rdx
	mov	rax, [rsi + 16]
	keep	rax
	mov	rbx, 0x8182838485868788
	/* Exchanges. */
	mov	rax, 1
	xchg	[rsi], rax
	keep	rax
	mov	rax, 5
	xadd	[rsi], rax
	keep_flags
	keep	rax
	mov	rax, 6
	mov	rcx, 77
	cmpxchg	[rsi], rcx
	keep_flags
	keep	rax
	lock cmpxchg [rsi], rcx
	keep_flags
	keep	rax
	mov	ecx, 5
	mov	eax, 1
	cmpxchg	ecx, ebx
	keep	rax
	keep	rcx
	mov	qword ptr [rsi + 16], 3
	mov	qword ptr [rsi + 24], 4
	mov	r12, rbx
	mov	eax, 3
	mov	edx, 4
	mov	ebx, 9
	mov	ecx, 8
	lock cmpxchg16b [rsi + 16]
	keep_flags ZF
	cmpxchg16b [rsi + 16]
	keep_flags ZF
	keep	rax
	keep	rdx
	cmpxchg8b [rsi + 16]
	keep_flags ZF
	keep	rax
	keep	rdx
	mov	rbx, r12
	.irp	op, add, sub, and, or, xor
	lock \op qword ptr [rsi], 0x7f
	keep_flags ALL-AF
	.endr
	lock inc dword ptr [rsi]
	lock neg byte ptr [rsi + 1]
	lock btc qword ptr [rsi], 40
	mov	rax, [rsi]
	keep	rax
	/* The stack. */
	mov	r12, rsp
	push	bx
	push	-2
	push	qword ptr [rsi]
	pop	rax
	keep	rax
	pop	rax
	keep	rax
	pop	ax
	keep	rax
	sub	r12, rsp
	keep	r12
	mov	rbp, 0x1234
	mov	r12, rsp
	enter	32, 0
	mov	rax, r12
	sub	rax, rbp
	keep	rax
	leave
	keep	rbp
	push	rsp
	pop	rax
	sub	rax, rsp
	keep	rax
	pop	qword ptr [rsp - 16 + 8]
	sub	rsp, 8
	/* Addresses. */
	mov	rcx, 0x10
	lea	rax, [rcx + rcx * 8 + 0x123]
	keep	rax
	lea	eax, [rcx * 4 - 0x1000]
	keep	rax
	lea	ax, [rcx - 0x30]
	keep	rax
	lea	rax, [ecx - 0x20]
	keep	rax
	lea	rax, [rip + 2f]
	lea	rdx, [rip + 2f]
2:	sub	rax, rdx
	keep	rax
	mov	eax, 0x55
	lea	rbx, [rip + table]
	mov	al, 3
	xlatb
	keep	rax
	/* Calls, loops, flags. */
	mov	ecx, 5
	xor	eax, eax
3:	add	eax, ecx
	loop	3b
	keep	rax
	jrcxz	4f
	keep	rbx
4:	push	7
	push	8
	call	5f
	keep	rax
	jmp	6f
5:	mov	rax, [rsp + 8]
	ret	16
6:	mov	ah, 0xd5
	sahf
	keep_flags
	lahf
	and	eax, 0xffff
	keep	rax
	stc
	cmc
	keep_flags CF
	std
	keep_flags DF
	cld
	finish
table:	.byte	1, 2, 4, 8
