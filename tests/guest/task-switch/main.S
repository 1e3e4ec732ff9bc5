/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hardware task switches, SDM 3, chapter 7: CALL, JMP, IRET and a fault through
 * a task gate, between 32- and 16-bit TSSs; what is saved, loaded, marked busy;
 * the T flag; what is refused, and in which task.
 * The processor under the nested KVM is QEMU's, whose switch leaves RF out.
 * expect: status=0
 * engines: interp
 */
#include "start.inc"
#include "steps.inc"

#define CODE   0x08
#define DATA   0x10
#define MAIN   0x18 /* 32-bit TSS, the one that runs first */
#define OTHER  0x20 /* 32-bit TSS */
#define SMALL  0x28 /* 16-bit TSS */
#define SHORT  0x30 /* 32-bit TSS, limit 66h */
#define ABSENT 0x38 /* 32-bit TSS, P clear */
#define GATE   0x40 /* task gate to OTHER */
#define LDT    0x48
#define DPL3   0x50 /* 32-bit TSS, DPL 3 */

#define NT     0x4000

	.macro	tss_descriptor selector:req address:req limit:req type:req
	mov	$\address, %eax
	movw	$\limit, gdt + \selector
	mov	%ax, gdt + \selector + 2
	shr	$16, %eax
	mov	%al, gdt + \selector + 4
	movb	$\type, gdt + \selector + 5
	movb	$0, gdt + \selector + 6
	mov	%ah, gdt + \selector + 7
	.endm

/* The type byte of a descriptor. */
	.macro	must_type selector:req wanted:req
	cmpb	$\wanted, gdt + \selector + 5
	must	e
	.endm

/* A 32-bit TSS to be entered at `ip`. */
	.macro	tss_fill tss:req ip:req
	movl	$\ip, \tss + 0x20
	movl	$2, \tss + 0x24
	movl	$0x11111111, \tss + 0x28	/* EAX */
	movl	$0x77777777, \tss + 0x44	/* EDI */
	movl	$other_stack, \tss + 0x38
	movw	$DATA, \tss + 0x48
	movw	$CODE, \tss + 0x4c
	movw	$DATA, \tss + 0x50
	movw	$DATA, \tss + 0x54
	movw	$0, \tss + 0x58
	movw	$DATA, \tss + 0x5c
	movw	$LDT, \tss + 0x60
	movw	$0, \tss + 0x64
	.endm

start:
	load_tables
	catch_faults
	lgdt	gdt_pointer
	tss_descriptor MAIN main_tss 0x67 0x89
	tss_descriptor OTHER other_tss 0x67 0x89
	tss_descriptor SMALL small_tss 0x2b 0x81
	tss_descriptor SHORT other_tss 0x66 0x89
	tss_descriptor ABSENT other_tss 0x67 0x09
	tss_descriptor LDT ldt 0x0f 0x82
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$MAIN, %eax
	ltr	%ax
	step	1
	must_type MAIN 0x8b

	/* CALL: nested, link, NT, TS; IRET undoes it. */
	step	2
	clts
	tss_fill other_tss called
	mov	$0x2468ace0, %ebx
	lcall	$OTHER, $0
	step	3
	cmp	$0x2468ace0, %ebx
	must	e
	must_type OTHER 0x89
	must_type MAIN 0x8b
	pushf
	testl	$NT, (%esp)
	must	z
	popf
	/* What the other task saved: EFLAGS without NT, its EIP after IRET. */
	testl	$NT, other_tss + 0x24
	must	z
	must_equal other_tss + 0x20 after_iret
	must_equal other_tss + 0x34 0x1357		/* EBX */

	/* CALL again goes on after the IRET. */
	step	4
	lcall	$OTHER, $0
	must_equal other_tss + 0x28 0xcafe

	/* JMP to a 16-bit TSS through its descriptor: MAIN is not busy. */
	step	5
	movw	$small_task - 0x100000, small_tss + 0x0e
	movw	$2, small_tss + 0x10
	movw	$0x4321, small_tss + 0x12
	movw	$0x8000, small_tss + 0x1a
	movw	$DATA, small_tss + 0x22
	movw	$0x58, small_tss + 0x24
	movw	$DATA, small_tss + 0x26
	movw	$DATA, small_tss + 0x28
	mov	$0x89abcdef, %ecx
	ljmp	$SMALL, $0
	step	7
	cmp	$0x89abcdef, %ecx
	must	e
	must_type SMALL 0x81
	must_type MAIN 0x8b

	/* CALL through a task gate in the GDT. */
	step	8
	movw	$OTHER, gdt + GATE + 2
	movb	$0x85, gdt + GATE + 5
	tss_fill other_tss called
	lcall	$GATE, $0
	must_type OTHER 0x89

	/* #GP through a task gate: its error code on the new task's stack, RF
	 * in the old one's EFLAGS, EIP at the instruction. */
	step	9
	movw	$OTHER, idt + 13 * 8 + 2
	movw	$0x8500, idt + 13 * 8 + 4
	tss_fill other_tss protection_task
	mov	$0x1238, %eax
faulting:
	mov	%eax, %fs
	must_equal other_tss + 0x28 0x1238

	/* What is refused: in the old task, which stays. */
	step	10
	set_gate 13 expect_gp
	set_gate 10 expect_ts
	set_gate 11 expect_np
	xor	%ebp, %ebp
	movl	$1f, resume
	lcall	$MAIN, $0	/* busy */
1:	cmp	$MAIN << 8 | 13, %ebp
	must	e
	step	11
	movl	$1f, resume
	lcall	$SHORT, $0
1:	cmp	$SHORT << 8 | 10, %ebp
	must	e
	step	12
	movl	$1f, resume
	lcall	$ABSENT, $0
1:	cmp	$ABSENT << 8 | 11, %ebp
	must	e
	must_type MAIN 0x8b
	str	%eax
	cmp	$MAIN, %eax
	must	e
	/* IRET with NT to a task that is not busy: #TS. */
	step	13
	movl	$1f, resume
	movw	$OTHER, main_tss
	pushf
	orl	$NT, (%esp)
	popf
	iret
1:	cmp	$OTHER << 8 | 10, %ebp
	must	e
	pushf
	andl	$~NT, (%esp)
	popf

	/* A bad segment faults in the new task, after the switch: table 7-1. */
	step	14
	tss_fill other_tss called
	movw	$0x1230, other_tss + 0x54	/* DS is beyond the GDT */
	movl	$bad_segment, resume
	lcall	$OTHER, $0
back_from_bad:
	step	16
	must_type OTHER 0x89

	/* The T flag: #DB before the new task's first instruction. */
	step	17
	set_gate 1 debug_trap
	tss_fill other_tss called
	movw	$1, other_tss + 0x64
	movl	$0, %eax
	mov	%eax, %dr6
	/* Local breakpoints go with the old task. */
	mov	$0x00000755, %eax
	mov	%eax, %dr7
	mov	$0x1000, %eax
	mov	%eax, %dr0
	mov	%eax, %dr1
	mov	%eax, %dr2
	mov	%eax, %dr3
	lcall	$OTHER, $0
	step	19
	cmpb	$1, traps
	must	e
	mov	%dr7, %eax
	cmp	$0x600, %eax
	must	e
	finish	0

/* --- the other task ------------------------------------------------------- */

called:
	step	101
	cmp	$0x11111111, %eax
	must	e
	cmp	$0x77777777, %edi
	must	e
	str	%ecx
	cmp	$OTHER, %ecx
	must	e
	sldt	%ecx
	cmp	$LDT, %ecx
	must	e
	mov	%cr0, %ecx
	test	$8, %ecx
	must	nz
	pushf
	testl	$NT, (%esp)
	must	nz
	popf
	cmpw	$MAIN, other_tss
	must	e
	must_type OTHER 0x8b
	must_type MAIN 0x8b
	mov	$0x1357, %ebx
	iret
after_iret:
	step	102
	cmp	$0x1357, %ebx
	must	e
	mov	$0xcafe, %eax
	iret

protection_task:
	step	103
	pop	%eax
	cmp	$0x1238, %eax
	must	e
	must_equal main_tss + 0x20 faulting
	testl	$0x10000, main_tss + 0x24	/* RF */
	must	nz
	addl	$2, main_tss + 0x20
	iret

bad_segment:
	/* In OTHER: #TS with the selector. DS has it too, but not more. */
	mov	%ds, %ecx
	mov	$DATA, %eax
	mov	%eax, %ds
	step	15
	cmp	$0x1230, %ecx
	must	e
	cmp	$0x1230 << 8 | 10, %ebp
	must	e
	str	%eax
	cmp	$OTHER, %eax
	must	e
	iret

	.code16
small_task:
	addr32 movb $6, step_number
	cmp	$0x4321, %ax
	jne	1f
	str	%ax
	cmp	$SMALL, %ax
	jne	1f
	addr32 cmpb $0x83, gdt + SMALL + 5
	jne	1f
	addr32 cmpb $0x89, gdt + MAIN + 5
	jne	1f
	ljmp	$MAIN, $0
1:	mov	$EXIT_STATUS, %dx
	mov	$6, %al
	out	%al, %dx
2:	jmp	2b
	.code32

/* --- handlers: EBP becomes error code << 8 | vector ------------------------ */

	.macro	handler name:req vector:req
\name:	mov	%ss:(%esp), %ebp
	shl	$8, %ebp
	or	$\vector, %ebp
	add	$4, %esp
	push	%eax
	mov	%cs:resume, %eax
	mov	%eax, %ss:4(%esp)
	pop	%eax
	iret
	.endm

	/* NT is clear in a handler: its IRET is a plain one. */
	handler	expect_gp 13
	handler	expect_ts 10
	handler	expect_np 11

debug_trap:
	step	18
	cmpl	$called, (%esp)
	must	e
	push	%eax
	mov	%dr6, %eax
	cmp	$0xffff8ff0, %eax
	must	e
	pop	%eax
	incb	traps
	iret

	.data
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
	.fill	8, 8, 0
	.quad	0x00009b100000ffff		/* 58h: 16-bit code at 1 MiB */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
ldt:	.quad	0, 0
resume:	.long	0
traps:	.byte	0
	.bss
	.balign	16
main_tss:
	.space	0x68
	.balign	16
other_tss:
	.space	0x68
	.balign	16
small_tss:
	.space	0x2c
	.balign	16
	.space	4096
other_stack:
