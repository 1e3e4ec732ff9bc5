/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual-8086 mode, SDM 3, chapter 20: entry by IRET, exit by an interrupt,
 * what IOPL 0 refuses, INT n with and without CR4.VME, VIF and VIP, the I/O
 * bitmap, limits. The processor under the nested KVM is QEMU's, which has no
 * limits here.
 * expect: status=0
 * engines: interp
 */
#include "start.inc"
#include "steps.inc"

#define TSS  0x18
#define VM   0x20000
#define VIF  0x80000
#define VIP  0x100000
#define IOPL 0x3000

/* Enters 8086 code at linear `code` with these flags; comes back at the next
 * instruction with the error code in EBP (-1: none) and the vector in BL, the
 * frame of the exception at ESI. */
	.macro	run_8086 code:req flags:req
	movl	$96f, resume
	mov	%esp, saved_sp
	push	$0x1040		/* GS FS DS ES */
	push	$0x1030
	push	$0x1020
	push	$0x2000
	push	$0x3000		/* SS:ESP */
	push	$0x100
	push	$VM + 2 + \flags
	push	$0x1000		/* CS */
	push	$\code - code_8086
	iret
96:
	.endm

	.macro	must_stop vector:req error:req at:req
	cmp	$\vector, %bl
	must	e
	cmp	$\error, %ebp
	must	e
	cmpw	$\at - code_8086, (%esi)
	must	e
	.endm

start:
	load_tables
	lgdt	gdt_pointer
	mov	$tss, %eax
	mov	%ax, gdt + TSS + 2
	shr	$16, %eax
	mov	%al, gdt + TSS + 4
	mov	%ah, gdt + TSS + 7
	movl	$inner_stack, tss + 4
	movw	$0x10, tss + 8
	movw	$0x88, tss + 102	/* I/O bitmap; 68h: redirection */
	movl	$-1, tss + 0x88
	andb	$~2, tss + 0x88		/* port 1 is free */
	movl	$-1, tss + 0x8c
	mov	$TSS, %eax
	ltr	%ax
	set_gate 13 protection
	set_gate 6 undefined
	set_gate 0x20 software
	orb	$0x60, idt + 0x20 * 8 + 5	/* DPL 3 */
	set_gate 0x21 software
	mov	$code_8086, %esi
	mov	$0x10000, %edi
	mov	$end_8086 - code_8086, %ecx
	rep movsb
	/* The 8086's own table: INT 20h and 21h. */
	movl	$0x10000000 + handler_8086 - code_8086, 0x20 * 4
	movl	$0x10000000 + handler_8086 - code_8086, 0x21 * 4

	/* IOPL 0: HLT, CLI, PUSHF, INT n are #GP(0); the segments are what the
	 * frame had, and are pushed. */
	step	1
	run_8086 just_halt 0
	must_stop 13 0 just_halt
	cmpl	$0x1000, 4(%esi)
	must	e
	testl	$VM, 8(%esi)
	must	nz
	cmpl	$0x100, 12(%esi)
	must	e
	cmpl	$0x3000, 16(%esi)
	must	e
	cmpl	$0x2000, 20(%esi)	/* ES */
	must	e
	cmpl	$0x1020, 24(%esi)	/* DS */
	must	e
	cmpl	$0x1030, 28(%esi)	/* FS */
	must	e
	cmpl	$0x1040, 32(%esi)	/* GS */
	must	e
	mov	old_ds, %eax		/* null in the handler: 20.2.6 */
	test	%eax, %eax
	must	z
	step	2
	run_8086 do_cli 0
	must_stop 13 0 do_cli
	step	3
	run_8086 do_pushf 0
	must_stop 13 0 do_pushf
	step	4
	run_8086 do_int20 0
	must_stop 13 0 do_int20
	/* LLDT is no instruction here. */
	step	5
	run_8086 do_lldt IOPL
	must_stop 6 -1 do_lldt
	/* IOPL 3: INT n through the IDT, by DPL; CLI and PUSHF work. */
	step	6
	run_8086 do_int20 IOPL
	must_stop 0x20 -1 after_int20
	step	7
	run_8086 do_int21 IOPL
	must_stop 13 0x10a do_int21
	step	8
	run_8086 do_flags 0x3200
	must_stop 13 0 end_flags
	cmp	$0x3202, %ax		/* before CLI */
	must	e
	cmp	$0x3002, %cx
	must	e
	/* The bitmap rules whatever IOPL is. */
	step	9
	run_8086 do_ports IOPL
	must_stop 13 0 refused_port
	/* A word over the segment's end. */
	step	10
	run_8086 over_end IOPL
	must_stop 13 0 over_end_at
	/* Addresses: segment * 16 + offset, ES has 2000h. */
	step	11
	movl	$0x600d600d, 0x2ffff - 0xf
	run_8086 read_es IOPL
	must_stop 13 0 end_read_es
	cmp	$0x600d600d, %eax
	must	e

	/* VME, where there is one. */
	mov	$1, %eax
	cpuid
	test	$2, %edx
	jz	done
	mov	%cr4, %eax
	or	$1, %eax
	mov	%eax, %cr4
	/* PUSHF shows VIF as IF, and IOPL 3; CLI clears VIF. */
	step	20
	run_8086 do_flags VIF
	must_stop 13 0 end_flags
	cmp	$0x3202, %ax
	must	e
	cmp	$0x3002, %cx
	must	e
	/* STI while VIP: #GP. */
	step	21
	run_8086 do_sti VIP
	must_stop 13 0 do_sti
	step	22
	run_8086 do_sti 0
	must_stop 13 0 end_sti
	testl	$VIF, 8(%esi)
	must	nz
	testl	$0x200, 8(%esi)
	must	z
	/* INT 20h: its bit is clear, the 8086's own handler runs with VIF
	 * clear and comes back by IRET. */
	step	23
	run_8086 do_int20 VIF
	must_stop 13 0 after_int20
	cmp	$0x3202, %ax		/* as pushed */
	must	e
	cmp	$0x3002, %cx		/* as in the handler */
	must	e
	testl	$VIF, 8(%esi)
	must	nz
	/* INT 21h: bit set, IOPL 0: #GP(0). */
	step	24
	orb	$2, tss + 0x68 + 4
	run_8086 do_int21 VIF
	must_stop 13 0 do_int21
done:	finish	0

/* --- handlers: all end the run --------------------------------------------- */

protection:
	mov	$13, %bl
	pop	%ebp
	jmp	handled
undefined:
	mov	$6, %bl
	mov	$-1, %ebp
	jmp	handled
software:
	mov	$0x20, %bl
	mov	$-1, %ebp
handled:
	mov	%ds, %edx
	mov	$0x10, %edi
	mov	%edi, %ds
	mov	%edi, %es
	mov	%edx, old_ds
	mov	%esp, %esi
	mov	saved_sp, %esp
	jmp	*resume

/* --- 8086 code, which runs at 1000:0 --------------------------------------- */

	.code16
code_8086:
just_halt:
	hlt
do_cli:	cli
do_pushf:
	pushf
do_int20:
	int	$0x20
after_int20:
	hlt
do_int21:
	int	$0x21
do_lldt:
	lldt	%ax
do_flags:
	pushf
	pop	%ax
	cli
	pushf
	pop	%cx
end_flags:
	hlt
do_sti:	sti
end_sti:
	hlt
do_ports:
	out	%al, $1
refused_port:
	out	%al, $2
over_end:
	mov	$0xffff, %bx
over_end_at:
	mov	(%bx), %ax
read_es:
	mov	$0xfff0, %bx
	mov	%es:(%bx), %eax
end_read_es:
	hlt
handler_8086:
	push	%bp
	mov	%sp, %bp
	mov	6(%bp), %ax
	pushf
	pop	%cx
	pop	%bp
	iret
end_8086:
	.code32
	.data
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
	.quad	0x0000890000000098
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
resume:	.long	0
saved_sp:
	.long	0
old_ds:	.long	0
	.bss
	.balign	16
tss:	.space	0x99
	.balign	16
	.space	4096
inner_stack:
	.text
