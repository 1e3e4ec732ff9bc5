/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System instructions that a kernel executes all the time, in translated code.
 * Each does what the interpreter's function does, for the case that is common;
 * any other case goes there.
 *
 * Translated code runs at CPL 3 (the user view) or 0, with DF, TF, RF and VM
 * clear. What it changes of the CPU, besides registers:
 *	s.rflags	all but the status flags, which are saved beside it
 *	view		with AC (STAC, CLAC), with CPL: see syscall.c
 *	s.segment[]	bases of FS and GS; CS and SS: see syscall.c
 * What else interp_mode_changed derives stays as it is.
 *
 * IF and interrupts: whatever makes an interrupt deliverable sets `attention`.
 * bt_vcpu.has_waiting says that one was waiting when the code was entered: then
 * it is the interpreter that sets IF, and the run loop looks. Else an interrupt
 * comes at the next poll, which is never right behind STI, as its shadow wants:
 * an STI at the end of a block is left to the interpreter.
 */
#include "engine/bt/translate.h"

#include "engine/interp/block.h"
#include "x86/reencode.h"

#define VIEW_FIELD FIELD(cpu.view)

static void load_guest(struct code *c, unsigned to, unsigned guest)
{
	if (in_memory(guest))
		code_load(c, to, FIELD_GPR(guest));
	else
		code_move(c, to, host_register(guest));
}

static void store_guest(struct code *c, unsigned guest, unsigned from)
{
	if (in_memory(guest))
		code_store(c, FIELD_GPR(guest), from);
	else
		code_move(c, host_register(guest), from);
}

/* --- flags ------------------------------------------------------------------ */

static enum carried emit_cli(struct translation *t, unsigned i)
{
	if (!is_kernel(t))
		return CARRIED_NOT;
	need_flags_saved(t, t->live_after[i]);
	code_gs_imm(&t->c, OP_SIZE_32, 0x81, 4, FIELD(cpu.s.rflags),
		    ~(uint32_t)RFLAGS_IF);
	return CARRIED;
}

static enum carried emit_sti(struct translation *t, unsigned i)
{
	if (!is_kernel(t) || i + 1 == t->count)
		return CARRIED_NOT;
	need_flags_saved(t, t->live_after[i]);
	code_gs_imm8(&t->c, 0x80, 7, FIELD(has_waiting), 0);
	interpret_if(t, i, COND_NE);
	code_gs_imm(&t->c, OP_SIZE_32, 0x81, 1, FIELD(cpu.s.rflags), RFLAGS_IF);
	return CARRIED;
}

/* The block ends: what follows is of another view. */
static enum carried emit_set_ac(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	bool is_set = insn->op == OP_STAC;
	uint8_t old = t->flavour.view, new = MMU_SUPERVISOR;

	if (!is_kernel(t))
		return CARRIED_NOT;
	if (t->flavour.has_smap && !is_set)
		new = MMU_SMAP;
	need_flags_saved(t, t->live_after[i]);
	if (is_set)
		code_gs_imm(&t->c, OP_SIZE_32, 0x81, 1, FIELD(cpu.s.rflags),
			    (uint32_t)RFLAGS_AC);
	else
		code_gs_imm(&t->c, OP_SIZE_32, 0x81, 4, FIELD(cpu.s.rflags),
			    ~(uint32_t)RFLAGS_AC);
	if (new == old)
		return CARRIED;
	code_gs_imm(&t->c, OP_SIZE_32, 0xc7, 0, VIEW_FIELD, new);
	t->flavour.view = new;
	emit_goto(t, i, insn_rip(t, i) + insn->len);
	t->flavour.view = old;
	return CARRIED_AND_ENDS;
}

void emit_spill_rflags(struct code *c)
{
	code_gs(c, OP_SIZE_32, 0x8b, SPARE, FIELD(flags));
	code_rr(c, OP_SIZE_32, 0x89, SCRATCH, SPARE);
	code_shr32(c, SCRATCH, 8);
	code_group1(c, OP_SIZE_32, 4, SCRATCH, 0xd5);
	code_group1(c, OP_SIZE_32, 4, SPARE, 1);
	CODE(c, 0x41, 0xc1, 0xe1, 0x0b); /* shl r9d, 11 */
	code_rr(c, OP_SIZE_32, 0x09, SCRATCH, SPARE); /* or */
	code_gs(c, OP_SIZE_32, 0x8b, SPARE, FIELD(cpu.s.rflags));
	code_group1(c, OP_SIZE_32, 4, SPARE, ~(uint32_t)RFLAGS_STATUS);
	code_rr(c, OP_SIZE_32, 0x09, SPARE, SCRATCH);
	code_store(c, FIELD(spill[1]), SPARE);
}

void emit_take_status(struct translation *t)
{
	struct code *c = &t->c;

	code_rr(c, OP_SIZE_32, 0x89, SPARE, SCRATCH);
	code_group1(c, OP_SIZE_32, 4, SPARE, 0xd5);
	CODE(c, 0x41, 0xc1, 0xe1, 0x08); /* shl r9d, 8 */
	code_shr32(c, SCRATCH, 11);
	code_group1(c, OP_SIZE_32, 4, SCRATCH, 1);
	code_rr(c, OP_SIZE_32, 0x09, SPARE, SCRATCH); /* or */
	code_store(c, FIELD(flags), SPARE);
	t->flags = FLAGS_SAVED;
}

void emit_check_if(struct translation *t, unsigned i)
{
	struct code *c = &t->c;
	uint8_t *skip;

	if (!is_kernel(t))
		return;
	CODE(c, 0x41, 0xf7, 0xc2); /* test r10d, IF */
	code_u32(c, RFLAGS_IF);
	skip = code_jcc_forward(c, COND_E);
	code_gs_imm8(c, 0x80, 7, FIELD(has_waiting), 0);
	interpret_if(t, i, COND_NE);
	code_land(c, skip);
}

static enum carried emit_pushf(struct translation *t, unsigned i)
{
	if (t->insn[i].opsize != 8)
		return CARRIED_NOT;
	need_flags_saved(t, RFLAGS_STATUS);
	emit_spill_rflags(&t->c);
	t->has_delta = false;
	emit_push_spilled(t, i);
	stack_settle(t);
	return CARRIED;
}

/* Changes of the status flags, ID and, in the kernel, IF. */
static enum carried emit_popf(struct translation *t, unsigned i)
{
	uint32_t free = RFLAGS_STATUS | RFLAGS_ID |
			(is_kernel(t) ? RFLAGS_IF : 0);
	struct code *c = &t->c;

	if (t->insn[i].opsize != 8)
		return CARRIED_NOT;
	need_flags_saved(t, 0);
	stack_load(t, i);
	code_store(c, FIELD(spill[1]), SCRATCH);
	code_gs(c, OP_SIZE_64, 0x33, SCRATCH, FIELD(cpu.s.rflags));
	CODE(c, 0x49, 0xf7, 0xc2); /* test r10, ~free */
	code_u32(c, ~free);
	interpret_if(t, i, COND_NE);
	emit_check_if(t, i);
	code_load(c, SCRATCH, FIELD(spill[1]));
	code_store(c, FIELD(cpu.s.rflags), SCRATCH);
	emit_take_status(t);
	code_lea(c, GUEST_RSP, GUEST_RSP, 8);
	return CARRIED;
}

/* --- segments --------------------------------------------------------------- */

#define BASE_FIELD(index) FIELD(cpu.s.segment[index].base)

static enum carried emit_swapgs(struct translation *t, unsigned i)
{
	struct code *c = &t->c;

	if (!is_kernel(t))
		return CARRIED_NOT;
	need_flags_saved(t, t->live_after[i]);
	code_load(c, SPARE, BASE_FIELD(SEG_GS));
	code_load(c, SCRATCH, FIELD(cpu.s.msr.kernel_gs_base));
	code_store(c, FIELD(cpu.s.msr.kernel_gs_base), SPARE);
	code_store(c, BASE_FIELD(SEG_GS), SCRATCH);
	emit_percpu_choose(c, SCRATCH, SPARE);
	return CARRIED;
}

static void check_fsgsbase(struct translation *t, unsigned i)
{
	need_flags_saved(t, t->live_after[i]);
	code_gs_imm(&t->c, OP_SIZE_32, 0xf7, 0, FIELD(cpu.s.cr4), CR4_FSGSBASE);
	interpret_if(t, i, COND_E);
}

static enum carried emit_read_base(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	enum segment index = insn->op == OP_RDFSBASE ? SEG_FS : SEG_GS;

	check_fsgsbase(t, i);
	code_gs(&t->c, insn->operand[0].size == 8, 0x8b, SCRATCH,
		BASE_FIELD(index));
	store_guest(&t->c, insn->operand[0].reg, SCRATCH);
	return CARRIED;
}

static enum carried emit_write_base(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	enum segment index = insn->op == OP_WRFSBASE ? SEG_FS : SEG_GS;
	unsigned reg = insn->operand[0].reg;
	struct code *c = &t->c;

	check_fsgsbase(t, i);
	load_guest(c, SCRATCH, reg);
	if (insn->operand[0].size == 8) {
		code_store(c, FIELD(spill[1]), SCRATCH);
		CODE(c, 0x49, 0xc1, 0xe2, 0x10); /* shl r10, 16 */
		CODE(c, 0x49, 0xc1, 0xfa, 0x10); /* sar r10, 16 */
		code_gs(c, OP_SIZE_64, 0x3b, SCRATCH, FIELD(spill[1]));
		interpret_if(t, i, COND_NE);
	} else {
		code_rr(c, OP_SIZE_32, 0x89, SCRATCH, SCRATCH);
	}
	code_store(c, BASE_FIELD(index), SCRATCH);
	if (index == SEG_GS)
		emit_percpu_choose(c, SCRATCH, SPARE);
	return CARRIED;
}

/* From a segment register: the selector, zero-extended to a general register of
 * 32 or 64 bits, else 16 bits. */
static enum carried emit_mov_sreg(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *to = &insn->operand[0];
	uint32_t selector =
		FIELD(cpu.s.segment[0].selector) +
		insn->operand[1].reg * (uint32_t)sizeof(struct cpu_segment);
	struct code *c = &t->c;

	if (to->kind == OPND_MEM) {
		struct operand word = *to;

		word.size = 2;
		need_flags_saved(t, t->live_after[i]);
		emit_operand_address(t, i, &word);
		code_store(c, FIELD(spill[0]), RAX);
		CODE(c, 0x65, 0x0f, 0xb7, 0x04, 0x25); /* movzx eax, word */
		code_u32(c, selector);
		CODE(c, 0x66, 0x41, 0x89, 0x02); /* mov [r10], ax */
		code_load(c, RAX, FIELD(spill[0]));
		return CARRIED;
	}
	if (to->kind != OPND_REG)
		return CARRIED_NOT;
	CODE(c, 0x65, 0x44, 0x0f, 0xb7, 0x14, 0x25); /* movzx r10d, word */
	code_u32(c, selector);
	if (insn->opsize == 2)
		CODE(c, 0x66); /* mov word, r10w */
	if (insn->opsize == 2 && in_memory(to->reg))
		code_gs(c, OP_SIZE_32, 0x89, SCRATCH, FIELD_GPR(to->reg));
	else if (insn->opsize == 2)
		code_rr(c, OP_SIZE_32, 0x89, host_register(to->reg), SCRATCH);
	else
		store_guest(c, to->reg, SCRATCH);
	return CARRIED;
}

/* --- bit tests ---------------------------------------------------------------- */

/* reg = the bit offset, sign-extended from `size` bytes. */
static void load_bit_offset(struct code *c, unsigned reg, unsigned guest,
			    unsigned size)
{
	load_guest(c, reg, guest);
	if (size == 4)
		CODE(c, 0x48 | reg >> 3 << 2 | reg >> 3, 0x63,
		     0xc0 | (reg & 7) << 3 | (reg & 7)); /* movsxd */
	else if (size == 2)
		CODE(c, 0x48 | reg >> 3 << 2 | reg >> 3, 0x0f, 0xbf,
		     0xc0 | (reg & 7) << 3 | (reg & 7)); /* movsx */
}

/*
 * BT and its kin on a string of bits in memory, the offset in a register: the
 * word it is in is found first, then the instruction goes with the offset
 * therein.
 */
static enum carried emit_bit_test(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *memory = &insn->operand[0];
	unsigned size = insn->opsize, log = size == 8 ? 6 : size == 4 ? 5 : 4;
	unsigned guest = insn->operand[1].reg;
	uint32_t written = insn_row(insn)->flags_written & RFLAGS_STATUS;
	uint32_t kept = t->live_after[i] & ~written;
	struct code *c = &t->c;

	if (memory->kind != OPND_MEM || insn->operand[1].kind != OPND_REG ||
	    insn->adsize != 8)
		return CARRIED_NOT;
	need_flags_saved(t, kept);
	emit_address(t, i);
	load_bit_offset(c, SPARE, guest, size);
	CODE(c, 0x48 | SPARE >> 3, 0xc1, 0xf8 | (SPARE & 7), log); /* sar */
	code_lea_full(c, true, SCRATCH, SCRATCH, SPARE, size, 0);
	emit_translate(t, i, size, insn->op == OP_BT ? MMU_READ : MMU_WRITE, 1);
	load_guest(c, SPARE, guest);
	code_group1(c, OP_SIZE_32, 4, SPARE, BIT(log) - 1);
	if (kept) { /* where SPARE goes */
		code_store(c, FIELD(spill[1]), SPARE);
		need_flags_in_rflags(t);
		code_load(c, SPARE, FIELD(spill[1]));
	}
	if (insn->prefixes & PREFIX_LOCK)
		CODE(c, 0xf0);
	if (size == 2)
		CODE(c, 0x66);
	CODE(c, 0x41 | (size == 8) << 3 | SPARE >> 3 << 2, 0x0f, insn->opcode,
	     (SPARE & 7) << 3 | 2);
	t->flags = FLAGS_IN_RFLAGS;
	return CARRIED;
}

/* --- control registers, time ------------------------------------------------ */

static enum carried emit_mov_cr(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	static const uint32_t fields[] = {
		[0] = FIELD(cpu.s.cr0),
		[2] = FIELD(cpu.s.cr2),
		[3] = FIELD(cpu.s.cr3),
		[4] = FIELD(cpu.s.cr4),
	};
	bool is_write = insn->operand[0].kind == OPND_CR;
	unsigned number = insn->operand[!is_write].reg;

	if (!is_kernel(t) || is_write || number >= ARRAY_SIZE(fields) ||
	    !fields[number])
		return CARRIED_NOT;
	code_gs(&t->c, t->wide, 0x8b, SCRATCH, fields[number]);
	store_guest(&t->c, insn->operand[0].reg, SCRATCH);
	return CARRIED;
}

/* The clock stands still only while no vCPU runs (vm_pause). */
static enum carried emit_rdtsc(struct translation *t, unsigned i)
{
	struct code *c = &t->c;

	if (!t->bt->has_tsc)
		return CARRIED_NOT;
	need_flags_saved(t, t->live_after[i]);
	if (!is_kernel(t)) {
		code_gs_imm(c, OP_SIZE_32, 0xf7, 0, FIELD(cpu.s.cr4), CR4_TSD);
		interpret_if(t, i, COND_NE);
	}
	CODE(c, 0x0f, 0x31); /* rdtsc */
	CODE(c, 0x48, 0xc1, 0xe2, 0x20); /* shl rdx, 32 */
	CODE(c, 0x48, 0x09, 0xd0); /* or rax, rdx */
	code_gs(c, OP_SIZE_64, 0x03, RAX, FIELD(tsc_offset));
	code_gs(c, OP_SIZE_64, 0x03, RAX, FIELD(cpu.s.msr.tsc_adjust));
	CODE(c, 0x48, 0x89, 0xc2); /* mov rdx, rax */
	CODE(c, 0x48, 0xc1, 0xea, 0x20); /* shr rdx, 32 */
	CODE(c, 0x89, 0xc0); /* mov eax, eax */
	if (t->insn[i].op == OP_RDTSCP)
		code_gs(c, OP_SIZE_32, 0x8b, RCX, FIELD(cpu.s.msr.tsc_aux));
	return CARRIED;
}

static enum carried emit_rdpid(struct translation *t, unsigned i)
{
	code_gs(&t->c, OP_SIZE_32, 0x8b, SCRATCH, FIELD(cpu.s.msr.tsc_aux));
	store_guest(&t->c, t->insn[i].operand[0].reg, SCRATCH);
	return CARRIED;
}

/* --- control words of the units ----------------------------------------------- */

/* Values that mask every exception: else the flavour of the code changes. */
static enum carried emit_load_control(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	bool is_mxcsr = insn->op == OP_LDMXCSR;
	struct code *c = &t->c;

	if (is_mxcsr ? !t->flavour.has_sse : !t->flavour.has_x87)
		return CARRIED_NOT;
	need_flags_saved(t, t->live_after[i]);
	emit_operand_address(t, i, &insn->operand[0]);
	if (is_mxcsr)
		CODE(c, 0x45, 0x8b, 0x12); /* mov r10d, [r10] */
	else
		CODE(c, 0x45, 0x0f, 0xb7, 0x12); /* movzx r10d, word [r10] */
	code_store(c, FIELD(spill[1]), SCRATCH);
	code_group1(c, OP_SIZE_32, 4, SCRATCH, is_mxcsr ? 0xffff1f80 : 0x3f);
	code_group1(c, OP_SIZE_32, 7, SCRATCH, is_mxcsr ? 0x1f80 : 0x3f);
	interpret_if(t, i, COND_NE);
	if (is_mxcsr)
		CODE(c, 0x65, 0x0f, 0xae, 0x14, 0x25); /* ldmxcsr gs:[..] */
	else
		CODE(c, 0x65, 0xd9, 0x2c, 0x25); /* fldcw gs:[..] */
	code_u32(c, FIELD(spill[1]));
	return CARRIED;
}

/* --- calls of C ------------------------------------------------------------------ */

/* By a function that knows the address; else by the interpreter. */
static void emit_call_c(struct translation *t, unsigned i, enum bt_exit reason)
{
	struct code *c = &t->c;

	code_store(c, FIELD(address), SCRATCH);
	CODE(c, 0x4c, 0x8d, 0x15, 0, 0, 0, 0); /* lea r10, [rip + ..] */
	cold_add(t, COLD_RECORD, c->at - 4, insn_rip(t, i));
	code_jump(c, t->bt->stubs.call[reason]);
}

static enum carried emit_xstate(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	enum bt_exit reason = insn->op == OP_XSAVE    ? BT_XSAVE :
			      insn->op == OP_XSAVEC   ? BT_XSAVEC :
			      insn->op == OP_XSAVEOPT ? BT_XSAVEOPT :
							BT_XRSTOR;

	if (!insn->w || !t->flavour.has_avx || !t->flavour.has_x87 ||
	    (reason == BT_XSAVEC && !t->bt->has_xsavec) ||
	    (reason == BT_XSAVEOPT && !t->bt->has_xsaveopt))
		return CARRIED_NOT;
	need_flags_saved(t, t->live_after[i]);
	emit_address(t, i);
	emit_call_c(t, i, reason);
	return CARRIED;
}

/* --- to other privilege levels ---------------------------------------------- */

static void check_syscall_enabled(struct translation *t, unsigned i)
{
	need_flags_saved(t, RFLAGS_STATUS);
	code_gs_imm(&t->c, OP_SIZE_32, 0xf7, 0, FIELD(cpu.s.msr.efer),
		    EFER_SCE);
	interpret_if(t, i, COND_E);
}

static enum carried emit_syscall(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	struct code *c = &t->c;

	if (is_kernel(t))
		return CARRIED_NOT;
	check_syscall_enabled(t, i);
	emit_rip(t, SCRATCH, insn_rip(t, i) + insn->len);
	code_jump(c, t->bt->stubs.syscall);
	return CARRIED_AND_ENDS;
}

static enum carried emit_sysret(struct translation *t, unsigned i)
{
	struct code *c = &t->c;

	if (!is_kernel(t) || t->insn[i].opsize != 8)
		return CARRIED_NOT;
	check_syscall_enabled(t, i);
	code_constant(c, SCRATCH, insn_rip(t, i));
	code_store(c, FIELD_RIP, SCRATCH);
	code_jump(c, t->bt->stubs.sysret);
	return CARRIED_AND_ENDS;
}

static enum carried emit_iret(struct translation *t, unsigned i)
{
	struct code *c = &t->c;

	if (!is_kernel(t) || t->insn[i].opsize != 8)
		return CARRIED_NOT;
	need_flags_saved(t, 0);
	code_constant(c, SCRATCH, insn_rip(t, i));
	code_store(c, FIELD_RIP, SCRATCH);
	code_jump(c, t->bt->stubs.iret[t->flavour.view]);
	return CARRIED_AND_ENDS;
}

/* --- the table -------------------------------------------------------------- */

typedef enum carried emit_fn(struct translation *t, unsigned i);

static emit_fn *const carriers[OP_COUNT] = {
	[OP_CLI] = emit_cli,
	[OP_STI] = emit_sti,
	[OP_CLAC] = emit_set_ac,
	[OP_STAC] = emit_set_ac,
	[OP_PUSHF] = emit_pushf,
	[OP_POPF] = emit_popf,
	[OP_SWAPGS] = emit_swapgs,
	[OP_RDFSBASE] = emit_read_base,
	[OP_RDGSBASE] = emit_read_base,
	[OP_WRFSBASE] = emit_write_base,
	[OP_WRGSBASE] = emit_write_base,
	[OP_MOV_SREG] = emit_mov_sreg,
	[OP_RDTSC] = emit_rdtsc,
	[OP_RDTSCP] = emit_rdtsc,
	[OP_RDPID] = emit_rdpid,
	[OP_XSAVE] = emit_xstate,
	[OP_XSAVEC] = emit_xstate,
	[OP_XSAVEOPT] = emit_xstate,
	[OP_XRSTOR] = emit_xstate,
	[OP_LDMXCSR] = emit_load_control,
	[OP_FLDCW] = emit_load_control,
	[OP_MOV_CR] = emit_mov_cr,
	[OP_MOVS] = emit_string,
	[OP_STOS] = emit_string,
	[OP_LODS] = emit_string,
	[OP_BT] = emit_bit_test,
	[OP_BTS] = emit_bit_test,
	[OP_BTR] = emit_bit_test,
	[OP_BTC] = emit_bit_test,
	[OP_SYSCALL] = emit_syscall,
	[OP_SYSRET] = emit_sysret,
	[OP_IRET] = emit_iret,
};

/* Written for 64-bit code alone are most. */
static bool is_of_32(const struct insn *insn)
{
	switch (insn->op) {
	case OP_CLI:
	case OP_STI:
	case OP_RDTSC:
	case OP_RDTSCP:
	case OP_MOV_SREG:
	case OP_MOV_CR:
		return true;
	default:
		return false;
	}
}

enum carried emit_system(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct insn_row *row = insn_row(insn);

	if (!carriers[insn->op] || !address_is_carried(t, insn) ||
	    (t->flavour.is_32 && !is_of_32(insn)) ||
	    !t->vcpu->cpu.blocks->has_feature[row->feature])
		return CARRIED_NOT;
	return carriers[insn->op](t, i);
}

bool system_ignores_status(const struct insn *insn)
{
	switch (insn->op) {
	case OP_CLI:
	case OP_STI:
	case OP_CLAC:
	case OP_STAC:
	case OP_SWAPGS:
	case OP_RDFSBASE:
	case OP_RDGSBASE:
	case OP_WRFSBASE:
	case OP_WRGSBASE:
	case OP_MOV_SREG:
	case OP_MOV_CR:
	case OP_RDTSC:
	case OP_RDTSCP:
	case OP_RDPID:
	case OP_LDMXCSR:
	case OP_FLDCW:
	case OP_XSAVE:
	case OP_XSAVEC:
	case OP_XSAVEOPT:
	case OP_XRSTOR:
	case OP_INVLPG:
	case OP_CPUID:
	case OP_MOVS:
	case OP_STOS:
	case OP_LODS:
	case OP_SCAS:
	case OP_CMPS:
	case OP_PUSHA:
	case OP_POPA:
	case OP_PUSH_SREG:
	case OP_POP_SREG:
	case OP_LES:
	case OP_LDS:
	case OP_LSS:
	case OP_LFS:
	case OP_LGS:
		return true;
	default:
		return false;
	}
}

bool system_changes_view(const struct insn *insn)
{
	return insn->op == OP_STAC || insn->op == OP_CLAC;
}

/* --- division --------------------------------------------------------------- */

/* cmp by, value: by is a register or [r10]; imm8, sign-extended. */
static void compare_divisor(struct code *c, unsigned wide, unsigned by,
			    unsigned value)
{
	if (by == NO_REGISTER)
		CODE(c, 0x41 | wide << 3, 0x83, 0x3a, value);
	else
		CODE(c, 0x40 | wide << 3 | by >> 3, 0x83, 0xf8 | (by & 7),
		     value);
}

/*
 * The quotient of RDX:RAX by `by` fits if RDX < by, unsigned. Signed: it fits
 * where RDX is the sign of RAX, unless `by` is 0, or -1 and RAX the least
 * number; that is how compilers divide.
 */
bool emit_divide_check(struct translation *t, unsigned i, unsigned by)
{
	const struct insn *insn = &t->insn[i];
	unsigned size = insn->operand[0].size, wide = size == 8;
	struct code *c = &t->c;

	if (size < 4)
		return false;
	if (insn->op == OP_DIV) {
		if (by == NO_REGISTER)
			CODE(c, 0x41 | wide << 3, 0x3b,
			     0x12); /* cmp dx,[r10] */
		else
			CODE(c, 0x40 | wide << 3 | by >> 3, 0x3b,
			     0xc0 | RDX << 3 | (by & 7));
		interpret_if(t, i, COND_AE);
		return true;
	}
	compare_divisor(c, wide, by, 0);
	interpret_if(t, i, COND_E);
	compare_divisor(c, wide, by, 0xff);
	interpret_if(t, i, COND_E);
	code_store(c, FIELD(spill[1]), RCX);
	code_rr(c, wide, 0x89, RCX, RAX);
	CODE(c, 0x40 | wide << 3, 0xc1, 0xf9, size * 8 - 1); /* sar ecx */
	code_rr(c, wide, 0x39, RDX, RCX);
	code_load(c, RCX, FIELD(spill[1]));
	interpret_if(t, i, COND_NE);
	return true;
}
