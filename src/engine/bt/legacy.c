/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16-bit code, and 32-bit code whose segments are not flat: what uses the stack,
 * near branches, string instructions, and in real-address and virtual-8086 mode
 * loads of segment registers. SDM 1, 6.2.5 and 20.1; SDM 3, 20.
 *
 * The stack's pointer has 16 bits or 32 by SS.B, what is pushed and popped by the
 * operand size; both differ from each other in all four ways. Far transfers,
 * interrupts and all that reads a descriptor is the interpreter's.
 */
#include "engine/bt/translate.h"

#include "engine/interp/block.h"

static bool has_stack(const struct translation *t)
{
	return segment_is_carried(t, SEG_SS, true);
}

/* --- pieces ------------------------------------------------------------------ */

/* lea to, [base + displacement]: with 16 bits the others stay. */
static void lea_by_size(struct code *c, unsigned size, unsigned to,
			unsigned base, int32_t displacement)
{
	if (size == 2)
		CODE(c, 0x66);
	code_lea_sized(c, OP_SIZE_32, to, base, displacement);
}

/* op reg, [r10 + offset], or the other way round, of 2 or 4 bytes. */
static void at_scratch(struct code *c, unsigned size, unsigned opcode,
		       unsigned reg, unsigned offset)
{
	if (size == 2)
		CODE(c, 0x66);
	CODE(c, 0x41 | reg >> 3 << 2, opcode, 0x42 | (reg & 7) << 3, offset);
}

/* r10 = the word or double word there, zero-extended. */
static void load_scratch(struct code *c, unsigned size)
{
	if (size == 2)
		CODE(c, 0x45, 0x0f, 0xb7, 0x12); /* movzx r10d, word [r10] */
	else
		CODE(c, 0x45, 0x8b, 0x12); /* mov r10d, [r10] */
}

/* r10 = a register's low word or double word, zero-extended. */
static void take_register(struct code *c, unsigned size, unsigned reg)
{
	if (size == 2)
		CODE(c, 0x44 | reg >> 3, 0x0f, 0xb7, 0xd0 | (reg & 7));
	else
		code_rr(c, OP_SIZE_32, 0x89, SCRATCH, reg);
}

static unsigned stack_size(const struct translation *t)
{
	return t->flavour.has_big_stack ? 4 : 2;
}

/* r10 = the host address of `size` bytes at reg + displacement on the stack;
 * SPARE goes. */
static void emit_stack_address(struct translation *t, unsigned i, unsigned reg,
			       int32_t displacement, unsigned size,
			       enum mmu_access access)
{
	struct code *c = &t->c;

	t->retry = code_here(c);
	if (displacement)
		code_lea_sized(c, OP_SIZE_32, SCRATCH, reg, displacement);
	if (!displacement || !t->flavour.has_big_stack)
		take_register(c, stack_size(t), displacement ? SCRATCH : reg);
	emit_segment(t, i, SEG_SS, size, stack_size(t));
	emit_translate(t, i, size, access, 1);
}

/* The same for what a PUSH writes, of whose slot `size` bytes are written. */
static void emit_pushed(struct translation *t, unsigned i, unsigned slot,
			unsigned size)
{
	emit_stack_address(t, i, GUEST_RSP, -(int32_t)slot, size, MMU_WRITE);
}

/* And for what a POP reads. */
static void emit_popped(struct translation *t, unsigned i, unsigned size)
{
	emit_stack_address(t, i, GUEST_RSP, 0, size, MMU_READ);
}

static void move_stack(struct translation *t, int32_t change)
{
	lea_by_size(&t->c, stack_size(t), GUEST_RSP, GUEST_RSP, change);
}

/* Before an instruction that does not read status flags. */
static void save_live_flags(struct translation *t, unsigned i)
{
	need_flags_saved(t, t->live_after[i]);
}

/* --- PUSH and POP ------------------------------------------------------------ */

/* mov [r10], imm of 2 or 4 bytes */
static void store_constant(struct code *c, unsigned size, uint32_t value)
{
	if (size == 2)
		CODE(c, 0x66);
	CODE(c, 0x41, 0xc7, 0x02);
	code_word(c, size == 2 ? (uint16_t)value : value, size);
}

/* What spill[1] holds, to [r10]; SPARE goes. */
static void store_spilled(struct code *c, unsigned size)
{
	code_load(c, SPARE, FIELD(spill[1]));
	at_scratch(c, size, 0x89, SPARE, 0);
}

static enum carried emit_push(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *from = &insn->operand[0];
	unsigned size = insn->opsize;
	struct code *c = &t->c;

	if (!has_stack(t) || (from->kind == OPND_MEM &&
			      !segment_is_carried(t, insn->seg, false)))
		return CARRIED_NOT;
	save_live_flags(t, i);
	if (from->kind == OPND_MEM) {
		emit_operand_address(t, i, from);
		load_scratch(c, size);
		code_store(c, FIELD(spill[1]), SCRATCH);
	}
	emit_pushed(t, i, size, size);
	if (from->kind == OPND_MEM)
		store_spilled(c, size);
	else if (from->kind == OPND_REG)
		at_scratch(c, size, 0x89, host_register(from->reg), 0);
	else
		store_constant(c, size, (uint32_t)insn->imm);
	move_stack(t, -(int32_t)size);
	return CARRIED;
}

/* Where it is rSP that is popped the pointer's own width decides what stays. */
static enum carried emit_pop(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	unsigned size = insn->opsize, reg = insn->operand[0].reg;

	if (!has_stack(t) || insn->operand[0].kind != OPND_REG ||
	    (reg == RSP && size < stack_size(t)))
		return CARRIED_NOT;
	save_live_flags(t, i);
	emit_popped(t, i, size);
	at_scratch(&t->c, size, 0x8b, host_register(reg), 0);
	if (reg != RSP)
		move_stack(t, (int32_t)size);
	return CARRIED;
}

static enum carried emit_pusha(struct translation *t, unsigned i)
{
	unsigned size = t->insn[i].opsize;

	if (!has_stack(t))
		return CARRIED_NOT;
	save_live_flags(t, i);
	emit_pushed(t, i, 8 * size, 8 * size);
	for (unsigned reg = 0; reg < 8; reg++)
		at_scratch(&t->c, size, 0x89, host_register(reg),
			   (7 - reg) * size);
	move_stack(t, -8 * (int32_t)size);
	return CARRIED;
}

static enum carried emit_popa(struct translation *t, unsigned i)
{
	unsigned size = t->insn[i].opsize;

	if (!has_stack(t))
		return CARRIED_NOT;
	save_live_flags(t, i);
	emit_popped(t, i, 8 * size);
	for (unsigned reg = 0; reg < 8; reg++)
		if (reg != RSP)
			at_scratch(&t->c, size, 0x8b, reg, (7 - reg) * size);
	move_stack(t, 8 * (int32_t)size);
	return CARRIED;
}

static enum carried emit_leave(struct translation *t, unsigned i)
{
	unsigned size = t->insn[i].opsize;

	if (!has_stack(t))
		return CARRIED_NOT;
	save_live_flags(t, i);
	emit_stack_address(t, i, RBP, 0, size, MMU_READ);
	lea_by_size(&t->c, stack_size(t), GUEST_RSP, RBP, (int32_t)size);
	at_scratch(&t->c, size, 0x8b, RBP, 0);
	return CARRIED;
}

/* --- the flags --------------------------------------------------------------- */

static bool is_vm86(const struct translation *t)
{
	return !t->flavour.is_protected && !is_kernel(t);
}

static enum carried emit_pushf(struct translation *t, unsigned i)
{
	unsigned size = t->insn[i].opsize;
	struct code *c = &t->c;

	if (!has_stack(t) || is_vm86(t))
		return CARRIED_NOT;
	need_flags_saved(t, RFLAGS_STATUS);
	emit_spill_rflags(c);
	emit_pushed(t, i, size, size);
	store_spilled(c, size);
	move_stack(t, -(int32_t)size);
	return CARRIED;
}

/* Flags of POPF that have a meaning, VIP and VIF aside, which it clears. */
#define POPF_FLAGS                                                         \
	(RFLAGS_STATUS | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | \
	 RFLAGS_NT | RFLAGS_AC | RFLAGS_ID)

/* Changes of the status flags, ID and, in the kernel, IF. */
static enum carried emit_popf(struct translation *t, unsigned i)
{
	uint32_t free = RFLAGS_STATUS | RFLAGS_ID |
			(is_kernel(t) ? RFLAGS_IF : 0);
	unsigned size = t->insn[i].opsize;
	struct code *c = &t->c;

	if (!has_stack(t) || is_vm86(t))
		return CARRIED_NOT;
	if (size == 2)
		free &= 0xffff;
	need_flags_saved(t, 0);
	emit_popped(t, i, size);
	load_scratch(c, size);
	code_store(c, FIELD(spill[1]), SCRATCH);
	code_gs(c, OP_SIZE_32, 0x33, SCRATCH, FIELD(cpu.s.rflags));
	CODE(c, 0x41, 0xf7, 0xc2); /* test r10d, those that must not change */
	code_u32(c, (uint32_t)(POPF_FLAGS | RFLAGS_VIF | RFLAGS_VIP) & ~free &
			    (size == 2 ? 0xffff : ~0u));
	interpret_if(t, i, COND_NE);
	emit_check_if(t, i);
	code_group1(c, OP_SIZE_32, 4, SCRATCH, free);
	code_gs(c, OP_SIZE_32, 0x31, SCRATCH, FIELD(cpu.s.rflags));
	code_load(c, SCRATCH, FIELD(spill[1]));
	emit_take_status(t);
	move_stack(t, (int32_t)size);
	return CARRIED;
}

/* --- segment registers ------------------------------------------------------- */

static uint32_t selector_field(unsigned segment)
{
	return FIELD(cpu.s.segment[0].selector) +
	       segment * (uint32_t)sizeof(struct cpu_segment);
}

/*
 * Not in protected mode: limit and type stay as they are, or else the flavour
 * would not have them. After a load of SS the next instruction is executed
 * before anything else happens, as no poll stands in between.
 */
static bool may_load(const struct translation *t, unsigned i,
		     enum segment segment)
{
	return !t->flavour.is_protected && segment != SEG_CS &&
	       t->flavour.limit[segment] != BT_LIMIT_ODD &&
	       (segment != SEG_SS || i + 1 < t->count);
}

/* The selector is in r10, zero-extended. Clobbers RFLAGS. */
static void load_segment(struct code *c, unsigned segment)
{
	uint32_t field = selector_field(segment);

	CODE(c, 0x65, 0x66, 0x44, 0x89, 0x14, 0x25); /* mov gs:[..], r10w */
	code_u32(c, field);
	CODE(c, 0x41, 0xc1, 0xe2, 0x04); /* shl r10d, 4 */
	code_store(c,
		   field - (uint32_t)offsetof(struct cpu_segment, selector) +
			   (uint32_t)offsetof(struct cpu_segment, base),
		   SCRATCH);
}

static enum carried emit_mov_to_segment(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	struct operand from = insn->operand[1];
	unsigned segment = insn->operand[0].reg;

	if (!may_load(t, i, segment) ||
	    (from.kind == OPND_MEM && !segment_is_carried(t, insn->seg, false)))
		return CARRIED_NOT;
	save_live_flags(t, i);
	if (from.kind == OPND_MEM) {
		from.size = 2;
		emit_operand_address(t, i, &from);
		load_scratch(&t->c, 2);
	} else {
		take_register(&t->c, 2, host_register(from.reg));
	}
	load_segment(&t->c, segment);
	return CARRIED;
}

static enum carried emit_mov_sreg(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];

	if (insn->operand[0].kind == OPND_SREG)
		return emit_mov_to_segment(t, i);
	return emit_system(t, i);
}

/* Of a double word the upper half is left alone (SDM 2, PUSH). */
static enum carried emit_push_sreg(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	unsigned size = insn->opsize;
	struct code *c = &t->c;

	if (!has_stack(t))
		return CARRIED_NOT;
	save_live_flags(t, i);
	CODE(c, 0x65, 0x44, 0x0f, 0xb7, 0x14, 0x25); /* movzx r10d, gs:[..] */
	code_u32(c, selector_field(insn->operand[0].reg));
	code_store(c, FIELD(spill[1]), SCRATCH);
	emit_pushed(t, i, size, 2);
	store_spilled(c, 2);
	move_stack(t, -(int32_t)size);
	return CARRIED;
}

static enum carried emit_pop_sreg(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	unsigned size = insn->opsize, segment = insn->operand[0].reg;

	if (!has_stack(t) || !may_load(t, i, segment))
		return CARRIED_NOT;
	save_live_flags(t, i);
	emit_popped(t, i, size);
	load_scratch(&t->c, 2);
	load_segment(&t->c, segment);
	move_stack(t, (int32_t)size);
	return CARRIED;
}

/* LDS and its kin: the offset, then the selector. */
static enum carried emit_load_far(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	unsigned size = insn->opsize;
	struct operand both = insn->operand[1];
	struct code *c = &t->c;
	unsigned segment = insn->op == OP_LES ? SEG_ES :
			   insn->op == OP_LDS ? SEG_DS :
			   insn->op == OP_LSS ? SEG_SS :
			   insn->op == OP_LFS ? SEG_FS :
						SEG_GS;

	if (!may_load(t, i, segment) ||
	    !segment_is_carried(t, insn->seg, false))
		return CARRIED_NOT;
	both.size = size + 2;
	save_live_flags(t, i);
	emit_operand_address(t, i, &both);
	CODE(c, 0x45, 0x0f, 0xb7, 0x4a, size); /* movzx r9d, [r10 + size] */
	at_scratch(c, size, 0x8b, host_register(insn->operand[0].reg), 0);
	code_move(c, SCRATCH, SPARE);
	load_segment(c, segment);
	return CARRIED;
}

/* --- strings ----------------------------------------------------------------- */

/* r10 = the host address of the element at SI or DI. */
static void emit_element(struct translation *t, unsigned i, unsigned reg,
			 enum segment segment, enum mmu_access access)
{
	const struct insn *insn = &t->insn[i];
	unsigned size = insn->operand[0].size;

	t->retry = code_here(&t->c);
	take_register(&t->c, insn->adsize, reg);
	emit_segment(t, i, segment, size, insn->adsize);
	emit_translate(t, i, size, access, 1);
}

/* MOV between a register and [r10], of 1, 2 or 4 bytes. */
static void move_element(struct code *c, bool is_store, unsigned size,
			 unsigned reg)
{
	if (size == 2)
		CODE(c, 0x66);
	CODE(c, 0x41 | reg >> 3 << 2, (is_store ? 0x88 : 0x8a) | (size > 1),
	     (reg & 7) << 3 | 2);
}

/* MOVS, STOS, LODS once: DF is 0. */
static enum carried emit_string_legacy(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	bool is_movs = insn->op == OP_MOVS, is_stos = insn->op == OP_STOS;
	unsigned size = insn->operand[0].size;
	struct code *c = &t->c;

	if ((insn->prefixes & (PREFIX_REP | PREFIX_REPNE)) ||
	    (!is_stos && !segment_is_carried(t, insn->seg, false)) ||
	    (insn->op != OP_LODS && !segment_is_carried(t, SEG_ES, true)))
		return CARRIED_NOT;
	save_live_flags(t, i);
	if (!is_stos)
		emit_element(t, i, RSI, insn->seg, MMU_READ);
	if (is_movs) {
		move_element(c, false, size, SPARE);
		code_store(c, FIELD(spill[1]), SPARE);
	}
	if (insn->op != OP_LODS)
		emit_element(t, i, RDI, SEG_ES, MMU_WRITE);
	if (is_movs)
		code_load(c, SPARE, FIELD(spill[1]));
	move_element(c, insn->op != OP_LODS, size, is_movs ? SPARE : RAX);
	if (!is_stos)
		lea_by_size(c, insn->adsize, RSI, RSI, (int32_t)size);
	if (insn->op != OP_LODS)
		lea_by_size(c, insn->adsize, RDI, RDI, (int32_t)size);
	return CARRIED;
}

/* --- LEA --------------------------------------------------------------------- */

static enum carried emit_lea_legacy(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	unsigned to = host_register(insn->operand[0].reg);

	if (insn->opsize == 4 && insn->adsize == 4) {
		emit_lea(t, i);
		return CARRIED;
	}
	emit_address(t, i);
	if (insn->opsize == 2)
		CODE(&t->c, 0x66);
	code_rr(&t->c, OP_SIZE_32, 0x89, to, SCRATCH);
	return CARRIED;
}

/* --- near branches ----------------------------------------------------------- */

/* r10 = EIP: the #GP beyond the limit is the branch's own. Of 16 bits, most
 * limits allow all. */
static void check_limit(struct translation *t, unsigned i, unsigned size)
{
	uint32_t limit = code_limit(t);

	if (limit == UINT32_MAX || (size == 2 && limit >= 0xffff))
		return;
	code_group1(&t->c, OP_SIZE_32, 7, SCRATCH, limit);
	interpret_if(t, i, COND_A);
}

/* r10 = the linear address. */
static void add_code_base(struct translation *t)
{
	uint32_t base = bt_rip_base(t->rip);

	if (base)
		code_lea_sized(&t->c, OP_SIZE_32, SCRATCH, SCRATCH,
			       (int32_t)base);
}

void emit_target_legacy(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *operand = &insn->operand[0];
	uint64_t upper = t->rip & ~(uint64_t)UINT32_MAX;
	struct code *c = &t->c;

	if (operand->kind == OPND_REG) {
		take_register(c, insn->opsize, host_register(operand->reg));
	} else {
		emit_operand_address(t, i, operand);
		load_scratch(c, insn->opsize);
	}
	check_limit(t, i, insn->opsize);
	add_code_base(t);
	if (!upper)
		return;
	code_constant(c, SPARE, upper);
	code_rr(c, OP_SIZE_64, 0x09, SCRATCH, SPARE); /* or */
}

void emit_push_return_legacy(struct translation *t, unsigned i, uint64_t rip)
{
	unsigned size = t->insn[i].opsize;

	need_flags_saved(t, RFLAGS_STATUS);
	emit_pushed(t, i, size, size);
	store_constant(&t->c, size, bt_rip_ip(rip));
	move_stack(t, -(int32_t)size);
}

/* Below the shadow stack's pointer it leaves what a return site compares: where
 * the guest goes, with the base of CS. */
void emit_ret_legacy(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	unsigned size = insn->opsize;
	int32_t pop = insn->nops ? (int32_t)(uint16_t)insn->imm : 0;
	uint32_t upper = (uint32_t)(t->rip >> 32);
	struct code *c = &t->c;

	need_flags_saved(t, RFLAGS_STATUS);
	emit_popped(t, i, size);
	load_scratch(c, size);
	check_limit(t, i, size);
	add_code_base(t);
	CODE(c, 0x41, 0x52); /* push r10 */
	if (upper) {
		CODE(c, 0xc7, 0x44, 0x24, 0x04); /* mov dword [rsp + 4], .. */
		code_u32(c, upper);
	}
	code_lea(c, RSP, RSP, 8);
	move_stack(t, (int32_t)size + pop);
	code_constant(c, SCRATCH, BT_RETURN_IDS(bt_codes(&t->flavour)));
	code_u8(c, 0xc3);
}

/* A direct branch beyond the limit faults, if it is taken. */
static bool is_carried_branch(const struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct operand *operand = &insn->operand[0];

	if ((insn->op == OP_CALL || insn->op == OP_RET) && !has_stack(t))
		return false;
	if (insn->nops && operand->kind == OPND_REL)
		return bt_rip_ip(insn_target(t, i)) <= code_limit(t);
	return insn->op == OP_RET || operand->kind == OPND_REG ||
	       segment_is_carried(t, insn->seg, false);
}

static enum carried emit_near_branch(struct translation *t, unsigned i)
{
	if (!is_carried_branch(t, i))
		return CARRIED_NOT;
	emit_branch(t, i);
	return CARRIED_AND_ENDS;
}

/* --- the table --------------------------------------------------------------- */

typedef enum carried emit_fn(struct translation *t, unsigned i);

static emit_fn *const carriers[OP_COUNT] = {
	[OP_PUSH] = emit_push,		[OP_POP] = emit_pop,
	[OP_PUSHA] = emit_pusha,	[OP_POPA] = emit_popa,
	[OP_LEA] = emit_lea_legacy,	[OP_LEAVE] = emit_leave,
	[OP_PUSHF] = emit_pushf,	[OP_POPF] = emit_popf,
	[OP_MOV_SREG] = emit_mov_sreg,	[OP_PUSH_SREG] = emit_push_sreg,
	[OP_POP_SREG] = emit_pop_sreg,	[OP_LES] = emit_load_far,
	[OP_LDS] = emit_load_far,	[OP_LSS] = emit_load_far,
	[OP_LFS] = emit_load_far,	[OP_LGS] = emit_load_far,
	[OP_MOVS] = emit_string_legacy, [OP_STOS] = emit_string_legacy,
	[OP_LODS] = emit_string_legacy, [OP_JCC] = emit_near_branch,
	[OP_JMP] = emit_near_branch,	[OP_CALL] = emit_near_branch,
	[OP_RET] = emit_near_branch,	[OP_LOOP] = emit_near_branch,
	[OP_JCXZ] = emit_near_branch,
};

enum carried emit_legacy(struct translation *t, unsigned i)
{
	emit_fn *fn = carriers[t->insn[i].op];

	return fn ? fn(t, i) : emit_system(t, i);
}
