/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions on segment registers and selectors: MOV, PUSH, POP, LDS and its
 * kin; LAR, LSL, VERR, VERW, ARPL. SDM 2.
 */
#include "engine/interp/operand.h"
#include "engine/interp/segment.h"

/* SS loads hold off interrupts for one instruction (SDM 3, 6.8.3). */
static void load_sreg(struct interp *cpu, enum segment index, uint16_t selector)
{
	segment_load(cpu, index, selector);
	if (index == SEG_SS) {
		cpu->s.mov_ss_shadow = true;
		cpu->end_block = true;
	}
}

/* To a register the selector is zero-extended to the operand size; to memory
 * it is 16 bits. */
static void exec_mov_sreg(struct interp *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];
	const struct operand *from = &insn->operand[1];

	if (to->kind == OPND_SREG)
		load_sreg(cpu, to->reg, operand_read(cpu, insn, 1, 2));
	else if (to->kind == OPND_REG)
		reg_write(cpu, to->reg, cpu->s.segment[from->reg].selector,
			  insn->opsize);
	else
		operand_write(cpu, insn, 0, cpu->s.segment[from->reg].selector,
			      2);
}

static void exec_push_sreg(struct interp *cpu, const struct insn *insn)
{
	uint16_t selector = cpu->s.segment[insn->operand[0].reg].selector;
	uint64_t sp;

	if (insn->opsize != 4) {
		stack_push(cpu, selector, insn->opsize);
		return;
	}
	/* With 32 bits the slot's upper half is left alone (SDM 2, PUSH). */
	sp = (cpu->s.gpr[RSP] - 4) & stack_mask(cpu);
	mem_write(cpu, SEG_SS, sp, selector, 2);
	cpu->s.gpr[RSP] = stack_pointer(cpu, sp);
}

static void exec_pop_sreg(struct interp *cpu, const struct insn *insn)
{
	uint64_t sp = cpu->s.gpr[RSP] & stack_mask(cpu);
	/* The width of the stack before SS may change it. */
	uint64_t popped = stack_pointer(cpu, cpu->s.gpr[RSP] + insn->opsize);
	uint16_t selector = mem_read(cpu, SEG_SS, sp, insn->opsize);

	load_sreg(cpu, insn->operand[0].reg, selector);
	cpu->s.gpr[RSP] = popped;
}

/* LES LDS LSS LFS LGS: the offset first, the selector after it. */
static void load_far(struct interp *cpu, const struct insn *insn,
		     enum segment index)
{
	uint64_t address = operand_address(cpu, insn);
	unsigned size = insn->opsize;
	uint64_t offset = mem_load(cpu, insn->seg, address, size);
	uint16_t selector = mem_load(cpu, insn->seg,
				     truncate(address + size, insn->adsize), 2);

	segment_load(cpu, index, selector);
	reg_write(cpu, insn->operand[0].reg, offset, size);
}

static void exec_les(struct interp *cpu, const struct insn *insn)
{
	load_far(cpu, insn, SEG_ES);
}

static void exec_lds(struct interp *cpu, const struct insn *insn)
{
	load_far(cpu, insn, SEG_DS);
}

static void exec_lss(struct interp *cpu, const struct insn *insn)
{
	load_far(cpu, insn, SEG_SS);
}

static void exec_lfs(struct interp *cpu, const struct insn *insn)
{
	load_far(cpu, insn, SEG_FS);
}

static void exec_lgs(struct interp *cpu, const struct insn *insn)
{
	load_far(cpu, insn, SEG_GS);
}

/* --- looking at descriptors ----------------------------------------------- */

/* System types LAR and LSL know: SDM 2, tables of LAR and LSL. */
#define LAR_TYPES                                                              \
	(BIT(SYSTEM_TSS16) | BIT(SYSTEM_LDT) | BIT(SYSTEM_TSS16_BUSY) |        \
	 BIT(SYSTEM_CALL_GATE16) | BIT(SYSTEM_TASK_GATE) | BIT(SYSTEM_TSS32) | \
	 BIT(SYSTEM_TSS32_BUSY) | BIT(SYSTEM_CALL_GATE32))
#define LAR_TYPES_LONG                                                  \
	(BIT(SYSTEM_LDT) | BIT(SYSTEM_TSS32) | BIT(SYSTEM_TSS32_BUSY) | \
	 BIT(SYSTEM_CALL_GATE32))
#define LSL_TYPES                                                       \
	(BIT(SYSTEM_TSS16) | BIT(SYSTEM_LDT) | BIT(SYSTEM_TSS16_BUSY) | \
	 BIT(SYSTEM_TSS32) | BIT(SYSTEM_TSS32_BUSY))
#define LSL_TYPES_LONG \
	(BIT(SYSTEM_LDT) | BIT(SYSTEM_TSS32) | BIT(SYSTEM_TSS32_BUSY))

/* Readable as far as privilege goes; code and data segments only. */
static bool is_visible(const struct interp *cpu, uint16_t selector,
		       uint32_t attributes)
{
	unsigned dpl = segment_dpl(attributes);

	return segment_is_conforming(attributes) ||
	       (cpu->cpl <= dpl && (selector & SELECTOR_RPL) <= dpl);
}

/* The selector of operand `number`, its descriptor; false: ZF stays clear. */
static bool look_up(struct interp *cpu, const struct insn *insn,
		    unsigned number, uint64_t *descriptor)
{
	uint16_t selector = operand_read(cpu, insn, number, 2);
	struct descriptor found;

	if (selector_is_null(selector) ||
	    !descriptor_read(cpu, selector, &found))
		return false;
	*descriptor = found.low;
	return is_visible(cpu, selector, descriptor_attributes(found.low));
}

static bool is_known_type(const struct interp *cpu, uint32_t attributes,
			  uint32_t types, uint32_t types_long)
{
	if (attributes & SEGMENT_S)
		return true;
	return (cpu_is_long_mode(&cpu->s) ? types_long : types) &
	       BIT(attributes & SEGMENT_TYPE);
}

static void set_zf(struct interp *cpu, bool is_set)
{
	cpu->s.rflags = (cpu->s.rflags & ~RFLAGS_ZF) | (is_set ? RFLAGS_ZF : 0);
}

static void exec_lar(struct interp *cpu, const struct insn *insn)
{
	uint64_t low;
	bool is_ok = look_up(cpu, insn, 1, &low) &&
		     is_known_type(cpu, descriptor_attributes(low), LAR_TYPES,
				   LAR_TYPES_LONG);

	if (is_ok)
		reg_write(cpu, insn->operand[0].reg, (low >> 32) & 0x00f0ff00,
			  insn->opsize);
	set_zf(cpu, is_ok);
}

static void exec_lsl(struct interp *cpu, const struct insn *insn)
{
	uint64_t low;
	bool is_ok = look_up(cpu, insn, 1, &low) &&
		     is_known_type(cpu, descriptor_attributes(low), LSL_TYPES,
				   LSL_TYPES_LONG);

	if (is_ok)
		reg_write(cpu, insn->operand[0].reg,
			  segment_from_descriptor(0, low).limit, insn->opsize);
	set_zf(cpu, is_ok);
}

static void exec_verr(struct interp *cpu, const struct insn *insn)
{
	uint64_t low;

	set_zf(cpu, look_up(cpu, insn, 0, &low) &&
			    segment_is_readable(descriptor_attributes(low)));
}

static void exec_verw(struct interp *cpu, const struct insn *insn)
{
	uint64_t low;

	set_zf(cpu, look_up(cpu, insn, 0, &low) &&
			    segment_is_writable(descriptor_attributes(low)));
}

static void exec_arpl(struct interp *cpu, const struct insn *insn)
{
	uint16_t to = operand_read(cpu, insn, 0, 2);
	uint16_t from = operand_read(cpu, insn, 1, 2);
	bool is_raised = (to & SELECTOR_RPL) < (from & SELECTOR_RPL);

	/* Unchanged, it need not be writable. */
	if (is_raised)
		operand_write(cpu, insn, 0,
			      (to & ~SELECTOR_RPL) | (from & SELECTOR_RPL), 2);
	set_zf(cpu, is_raised);
}

const struct interp_handler sreg_handlers[] = {
	{ OP_MOV_SREG, exec_mov_sreg }, { OP_PUSH_SREG, exec_push_sreg },
	{ OP_POP_SREG, exec_pop_sreg }, { OP_LES, exec_les },
	{ OP_LDS, exec_lds },		{ OP_LSS, exec_lss },
	{ OP_LFS, exec_lfs },		{ OP_LGS, exec_lgs },
	{ OP_LAR, exec_lar },		{ OP_LSL, exec_lsl },
	{ OP_VERR, exec_verr },		{ OP_VERW, exec_verw },
	{ OP_ARPL, exec_arpl },		{ 0 },
};
