/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is in Bochs's memory, from KERNEL on, as bochs-rom.S starts: the kernel as
 * it is in memory (VMLINUX), the zero page, the command line (COMMAND_LINE), the
 * initial RAM disk (INITRD). Fields: Documentation/x86/zero-page.rst, boot.rst.
 */
	.macro	range from:req to:req
	.quad	\from, \to - \from
	.long	1			/* RAM */
	.endm

	.data
	.globl	_start
_start:
	.incbin	VMLINUX
	.org	ZERO_PAGE - KERNEL
zero_page:
	.org	zero_page - _start + 0x1e8
	.byte	2			/* e820_entries */
	.org	zero_page - _start + 0x1fe
	.word	0xaa55
	.org	zero_page - _start + 0x202
	.ascii	"HdrS"
	.word	0x20f			/* version */
	.org	zero_page - _start + 0x210
	.byte	0xff			/* type_of_loader: one without a number */
	.byte	1			/* loadflags: LOADED_HIGH */
	.org	zero_page - _start + 0x218
	.long	KERNEL + initrd - _start
	.long	end - initrd
	.org	zero_page - _start + 0x228
	.long	KERNEL + command_line - _start
	.org	zero_page - _start + 0x238
	.long	2047			/* cmdline_size */
	.org	zero_page - _start + 0x2d0
	range	0, 0x9f000
	range	0x100000, MEMORY
	.org	zero_page - _start + 0x1000
command_line:
	.asciz	COMMAND_LINE
	.balign	0x1000
initrd:
	.incbin	INITRD
end:
