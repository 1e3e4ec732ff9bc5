/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug exceptions, SDM 3, 17.2 and 17.3: breakpoints on instructions, data and
 * ports, single steps, general detect, RF, what MOV SS holds off; DR6 and the
 * address each finds. The processor under the nested KVM is QEMU's, which tells
 * one breakpoint of two.
 * expect: status=0
 * engines: interp
 */
#include "start.inc"
#include "steps.inc"

#define RF 0x10000
#define TF 0x100

	.macro	set_dr number:req value:req
	mov	$\value, %eax
	mov	%eax, %dr\number
	.endm

/* Since the last look: one #DB, at this address, with this DR6. */
	.macro	must_trap at:req status:req
	cmpl	$1, count
	must	e
	cmpl	$\at, where
	must	e
	cmpl	$\status, status
	must	e
	movl	$0, count
	.endm

start:
	load_tables
	catch_faults
	set_gate 1 trap
	mov	%cr4, %eax
	or	$8, %eax		/* DE */
	mov	%eax, %cr4

	/* An instruction breakpoint faults before it; RF lets it go. */
	step	1
	set_dr	0, 1f
	set_dr	7, 0x00000402
	orl	$RF, flags_or
1:	nop
	must_trap 1b 0xffff0ff1
	testl	$RF, image		/* the handler's to set: 17.3.1.1 */
	must	z
	/* IRET's RF holds for one instruction: once more round, one more. */
	step	2
	mov	$3, %ecx
	set_dr	0, 1f
1:	dec	%ecx
	jnz	1b
	cmpl	$3, count
	must	e
	movl	$0, count
	movl	$0, flags_or
	set_dr	7, 0x400

	/* Data: after the access; a write breakpoint does not see reads. */
	step	3
	set_dr	1, word
	set_dr	7, 0x00d00408		/* W1, 4 bytes, G1 */
	mov	word, %eax
	cmpl	$0, count
	must	e
	mov	%eax, word + 3
1:	must_trap 1b 0xffff0ff2
	mov	%eax, word + 4
	cmpl	$0, count
	must	e
	step	4
	set_dr	7, 0x00f00408		/* RW1 */
	mov	word + 2, %al
1:	must_trap 1b 0xffff0ff2
	/* A read and write of two breakpoints in one instruction. */
	step	5
	set_dr	2, word + 8
	set_dr	7, 0x0df00428
	mov	$word, %esi
	mov	$word + 8, %edi
	movsl
1:	must_trap 1b 0xffff0ff6
	/* REP: after the element, with the rest still to do. */
	step	6
	set_dr	7, 0x0d000420
	mov	$word, %esi
	mov	$word + 4, %edi
	mov	$3, %ecx
1:	rep movsl
	cmpl	$1, count
	must	e
	cmpl	$1b, where
	must	e
	cmpl	$1, at_ecx
	must	e
	movl	$0, count

	/* Ports. */
	step	7
	set_dr	3, 0x80
	set_dr	7, 0x20000480
	out	%al, $0x80
1:	must_trap 1b 0xffff0ff8
	out	%al, $0x84
	cmpl	$0, count
	must	e
	set_dr	7, 0x400

	/* Steps: each instruction after POPF's own. */
	step	8
	pushf
	orl	$TF, (%esp)
	popf
1:	nop
2:	must_trap 2b 0xffff4ff0		/* the handler clears TF */

	/* MOV SS holds a data breakpoint off until after the next one. */
	step	9
	set_dr	0, selector
	set_dr	7, 0x00070402		/* RW0, 2 bytes */
	mov	selector, %ss
	nop
1:	must_trap 1b 0xffff0ff1
	step	10
	pushf
	pop	%eax
	or	$TF, %eax
	push	%eax
	movl	$0, %eax
	mov	%eax, %dr7
	mov	%ss, %eax
	popf
	mov	%eax, %ss		/* no step after it */
1:	nop
2:	must_trap 2b 0xffff4ff0

	/* General detect: a fault before the MOV; GD is clear in the handler. */
	step	11
	set_dr	7, 0x2400
	movl	$2f, skip_to
1:	mov	%dr0, %eax
2:	must_trap 1b 0xffff2ff0
	testl	$RF, image
	must	nz
	movl	$0, skip_to
	/* DR6.BS and the like stay until software clears them. */
	step	12
	movl	$1, keep_status
	set_dr	6, 0x4000
	set_dr	0, word
	set_dr	7, 0x00010402
	mov	%al, word
1:	must_trap 1b 0xffff4ff1
	/* DR4 is #UD with DE, DR6 without. */
	step	13
	set_gate 6 undefined
	movl	$1f, skip_to
	mov	%dr4, %eax
1:	cmpl	$6, count
	must	e
	mov	%cr4, %eax
	and	$~8, %eax
	mov	%eax, %cr4
	mov	%dr6, %ebx
	mov	%dr4, %ecx
	cmp	%ebx, %ecx
	must	e
	/* A disabled breakpoint costs and does nothing. */
	step	14
	movl	$0, count
	set_dr	7, 0x400
	mov	%al, word
	cmpl	$0, count
	must	e
	/* INT1 leaves no bit, and comes after itself. */
	step	15
	set_dr	6, 0
	.byte	0xf1
1:	must_trap 1b 0xffff0ff0
	finish	0

trap:	push	%eax
	incl	count
	mov	%ecx, at_ecx
	mov	4(%esp), %eax
	mov	%eax, where
	mov	12(%esp), %eax
	mov	%eax, image
	mov	%dr6, %eax
	mov	%eax, status
	cmpl	$0, keep_status
	jne	1f
	mov	$0, %eax
	mov	%eax, %dr6
1:	andl	$~TF, 12(%esp)
	mov	flags_or, %eax
	or	%eax, 12(%esp)
	mov	skip_to, %eax
	test	%eax, %eax
	jz	1f
	mov	%eax, 4(%esp)
1:	pop	%eax
	iret

undefined:
	movl	$6, count
	mov	skip_to, %eax
	mov	%eax, (%esp)
	movl	$0, skip_to
	iret

	.data
	.balign	8
word:	.quad	0, 0, 0
count:	.long	0
where:	.long	0
status:	.long	0
image:	.long	0
at_ecx:	.long	0
flags_or:
	.long	0
skip_to:
	.long	0
keep_status:
	.long	0
selector:
	.word	0x10, 0
	.text
