/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A zImage: boot sector, setup code, and a kernel that is loaded low (boot.rst).
 * The setup code says by BIOS what it finds and ends with status (21h << 1) | 1.
 */
	.code16
	.text
	.globl _start
_start:
sector:
	.org	0x1f1
	.byte	1		/* sectors of setup code */
	.word	0
	.long	2		/* paragraphs of kernel */
	.org	0x1fe
	.word	0xaa55
	.byte	0xeb, begin - header
header:	.ascii	"HdrS"
	.word	0x0202
	.org	0x211
	.byte	0		/* not loaded high */
	.org	0x228
cmdline:
	.long	0
begin:
	movw	%cs, %ax
	subw	$0x20, %ax
	movw	%ds, %dx
	movw	$segments, %si
	cmpw	%ax, %dx
	jne	fail
	movw	%ss, %dx
	cmpw	%ax, %dx
	jne	fail
	movw	$text, %si
	call	print
	/* the command line, at a linear address */
	movl	cmdline, %eax
	movl	%eax, %esi
	shrl	$4, %eax
	andw	$15, %si
	pushw	%ds
	movw	%ax, %ds
	call	print
	popw	%ds
	movw	$memory, %si
	int	$0x12
	cmpw	$639, %ax
	jne	fail
	movw	$0xe801, %ax
	int	$0x15
	jc	fail
	cmpw	$(15 << 10), %ax
	jne	fail
	cmpw	$(48 << 4), %bx
	jne	fail
	movw	$map, %si
	xorl	%ebx, %ebx
	movw	%ds, %ax
	movw	%ax, %es
	movw	$buffer, %di
1:	movl	$0xe820, %eax
	movl	$20, %ecx
	movl	$0x534d4150, %edx
	int	$0x15
	jc	fail
	incw	entries
	testl	%ebx, %ebx
	jnz	1b
	cmpw	$5, entries
	jne	fail
	/* what nobody offers */
	movw	$services, %si
	movb	$0xc0, %ah
	int	$0x15
	jnc	fail
	movw	$0x0201, %ax
	int	$0x13
	jnc	fail
	movb	$1, %ah
	int	$0x16
	jnz	fail
	int	$0x77
	/* the kernel, at 10000h */
	movw	$low, %si
	movw	$0x1000, %ax
	movw	%ax, %es
	cmpl	$0x4c4f574b, %es:0
	jne	fail
	movw	$good, %si
	call	print
	movb	$0x21, %al
exit:	movw	$0x501, %dx
	outb	%al, %dx
	hlt

fail:	call	print
	movb	$0x3f, %al
	jmp	exit

print:	lodsb
	testb	%al, %al
	jz	1f
	movb	$0x0e, %ah
	int	$0x10
	jmp	print
1:	ret

text:	.asciz	"zimage: command line: "
memory:	.asciz	"\r\nzimage: wrong memory\r\n"
map:	.asciz	"\r\nzimage: wrong map\r\n"
services: .asciz "\r\nzimage: a service too many\r\n"
low:	.asciz	"\r\nzimage: no kernel\r\n"
segments: .asciz "\r\nzimage: wrong segments\r\n"
good:	.asciz	"\r\nzimage: good\r\n"
entries: .word	0
buffer:	.fill	20, 1, 0
	.org	0x400
	.long	0x4c4f574b
	.org	0x420
