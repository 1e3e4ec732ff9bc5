/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Bochs runs in place of a BIOS for tools/nested-kvm: 64 KiB at the reset
 * vector that enter a Linux kernel, which Bochs has put into memory (bochs-ram.S),
 * at its 64-bit entry (Documentation/x86/boot.rst, "64-bit Boot Protocol").
 * KERNEL, ZERO_PAGE: where it is; MEMORY: how much of it there is.
 */
#define BASE	0xffff0000
#define TABLES	0x8000
#define BLOCK	0x20000		/* in which Bochs keeps memory */

	.code16
	.text
	.globl	_start
_start:
	.org	0xf000
start:
	cli
	lgdtl	%cs:gdt_pointer
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $BASE + flat

	.code32
flat:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	/*
	 * Bochs 2.7 gives out its memory a block at a time, as they are touched,
	 * but reads a file into it as if the blocks were given out already: so
	 * the file's have to be touched in their order before all others.
	 */
	mov	$KERNEL, %ebx
1:	mov	(%ebx), %eax
	add	$BLOCK, %ebx
	cmp	$MEMORY, %ebx
	jb	1b
	/* Pages of 2 MiB for 4 GiB, as they are. */
	cld
	xor	%eax, %eax
	mov	$TABLES, %edi
	mov	$0x6000 / 4, %ecx
	rep	stosl
	movl	$TABLES + 0x1007, TABLES
	movl	$TABLES + 0x2007, TABLES + 0x1000
	movl	$TABLES + 0x3007, TABLES + 0x1008
	movl	$TABLES + 0x4007, TABLES + 0x1010
	movl	$TABLES + 0x5007, TABLES + 0x1018
	mov	$TABLES + 0x2000, %edi
	mov	$0x87, %eax
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	jnc	1b
	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax		/* EFER.LME */
	wrmsr
	mov	$0x80000031, %eax	/* and caches on */
	mov	%eax, %cr0
	ljmpl	$24, $BASE + long

	.code64
long:
	mov	$TABLES, %esp
	mov	$ZERO_PAGE, %esi
	mov	$KERNEL, %eax
	jmp	*%rax

	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	BASE + gdt

	.code16
	.org	0xfff0
	jmp	start
	.org	0x10000
