/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Segments in protected mode, SDM 3, 3.4.5, 5.3 to 5.8: expand-down, read-only
 * and execute-only, absent and null ones, the accessed bit, the LDT, stacks of
 * 16-bit pointers, conforming code, and call gates of both sizes to an inner
 * level and back. The processor under the nested KVM is QEMU's, which has no
 * limits here.
 * expect: status=0
 * engines: interp
 */
#include "start.inc"
#include "steps.inc"

#define CODE	  0x08
#define DATA	  0x10
#define USER_CODE 0x1b
#define USER_DATA 0x23
#define TSS	  0x28
#define DOWN32	  0x30 /* expand-down, limit fffh, to 4 GiB */
#define DOWN16	  0x38 /* the same, to 64 KiB */
#define READ_ONLY 0x40
#define EXEC_ONLY 0x48
#define ABSENT	  0x50
#define CONFORMING 0x58
#define SMALL	  0x60 /* stack at 2 MiB, SP of 16 bits */
#define GATE32	  0x68 /* one parameter */
#define GATE16	  0x70 /* two parameters */
#define LDT	  0x78
#define GATE0	  0x80 /* DPL 0 */
#define CODE1M	  0x88 /* the code from 1 MiB on */
#define FRESH	  0x90 /* data, not accessed yet */
#define USER_CODE1M 0x9b

/* The instruction faults by this vector, with this error code. */
	.macro	faults vector:req error:req instruction:vararg
	movl	$95f, resume
	movl	$-1, vector
	\instruction
	jmp	failed
95:	cmpl	$\vector, vector
	must	e
	cmpl	$\error, error
	must	e
	.endm

/* Goes on at CPL 3; INT 80h or a fault leads to `back` at CPL 0. */
	.macro	at_user code:req back:req selector=USER_CODE
	movl	$\back, resume
	movl	$-1, vector
	push	$USER_DATA
	push	$stack3
	pushf
	push	$\selector
	push	$\code
	iret
	.endm

	.macro	load index:req selector:req
	mov	$\selector, %eax
	mov	%eax, %\index
	.endm

start:
	load_tables
	lgdt	gdt_pointer
	catch_faults
	.irp	number, 6, 10, 11, 12, 13
	set_gate \number caught_\number
	.endr
	set_gate 0x80 leave_user
	movb	$0xee, idt + 0x80 * 8 + 5
	movl	$tss, %eax
	mov	%ax, gdt + TSS + 2
	shr	$16, %eax
	mov	%al, gdt + TSS + 4
	movl	$ldt, %eax
	mov	%ax, gdt + LDT + 2
	shr	$16, %eax
	mov	%al, gdt + LDT + 4
	movl	$inner32, %eax
	mov	%ax, gdt + GATE32
	shr	$16, %eax
	mov	%ax, gdt + GATE32 + 6
	movl	$inner16 - 0x100000, %eax
	mov	%ax, gdt + GATE16
	movl	$stack0, tss + 4
	movl	$DATA, tss + 8
	mov	$TSS, %eax
	ltr	%ax

	/* Expand-down: what an ordinary segment has is what it has not. */
	step	1
	load	es, DOWN32
	faults	13, 0, mov %es:0xfff, %al
	faults	13, 0, mov %es:0, %eax
	mov	%es:0x1000, %al
	mov	%es:0x100000, %eax
	step	2
	load	es, DOWN16
	faults	13, 0, mov %es:0xffe, %ax
	mov	%es:0x1000, %ax
	mov	%es:0xfffe, %ax
	faults	13, 0, mov %es:0xffff, %ax
	faults	13, 0, mov %es:0x10000, %al
	/* As a stack: #SS. */
	step	3
	movl	$1f, resume
	movl	$-1, vector
	mov	$DOWN16, %eax
	mov	%eax, %ss
	mov	$0x8000, %esp
	push	%eax
	cmpl	$DOWN16, 0x7ffc
	must	e
	mov	%ss:0x800, %eax
	jmp	failed
1:	cmpl	$12, vector
	must	e

	step	4
	load	es, READ_ONLY
	mov	%es:word, %eax
	faults	13, 0, mov %eax, %es:word
	step	5
	load	ds, DATA
	faults	13, 0, mov %eax, %cs:word
	mov	%cs:word, %eax
	step	6
	faults	13, EXEC_ONLY, load fs, EXEC_ONLY
	faults	11, ABSENT, load fs, ABSENT
	faults	12, ABSENT, load ss, ABSENT
	faults	13, 0, load ss, 0
	faults	13, READ_ONLY, load ss, READ_ONLY
	faults	13, USER_DATA & ~3, load ss, USER_DATA
	faults	13, CODE, load ss, CODE
	faults	13, 0xa0, load fs, 0xa0
	faults	6, 0, load cs, CODE
	/* Code that may not be read may be run. */
	step	7
	ljmp	$EXEC_ONLY, $1f
1:	faults	13, 0, mov %cs:word, %eax
	ljmp	$CODE, $1f
1:
	/* A null selector loads, and faults when it is used. */
	step	8
	load	fs, 3
	faults	13, 0, mov %fs:word, %eax
	mov	%fs, %eax
	cmp	$3, %eax
	must	e

	step	9
	testb	$1, gdt + FRESH + 5
	must	z
	load	fs, FRESH
	testb	$1, gdt + FRESH + 5
	must	nz

	/* The LDT: none, then two entries. */
	step	10
	xor	%eax, %eax
	lldt	%ax
	faults	13, 0x0c, load fs, 0x0c
	step	11
	mov	$LDT, %eax
	lldt	%ax
	load	fs, 0x0c
	mov	%fs:word, %eax
	cmp	$0x12345678, %eax
	must	e
	faults	13, 0x14, load fs, 0x14
	load	fs, 0
	xor	%eax, %eax
	lldt	%ax

	/* SP of 16 bits wraps, and ESP's upper half stays. */
	step	12
	mov	%esp, %ebp
	mov	$SMALL, %eax
	mov	$0x45670000, %ecx
	mov	%eax, %ss
	mov	%ecx, %esp
	pushl	$0x5a5a5a5a
	mov	%esp, %ecx
	mov	$DATA, %eax
	mov	%eax, %ss
	mov	%ebp, %esp
	cmp	$0x4567fffc, %ecx
	must	e
	cmpl	$0x5a5a5a5a, 0x20fffc
	must	e

	/* Conforming code keeps the caller's level. */
	step	13
	at_user	1f, 2f
1:	lcall	$CONFORMING, $3f
	int	$0x80
3:	mov	%cs, %edx
	lret
2:	cmpl	$0x80, vector
	must	e
	cmp	$CONFORMING + 3, %edx
	must	e
	/* Other code does not: no call without a gate, none by one of DPL 0. */
	step	14
	at_user	1f, 2f
1:	lcall	$CODE, $failed
2:	cmpl	$13, vector
	must	e
	cmpl	$CODE, error
	must	e
	step	15
	at_user	1f, 2f
1:	lcall	$GATE0, $0
2:	cmpl	$13, vector
	must	e
	cmpl	$GATE0, error
	must	e

	/* By a gate: stack of the TSS, parameters copied, and back again; data
	 * segments of the inner level stay there. */
	step	16
	at_user	1f, 2f
1:	push	$0x11223344
	mov	%esp, %ebx
	lcall	$GATE32, $0
	mov	%esp, %ecx
	mov	%fs, %edi
	int	$0x80
2:	cmpl	$0x80, vector
	must	e
	cmp	$0x11223344, %edx
	must	e
	cmp	$stack0 - 20, %esi
	must	e
	add	$4, %ebx
	cmp	%ebx, %ecx
	must	e
	test	%edi, %edi
	must	z
	/* IP of 16 bits, so from the segment that begins at 1 MiB. */
	step	17
	at_user	1f-0x100000, 2f, USER_CODE1M
1:	pushw	$0x1122
	pushw	$0x3344
	mov	%esp, %ebx
	lcall	$GATE16, $0
	mov	%esp, %ecx
	int	$0x80
2:	cmpl	$0x80, vector
	must	e
	cmp	$0x11223344, %edx
	must	e
	cmp	$stack0 - 12, %esi
	must	e
	/* The 16-bit gate kept half of ESP; 64 KiB hold the stack. */
	add	$4, %ebx
	cmp	%bx, %cx
	must	e
	finish	0

/* [ESP]: EIP CS parameter ESP SS */
inner32:
	mov	%esp, %esi
	mov	8(%esp), %edx
	mov	$DATA, %eax
	mov	%eax, %fs
	lret	$4

/* [ESP]: IP CS, two parameters, SP SS; all of 16 bits */
inner16:
	mov	%esp, %esi
	mov	4(%esp), %edx
	lretw	$4

	.irp	number, 10, 11, 12, 13
caught_\number:
	mov	$DATA, %eax
	mov	%eax, %ds
	movl	$\number, vector
	pop	error
	jmp	go_on
	.endr
caught_6:
	movl	$6, vector
	movl	$0, error
	jmp	go_on
leave_user:
	mov	$DATA, %eax
	mov	%eax, %ds
	movl	$0x80, vector
go_on:
	mov	$DATA, %eax
	mov	%eax, %ss
	mov	$stack, %esp
	jmp	*resume

	.data
	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* CODE */
	.quad	0x00cf93000000ffff	/* DATA */
	.quad	0x00cffb000000ffff	/* USER_CODE */
	.quad	0x00cff3000000ffff	/* USER_DATA */
	.quad	0x0000890000000067	/* TSS */
	.quad	0x0040960000000fff	/* DOWN32 */
	.quad	0x0000960000000fff	/* DOWN16 */
	.quad	0x00cf91000000ffff	/* READ_ONLY */
	.quad	0x00cf99000000ffff	/* EXEC_ONLY */
	.quad	0x00cf13000000ffff	/* ABSENT */
	.quad	0x00cf9e000000ffff	/* CONFORMING */
	.quad	0x000093200000ffff	/* SMALL */
	.quad	0x0000ec0100080000	/* GATE32 */
	.quad	0x0000e40200880000	/* GATE16 */
	.quad	0x000082000000000f	/* LDT */
	.quad	0x00008c0000080000	/* GATE0 */
	.quad	0x00409b100000ffff	/* CODE1M */
	.quad	0x00cf92000000ffff	/* FRESH */
	.quad	0x0040fb100000ffff	/* USER_CODE1M */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
	.balign	8
ldt:	.quad	0, 0x00cf93000000ffff
word:	.long	0x12345678
vector:	.long	0
error:	.long	0
resume:	.long	0
	.bss
	.balign	16
tss:	.space	104
	.balign	16
	.space	2048
stack0:
	.space	2048
stack3:
