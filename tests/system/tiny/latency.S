/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How late a timer interrupt comes, by RDTSC, into each of several instructions
 * that take long and loops that never end. 1 GiB at 4 GiB, and the next, are
 * 2 MiB of memory each, over and over. Writes to the serial port: the TSC's rate
 * in kHz, then KINDS times SAMPLES latenesses in ticks, 64 bits each. With
 * "spin" on its command line it does the first of them for ever.
 */
#include "start.inc"
#include "long.inc"

#define SAMPLES   1024
#define KINDS     9
#define TO        0x100000000
#define FROM      0x140000000
#define X2APIC    0x800
#define DEADLINE  0x6e0
#define VECTOR    48

start:
	mov	24(%ebx), %esi		/* hvm_start_info: command line */
	set_up_long_mode
	movl	$pd_to + 7, pdpt + 4 * 8
	movl	$pd_from + 7, pdpt + 5 * 8
	mov	$0, %ecx
1:	movl	$0x2000087, pd_to(, %rcx, 8)
	movl	$0x2200087, pd_from(, %rcx, 8)
	inc	%ecx
	cmp	$512, %ecx
	jb	1b
	cmpl	$0x6e697073, (%rsi)	/* "spin" */
	je	spin
	set_gate64 VECTOR tick
	mov	$0x1b, %ecx		/* APIC_BASE: x2APIC */
	rdmsr
	or	$0xc00, %eax
	wrmsr
	mov	$X2APIC + 0x0f, %ecx	/* on */
	mov	$0x1ff, %eax
	xor	%edx, %edx
	wrmsr
	mov	$X2APIC + 0x32, %ecx	/* the timer: TSC deadline */
	mov	$0x40000 | VECTOR, %eax
	wrmsr
	mov	$samples, %r15		/* where the next goes */
next_kind:
	cmp	$samples_end, %r15
	jae	report
	lea	SAMPLES * 8(%r15), %r14
	mov	$stack, %rsp
	call	set_deadline
	sti
	mov	%r15, %rax
	sub	$samples, %rax
	shr	$13, %rax		/* of SAMPLES * 8 bytes */
	jmp	*kinds(, %rax, 8)

	.macro	long_instruction name:req count:req code:vararg
\name:	mov	$\count, %ecx
	mov	$TO, %rdi
	mov	$FROM, %rsi
	xor	%eax, %eax
	\code
	jmp	\name
	.endm

spin:
	long_instruction stosb 1 << 30, rep stosb
	long_instruction stosq 1 << 27, rep stosq
	long_instruction movsb 1 << 30, rep movsb
	long_instruction movsq 1 << 27, rep movsq
	long_instruction scasb 1 << 30, repe scasb	/* all of it is 0 */
	long_instruction cmpsq 1 << 27, repe cmpsq
loop:	jmp	loop
counted:
	mov	$1000000000, %ecx
1:	dec	%ecx
	jnz	1b
	jmp	counted
calls:	call	1f
	call	1f
	jmp	calls
1:	mov	$callee, %eax
	jmp	*%rax
callee:	ret

tick:
	push	%rax
	push	%rcx
	push	%rdx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	deadline, %rax
	mov	%rax, (%r15)
	add	$8, %r15
	mov	$X2APIC + 0x0b, %ecx	/* EOI */
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	cmp	%r14, %r15
	je	next_kind
	call	set_deadline
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

/* 100 microseconds from now, and a little, so that it meets all places. */
set_deadline:
	mov	tsc_khz, %eax
	test	%eax, %eax
	jz	1f
2:	xor	%edx, %edx
	mov	$10, %ecx
	div	%ecx
	mov	%eax, %ecx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%eax, %edx
	and	$0xffff, %edx
	add	%rdx, %rax
	add	%rcx, %rax
	mov	%rax, deadline
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$DEADLINE, %ecx
	wrmsr
	ret
1:	push	%rbx
	mov	$0x40000010, %eax	/* kHz, as hypervisors have it */
	cpuid
	pop	%rbx
	mov	%eax, tsc_khz
	jmp	2b

report:
	cld
	mov	$SERIAL, %edx
	mov	$tsc_khz, %esi
	mov	$8 + KINDS * SAMPLES * 8, %ecx
	rep outsb
	finish	0

	.data
	.balign	8
kinds:	.quad	stosb, stosq, movsb, movsq, scasb, cmpsq, loop, counted, calls
deadline:
	.quad	0
	.bss
	.balign	4096
pd_to:	.space	4096
pd_from:
	.space	4096
tsc_khz:
	.space	8
samples:
	.space	KINDS * SAMPLES * 8
samples_end:
