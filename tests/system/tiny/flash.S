/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A flash chip of 64 KiB at the reset vector, and below 1 MiB its alias. Runs a
 * function in the alias and in the chip, programs the function's constant, and
 * runs it again: in the alias while the chip takes commands, in both when it
 * gives its bytes again. Then the same by erasing. Exit status: 0, or the number
 * of the check that failed.
 */
#define ALIAS	  0xf0000
#define CHIP	  0xffff0000
#define FUNCTION  0x1000 /* a block of its own */
#define CONSTANT  (FUNCTION + 1)
#define EXIT_PORT 0x505

	.code16
	.text
	.globl _start
_start:
begin:	cli
	lgdtl	%cs:gdt_pointer
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $ALIAS + protected
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	23
	.long	ALIAS + gdt

	.code32
/* Runs it often enough to be worth a translation; it must give `value`. */
	.macro	gives where:req value:req check:req
	mov	$\where + FUNCTION, %esi
	mov	$\value, %ebx
	mov	$\check, %ebp
	call	often
	.endm
	.macro	command where:req byte:req
	movb	$\byte, CHIP + \where
	.endm
protected:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0x8000, %esp
	gives	ALIAS 0x37 1
	gives	CHIP 0x37 2
	command	CONSTANT, 0x40
	command	CONSTANT, 0x33
	gives	ALIAS 0x33 3
	command	0, 0xff
	gives	CHIP 0x33 4
	gives	ALIAS 0x33 5
	command	CONSTANT, 0x40
	command	CONSTANT, 0x31
	command	0, 0xff
	gives	CHIP 0x31 6
	gives	ALIAS 0x31 7
	/* Erased, and made anew with another constant, by the buffer. */
	command	FUNCTION, 0x20
	command	FUNCTION, 0xd0
	cmpl	$-1, ALIAS + FUNCTION
	mov	$8, %ebp
	jne	fail
	command	FUNCTION, 0xe8
	command	FUNCTION, 5
	command	FUNCTION, 0xb8
	command	(FUNCTION + 1), 0x55
	command	(FUNCTION + 2), 0
	command	(FUNCTION + 3), 0
	command	(FUNCTION + 4), 0
	command	(FUNCTION + 5), 0xc3
	command	FUNCTION, 0xd0
	gives	ALIAS 0x55 9
	command	0, 0xff
	gives	CHIP 0x55 10
	xor	%ebp, %ebp
fail:	mov	%ebp, %eax
	mov	$EXIT_PORT, %edx
	out	%al, %dx
	hlt

often:	mov	$2000, %ecx
1:	call	*%esi
	cmp	%ebx, %eax
	jne	fail
	dec	%ecx
	jnz	1b
	ret

	.org	FUNCTION
	mov	$0x37, %eax
	ret

	.org	0xfff0
	.code16
	ljmp	$0xf000, $begin
	.org	0x10000
