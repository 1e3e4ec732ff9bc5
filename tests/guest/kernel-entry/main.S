/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a 64-bit kernel does all the time, thrice over, as a translator is to
 * keep what it made: flags through PUSHF and POPF, interrupts held off by STI,
 * SYSCALL, SYSRET and IRET to and from CPL 3, string instructions that fault
 * half-way, divisions that do. %r15 is the step, %r14 the local APIC; the first that fails ends the
 * guest with it as the status.
 * expect: status=0
 */
#include "start.inc"

#define KERNEL_CS 0x08
#define KERNEL_SS 0x10
#define USER_SS   0x23
#define USER_CS   0x2b
#define USER_CODE 0x400000
#define USER_STACK 0x500000
#define WINDOW    0x200000 /* 4 KiB pages; the third is missing at first */

	.macro	step number:req
	mov	$\number, %r15d
	.endm

	.macro	must condition:req
	j\condition	97f
	jmp	failed
97:
	.endm

	.macro	gate vector:req handler:req
	mov	$\handler, %eax
	mov	%ax, idt + \vector * 16
	movw	$KERNEL_CS, idt + \vector * 16 + 2
	movw	$0x8e00, idt + \vector * 16 + 4
	shr	$16, %eax
	mov	%ax, idt + \vector * 16 + 6
	.endm

start:
	movl	$pdpt + 7, pml4
	movl	$pd + 7, pdpt
	movl	$pd3 + 3, pdpt + 24
	movl	$0x83, pd		/* 2 MiB, the kernel's */
	movl	$table + 3, pd + 8
	movl	$0x400087, pd + 16	/* the user's */
	movl	$0xfee00083, pd3 + 0x1f7 * 8
	movl	$0x200003, table
	movl	$0x201003, table + 8
	movl	$0x203003, table + 24
	enter_long_mode pml4 gdt_pointer cr4=0x220 efer=0x101	/* OSFXSR, SCE */
	mov	$KERNEL_SS, %eax
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$stack, %rsp
	lidt	idt_pointer
	mov	$tss, %eax
	mov	%ax, gdt_tss + 2
	shr	$16, %eax
	mov	%al, gdt_tss + 4
	movq	$entry_stack, tss + 4
	mov	$0x30, %eax
	ltr	%ax
	gate	0 divide
	gate	6 undefined
	gate	11 not_present
	gate	13 protection
	gate	14 page_fault
	gate	0x40 interrupt
	mov	$LAPIC, %r14d
	movl	$0x1ff, 0xf0(%r14)
	mov	$0xc0000081, %ecx	/* STAR */
	xor	%eax, %eax
	mov	$0x001b0008, %edx
	wrmsr
	inc	%ecx			/* LSTAR */
	mov	$syscall_entry, %eax
	xor	%edx, %edx
	wrmsr
	add	$2, %ecx		/* FMASK: CF, TF, IF, DF, AC */
	mov	$0x40701, %eax
	wrmsr
	mov	$user_begin, %esi
	mov	$USER_CODE, %edi
	mov	$user_end - user_begin, %ecx
	rep	movsb
	movl	$3, rounds
round:
	call	test_flags
	call	test_interrupts
	call	test_user
	call	test_strings
	call	test_division
	decl	rounds
	jnz	round
	finish	0

/* --- PUSHF and POPF -------------------------------------------------------- */

test_flags:
	step	1
	mov	$0x8d7, %ebx		/* every set of the six, and others */
1:	mov	%ebx, %eax
	and	$0x8d5, %eax
	or	$2, %eax
	push	%rax
	popf
	lea	(%rax), %rdx		/* no flags */
	pushf
	pop	%rcx
	cmp	%rax, %rcx
	must	e
	dec	%ebx
	jns	1b
	step	2
	stc
	pushf
	pop	%rax
	xor	$0x200000, %rax		/* ID, and CF stays */
	push	%rax
	popf
	must	c
	pushf
	pop	%rcx
	cmp	%rax, %rcx
	must	e
	step	3
	push	$0x40002		/* AC without SMAP */
	popf
	pushf
	pop	%rax
	cmp	$0x40002, %eax
	must	e
	push	$2
	popf
	ret

/* --- STI's shadow ---------------------------------------------------------- */

/* One interrupt waits from here on. */
	.macro	pend
	movl	$0, hits
	movl	$0x40040, 0x300(%r14)
	.endm

test_interrupts:
	step	10
	pend
	sti
	nop				/* in the shadow */
after_shadow:
	nop
	cmpl	$1, hits
	must	e
	cmpq	$after_shadow, hit_rip
	must	e
	cli
	step	11
	pend
	sti
	cli				/* so that it does not come */
	nop
	cmpl	$0, hits
	must	e
	step	12
	pushf
	pop	%rax
	or	$0x200, %eax
	push	%rax
	popf				/* no shadow */
after_popf:
	nop
	cmpl	$1, hits
	must	e
	cmpq	$after_popf, hit_rip
	must	e
	testl	$0x200, hit_flags
	must	nz
	cli
	step	13			/* none waits: the next one comes */
	movl	$0, hits
	sti
	nop
	movl	$0x40040, 0x300(%r14)
1:	cmpl	$0, hits
	je	1b
	cli
	step	14			/* by IRET, to itself */
	pend
	mov	%rsp, %rcx
	mov	%ss, %eax
	push	%rax
	push	%rcx
	pushf
	orl	$0x200, (%rsp)
	mov	%cs, %eax
	push	%rax
	push	$after_iret
	iretq
after_iret:
	nop
	cmpl	$1, hits
	must	e
	cmpq	$after_iret, hit_rip
	must	e
	cmp	%rsp, %rcx
	must	e
	cli
	ret

/* --- system calls ---------------------------------------------------------- */

test_user:
	mov	%rsp, kernel_rsp
	step	20
	movl	$3, pass
1:	push	$USER_SS
	push	$USER_STACK
	push	$0x202
	push	$USER_CS
	push	$USER_CODE
	iretq
/* EAX says what for. */
syscall_entry:				/* CF is masked */
	must	nc
	mov	%rsp, user_rsp
	mov	kernel_rsp, %rsp
	cmp	$1, %eax
	je	call_back
	cmp	$2, %eax
	je	call_end
	jmp	failed
call_back:				/* CF was set */
	step	21
	cmpq	$USER_STACK, user_rsp
	must	e
	bt	$0, %r11
	must	c
	bt	$9, %r11
	must	c
	pushf
	pop	%rax
	test	$0x200, %eax
	must	z
	mov	%cs, %eax
	cmp	$KERNEL_CS, %eax
	must	e
	mov	%ss, %eax
	cmp	$KERNEL_SS, %eax
	must	e
	cmp	$USER_CODE + user_back - user_begin, %rcx
	must	e
	step	22
	or	$0x40, %r11		/* ZF */
	and	$~1, %r11
	mov	user_rsp, %rsp
	sysretq
call_end:
	step	23
	cmp	$0x2b, %ebx		/* what the user saw of CS, SS */
	must	e
	cmp	$0x23, %edi
	must	e
	decl	pass
	jnz	1b
	step	24			/* SYSRET to where no code can be */
	xor	%eax, %eax
	cpuid
	cmp	$0x68747541, %ebx	/* AMD's faults at CPL 3 */
	je	after_noncanonical
	movl	$0, faults
	mov	$1, %rcx
	shl	$47, %rcx
	mov	$2, %r11d
	sysretq
after_sysret:
	cmpl	$1, faults
	must	e
	cmpl	$0, fault_error
	must	e
after_noncanonical:
	step	25			/* the user's code segment goes */
	btrl	$15, gdt_user_code + 4
	movl	$0, faults
	push	$USER_SS
	push	$USER_STACK
	push	$2
	push	$USER_CS
	push	$USER_CODE
	iretq
after_absent:
	btsl	$15, gdt_user_code + 4
	cmpl	$1, faults
	must	e
	cmpl	$USER_CS & ~3, fault_error
	must	e
	step	26			/* CLI of the user's: #GP, from CPL 3 */
	movl	$0, faults
	push	$USER_SS
	push	$USER_STACK
	push	$2
	push	$USER_CS
	push	$USER_CODE + user_cli - user_begin
	iretq
after_cli:
	cmpl	$1, faults
	must	e
	mov	kernel_rsp, %rsp
	ret

user_begin:
	mov	%cs, %ebx
	mov	%ss, %edi
	stc
	mov	$1, %eax
	syscall
user_back:
	jnc	1f
2:	ud2
1:	jnz	2b
	mov	$2, %eax
	syscall
	ud2
user_cli:
	cli
	ud2
user_end:

/* --- strings ---------------------------------------------------------------- */

/* A page fault in one of these is at the page that is missing; it comes back
 * there, so everything must be exact. */
test_strings:
	step	30
	mov	$WINDOW, %edi		/* bytes 0, 1, 2 ... */
	mov	$0x2000, %ecx
	xor	%eax, %eax
1:	stosb
	inc	%eax
	loop	1b
	step	31			/* 0x600 bytes from ff0h, to 1ef0h */
	movl	$0, table + 16
	invlpg	WINDOW + 0x2000
	movl	$0, faults
	mov	$WINDOW + 0xff0, %esi
	mov	$WINDOW + 0x1ef0, %edi
	mov	$0x600, %ecx
	stc
	rep	movsb
	must	c
	cmp	$WINDOW + 0x15f0, %rsi
	must	e
	cmp	$WINDOW + 0x24f0, %rdi
	must	e
	test	%rcx, %rcx
	must	z
	cmpl	$1, faults
	must	e
	cmpl	$2, fault_error
	must	e
	cmpq	$WINDOW + 0x2000, fault_rdi
	must	e
	cmpq	$WINDOW + 0x1100, fault_rsi
	must	e
	cmpq	$0x4f0, fault_rcx
	must	e
	step	32
	mov	$WINDOW + 0xff0, %esi
	mov	$WINDOW + 0x1ef0, %edi
	mov	$0x600, %ecx
	repe	cmpsb
	must	e
	step	33			/* quadwords, one across the pages */
	movl	$0, table + 16
	invlpg	WINDOW + 0x2000
	movl	$0, faults
	mov	$WINDOW + 0x1fe4, %edi
	mov	$10, %ecx
	mov	$0x1122334455667788, %rax
	rep	stosq
	cmp	$WINDOW + 0x2034, %rdi
	must	e
	cmpl	$1, faults
	must	e
	cmpq	$WINDOW + 0x1ffc, fault_rdi
	must	e
	cmpq	$7, fault_rcx
	must	e
	mov	$WINDOW + 0x1fe4, %esi
	mov	$10, %ecx
1:	lodsq
	cmp	WINDOW + 0x1fe4, %rax
	must	e
	loop	1b
	cmp	$WINDOW + 0x2034, %rsi
	must	e
	step	34			/* sizes, and a count of none */
	mov	$WINDOW, %edi
	mov	$0xaabbccdd, %eax
	stosb
	stosw
	stosl
	stosq
	cmp	$WINDOW + 15, %rdi
	must	e
	cmpl	$0xddccdddd, WINDOW
	must	e
	cmpl	$0xddaabbcc, WINDOW + 4
	must	e
	xor	%ecx, %ecx
	rep	stosb
	rep	movsb
	cmp	$WINDOW + 15, %rdi
	must	e
	mov	$WINDOW, %esi
	mov	$-1, %rax
	lodsb
	cmp	$-0x23, %rax
	must	e
	lodsw
	cmp	$-0x3323, %rax
	must	e
	lodsl
	mov	$0xaabbccdd, %ecx
	cmp	%rcx, %rax
	must	e
	step	35			/* overlapping: a pattern repeats */
	movl	$0x01020304, WINDOW + 0xff0
	mov	$WINDOW + 0xff0, %esi
	mov	$WINDOW + 0xff4, %edi
	mov	$0x100, %ecx
	rep	movsb
	cmpl	$0x01020304, WINDOW + 0x10f0
	must	e
	step	36
	mov	$WINDOW, %esi
	mov	$WINDOW + 0x1000, %edi
	mov	$0x100, %ecx
	rep	movsw
	cmp	$WINDOW + 0x1200, %rdi
	must	e
	mov	$0x100, %ecx
	rep	movsl
	cmp	$WINDOW + 0x1600, %rdi
	must	e
	mov	$0x100, %ecx
	rep	movsq
	cmp	$WINDOW + 0x1e00, %rdi
	must	e
	mov	$WINDOW, %esi
	mov	$WINDOW + 0x1000, %edi
	mov	$0xe00, %ecx
	repe	cmpsb
	must	e
	ret

/* --- division ---------------------------------------------------------------- */

/* Six that fault, skipped; the flags before them do not matter. */
test_division:
	step	40
	movl	$0, faults
	mov	$7, %eax
	xor	%edx, %edx
	xor	%ecx, %ecx
	div	%ecx
	idiv	%ecx
	mov	$7, %ecx
	mov	$7, %edx
	div	%ecx			/* the quotient has 33 bits */
	mov	$0x80000000, %eax
	cdq
	mov	$-1, %ecx
	idiv	%ecx
	mov	$1, %eax
	div	%cl			/* fits */
	mov	$0xffff, %eax
	div	%cl
	xor	%r10d, %r10d
	div	%r10d			/* three bytes: skipped too */
	nop
	cmpl	$6, faults
	must	e
	step	41
	mov	$-100, %rax
	cqo
	movq	$7, number
	idivq	number
	cmp	$-14, %rax
	must	e
	cmp	$-2, %rdx
	must	e
	step	42
	mov	$-100, %rax
	cqo
	mov	$-1, %r10
	idiv	%r10
	cmp	$100, %rax
	must	e
	step	43
	mov	$5, %edx
	mov	$1000, %eax
	mov	$6, %r11d
	div	%r11d
	/* 5 * 2^32 + 1000 over 6 */
	imul	$6, %rax, %rbx
	add	%rdx, %rbx
	mov	$0x5000003e8, %rcx
	cmp	%rcx, %rbx
	must	e
	ret

/* --- exceptions --------------------------------------------------------------- */

divide:
	incl	faults
	mov	(%rsp), %rbx
	addq	$2, (%rsp)
	testb	$0x40, (%rbx)		/* a REX prefix, 4xh, not F6h or F7h */
	jz	1f
	cmpb	$0x50, (%rbx)
	jae	1f
	incq	(%rsp)
1:	iretq
undefined:
	mov	$200, %r15d
	jmp	failed
protection:
	incl	faults
	pop	fault_error
	cmp	$24, %r15d
	jne	1f
	movq	$after_sysret, (%rsp)
	iretq
1:	cmp	$26, %r15d
	must	e
	cmpl	$USER_CS, 8(%rsp)
	must	e
	mov	kernel_rsp, %rsp
	jmp	after_cli
not_present:
	incl	faults
	pop	fault_error
	mov	kernel_rsp, %rsp
	jmp	after_absent
page_fault:
	incl	faults
	pop	fault_error
	mov	%rsi, fault_rsi
	mov	%rdi, fault_rdi
	mov	%rcx, fault_rcx
	push	%rax
	mov	%cr2, %rax
	cmp	$WINDOW + 0x2000, %rax
	pop	%rax
	must	e
	movl	$0x202003, table + 16
	iretq
interrupt:
	incl	hits
	push	%rax
	mov	8(%rsp), %rax
	mov	%rax, hit_rip
	mov	24(%rsp), %rax
	mov	%rax, hit_flags
	movl	$0, 0xb0(%r14)
	pop	%rax
	iretq
failed:
	mov	%r15b, %al
	mov	$EXIT_STATUS, %edx
	out	%al, %dx
1:	hlt
	jmp	1b

	.data
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* 08h: the kernel's code */
	.quad	0x00cf93000000ffff	/* 10h: its data */
	.quad	0x00cffb000000ffff	/* 18h: the user's 32-bit code */
	.quad	0x00cff3000000ffff	/* 20h: its data */
gdt_user_code:
	.quad	0x00affb000000ffff	/* 28h: its 64-bit code */
gdt_tss:
	.quad	0x0000890000000067, 0
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.quad	gdt
idt_pointer:
	.word	0x500
	.quad	idt
	.balign	8
rounds:	.quad	0
hits:	.quad	0
hit_rip:
	.quad	0
hit_flags:
	.quad	0
pass:	.quad	0
faults:	.quad	0
number:	.quad	0
fault_error:
	.quad	0
fault_rsi:
	.quad	0
fault_rdi:
	.quad	0
fault_rcx:
	.quad	0
kernel_rsp:
	.quad	0
user_rsp:
	.quad	0
	.bss
	.balign	4096
pml4:	.space	4096
pdpt:	.space	4096
pd:	.space	4096
pd3:	.space	4096
table:	.space	4096
tss:	.space	104
	.balign	16
	.space	4096
entry_stack:
