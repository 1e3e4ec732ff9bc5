/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ROM of 128 KiB at the reset vector that runs snippets of 16-bit code, one
 * after another, and says on a debug port what each did: registers, flags, where
 * and by which vector it ended, and a sum of the memory it may change. It runs
 * alike in Bochs (port E9h) and here (402h), and ends both.
 *
 * The snippets are in a file, SNIPPETS: per snippet its length (0: the end),
 * where it starts (IP in segment 1000h), the registers EAX ECX EDX EBX ESP EBP ESI
 * EDI, the flags, and the code. UNREAL: the data segments have limits of 4 GiB.
 *
 * Memory: 500h our words, 10000h the code, 20000h to 33000h the data, which each
 * snippet finds with the same bytes; the vectors all lead to `event`, each by
 * another CS, which tells them apart.
 */
#define DATA	0x2000
#define DATA_DWORDS (0x13000 / 4)
#define CODE	0x1000
#define STACK	0x2200
#define SAVE	0x50

	.code16
	.text
	.globl	_start
_start:
	/* E000h: the snippets; the rest of ROM here, at F000h. */
	.org	0
snippets:
	.incbin	SNIPPETS


/* Reached with CS = F000h - vector: the same bytes for each of them. */
#define EVENT	0xe000
	.org	0x1e000
event:
	cli
	cld
	push	%ds
	push	%ax
	mov	$SAVE, %ax
	mov	%ax, %ds
	mov	%eax, 0
	pop	%ax
	mov	%ax, 0
	pop	%ax
	mov	%ax, 40		/* DS */
	mov	%ecx, 4
	mov	%edx, 8
	mov	%ebx, 12
	mov	%esp, 16
	mov	%ebp, 20
	mov	%esi, 24
	mov	%edi, 28
	mov	%es, 42
	mov	%ss, 44
	mov	%fs, 46
	mov	%gs, 48
	mov	%cs, %ax
	mov	$0xf000, %bx
	sub	%ax, %bx
	mov	%bx, 50		/* the vector */
	/* The frame, which goes: flags may be undefined. */
	xor	%ax, %ax
	mov	%sp, %bx
	mov	%ss, %cx
	mov	%cx, %es
	mov	%es:(%bx), %cx
	mov	%cx, 32		/* IP */
	mov	%ax, %es:(%bx)
	add	$2, %bx
	mov	%es:(%bx), %cx
	mov	%cx, 34		/* CS */
	mov	%ax, %es:(%bx)
	add	$2, %bx
	mov	%es:(%bx), %cx
	mov	%cx, 36		/* flags */
	mov	%ax, %es:(%bx)
	/* A handler that returns: 60h to 6Fh. */
	mov	50, %ax
	and	$0xf0, %al
	cmp	$0x60, %al
	je	returns
	mov	$SAVE, %ax
	mov	%ax, %ss
	mov	$0x800, %esp
	ljmp	$0xf000, $report - 0x10000

/* Back to where INT came from, with carry set. */
returns:
	mov	%sp, %bx
	mov	32, %ax
	mov	%ax, %es:(%bx)
	add	$2, %bx
	mov	34, %ax
	mov	%ax, %es:(%bx)
	add	$2, %bx
	mov	36, %ax
	or	$1, %ax
	mov	%ax, %es:(%bx)
	mov	42, %es
	mov	12, %ebx
	mov	4, %ecx
	mov	0, %eax
	mov	40, %ds
	iret

	.org	0x1f000
/* --- one snippet after another ---------------------------------------------- */

start:
	cli
	cld
	mov	$SAVE, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$0x800, %esp
	/* No interrupts of the board's. */
	mov	$0xff, %al
	out	%al, $0x21
	out	%al, $0xa1
	/* Which port? Bochs's reads as its number. */
	movw	$0x402, 52
	in	$0xe9, %al
	cmp	$0xe9, %al
	jne	1f
	movw	$0xe9, 52
1:
#ifdef UNREAL
	lgdtl	%cs:gdt_pointer - 0x10000
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	jmp	1f
1:	mov	$8, %bx
	mov	%bx, %ds
	mov	%bx, %es
	mov	%bx, %fs
	mov	%bx, %gs
	and	$0xfe, %al
	mov	%eax, %cr0
	jmp	1f
1:	mov	$SAVE, %ax
	mov	%ax, %ds
#endif
	movw	$0, 54		/* where in SNIPPETS */
	movw	$0, 56		/* number */
	movw	$0xe000, 58

next:
	mov	$SAVE, %ax
	mov	%ax, %ds
	/* The vectors. */
	xor	%ax, %ax
	mov	%ax, %es
	xor	%di, %di
	mov	$0xf000, %dx
	mov	$EVENT, %bx
	mov	$256, %cx
1:	mov	%bx, %ax
	stosw
	mov	%dx, %ax
	stosw
	dec	%dx
	add	$16, %bx
	loop	1b
	/* The data. */
	mov	$DATA, %ax
	mov	%ax, %es
	mov	$0x12345678, %eax
	mov	$DATA_DWORDS, %cx
	xor	%di, %di
1:	mov	%eax, %es:(%di)
	rol	$7, %eax
	add	$0x9e3779b9, %eax
	add	$4, %di
	jnz	2f
	mov	%es, %bx
	add	$0x1000, %bx
	mov	%bx, %es
2:	loop	1b
	/* The code. */
	mov	54, %si
	mov	58, %fs
	mov	%fs:(%si), %cx
	test	%cx, %cx
	jz	done
	mov	$CODE, %ax
	mov	%ax, %es
	mov	%fs:2(%si), %di
	mov	%di, 60
	add	$40, %si
1:	mov	%fs:(%si), %al
	mov	%al, %es:(%di)
	inc	%si
	inc	%di
	loop	1b
	mov	54, %bx
	/* The next one, aligned, in a segment of its own. */
	add	$15, %si
	shr	$4, %si
	mov	%fs, %ax
	add	%si, %ax
	mov	%ax, 58
	movw	$0, 54
	/* Its registers. */
	mov	$0x2100, %ax
	mov	%ax, %es
	mov	$STACK, %ax
	mov	%ax, %ss
	mov	%fs:20(%bx), %esp
	mov	%fs:36(%bx), %ax
	and	$0xfcff, %ax
	push	%ax
	push	$CODE
	pushw	60
	mov	%fs:4(%bx), %eax
	mov	%fs:8(%bx), %ecx
	mov	%fs:12(%bx), %edx
	mov	%fs:24(%bx), %ebp
	mov	%fs:28(%bx), %esi
	mov	%fs:32(%bx), %edi
	push	%fs:16(%bx)
	push	%fs:18(%bx)
	mov	$0x2300, %bx
	mov	%bx, %gs
	mov	$0x2280, %bx
	mov	%bx, %fs
	mov	$DATA, %bx
	mov	%bx, %ds
	pop	%bx
	shl	$16, %ebx
	pop	%bx
	iret

report:
	/* The sum of memory. */
	mov	$DATA, %ax
	mov	%ax, %es
	xor	%eax, %eax
	mov	$DATA_DWORDS, %cx
	xor	%di, %di
1:	rol	$1, %eax
	add	%es:(%di), %eax
	add	$4, %di
	jnz	2f
	mov	%es, %bx
	add	$0x1000, %bx
	mov	%bx, %es
2:	loop	1b
	mov	%eax, 62
	/* In hexadecimal: what is at 0 to 52, and the sum. */
	mov	52, %dx
	xor	%si, %si
	mov	$52, %cx
	call	dump
	mov	$62, %si
	mov	$4, %cx
	call	dump
	mov	$10, %al
	out	%al, %dx
	incw	56
	jmp	next

dump:
	lodsb
	mov	%al, %ah
	shr	$4, %al
	call	digit
	mov	%ah, %al
	and	$15, %al
	call	digit
	loop	dump
	ret
digit:
	cmp	$10, %al
	jb	1f
	add	$'a' - '0' - 10, %al
1:	add	$'0', %al
	out	%al, %dx
	ret

done:
	mov	$0x505, %dx
	mov	$42, %al
	out	%al, %dx
	mov	$0x8900, %dx
	lea	shutdown - 0x10000, %si
	mov	$8, %cx
1:	mov	%cs:(%si), %al
	out	%al, %dx
	inc	%si
	loop	1b
2:	hlt
	jmp	2b

shutdown:
	.ascii	"Shutdown"
	.balign	8
gdt:	.quad	0, 0x008f93000000ffff
gdt_pointer:
	.word	15
	.long	0xf0000 + gdt - 0x10000

	.org	0x1fff0
	ljmp	$0xf000, $start - 0x10000
	.org	0x20000
