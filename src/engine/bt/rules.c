/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One rule per kind of instruction. Most go over as they are, with registers
 * renamed and the memory operand behind the software TLB; stack instructions
 * are taken apart; the rest is the interpreter's.
 */
#include "engine/bt/translate.h"

#include "engine/interp/block.h"
#include "x86/reencode.h"

/* --- what is carried ------------------------------------------------------- */

/* State that the area between vCPU and host cannot follow, or whose change the
 * flavour depends on; and what comes in by core/input. */
static bool is_left_to_interp(const struct translation *t,
			      const struct insn *insn)
{
	switch (insn->op) {
	case OP_VZEROALL: /* of eight registers in 32-bit code */
	case OP_VZEROUPPER:
	case OP_VPCMPESTRI: /* VEX.W is the size of EAX and EDX */
	case OP_VPCMPESTRM:
		return t->flavour.is_32;
	case OP_LDMXCSR:
	case OP_VLDMXCSR:
	case OP_FLDCW:
	case OP_FLDENV:
	case OP_FNSTENV:
	case OP_FNSAVE:
	case OP_FRSTOR:
	case OP_FNINIT:
	case OP_STD:
	case OP_RDRAND:
	case OP_RDSEED:
		return true;
	default:
		return false;
	}
}

/* A bit offset in a register reaches past the operand: SDM 2, BT. */
static bool reaches_past_operand(const struct insn *insn)
{
	return (insn->op == OP_BT || insn->op == OP_BTS || insn->op == OP_BTR ||
		insn->op == OP_BTC) &&
	       insn->operand[0].kind == OPND_MEM &&
	       insn->operand[1].kind == OPND_REG;
}

static bool units_are_usable(const struct translation *t,
			     const struct insn_row *row)
{
	const struct bt_flavour *flavour = &t->flavour;

	if (row->class & (CLASS_X87 | CLASS_MMX) && !flavour->has_x87)
		return false;
	if (row->class & CLASS_SSE && !flavour->has_sse)
		return false;
	if (row->class & CLASS_AVX && !flavour->has_avx)
		return false;
	return !(row->class & (CLASS_AVX512 | CLASS_AMX));
}

static bool operands_are_carried(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];

		switch (operand->kind) {
		case OPND_REG:
		case OPND_IMM:
		case OPND_ONE:
		case OPND_ST:
		case OPND_MM:
		case OPND_VREG:
			break;
		case OPND_MEM:
		case OPND_MOFFS:
			if (!operand->size || operand->size > 64)
				return false;
			break;
		default:
			return false;
		}
	}
	return true;
}

static const struct operand *memory_operand(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++)
		if (operand_is_mem(&insn->operand[i]))
			return &insn->operand[i];
	return NULL;
}

bool address_is_carried(const struct translation *t, const struct insn *insn)
{
	const struct operand *memory = memory_operand(insn);

	if (!t->flavour.is_32 || !memory)
		return true;
	if (t->flavour.is_segmented)
		return segment_is_carried(t, insn->seg,
					  memory->access & ACCESS_W);
	return insn->adsize == 4 && insn->seg != SEG_CS &&
	       (insn->seg != SEG_FS || t->flavour.has_fs) &&
	       (insn->seg != SEG_GS || t->flavour.has_gs);
}

static bool is_carried(const struct translation *t, const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn);

	return address_is_carried(t, insn) &&
	       (row->bt == BT_COPY || row->bt == BT_MEM) &&
	       row->priv == PRIV_U && insn->encoding != ENC_EVEX &&
	       !(row->attrs & (ROW_VSIB | ROW_ENDS)) &&
	       t->vcpu->cpu.blocks->has_feature[row->feature] &&
	       units_are_usable(t, row) && !is_left_to_interp(t, insn) &&
	       !reaches_past_operand(insn) && operands_are_carried(insn);
}

/* --- registers that live in memory ---------------------------------------- */

/* A guest register in memory, for the time of one instruction. */
struct temporary {
	uint8_t guest, host;
	bool is_read, is_written, is_spilled;
};

struct temporaries {
	unsigned count;
	struct temporary entry[3];
	struct insn_rename rename;
};

/* In the order of how seldom compilers use them. */
static uint8_t borrowed_register(uint32_t used)
{
	static const uint8_t order[] = { R15, R14, R13, R8, RBX };
	unsigned i = 0;

	while (used & BIT(order[i]))
		i++;
	return order[i];
}

/* Nothing is left of what was there. */
static bool is_replaced(const struct insn *insn, unsigned n)
{
	switch (insn->op) {
	case OP_MOV:
	case OP_MOVZX:
	case OP_MOVSX:
	case OP_MOVSXD:
		return n == 0 && insn->operand[n].size >= 4;
	default:
		return false;
	}
}

static bool is_held(const struct translation *t)
{
	return t->held_at == t->c.at;
}

/* By the place in translation.held. */
static const uint8_t holders[] = { SPARE, SCRATCH };

static unsigned holder_of(const struct translation *t, uint8_t guest)
{
	for (unsigned n = 0; is_held(t) && n < ARRAY_SIZE(holders); n++)
		if (t->held[n] == guest)
			return holders[n];
	return NO_REGISTER;
}

static bool is_taken(const struct temporaries *temps, unsigned host)
{
	for (unsigned i = 0; i < temps->count; i++)
		if (temps->entry[i].host == host)
			return true;
	return false;
}

/* Where it is; else what holds none. R10 may have another use: bt_stack.delta. */
static uint8_t choose_host(const struct translation *t,
			   const struct temporaries *temps, uint8_t guest,
			   bool scratch_is_free)
{
	unsigned holder = holder_of(t, guest);
	bool has_held = is_held(t);

	if (holder == SPARE || (holder == SCRATCH && scratch_is_free))
		return (uint8_t)holder;
	scratch_is_free &= !is_taken(temps, SCRATCH);
	if (!is_taken(temps, SPARE) &&
	    (!scratch_is_free || t->has_delta || !has_held ||
	     t->held[0] == NO_REGISTER || t->held[1] != NO_REGISTER))
		return SPARE;
	return scratch_is_free ? SCRATCH : NO_REGISTER;
}

static void add_temporary(const struct translation *t,
			  struct temporaries *temps, unsigned n,
			  const struct insn *insn, bool scratch_is_free)
{
	const struct operand *operand = &insn->operand[n];
	bool is_written = operand->access & ACCESS_W;
	struct temporary *entry;

	for (unsigned i = 0; i < temps->count; i++) {
		if (temps->entry[i].guest == operand->reg) {
			temps->entry[i].is_written |= is_written;
			temps->entry[i].is_read = true;
			return;
		}
	}
	entry = &temps->entry[temps->count];
	*entry = (struct temporary){
		.guest = operand->reg,
		.host = choose_host(t, temps, operand->reg, scratch_is_free),
		.is_read = !is_replaced(insn, n),
		.is_written = is_written,
	};
	temps->count++;
}

/* Those that are held first: they stay where they are. */
static void find_hosts(const struct translation *t, const struct insn *insn,
		       bool scratch_is_free, struct temporaries *temps)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < insn->nops; i++) {
			const struct operand *operand = &insn->operand[i];

			if (operand->kind == OPND_REG &&
			    in_memory(operand->reg) &&
			    (pass || holder_of(t, operand->reg) != NO_REGISTER))
				add_temporary(t, temps, i, insn,
					      scratch_is_free);
		}
}

static void find_temporaries(const struct translation *t,
			     const struct insn *insn, bool has_memory,
			     struct temporaries *temps)
{
	uint32_t used = insn_registers(insn);

	temps->count = 0;
	for (unsigned i = 0; i < 16; i++)
		temps->rename.to[i] = (uint8_t)i;
	temps->rename.to[RSP] = GUEST_RSP;
	temps->rename.place = AT_SCRATCH;
	find_hosts(t, insn, !has_memory, temps);
	for (unsigned i = 0; i < temps->count; i++) {
		struct temporary *entry = &temps->entry[i];

		entry->is_spilled = entry->host == NO_REGISTER;
		if (entry->is_spilled) {
			entry->host = borrowed_register(used);
			used |= BIT(entry->host);
		}
		temps->rename.to[entry->guest] = entry->host;
	}
}

static void load_temporaries(struct translation *t,
			     const struct temporaries *temps)
{
	bool has_held = is_held(t);

	for (unsigned i = 0; i < temps->count; i++) {
		const struct temporary *entry = &temps->entry[i];

		if (entry->host == SCRATCH)
			t->has_delta = false;
		if (entry->is_spilled)
			code_store(&t->c, FIELD(spill[0]) + 8 * i, entry->host);
		if (entry->is_read &&
		    !(has_held &&
		      ((entry->host == SPARE && t->held[0] == entry->guest) ||
		       (entry->host == SCRATCH && t->held[1] == entry->guest))))
			code_load(&t->c, entry->host, FIELD_GPR(entry->guest));
	}
}

/* Behind an instruction that changed nothing else in SPARE and SCRATCH. */
static void hold_temporaries(struct translation *t,
			     const struct temporaries *temps, bool has_held)
{
	if (!has_held)
		t->held[0] = t->held[1] = NO_REGISTER;
	for (unsigned i = 0; i < temps->count; i++)
		for (unsigned n = 0; n < ARRAY_SIZE(holders); n++)
			if (temps->entry[i].host == holders[n])
				t->held[n] = temps->entry[i].guest;
	t->held_at = t->c.at;
}

static void store_temporaries(struct translation *t,
			      const struct temporaries *temps)
{
	for (unsigned i = 0; i < temps->count; i++) {
		const struct temporary *entry = &temps->entry[i];

		if (entry->is_written)
			code_store(&t->c, FIELD_GPR(entry->guest), entry->host);
		if (entry->is_spilled)
			code_load(&t->c, entry->host, FIELD(spill[0]) + 8 * i);
	}
}

/* --- instructions as they are ---------------------------------------------- */

/* Its memory operand lies in what the current run has checked. */
static bool is_checked_on_stack(const struct translation *t,
				const struct insn *insn)
{
	const struct operand *memory = memory_operand(insn);

	return memory && is_stack_operand(t, insn) &&
	       !(insn_row(insn)->attrs & (ROW_ALIGN | ROW_NOSEG)) &&
	       memory->size && insn->disp == (int32_t)insn->disp &&
	       stack_has(t, (int32_t)insn->disp, memory->size);
}

static bool divides(const struct insn *insn)
{
	return insn->op == OP_DIV || insn->op == OP_IDIV;
}

bool insn_may_lag(const struct translation *t, const struct insn *insn)
{
	if (!is_carried(t, insn) || divides(insn))
		return false;
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->operand[i].kind == OPND_REG &&
		    insn->operand[i].reg == RSP)
			return false;
	return !memory_operand(insn) || is_checked_on_stack(t, insn);
}

void emit_operand_address(struct translation *t, unsigned i,
			  const struct operand *memory)
{
	const struct insn *insn = &t->insn[i];

	if (is_checked_on_stack(t, insn))
		stack_address(t, (int32_t)insn->disp);
	else if (!emit_percpu(t, i, memory))
		emit_memory(t, i, memory);
}

/* The host register that DIV divides by; NO_REGISTER: memory. */
static unsigned divisor(const struct insn *insn,
			const struct temporaries *temps)
{
	const struct operand *operand = &insn->operand[0];

	return operand->kind == OPND_REG && operand->reg < INSN_REG_AH ?
		       temps->rename.to[operand->reg] :
		       NO_REGISTER;
}

/*
 * AH, CH, DH and BH do not go with REX, which R10 as a base needs: one of the
 * first eight registers, not RSP or RBP, stands in for it.
 */
static unsigned low_register(uint32_t used)
{
	static const uint8_t low[] = { RSI, RDI, RBX, RDX, RCX };

	for (unsigned i = 0; i < sizeof(low); i++)
		if (!(used & BIT(low[i])))
			return low[i];
	return NO_REGISTER;
}

/* Such a register is named, which does not go with REX. */
static bool has_high_byte(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->operand[i].kind == OPND_REG &&
		    insn->operand[i].reg >= INSN_REG_AH)
			return true;
	return false;
}

static void emit_carried(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct insn_row *row = insn_row(insn);
	const struct operand *memory = memory_operand(insn);
	uint32_t written = row->flags_written & RFLAGS_STATUS;
	uint32_t read = insn_reads_status(insn) |
			(insn_keeps_status(insn) & t->live_after[i]);
	uint32_t kept = t->live_after[i] & ~written;
	bool is_checked = is_checked_on_stack(t, insn) && !divides(insn);
	bool wants_flags = read || (written && kept); /* restored by SPARE */
	struct temporaries temps;
	struct insn_place *place = &temps.rename.place;
	uint8_t bytes[INSN_REENCODED_MAX + 8];
	unsigned length = 0;
	bool has_held;

	find_temporaries(t, insn, memory != NULL, &temps);
	if (memory && has_high_byte(insn)) {
		is_checked = false;
		place->base = (uint8_t)low_register(insn_registers(insn));
	}
	if (!memory || place->base != SCRATCH) {
		length = insn_reencode(bytes, insn, insn_bytes(t, i),
				       &temps.rename);
		if (!length) {
			emit_interpret(t, i);
			return;
		}
	}
	if (is_checked) {
		has_held = is_held(t);
		place->index = GUEST_RSP;
		place->displacement = stack_delta(t, (int32_t)insn->disp);
		t->held[1] = NO_REGISTER;
		if (has_held)
			t->held_at = t->c.at;
	} else if (memory) {
		need_flags_saved(t, read | kept);
		if (divides(insn) || place->base != SCRATCH ||
		    is_checked_on_stack(t, insn))
			emit_operand_address(t, i, memory);
		else if (!emit_percpu(t, i, memory))
			*place = emit_place(t, i, memory,
					    is_taken(&temps, SPARE) ||
						    wants_flags);
	}
	/* Without such a register there is always one. */
	if (memory && place->base == SCRATCH)
		length = insn_reencode(bytes, insn, insn_bytes(t, i),
				       &temps.rename);
	BUG_ON(!length);
	if (divides(insn))
		need_flags_saved(t, kept);
	if (wants_flags)
		need_flags_in_rflags(t);
	has_held = is_held(t);
	load_temporaries(t, &temps);
	if (divides(insn) && !emit_divide_check(t, i, divisor(insn, &temps))) {
		emit_interpret(t, i);
		return;
	}
	if (place->base != SCRATCH) {
		code_store(&t->c, FIELD(spill[0]), place->base);
		code_move(&t->c, place->base, SCRATCH);
	}
	code_copy(&t->c, bytes, length);
	if (place->base != SCRATCH)
		code_load(&t->c, place->base, FIELD(spill[0]));
	if (written)
		t->flags = FLAGS_IN_RFLAGS;
	store_temporaries(t, &temps);
	hold_temporaries(t, &temps, has_held);
}

/* --- all --------------------------------------------------------------------- */

void emit_interpret(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];

	t->interpreted |= BIT(i);
	t->has_delta = false;
	stack_settle(t);
	need_flags_saved(t, t->live_after[i] | insn_reads_status(insn));
	cold_add(t, COLD_INTERPRET, code_jump_forward(&t->c), insn_rip(t, i));
	t->flags = FLAGS_SAVED;
}

/* Direct ones to no canonical address are the interpreter's, which faults. */
static bool is_near_branch(const struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];

	if (insn->nops && insn->operand[0].kind == OPND_REL &&
	    !gva_is_canonical(insn_target(t, i)))
		return false;
	switch (insn->op) {
	case OP_JCC:
	case OP_JMP:
	case OP_CALL:
	case OP_RET:
		return insn->opsize == t->word && address_is_carried(t, insn);
	case OP_LOOP:
	case OP_JCXZ:
		return insn->opsize == t->word;
	default:
		return false;
	}
}

bool emit_insn(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct insn_row *row = insn_row(insn);
	unsigned first_cold;
	bool has_delta;

	stack_prepare(t, i);
	first_cold = t->colds;
	if (t->offset[i] + insn->len > t->room)
		emit_crossing_check(t, i);
	t->retry = NULL;
	if (!t->flavour.is_segmented && is_near_branch(t, i)) {
		emit_branch(t, i);
		return true;
	}
	has_delta = t->has_delta;
	t->has_delta = false;
	switch (t->flavour.is_segmented ? emit_legacy(t, i) :
					  emit_system(t, i)) {
	case CARRIED_AND_ENDS:
		return true;
	case CARRIED:
		t->has_delta = false;
		stack_end(t, i);
		cold_resume_here(t, first_cold);
		return false;
	case CARRIED_NOT:
		t->has_delta = has_delta;
		break;
	}
	if (emit_stack_change(t, i))
		;
	else if (insn->op == OP_LEA && insn->operand[0].size >= 4 &&
		 insn->adsize >= 4)
		emit_lea(t, i);
	else if (insn->op == OP_LEA)
		emit_interpret(t, i);
	else if (insn->op == OP_CLD || (row->attrs & ROW_NOSEG))
		; /* DF is 0 here; prefetches and long NOPs do nothing */
	else if (is_carried(t, insn))
		emit_carried(t, i);
	else if (t->flavour.is_segmented || !emit_stack(t, i))
		emit_interpret(t, i);
	stack_end(t, i);
	cold_resume_here(t, first_cold);
	return false;
}
