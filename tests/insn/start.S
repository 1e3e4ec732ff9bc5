/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs an instruction test as a guest: goes to long mode with 1 GiB mapped one
 * to one, turns SSE and AVX on, calls "test", and sends the digests of the area
 * (see host.c) over the serial port. Ends with status 0.
 */
#include "start.inc"
#define AREA    0x400000
#define SCRATCH 0x410000
start:
	movl	$pdpt + 7, pml4
	movl	$pd + 7, pdpt
	xor	%ecx, %ecx
	mov	$0x87, %eax
1:	mov	%eax, pd(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$512, %ecx
	jb	1b
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0x406a0, %eax	/* PAE, PGE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000023, %eax	/* PG, NE, MP, PE */
	and	$~0xc, %eax		/* not TS, not EM */
	mov	%eax, %cr0
	lgdt	descriptor
	ljmp	$8, $1f
	.code64
1:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$stack, %esp
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$7, %eax
	xsetbv
	fninit
	outb_to	SERIAL + 2 1
	mov	$AREA, %edi
	mov	$SCRATCH, %esi
	call	test
	mov	%rax, %r13
	mov	$AREA, %ebx
	mov	$0x9e3779b97f4a7c15, %r12
next:	cmp	%r13, %rbx
	jae	done
	xor	%ebp, %ebp
	mov	$8, %ecx
2:	imul	%r12, %rbp
	add	(%rbx), %rbp
	add	$8, %rbx
	dec	%ecx
	jnz	2b
	mov	%rbp, digest
	mov	$SERIAL + 5, %edx
3:	in	%dx, %al
	test	$0x20, %al
	jz	3b
	mov	$SERIAL, %edx
	mov	$digest, %esi
	mov	$8, %ecx
	cld
	rep outsb
	jmp	next
done:	mov	$SERIAL + 5, %edx
4:	in	%dx, %al
	test	$0x40, %al
	jz	4b
	finish	0
	.balign	8
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
descriptor:
	.word	23
	.long	gdt
	.bss
	.balign	4096
pml4:	.space	4096
pdpt:	.space	4096
pd:	.space	4096
digest:	.space	8
