/* SPDX-License-Identifier: BSD-2-Clause */
/* String instructions, with and without REP, up and down, overlapping. */
#include "insn.inc"
	begin
	mov	r8, rdi			/* the area */
	mov	r9, rsi			/* the page */
	.macro	refill
	xor	ecx, ecx
1:	mov	[r9 + rcx], cl
	inc	ecx
	cmp	ecx, 256
	jb	1b
	.endm
	.macro	sum			/* of the page's first 256 bytes */
	xor	eax, eax
	xor	ecx, ecx
1:	imul	rax, rax, 31
	movzx	edx, byte ptr [r9 + rcx]
	add	rax, rdx
	inc	ecx
	cmp	ecx, 256
	jb	1b
	mov	[r8], rax
	add	r8, 8
	.endm
	.macro	ends
	mov	[r8], rsi
	sub	[r8], r9
	mov	[r8 + 8], rdi
	sub	[r8 + 8], r9
	mov	[r8 + 16], rcx
	add	r8, 24
	.endm
	.irp	size, b, w, d, q
	.irp	direction, cld, std
	refill
	\direction
	lea	rsi, [r9 + 100]
	lea	rdi, [r9 + 103]
	mov	ecx, 5
	rep movs\size
	ends
	lea	rdi, [r9 + 150]
	mov	rax, 0x1122334455667788
	mov	ecx, 3
	rep stos\size
	ends
	lods\size
	ends
	xor	ecx, ecx
	rep stos\size
	ends
	sum
	refill
	\direction
	lea	rdi, [r9 + 120]
	mov	rax, [r9 + 120]
	mov	ecx, 4
	repe scas\size
	ends
	pushfq
	pop	qword ptr [r8]
	and	qword ptr [r8], ALL
	add	r8, 8
	lea	rdi, [r9 + 60]
	mov	rax, [r9 + 64]
	mov	ecx, 9
	repne scas\size
	ends
	mov	byte ptr [r9 + 200], 90
	lea	rsi, [r9 + 90]
	lea	rdi, [r9 + 200]
	mov	ecx, 7
	repe cmps\size
	ends
	pushfq
	pop	qword ptr [r8]
	and	qword ptr [r8], ALL
	add	r8, 8
	lea	rsi, [r9 + 90]
	lea	rdi, [r9 + 200]
	cmps\size
	ends
	.endr
	.endr
	/* 32-bit addresses, and a count that only 32 bits have. */
	cld
	refill
	mov	rcx, 0x100000003
	lea	rdi, [r9 + 10]
	mov	al, 0x77
	mov	ecx, ecx
	rep stosb
	sum
	/* A number that is known, over the end of a page, wherever that is. */
	mov	rdi, r8
	xor	r10d, r10d
1:	mov	rax, r10
	mov	ecx, 5
	not	rax
	rep stosq
	lea	rsi, [rdi - 40]
	mov	ecx, 7
	rep movsq
	sub	rdi, 30
	mov	eax, ecx
	mov	rcx, 6
	rep stosd
	lea	rsi, [rdi - 33]
	mov	ecx, 9
	rep movsd
	lea	rdi, [rdi + rcx - 42]
	inc	r10d
	cmp	r10d, 110
	jb	1b
	mov	[rdi + 80], rsi
	sub	[rdi + 80], rdi
	add	rdi, 88
	finish
