/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The services of a BIOS that a kernel's real-mode code asks for on its way to
 * protected mode (boot.rst; the calls are as the IBM PC/AT's and, for memory,
 * ACPI 6.4, 15.1): how much memory there is and that A20 is open. Text goes to
 * the first serial port. Nothing else is offered: such calls fail as they do on
 * a BIOS that lacks them. It stands at F000:F000; realmode.c fills in the data.
 */
#define BIOS_SIZE	0x1000
#define COM1		0x3f8
#define COM1_STATUS	0x3fd
#define STATUS_EMPTY	0x20
#define SMAP		0x534d4150
#define E820_SIZE	20
#define CF		1
#define ZF		0x40
#define FLAGS		6	/* of the caller, above BP, IP and CS */

/* Into what IRET restores. */
	.macro	caller_flags operation:req value:req
	pushw	%bp
	movw	%sp, %bp
	\operation	\value, FLAGS(%bp)
	popw	%bp
	.endm

	.section .rodata
	.code16
	.balign	16
	.globl realmode_bios
realmode_bios:
#define AT(label)	((label) - realmode_bios + 0xf000)

	/* What realmode.c fills in. */
e801_low:
	.word	0		/* KiB from 1 MiB, up to 15 MiB */
e801_high:
	.word	0		/* 64 KiB from 16 MiB */
e88:	.word	0		/* KiB from 1 MiB, up to 63 MiB */
e820_count:
	.word	0
e820:	.fill	8 * E820_SIZE, 1, 0

	/* The handlers, by interrupt: what is not here goes to the first. */
	.balign	2
handlers:
	.word	AT(ignore)
	.byte	0x10, 0
	.word	AT(video)
	.byte	0x11, 0
	.word	AT(equipment)
	.byte	0x12, 0
	.word	AT(base_memory)
	.byte	0x13, 0
	.word	AT(fail)
	.byte	0x15, 0
	.word	AT(system)
	.byte	0x16, 0
	.word	AT(keyboard)
	.byte	0x1a, 0
	.word	AT(fail)
	.word	0

ignore:	iretw

	/* 0Eh: a character; 0Fh: mode 3, 80 columns */
video:	cmpb	$0x0f, %ah
	jne	1f
	movw	$0x5003, %ax
	movb	$0, %bh
	iretw
1:	cmpb	$0x0e, %ah
	jne	ignore
	pushw	%ax
	pushw	%dx
	movb	%al, %ah
	movw	$COM1_STATUS, %dx
2:	inb	%dx, %al
	testb	$STATUS_EMPTY, %al
	jz	2b
	movw	$COM1, %dx
	movb	%ah, %al
	outb	%al, %dx
	popw	%dx
	popw	%ax
	iretw

equipment:
	movw	$0x0002, %ax	/* a coprocessor */
	iretw

base_memory:
	movw	$639, %ax	/* KiB, below the EBDA */
	iretw

	/* No key is there, none held. */
keyboard:
	movw	$0, %ax
	caller_flags orw $ZF
	iretw

system:	cmpw	$0xe820, %ax
	je	get_e820
	cmpw	$0xe801, %ax
	je	get_e801
	cmpb	$0x88, %ah
	je	get_88
	cmpb	$0x24, %ah	/* A20 */
	je	a20
fail:	movb	$0x86, %ah
	caller_flags orw $CF
	iretw

	/* 2400h to 2403h: it is open, and stays */
a20:	cmpb	$0, %al
	je	fail
	movw	$1, %ax
	movb	$2, %bl
done:
	caller_flags andw $~CF
	iretw

get_88:	movw	%cs:AT(e88), %ax
	jmp	done

get_e801:
	movw	%cs:AT(e801_low), %ax
	movw	%cs:AT(e801_high), %bx
	movw	%ax, %cx
	movw	%bx, %dx
	jmp	done

	/* EBX: which, 0 first; ECX: room at ES:DI */
get_e820:
	cmpl	$SMAP, %edx
	jne	fail
	cmpl	$E820_SIZE, %ecx
	jb	fail
	cmpw	%cs:AT(e820_count), %bx
	jae	fail
	pushw	%si
	pushw	%di
	movw	%bx, %ax
	imulw	$E820_SIZE, %ax, %si
	addw	$AT(e820), %si
	movw	$(E820_SIZE / 2), %cx
	cld
	rep movsw %cs:(%si), %es:(%di)
	popw	%di
	popw	%si
	incw	%bx
	cmpw	%cs:AT(e820_count), %bx
	jb	1f
	xorl	%ebx, %ebx
1:	movzwl	%bx, %ebx
	movl	$E820_SIZE, %ecx
	movl	$SMAP, %eax
	jmp	done

	.org	realmode_bios + BIOS_SIZE - 16
	/* Where a BIOS begins: it has nothing to do. */
	cli
1:	hlt
	jmp	1b
	.org	realmode_bios + BIOS_SIZE

	.globl realmode_bios_handlers
	.balign	2
realmode_bios_handlers:
	.word	handlers - realmode_bios
	.section .note.GNU-stack, "", @progbits
