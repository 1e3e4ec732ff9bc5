/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real mode and the ways in and out, SDM 3, 9.9 and 20.1: 16-bit protected
 * mode, segments that keep their limits ("unreal mode"), what limits refuse,
 * the vector table, addresses over 1 MiB with the A20 gate open and closed.
 * expect: status=0
 * engines: interp
 */
#include "start.inc"
#include "steps.inc"

#define BASE 0x8000 /* the code below, copied, with CS = 800h */

start:
	load_tables
	lgdt	gdt_pointer
	mov	$low_begin, %esi
	mov	$BASE, %edi
	mov	$low_end - low_begin, %ecx
	rep movsb
	/* 16-bit protected mode first. */
	ljmp	$0x18, $in_16bit - low_begin

	.code16
	/* Status and end, from any 16-bit code. */
	.macro	must16 condition:req number:req
	j\condition	97f
	mov	$\number, %al
	jmp	end16
97:
	.endm
	/* A fault at the next instruction of this vector is expected; it comes
	 * back after it. */
	.macro	faults16 vector:req size:req
	movw	$\vector, %cs:(wanted - low_begin)
	movw	$\size, %cs:(skip - low_begin)
	movw	$0, %cs:(taken - low_begin)
	.endm

	.balign	16
low_begin:
end16:	mov	$EXIT_STATUS, %dx
	out	%al, %dx
1:	hlt
	jmp	1b

in_16bit:
	/* DS: limit FFFFh, then 32-bit limits for FS. */
	mov	$0x20, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7000, %esp
	mov	$0x10, %ax
	mov	%ax, %fs
	mov	$0x28, %ax		/* limit 0FFFh */
	mov	%ax, %gs
	lidt	%cs:(real_idt - low_begin)
	mov	%cr0, %eax
	and	$~1, %eax
	mov	%eax, %cr0
	ljmp	$BASE >> 4, $in_real - low_begin

in_real:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7000, %sp
	/* The table of vectors. */
	movw	$fault - low_begin, 13 * 4
	movw	$BASE >> 4, 13 * 4 + 2
	movw	$fault12 - low_begin, 12 * 4
	movw	$BASE >> 4, 12 * 4 + 2
	movw	$int80 - low_begin, 0x80 * 4
	movw	$BASE >> 4, 0x80 * 4 + 2

	/* INT: FLAGS, CS, IP; IF and TF clear inside. */
	sti
	mov	$0x1234, %bx
	int	$0x80
after_int:
	must16	c 1			/* from the handler, by IRET's image */
	pushf
	pop	%ax
	test	$0x200, %ax
	must16	nz 2
	cli
	cmp	$0x4321, %bx
	must16	e 3

	/* A word over the end of a segment: #GP, and #SS for the stack. */
	faults16 13 2
	mov	$0xffff, %bx
	mov	(%bx), %ax
	cmpw	$1, %cs:(taken - low_begin)
	must16	e 4
	faults16 12 3
	mov	$0xffff, %bp
	mov	(%bp), %ax
	cmpw	$1, %cs:(taken - low_begin)
	must16	e 5
	/* A byte there is fine. */
	mov	(%bx), %al
	/* 32-bit addresses beyond FFFFh: only where the limit allows. */
	faults16 13 3
	mov	$0x10000, %ebx
	mov	(%ebx), %al
	cmpw	$1, %cs:(taken - low_begin)
	must16	e 6
	mov	$mark, %edi
	movl	$0xfeedbeef, %fs:(%edi)
	cmpl	$0xfeedbeef, %fs:(%edi)
	must16	e 7
	/* Unreal mode outlives loads of the selector. */
	xor	%ax, %ax
	mov	%ax, %fs
	cmpl	$0xfeedbeef, %fs:(%edi)
	must16	e 8
	mov	%ax, %gs		/* its limit is 0FFFh still */
	faults16 13 4
	movb	%gs:0x1000, %al
	cmpw	$1, %cs:(taken - low_begin)
	must16	e 9

	/* PUSH of SP wraps; PUSHA, ENTER and a far CALL on a 16-bit stack. */
	mov	$0x89ab0000, %esp	/* the upper half stays */
	push	$0x77
	cmp	$0x89abfffe, %esp
	must16	e 10
	cmpw	$0x77, 0xfffe
	must16	e 11
	pop	%cx
	cmp	$0x89ab0000, %esp
	must16	e 12
	mov	$0x7000, %esp
	lcall	$BASE >> 4, $far - low_begin
	cmp	$0x5a5a, %ax
	must16	e 13

	/* 1 MiB: FFFF:0010 is it, or 0 with the gate closed. */
	movl	$0x600d0000, %fs:0x500
	mov	$0x100500, %edi
	movl	$0x600d0001, %fs:(%edi)
	mov	$0xffff, %ax
	mov	%ax, %es
	cmpl	$0x600d0001, %es:0x510
	must16	e 14
	in	$0x92, %al
	test	$2, %al
	must16	nz 15
	and	$~2, %al
	out	%al, $0x92
	cmpl	$0x600d0000, %es:0x510
	must16	e 16
	cmpl	$0x600d0000, %fs:(%edi)
	must16	e 17
	/* Bit 20 alone: 2 MiB is there. */
	mov	$0x200500, %esi
	movl	$0x600d0002, %fs:(%esi)
	cmpl	$0x600d0000, %fs:(%edi)
	must16	e 18
	mov	$0x300500, %esi
	cmpl	$0x600d0002, %fs:(%esi)
	must16	e 19
	in	$0x92, %al
	test	$2, %al
	must16	z 20
	or	$2, %al
	out	%al, $0x92
	cmpl	$0x600d0001, %es:0x510
	must16	e 21

	/* To 32-bit protected mode again, by LMSW. */
	smsw	%ax
	or	$1, %al
	lmsw	%ax
	ljmpl	$8, $back

int80:	/* AC, RF and the rest have no place in 16 bits. */
	cmp	$0x1234, %bx
	jne	1f
	pushf
	pop	%ax
	test	$0x300, %ax
	jnz	1f
	mov	%sp, %bp
	cmpw	$after_int - low_begin, (%bp)
	jne	1f
	cmpw	$BASE >> 4, 2(%bp)
	jne	1f
	orw	$1, 4(%bp)		/* CF */
	mov	$0x4321, %bx
	iret
1:	mov	$100, %al
	jmp	end16

far:	mov	$0x5a5a, %ax
	lret

fault12:
	cmpw	$12, %cs:(wanted - low_begin)
	je	skip_it
	mov	$112, %al
	jmp	end16
fault:	/* no error code in real mode */
	cmpw	$13, %cs:(wanted - low_begin)
	je	skip_it
	mov	$113, %al
	jmp	end16
skip_it:
	push	%bp
	mov	%sp, %bp
	push	%ax
	mov	%cs:(skip - low_begin), %ax
	add	%ax, 2(%bp)
	/* CS is writable here, and DS may be anything. */
	incw	%cs:(taken - low_begin)
	pop	%ax
	pop	%bp
	iret
	.balign	2
wanted:	.word	0
skip:	.word	0
taken:	.word	0
real_idt:
	.word	0x3ff
	.long	0
low_end:

	.code32
back:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	cmpl	$0xfeedbeef, mark
	jne	1f
	finish	0
1:	finish	99

	.data
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
	.quad	0x00009b008000ffff	/* 18h: 16-bit code at BASE */
	.quad	0x000093000000ffff	/* 20h: 16-bit data at 0 */
	.quad	0x0000930000000fff	/* 28h: 4 KiB of data */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
mark:	.long	0
	.text
