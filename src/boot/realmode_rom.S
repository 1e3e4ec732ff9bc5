/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The option ROM that boots the kernel of fw_cfg on a BIOS (BIOS Boot
 * Specification 1.01, 3.3: a bootstrap entry vector). It lets fw_cfg's DMA copy
 * setup code, command line, kernel and initrd to where they belong and enters
 * the setup code (boot.rst, "Running the Kernel"). realmode.c fills in the
 * copies and the segment.
 */
#define ROM_SIZE	0x200
#define COPIES		4
#define COPY_SIZE	16
#define SCRATCH		0x8000	/* fw_cfg writes to what it reads */
#define DMA_HIGH	0x514
#define DMA_LOW		0x518
#define DMA_ERROR	0x01000000	/* big-endian, as all of it */
#define SETUP_ENTRY	0x20	/* in paragraphs, above the boot sector */

	.section .rodata
	.code16
	.balign 16
	.globl realmode_rom
realmode_rom:
	.byte	0x55, 0xaa, ROM_SIZE / 512
	lretw			/* initialization: nothing to do */
	.org	realmode_rom + 0x06
	.byte	0		/* makes the sum 0 */
	.org	realmode_rom + 0x1a
	.word	pnp - realmode_rom

	.org	realmode_rom + 0x20
pnp:	.ascii	"$PnP"
	.byte	1, 2		/* version 1, 32 bytes */
	.word	0		/* no next one */
	.byte	0, 0		/* its checksum is not looked at */
	.long	0		/* device identifier */
	.word	0, product - realmode_rom
	.byte	0x01, 0x80, 0x00	/* mass storage of any kind */
	.byte	0x64		/* an initial program load device */
	.word	0, 0		/* no boot connection, no disconnection */
	.word	boot - realmode_rom
	.word	0, 0

product:
	.asciz	"kernel"

boot:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	xorw	%ax, %ax
	movw	%ax, %es
	movw	$(copies - realmode_rom), %si
	movw	$SCRATCH, %di
	movw	$(COPIES * COPY_SIZE / 2), %cx
	rep movsw
	movw	%ax, %ds
	movl	$SCRATCH, %esi
1:	movw	$DMA_HIGH, %dx
	xorl	%eax, %eax
	outl	%eax, %dx
	movw	$DMA_LOW, %dx
	movl	%esi, %eax
	bswapl	%eax
	outl	%eax, %dx
2:	movl	(%si), %eax
	testl	$DMA_ERROR, %eax
	jnz	fail
	testl	%eax, %eax
	jnz	2b
	addw	$COPY_SIZE, %si
	cmpw	$(SCRATCH + COPIES * COPY_SIZE), %si
	jne	1b

	movw	%cs:(segment - realmode_rom), %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movw	$0x9000, %sp
	addw	$SETUP_ENTRY, %ax
	pushw	%ax
	pushw	$0
	lretw

fail:	sti
	int	$0x18		/* the next device */

	.balign	4
copies:	.fill	COPIES * COPY_SIZE, 1, 0
segment:
	.word	0
	.org	realmode_rom + ROM_SIZE

	.balign	2
	.globl realmode_rom_copies, realmode_rom_entry
realmode_rom_copies:
	.word	copies - realmode_rom
realmode_rom_entry:
	.word	segment - realmode_rom
	.section .note.GNU-stack, "", @progbits
