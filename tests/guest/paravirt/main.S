/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface (Linux, Documentation/virt/kvm/x86): what CPUID
 * tells, the clock and what TSC_ADJUST does to it, the wall clock, steal time,
 * EOI in memory, a kick out of HLT with interrupts off, interprocessor
 * interrupts by hypercall, and a TLB flush that waits for who sleeps.
 * expect: status=0
 * engines: interp
 * options: -c 2
 */
#include "start.inc"
#include "steps.inc"

#define FEATURES 0x01000aeb
#define WALL	 0x4b564d00
#define CLOCK	 0x4b564d01
#define ASYNC_PF 0x4b564d02
#define STEAL	 0x4b564d03
#define EOI	 0x4b564d04
#define TSC_ADJUST 0x3b
#define KICK	 5
#define SEND_IPI 10
#define EINVAL	 22
#define WINDOW	 0x00c00000	/* page 0 of the second page table */

	.macro	write_msr index:req low:req high=0
	mov	$\index, %ecx
	mov	$\low, %eax
	mov	$\high, %edx
	wrmsr
	.endm

/* The last of these was #GP; nothing else may be. */
	.macro	must_fault
	cmpl	$1, faults
	must	e
	movl	$0, faults
	.endm

	.macro	must_not_fault
	cmpl	$0, faults
	must	e
	.endm

	.macro	wait_for word:req value:req
96:	pause
	cmpl	$\value, \word
	jne	96b
	.endm

/* Of vector, to this processor; it is taken with STI. */
	.macro	send_self vector:req
	movl	$0x44000 + \vector, LAPIC + 0x300
	.endm

	.macro	take_interrupts
	sti
	nop
	nop
	cli
	.endm

start:
	load_tables
	catch_faults
	set_gate 13 skip
	set_gate 0x41 by_memory
	set_gate 0x51 by_register
	set_gate 0x61 from_other
	movl	$0x1ff, LAPIC + 0xf0

	step	1
	mov	$0x40000000, %eax
	cpuid
	cmp	$0x4b4d564b, %ebx
	must	e
	cmp	$0x40000001, %eax
	must	ae
	mov	$0x40000001, %eax
	cpuid
	cmp	$FEATURES, %eax
	must	e

	/* The clock goes on, also where the TSC leaps. */
	step	2
	write_msr CLOCK clock + 1
	must_not_fault
	testl	$1, clock
	must	z
	cmpl	$0, clock
	must	ne
	cmpb	$1, clock + 29
	must	e
	call	now
	mov	%eax, before
	mov	%edx, before + 4
	call	since
	cmp	$1000000000, %eax
	must	b
	step	3
	mov	clock, %ebx
	write_msr TSC_ADJUST 0 0x100
	cmp	clock, %ebx
	must	ne
	call	since
	cmp	$1000000000, %eax
	must	b
	step	4
	write_msr TSC_ADJUST 0
	call	since
	cmp	$1000000000, %eax
	must	b

	/* Later than 2023, and than 1970 by less than a century. */
	step	5
	write_msr WALL wall
	must_not_fault
	testl	$1, wall
	must	z
	cmpl	$1700000000, wall + 4
	must	ae
	cmpl	$1000000000, wall + 8
	must	b

	step	6
	write_msr STEAL steal + 3
	must_fault
	write_msr EOI eoi + 3
	must_fault
	write_msr ASYNC_PF steal + 1
	must_fault
	write_msr STEAL steal + 1
	must_not_fault
	mov	$STEAL, %ecx
	rdmsr
	cmp	$steal + 1, %eax
	must	e
	testl	$1, steal + 8
	must	z
	cmpb	$0, steal + 16
	must	e

	/* EOI: by memory, by the register all the same, and where another
	 * interrupt waits, by the register alone. */
	step	7
	write_msr EOI eoi + 1
	must_not_fault
	send_self 0x41
	take_interrupts
	cmpl	$1, interrupts
	must	e
	cmpb	$1, found + 1
	must	e
	cmpl	$0, LAPIC + 0x120	/* ISR */
	must	e
	step	8
	send_self 0x51
	take_interrupts
	cmpl	$2, interrupts
	must	e
	cmpb	$1, found
	must	e
	cmpl	$0, LAPIC + 0x120
	must	e
	cmpl	$0, eoi
	must	e
	step	9
	send_self 0x41
	send_self 0x51
	take_interrupts
	cmpl	$4, interrupts
	must	e
	cmpw	$0x0100, found	/* 41h after 51h */
	must	e
	cmpl	$0, LAPIC + 0x120
	must	e
	/* One that comes while the EOI is on offer is not lost. */
	step	10
	movl	$0x44051, also
	send_self 0x41
	take_interrupts
	cmpl	$6, interrupts
	must	e
	movl	$0, also
	write_msr EOI 0

	/* The other processor, asleep with interrupts off. */
	step	11
	cld
	mov	$trampoline, %esi
	mov	$0x8000, %edi
	mov	$trampoline_end - trampoline, %ecx
	rep movsb
	call	make_tables
	movl	$0xc4500, LAPIC + 0x300
	mov	$100000, %ecx
1:	pause
	dec	%ecx
	jnz	1b
	movl	$0xc4608, LAPIC + 0x300
	wait_for state, 1
	call	kick
	test	%eax, %eax
	must	z
	wait_for state, 2

	/* It sleeps, and is told to flush its TLB when it wakes. */
	step	12
1:	pause
	cmpb	$1, steal2 + 16
	jne	1b
	movl	$page_b + 3, table2
	mov	$1, %al
	mov	$3, %dl
	lock cmpxchg %dl, steal2 + 16
	must	e
	call	kick
	wait_for state, 3
	cmpl	$0xaaaa, first
	must	e
	cmpl	$0xbbbb, second
	must	e
	cmpb	$0, flags
	must	e

	/* Interrupts for both, and for one. */
	step	13
	movl	$0, interrupts
	mov	$3, %ebx
	mov	$0, %edx
	call	send_ipi
	cmp	$2, %eax
	must	e
	sti
	wait_for interrupts, 2
	step	14
	mov	$1, %ebx
	mov	$1, %edx
	call	send_ipi
	cmp	$1, %eax
	must	e
	wait_for interrupts, 3
	/* Nobody has such an ID; shorthands are not for this. */
	step	15
	mov	$~0, %ebx
	mov	$0xffffffff, %edx
	call	send_ipi
	test	%eax, %eax
	must	z
	mov	$1, %ebx
	mov	$0, %edx
	mov	$SEND_IPI, %eax
	mov	$0, %ecx
	mov	$0x40061, %esi
	vmcall
	cmp	$-EINVAL, %eax
	must	e
	/* A kick before HLT is not lost either. */
	step	16
	cli
	mov	$KICK, %eax
	mov	$0, %ebx
	mov	$0, %ecx
	vmcall
	hlt
	step	17
	mov	$999, %eax
	vmcall
	cmp	$-1000, %eax
	must	e
	finish	0

/* EBX: a bitmap, from ID EDX on. */
send_ipi:
	mov	$SEND_IPI, %eax
	mov	$0, %ecx
	mov	$0x61, %esi
	vmcall
	ret

kick:
	mov	$KICK, %eax
	mov	$0, %ebx
	mov	$1, %ecx
	vmcall
	ret

/* EDX:EAX: nanoseconds, as the guest computes them. */
now:
	rdtsc
	sub	clock + 8, %eax
	sbb	clock + 12, %edx
	movsbl	clock + 28, %ecx
	test	%ecx, %ecx
	jns	1f
	neg	%ecx
	shrd	%cl, %edx, %eax
	shr	%cl, %edx
	jmp	2f
1:	shld	%cl, %eax, %edx
	shl	%cl, %eax
2:	mov	%edx, %ebx
	mull	clock + 24
	mov	%edx, %ecx
	mov	%ebx, %eax
	mull	clock + 24
	add	%ecx, %eax
	adc	$0, %edx
	add	clock + 16, %eax
	adc	clock + 20, %edx
	ret

/* EAX: nanoseconds since `before`, ~0 for more than 32 bits, or for less. */
since:
	call	now
	sub	before, %eax
	sbb	before + 4, %edx
	jz	1f
	mov	$~0, %eax
1:	ret

/* Past a WRMSR. */
skip:
	incl	faults
	addl	$2, 4(%esp)
	add	$4, %esp
	iret

by_memory:
	push	%eax
	incl	interrupts
	mov	eoi, %al
	mov	%al, found + 1
	mov	also, %eax
	test	%eax, %eax
	jz	1f
	mov	%eax, LAPIC + 0x300
1:	btrl	$0, eoi
	jc	1f
	movl	$0, LAPIC + 0xb0
1:	pop	%eax
	iret

by_register:
	push	%eax
	incl	interrupts
	mov	eoi, %al
	mov	%al, found
	movl	$0, LAPIC + 0xb0
	pop	%eax
	iret

from_other:
	lock incl interrupts
	movl	$0, LAPIC + 0xb0
	iret

/* 4 MiB pages one to one, and a page table for the 4 MiB at WINDOW. */
make_tables:
	mov	$directory, %edi
	mov	$0x83, %eax
	mov	$1024, %ecx
1:	mov	%eax, (%edi)
	add	$0x400000, %eax
	add	$4, %edi
	loop	1b
	movl	$table2 + 3, directory + (WINDOW >> 22) * 4
	movl	$page_a + 3, table2
	movl	$0xaaaa, page_a
	movl	$0xbbbb, page_b
	ret

	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	0x8000 + descriptor - trampoline
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$8, $other
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
descriptor:
	.word	23
	.long	0x8000 + gdt - trampoline
idt_descriptor:
	.word	2047
	.long	idt
trampoline_end:

	.code32
other:	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$stack2, %esp
	lidt	0x8000 + idt_descriptor - trampoline
	movl	$0x1ff, LAPIC + 0xf0
	movl	$1, state
	hlt
	mov	%cr4, %eax
	or	$0x10, %eax	/* PSE */
	mov	%eax, %cr4
	mov	$directory, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	jmp	1f
1:	write_msr STEAL steal2 + 1
	mov	WINDOW, %eax
	mov	%eax, first
	movl	$2, state
	hlt
	mov	WINDOW, %eax
	mov	%eax, second
	mov	steal2 + 16, %al
	mov	%al, flags
	movl	$3, state
1:	sti
	hlt
	jmp	1b

	.bss
	.balign	4096
directory:
	.space	4096
table2:	.space	4096
page_a:	.space	4096
page_b:	.space	4096
steal:	.space	64
steal2:	.space	64
clock:	.space	32
before:	.space	8
wall:	.space	12
eoi:	.space	4
faults:	.space	4
interrupts:
	.space	4
also:	.space	4
state:	.space	4
first:	.space	4
second:	.space	4
found:	.space	2
flags:	.space	2
	.balign	16
	.space	1024
stack2:
