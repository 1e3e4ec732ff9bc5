/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel's data at constant distances from GS's base: what they are follows
 * SWAPGS, WRGSBASE, WRMSR, INVLPG and CR3 at once, and stores and code there are
 * as elsewhere. Each way of access is a subroutine, so that it is the same
 * instruction that meets it all.
 * expect: status=0 io=1
 */
#include "start.inc"
#define BASE	      0xffffffff80000000 /* pages 0 to 3 of `table` */
#define OTHER	      0xffffffff80002000
#define GS_BASE	      0xc0000101
#define KERNEL_GS     0xc0000102

	.macro	write_msr number:req value:req
	mov	$\number, %ecx
	mov	$(\value) & 0xffffffff, %eax
	mov	$(\value) >> 32 & 0xffffffff, %edx
	wrmsr
	.endm

	.macro	reads value:req at=8
	call	read_\at
	cmp	$\value, %rax
	expect	e
	.endm

/* So many faults since the last time; the last one's error code and address. */
	.macro	faults count:req error=0 at=BASE+8
	cmp	$\count, %r8d
	expect	e
	.if	\count
	cmp	$\error, %r9d
	expect	e
	mov	$\at, %rax
	mov	%cr2, %rcx
	cmp	%rax, %rcx
	expect	e
	.endif
	xor	%r8d, %r8d
	.endm

	.macro	set_page number:req frame:req bits=3
	movl	$\frame + \bits, table + 8 * \number
	.endm

start:
	movl	$pdpt + 3, pml4
	movl	$pdpt_high + 3, pml4 + 4088
	movl	$pd + 3, pdpt
	movl	$pd_high + 3, pdpt_high + 4080
	movl	$0x83, pd		/* 2 MiB, present, writable */
	movl	$table + 3, pd_high
	set_page 0 frame_0
	set_page 1 frame_1
	set_page 2 frame_2
	set_page 3 frame_3
	enter_long_mode pml4 descriptor cr4=0x10020 /* FSGSBASE */
	mov	$16, %eax
	mov	%eax, %ss
	mov	$stack, %rsp
	mov	$fault, %eax
	mov	%ax, idt + 14 * 16
	movw	$8, idt + 14 * 16 + 2
	movw	$0x8e00, idt + 14 * 16 + 4
	shr	$16, %eax
	mov	%ax, idt + 14 * 16 + 6
	lidt	idt_descriptor
	xor	%r8d, %r8d
	mov	%cr0, %rax
	or	$0x10000, %eax		/* WP */
	mov	%rax, %cr0
	movl	$100, frame_0 + 8
	movl	$101, frame_1 + 8
	movl	$102, frame_2 + 8
	movl	$103, frame_3 + 8
	movl	$104, frame_0 + 16
	write_msr GS_BASE BASE
	write_msr KERNEL_GS OTHER

	/* Reads and writes, and whose they are. */
	reads	100
	reads	101 0x1008
	mov	$200, %ebx
	call	write_8
	reads	200
	cmpl	$200, frame_0 + 8
	expect	e

	/* SWAPGS there and back, and other ways of changing the base. */
	mov	$100, %r12d
1:	swapgs
	reads	102
	reads	103 0x1008
	incl	%ebx
	call	write_8
	cmp	%ebx, frame_2 + 8
	expect	e
	movl	$102, frame_2 + 8
	swapgs
	reads	200
	dec	%r12d
	jnz	1b
	mov	$OTHER, %rax
	wrgsbase %rax
	reads	102
	mov	$BASE + 8, %rax		/* not at a page's start */
	wrgsbase %rax
	reads	104
	call	read_0
	cmp	$200, %rax
	expect	e
	write_msr GS_BASE BASE + 0x1000
	reads	101
	mov	$frame_3, %eax		/* below */
	wrgsbase %rax
	reads	103
	mov	$BASE, %rax
	wrgsbase %rax
	reads	200

	/* INVLPG and CR3. */
	set_page 0 frame_1
	invlpg	BASE
	reads	101
	call	write_8
	cmp	%ebx, frame_1 + 8
	expect	e
	set_page 0 frame_0
	mov	%cr3, %rax
	mov	%rax, %cr3
	reads	200
	cmp	%ebx, frame_1 + 8
	expect	e

	/* Pages that may not be written, or are not there. */
	set_page 0 frame_0 1
	invlpg	BASE
	reads	200
	call	write_8
	faults	1 3
	call	write_8			/* the handler allowed it */
	faults	0
	cmp	%ebx, frame_0 + 8
	expect	e
	set_page 0 frame_0 2
	invlpg	BASE
	call	read_8
	mov	%rax, %rdi
	faults	1 0
	cmp	%rbx, %rdi
	expect	e

	/* Code there, before and after it is written. */
	movl	$0xc3582a6a, frame_0 + 8	/* push 42; pop rax; ret */
	mov	$frame_0 + 8, %esi
	call	*%rsi
	cmp	$42, %eax
	expect	e
	mov	$0xc3582b6a, %ebx		/* push 43 */
	call	write_8
	call	*%rsi
	cmp	$43, %eax
	expect	e
	mov	$0xc3582c6a, %ebx
	call	write_8
	call	*%rsi
	cmp	$44, %eax
	expect	e

	/* Across the end of the page, and locked. */
	movq	$-1, frame_0 + 0xff8
	movq	$0, frame_1
	mov	%gs:0xffc, %rax
	mov	$0xffffffff, %ecx
	cmp	%rcx, %rax
	expect	e
	lock incq %gs:0xff8
	expect	z
	cmpq	$0, frame_0 + 0xff8
	expect	e
	finish	0

read_8:
	mov	%gs:8, %rax
	ret
read_0x1008:
	mov	%gs:0x1008, %rax
	ret
read_0:
	mov	%gs:0, %rax
	ret
write_8:
	mov	%ebx, %gs:8
	ret

/* Allows all, and does it again. */
fault:
	pop	%r9
	inc	%r8d
	set_page 0 frame_0
	invlpg	BASE
	iretq

idt_descriptor:
	.word	2047
	.quad	idt
	long_mode_tables
pdpt_high:
	.space	4096
pd_high:
	.space	4096
table:	.space	4096
frame_0:
	.space	4096
frame_1:
	.space	4096
frame_2:
	.space	4096
frame_3:
	.space	4096
