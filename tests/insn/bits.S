/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit tests, also far outside of the operand in memory; scans and counts; BMI. */
#include "insn.inc"
	begin
	mov	rax, 0x8123456789abcdef
	mov	[rsi + 1024], rax
	.irp	op, bt, bts, btr, btc
	.irp	bit, 0, 5, 63, 64, 100, -1, -77, 1000
	mov	rcx, \bit
	mov	rax, 0x8123456789abcdef
	flags	0
	\op	rax, rcx
	keep_flags CF
	keep	rax
	flags	0
	\op	eax, ecx
	keep_flags CF
	keep	rax
	flags	0
	\op	qword ptr [rsi + 1024], rcx
	keep_flags CF
	flags	0
	\op	word ptr [rsi + 1024], cx
	keep_flags CF
	\op	dword ptr [rsi + 1024], 17
	keep_flags CF
	.endr
	.irp	place, 0, 64, 128, 192
	mov	rax, [rsi + 1024 + \place - 64]
	keep	rax
	.endr
	.endr
	.irp	value, 0, 1, 0x80, 0x8000, 0x80000000, 0x8000000000000000, 0x5a5a00, -1
	mov	rbx, \value
	mov	rax, 0x77
	bsf	rax, rbx
	keep_flags ZF
	.ifne	\value
	keep	rax
	.endif
	bsr	rax, rbx
	keep_flags ZF
	.ifne	\value
	keep	rax
	.endif
	.irp	op, popcnt, lzcnt, tzcnt
	mov	rax, -1
	\op	rax, rbx
	keep_flags ZF
	keep	rax
	\op	eax, ebx
	keep	rax
	\op	ax, bx
	keep_flags ZF
	keep	rax
	.endr
	.irp	op, blsi, blsr, blsmsk
	\op	rax, rbx
	keep_flags CF|ZF|SF|OF
	keep	rax
	\op	eax, ebx
	keep	rax
	.endr
	mov	rcx, 0x0f0f123400ff5678
	andn	rax, rcx, rbx
	keep_flags CF|ZF|SF|OF
	keep	rax
	pdep	rax, rbx, rcx
	keep	rax
	pext	rax, rbx, rcx
	keep	rax
	mov	ecx, 0x1008
	bextr	rax, rbx, rcx
	keep_flags CF|ZF|OF
	keep	rax
	bzhi	rax, rbx, rcx
	keep_flags CF|ZF|SF|OF
	keep	rax
	mov	rdx, 0xfedcba9876543210
	mulx	rcx, rax, rbx
	keep	rax
	keep	rcx
	bswap	rbx
	keep	rbx
	bswap	ebx
	keep	rbx
	movbe	[rsi], rbx
	movbe	rax, [rsi + 3]
	keep	rax
	.endr
	mov	rax, -1
	mov	rbx, 1
	flags	OF
	adcx	rax, rbx
	keep_flags CF|OF
	keep	rax
	adox	rax, rbx
	keep_flags CF|OF
	keep	rax
	mov	eax, 0x12345678
	crc32	eax, byte ptr [rsi]
	keep	rax
	crc32	rax, qword ptr [rsi]
	keep	rax
	finish
