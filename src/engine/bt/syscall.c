/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stubs that change the privilege level: SYSCALL, SYSRET and IRET (SDM 2), as
 * interp/syscall.c and transfer.c do them, between 64-bit code at CPL 3 and 0.
 * They leave the CPU as interp_mode_changed would:
 *	s.segment[CS], [SS]	flat, or as IRET's descriptors say
 *	s.rflags		and the saved status flags
 *	cpl, view		the mode and is_flat stay: no AC at CPL 3
 * and go on by the look-up of the new view, which polls.
 */
#include "engine/bt/code.h"
#include "engine/interp/segment.h"

/* EAX, RFLAGS in part: its status flags to where they are saved. EDX is lost. */
static void save_status(struct code *c)
{
	code_rr(c, OP_SIZE_32, 0x89, RDX, RAX);
	code_group1(c, OP_SIZE_32, 4, RAX, 0xd5);
	CODE(c, 0xc1, 0xe0, 0x08); /* shl eax, 8 */
	code_shr32(c, RDX, 11);
	code_group1(c, OP_SIZE_32, 4, RDX, 1);
	code_rr(c, OP_SIZE_32, 0x09, RAX, RDX);
	code_store(c, FIELD(flags), RAX);
}

/* EAX: RFLAGS whole, the status flags from where they are saved. EDX is lost. */
static void load_rflags(struct code *c)
{
	code_gs(c, OP_SIZE_32, 0x8b, RAX, FIELD(flags));
	CODE(c, 0x0f, 0xb6, 0xd4); /* movzx edx, ah */
	code_group1(c, OP_SIZE_32, 4, RDX, 0xd5);
	code_group1(c, OP_SIZE_32, 4, RAX, 1);
	CODE(c, 0xc1, 0xe0, 0x0b); /* shl eax, 11 */
	code_rr(c, OP_SIZE_32, 0x09, RDX, RAX);
	code_gs(c, OP_SIZE_32, 0x8b, RAX, FIELD(cpu.s.rflags));
	code_group1(c, OP_SIZE_32, 4, RAX, ~(uint32_t)RFLAGS_STATUS);
	code_rr(c, OP_SIZE_32, 0x09, RAX, RDX);
}

/* mov word gs:[field], ax */
static void store_word(struct code *c, uint32_t field)
{
	CODE(c, 0x66);
	code_gs(c, OP_SIZE_32, 0x89, RAX, field);
}

static void store_segment(struct code *c, uint32_t segment, uint32_t attributes)
{
	store_word(c, segment + offsetof(struct cpu_segment, selector));
	code_gs_imm(c, OP_SIZE_32, 0xc7, 0,
		    segment + offsetof(struct cpu_segment, attributes),
		    attributes);
	code_gs_imm(c, OP_SIZE_32, 0xc7, 0,
		    segment + offsetof(struct cpu_segment, limit), ~0u);
	code_gs_imm(c, OP_SIZE_64, 0xc7, 0,
		    segment + offsetof(struct cpu_segment, base), 0);
}

/* EAX: the selector of CS, whose RPL is the new CPL; SS is `beyond` it. */
static void load_flat(struct code *c, unsigned cpl, unsigned beyond)
{
	uint32_t dpl = cpl << SEGMENT_DPL_SHIFT;

	store_segment(c, FIELD(cpu.s.segment[SEG_CS]),
		      (uint32_t)SEGMENT_FLAT_CODE | SEGMENT_L | dpl);
	code_group1(c, OP_SIZE_32, 0, RAX, beyond);
	store_segment(c, FIELD(cpu.s.segment[SEG_SS]),
		      (uint32_t)SEGMENT_FLAT_DATA | dpl);
	code_gs_imm8(c, 0xc6, 0, FIELD(cpu.cpl), cpl);
}

static void reload(struct code *c)
{
	code_load(c, RAX, FIELD(spill[0]));
	code_load(c, RDX, FIELD(spill[1]));
}

static void spill(struct code *c)
{
	code_store(c, FIELD(spill[0]), RAX);
	code_store(c, FIELD(spill[1]), RDX);
}

/* R10: where SYSRET comes back to. The view: SMAP's, if on and AC is 0. */
static void make_syscall(struct code *c, struct bt_vm *bt)
{
	uint8_t *no_smap, *has_ac;

	bt->stubs.syscall = code_here(c);
	code_move(c, RCX, SCRATCH);
	spill(c);
	load_rflags(c);
	code_store(c, FIELD_GPR(R11), RAX);
	code_load(c, SCRATCH, FIELD(cpu.s.msr.fmask));
	CODE(c, 0x41, 0xf7, 0xd2); /* not r10d */
	code_rr(c, OP_SIZE_32, 0x21, RAX, SCRATCH);
	CODE(c, 0x83, 0xc8, 0x02); /* or eax, 2 */
	code_store(c, FIELD(cpu.s.rflags), RAX);
	code_move(c, SCRATCH, RAX);
	save_status(c);
	code_gs(c, OP_SIZE_32, 0x8b, RAX, FIELD(cpu.s.msr.star) + 4);
	code_group1(c, OP_SIZE_32, 4, RAX, 0xfffc);
	load_flat(c, 0, 8);
	CODE(c, 0x41, 0xf7, 0xc2); /* test r10d, AC */
	code_u32(c, (uint32_t)RFLAGS_AC);
	reload(c);
	code_load(c, SCRATCH, FIELD(cpu.s.msr.lstar));
	has_ac = code_jcc_forward(c, COND_NE);
	code_gs_imm(c, OP_SIZE_32, 0xf7, 0, FIELD(cpu.s.cr4), CR4_SMAP);
	no_smap = code_jcc_forward(c, COND_E);
	code_gs_imm(c, OP_SIZE_32, 0xc7, 0, FIELD(cpu.view), MMU_SMAP);
	code_jump(c, bt->stubs.lookup[MMU_SMAP]);
	code_land(c, has_ac);
	code_land(c, no_smap);
	code_gs_imm(c, OP_SIZE_32, 0xc7, 0, FIELD(cpu.view), MMU_SUPERVISOR);
	code_jump(c, bt->stubs.lookup[MMU_SUPERVISOR]);
}

/* Left to the interpreter: a RIP that is not canonical; TF, DF or AC; and an
 * interrupt that waits. */
static void make_sysret(struct code *c, struct bt_vm *bt)
{
	uint8_t *slow[3];

	bt->stubs.sysret = code_here(c);
	spill(c);
	code_move(c, RAX, RCX);
	CODE(c, 0x48, 0xc1, 0xe0, 0x10); /* shl rax, 16 */
	CODE(c, 0x48, 0xc1, 0xf8, 0x10); /* sar rax, 16 */
	code_rr(c, OP_SIZE_64, 0x39, RAX, RCX);
	slow[0] = code_jcc_forward(c, COND_NE);
	code_load(c, RAX, FIELD_GPR(R11));
	CODE(c, 0xa9); /* test eax, imm32 */
	code_u32(c, (uint32_t)(RFLAGS_TF | RFLAGS_DF | RFLAGS_AC));
	slow[1] = code_jcc_forward(c, COND_NE);
	code_gs_imm8(c, 0x80, 7, FIELD(has_waiting), 0);
	slow[2] = code_jcc_forward(c, COND_NE);
	code_group1(c, OP_SIZE_32, 4, RAX, (uint32_t)SYSRET_FLAGS);
	CODE(c, 0x83, 0xc8, 0x02); /* or eax, 2 */
	code_store(c, FIELD(cpu.s.rflags), RAX);
	save_status(c);
	CODE(c, 0x65, 0x0f, 0xb7, 0x04, 0x25); /* movzx eax, word gs:[..] */
	code_u32(c, FIELD(cpu.s.msr.star) + 6);
	code_group1(c, OP_SIZE_32, 0, RAX, 16);
	CODE(c, 0x83, 0xc8, 0x03); /* or eax, 3 */
	load_flat(c, 3, (uint32_t)-8);
	code_gs_imm(c, OP_SIZE_32, 0xc7, 0, FIELD(cpu.view), MMU_USER);
	reload(c);
	code_move(c, SCRATCH, RCX);
	code_jump(c, bt->stubs.lookup[MMU_USER]);
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
		code_land(c, slow[i]);
	reload(c);
	code_jump(c, bt->stubs.interpret_here);
}

/* --- IRET ------------------------------------------------------------------- */

/* The places that leave a stub for the interpreter. */
struct slow {
	uint8_t *branch[40];
	unsigned count;
};

static void slow_if(struct code *c, struct slow *slow, unsigned condition)
{
	BUG_ON(slow->count == ARRAY_SIZE(slow->branch));
	slow->branch[slow->count++] = code_jcc_forward(c, condition);
}

/* mov reg, [r10 + offset] */
static void load_frame(struct code *c, unsigned reg, unsigned offset)
{
	CODE(c, 0x49 | reg >> 3 << 2, 0x8b, 0x42 | (reg & 7) << 3, offset);
}

enum {
	FRAME_RIP = 0,
	FRAME_CS = 8,
	FRAME_FLAGS = 16,
	FRAME_RSP = 24,
	FRAME_SS = 32,
	FRAME_SIZE = 40
};

/* What else IRET can load is the interpreter's. RF is dropped: it has a meaning
 * where breakpoints are set, and then no code is translated; or where the next
 * instruction is not reached, as the pending event then goes first. */
#define IRET_FREE (RFLAGS_STATUS | RFLAGS_IF | RFLAGS_ID | RFLAGS_IOPL)
#define IRET_SLOW                                                    \
	(RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_VM | RFLAGS_AC | \
	 RFLAGS_VIF | RFLAGS_VIP)

static void check_frame(struct code *c, struct slow *slow)
{
	code_load(c, RAX, FIELD(cpu.s.rflags));
	CODE(c, 0xa9); /* test eax, NT */
	code_u32(c, RFLAGS_NT);
	slow_if(c, slow, COND_NE);
	code_gs_imm8(c, 0x80, 7, FIELD(cpu.s.nmi_is_blocked), 0);
	slow_if(c, slow, COND_NE);
	code_gs_imm8(c, 0x80, 7, FIELD(has_waiting), 0);
	slow_if(c, slow, COND_NE);
	code_poll(c);
	slow_if(c, slow, COND_B);
	load_frame(c, RAX, FRAME_FLAGS);
	CODE(c, 0xa9);
	code_u32(c, (uint32_t)IRET_SLOW);
	slow_if(c, slow, COND_NE);
	load_frame(c, RAX, FRAME_RIP);
	code_move(c, RDX, RAX);
	CODE(c, 0x48, 0xc1, 0xe2, 0x10); /* shl rdx, 16 */
	CODE(c, 0x48, 0xc1, 0xfa, 0x10); /* sar rdx, 16 */
	code_rr(c, OP_SIZE_64, 0x39, RAX, RDX);
	slow_if(c, slow, COND_NE);
}

/* The frame's selectors and the descriptors are those of the last time. */
static void check_segments(struct code *c, unsigned view, uint32_t to,
			   struct slow *slow)
{
	CODE(c, 0x41, 0x0f, 0xb7, 0x42, FRAME_SS); /* movzx eax, word */
	CODE(c, 0xc1, 0xe0, 0x10); /* shl eax, 16 */
	CODE(c, 0x66, 0x41, 0x0b, 0x42, FRAME_CS); /* or ax, [r10 + 8] */
	code_gs(c, OP_SIZE_64, 0x3b, RAX,
		to + offsetof(struct bt_return, selectors));
	slow_if(c, slow, COND_NE);
	code_load(c, RAX, FIELD(cpu.s.gdtr.base));
	code_gs(c, OP_SIZE_64, 0x3b, RAX,
		to + offsetof(struct bt_return, gdt_base));
	slow_if(c, slow, COND_NE);
	CODE(c, 0x65, 0x0f, 0xb7, 0x04, 0x25); /* movzx eax, word gs:[..] */
	code_u32(c, FIELD(cpu.s.gdtr.limit));
	code_gs(c, OP_SIZE_64, 0x3b, RAX,
		to + offsetof(struct bt_return, gdt_limit));
	slow_if(c, slow, COND_NE);
	for (unsigned i = 0; i < 2; i++) {
		code_load(c, RBX,
			  to + offsetof(struct bt_return, address) + 8 * i);
		slow->branch[slow->count++] =
			bt_stub_translate(c, view, MMU_READ, RBX, RAX, RDX);
		CODE(c, 0x48, 0x8b, 0x00); /* mov rax, [rax] */
		code_gs(c, OP_SIZE_64, 0x3b, RAX,
			to + offsetof(struct bt_return, descriptor) + 8 * i);
		slow_if(c, slow, COND_NE);
	}
}

/* A data segment that CPL 3 may not use is the interpreter's to null, and so
 * is the RPL of a null selector. */
static void check_data_segments(struct code *c, struct slow *slow)
{
	static const enum segment data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		uint32_t at = data[i] * (uint32_t)sizeof(struct cpu_segment);
		uint8_t *usable, *unusable;

		code_gs(c, OP_SIZE_32, 0x8b, RAX,
			FIELD(cpu.s.segment[0].attributes) + at);
		CODE(c, 0xa9);
		code_u32(c, (uint32_t)SEGMENT_UNUSABLE);
		usable = code_jcc_forward(c, COND_E);
		/* cmp word gs:[..], 0 */
		CODE(c, 0x65, 0x66, 0x83, 0x3c, 0x25);
		code_u32(c, FIELD(cpu.s.segment[0].selector) + at);
		CODE(c, 0);
		slow_if(c, slow, COND_NE);
		unusable = code_jcc_forward(c, COND_E);
		code_land(c, usable);
		code_group1(c, OP_SIZE_32, 4, RAX, SEGMENT_DPL);
		code_group1(c, OP_SIZE_32, 7, RAX, SEGMENT_DPL);
		slow_if(c, slow, COND_NE);
		code_land(c, unusable);
	}
}

static void copy_segment(struct code *c, uint32_t to, uint32_t from)
{
	for (unsigned i = 0; i < sizeof(struct cpu_segment); i += 8) {
		code_load(c, RAX, from + i);
		code_store(c, to + i, RAX);
	}
}

/* R10 is the frame; all has been checked. */
static void load_all(struct code *c, const struct bt_vm *bt, uint32_t to,
		     unsigned cpl, unsigned view)
{
	load_frame(c, RAX, FRAME_FLAGS);
	code_group1(c, OP_SIZE_32, 4, RAX, (uint32_t)IRET_FREE);
	CODE(c, 0x83, 0xc8, 0x02); /* or eax, 2 */
	code_store(c, FIELD(cpu.s.rflags), RAX);
	save_status(c);
	copy_segment(c, FIELD(cpu.s.segment[SEG_CS]),
		     to + offsetof(struct bt_return, code));
	copy_segment(c, FIELD(cpu.s.segment[SEG_SS]),
		     to + offsetof(struct bt_return, stack));
	code_gs_imm8(c, 0xc6, 0, FIELD(cpu.cpl), cpl);
	code_gs_imm(c, OP_SIZE_32, 0xc7, 0, FIELD(cpu.view), view);
	load_frame(c, GUEST_RSP, FRAME_RSP);
	load_frame(c, SCRATCH, FRAME_RIP);
	reload(c);
	code_load(c, RBX, FIELD(spill[3]));
	code_jump(c, bt->stubs.lookup[view]);
}

/* From CPL 0. With SMAP and AC set the view would change: seldom. */
static void make_iret(struct code *c, struct bt_vm *bt, unsigned view)
{
	uint32_t to = FIELD(iret[0]);
	struct slow slow = { .count = 0 };
	uint8_t *outer;

	bt->stubs.iret[view] = code_here(c);
	spill(c);
	code_store(c, FIELD(spill[3]), RBX);
	if (view == MMU_SUPERVISOR) {
		code_gs_imm(c, OP_SIZE_32, 0xf7, 0, FIELD(cpu.s.cr4), CR4_SMAP);
		slow_if(c, &slow, COND_NE);
	}
	slow.branch[slow.count++] =
		bt_stub_translate(c, view, MMU_READ, GUEST_RSP, SCRATCH, RAX);
	code_group1(c, OP_SIZE_64, 7, RAX, PAGE_SIZE - FRAME_SIZE);
	slow_if(c, &slow, COND_A);
	check_frame(c, &slow);
	CODE(c, 0x41, 0xf6, 0x42, FRAME_CS, 0x03); /* test byte [r10 + 8], 3 */
	outer = code_jcc_forward(c, COND_NE);
	check_segments(c, view, to, &slow);
	load_all(c, bt, to, 0, view);
	code_land(c, outer);
	to = FIELD(iret[1]);
	check_segments(c, view, to, &slow);
	check_data_segments(c, &slow);
	load_all(c, bt, to, 3, MMU_USER);
	for (unsigned i = 0; i < slow.count; i++)
		code_land(c, slow.branch[i]);
	reload(c);
	code_load(c, RBX, FIELD(spill[3]));
	code_constant(c, SCRATCH, 0);
	code_store(c, FIELD(resume), SCRATCH);
	code_jump(c, bt->stubs.interpret_here);
}

void bt_transfer_stubs_make(struct code *c, struct bt_vm *bt)
{
	make_syscall(c, bt);
	make_sysret(c, bt);
	make_iret(c, bt, MMU_SUPERVISOR);
	make_iret(c, bt, MMU_SMAP);
}
