/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer waits for a TSC that TSC_ADJUST and writes to the TSC
 * move: ahead over the deadline, and it comes at once; back, and later. The MSR
 * reads as it was written. EBX is the step; the first that fails ends the guest
 * with it.
 * expect: status=0
 * engines: interp
 * (KVM lets a deadline be that is armed.)
 */
#include "start.inc"
#include "long.inc"

#define TSC        0x10
#define TSC_ADJUST 0x3b
#define DEADLINE   0x6e0
#define X2APIC     0x800
#define FAR        40			/* log2 of ticks: minutes */

	.macro	must condition:req
	j\condition	97f
	jmp	failed
97:
	.endm

	.macro	write msr:req
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$\msr, %ecx
	wrmsr
	.endm

	.macro	read msr:req
	mov	$\msr, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	.endm

start:
	set_up_long_mode
	set_gate64 48 tick
	mov	$0x1b, %ecx		/* APIC_BASE: x2APIC */
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$0x1ff, %eax
	write	X2APIC + 0x0f
	mov	$0x40000 | 48, %eax
	write	X2APIC + 0x32
	xor	%edi, %edi
	sti

	mov	$1, %ebx		/* far away: it does not come */
	read	TSC
	bts	$FAR, %rax
	mov	%rax, %rsi
	write	DEADLINE
	call	wait
	must	z
	read	DEADLINE
	cmp	%rsi, %rax
	must	e
	mov	$2, %ebx		/* the TSC goes ahead, not far enough */
	mov	$1 << (FAR - 2), %rax
	write	TSC_ADJUST
	call	wait
	must	z
	read	DEADLINE
	cmp	%rsi, %rax
	must	e
	mov	$3, %ebx		/* and beyond */
	xor	%edi, %edi
	mov	$1 << (FAR + 1), %rax
	write	TSC_ADJUST
	call	wait
	cmp	$1, %edi
	must	e
	read	DEADLINE
	test	%rax, %rax
	must	z
	mov	$4, %ebx		/* the same by a write to the TSC */
	xor	%edi, %edi
	read	TSC
	bts	$(FAR - 1), %rax
	mov	%rax, %rsi
	write	DEADLINE
	call	wait
	must	z
	xor	%edi, %edi
	lea	1(%rsi), %rax
	write	TSC
	call	wait
	cmp	$1, %edi
	must	e
	mov	$5, %ebx		/* back: what would come soon waits */
	xor	%edi, %edi
	read	TSC_ADJUST
	mov	%rax, %r8
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	$20000000, %rax
	mov	%rax, %rsi
	write	DEADLINE
	mov	$1 << FAR, %rax
	neg	%rax
	add	%r8, %rax
	write	TSC_ADJUST
	mov	$20, %r9d
1:	call	wait
	must	z
	dec	%r9d
	jnz	1b
	mov	%r8, %rax		/* and forth: it comes */
	write	TSC_ADJUST
	mov	$6, %ebx
1:	test	%edi, %edi
	jz	1b
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	cmp	%rsi, %rax
	must	ae
	mov	$7, %ebx		/* disarmed stays disarmed */
	xor	%edi, %edi
	mov	$1 << (FAR + 3), %rax
	write	TSC_ADJUST
	call	wait
	must	z
	finish	0

/* 20 million ticks at most. Z if no interrupt came; EDI counts them. */
wait:
	rdtsc
	shl	$32, %rdx
	lea	20000000(%rax,%rdx), %r10
1:	test	%edi, %edi
	jnz	2f
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	cmp	%r10, %rax
	jb	1b
2:	test	%edi, %edi
	ret

tick:
	inc	%edi
	push	%rax
	push	%rcx
	push	%rdx
	xor	%eax, %eax
	write	X2APIC + 0x0b		/* EOI */
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq
failed:
	mov	%bl, %al
	mov	$EXIT_STATUS, %edx
	out	%al, %dx
1:	hlt
	jmp	1b
