/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data movement: MOV, MOVZX, MOVSX, MOVSXD, LEA, XCHG of registers, CMOVcc,
 * SETcc, MOVBE, MOVNTI, BSWAP, XLAT, CBW and CWD, LAHF and SAHF, the flag
 * instructions, and those that only order or hint. SDM 2.
 */
#include <sched.h>

#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

/* --- MOV and LEA ---------------------------------------------------------- */

#define MOV_SIZE(size)                                                      \
	static void exec_mov_##size##_rr(struct interp *cpu,                \
					 const struct insn *insn)           \
	{                                                                   \
		reg_write(cpu, insn->operand[0].reg,                        \
			  reg_read(cpu, insn->operand[1].reg, size), size); \
	}                                                                   \
	static void exec_mov_##size##_ri(struct interp *cpu,                \
					 const struct insn *insn)           \
	{                                                                   \
		reg_write(cpu, insn->operand[0].reg, (uint64_t)insn->imm,   \
			  size);                                            \
	}                                                                   \
	static void exec_mov_##size##_rm(struct interp *cpu,                \
					 const struct insn *insn)           \
	{                                                                   \
		reg_write(cpu, insn->operand[0].reg,                        \
			  operand_load(cpu, insn, size), size);             \
	}                                                                   \
	static void exec_mov_##size##_mr(struct interp *cpu,                \
					 const struct insn *insn)           \
	{                                                                   \
		operand_store(cpu, insn,                                    \
			      reg_read(cpu, insn->operand[1].reg, size),    \
			      size);                                        \
	}                                                                   \
	static void exec_mov_##size##_mi(struct interp *cpu,                \
					 const struct insn *insn)           \
	{                                                                   \
		operand_store(cpu, insn, (uint64_t)insn->imm, size);        \
	}

MOV_SIZE(1)
MOV_SIZE(2)
MOV_SIZE(4)
MOV_SIZE(8)

#define MOV_ROW(size)                                               \
	{                                                           \
		exec_mov_##size##_rr, exec_mov_##size##_ri,         \
			exec_mov_##size##_rm, exec_mov_##size##_mr, \
			exec_mov_##size##_mi                        \
	}

static interp_fn *const mov_fn[4][5] = { MOV_ROW(1), MOV_ROW(2), MOV_ROW(4),
					 MOV_ROW(8) };

static interp_fn *mov_specialize(const struct insn *insn)
{
	const struct operand *to = &insn->operand[0], *from = &insn->operand[1];
	unsigned size = (unsigned)__builtin_ctz(to->size | 8), shape;

	if (operand_is_mem(from))
		shape = 2;
	else if (operand_is_mem(to))
		shape = from->kind == OPND_REG ? 3 : 4;
	else
		shape = from->kind == OPND_REG ? 0 : 1;
	return mov_fn[size][shape];
}

/* LEA takes the address without segment, SDM 2, LEA. */
static void exec_lea_8(struct interp *cpu, const struct insn *insn)
{
	cpu->s.gpr[insn->operand[0].reg & 15] = operand_address(cpu, insn);
}

static void exec_lea(struct interp *cpu, const struct insn *insn)
{
	reg_write(cpu, insn->operand[0].reg, operand_address(cpu, insn),
		  insn->operand[0].size);
}

/* --- extensions ----------------------------------------------------------- */

#define EXTEND(name, from, to, convert)                                     \
	static void exec_##name##_##from##to##_reg(struct interp *cpu,      \
						   const struct insn *insn) \
	{                                                                   \
		uint64_t value = reg_read(cpu, insn->operand[1].reg, from); \
                                                                            \
		reg_write(cpu, insn->operand[0].reg,                        \
			  (uint64_t)convert(value, from), to);              \
	}                                                                   \
	static void exec_##name##_##from##to##_mem(struct interp *cpu,      \
						   const struct insn *insn) \
	{                                                                   \
		uint64_t value = operand_load(cpu, insn, from);             \
                                                                            \
		reg_write(cpu, insn->operand[0].reg,                        \
			  (uint64_t)convert(value, from), to);              \
	}

/* MOVZX to 4 or 8 bytes is the same; 16-bit forms go the general way. */
EXTEND(movzx, 1, 8, truncate)
EXTEND(movzx, 2, 8, truncate)
EXTEND(movsx, 1, 4, sign_extend)
EXTEND(movsx, 1, 8, sign_extend)
EXTEND(movsx, 2, 4, sign_extend)
EXTEND(movsx, 2, 8, sign_extend)
EXTEND(movsx, 4, 8, sign_extend)

static interp_fn *extend_specialize(const struct insn *insn)
{
	unsigned to = insn->operand[0].size, from = insn->operand[1].size;
	bool is_mem = operand_is_mem(&insn->operand[1]);

	if (to < 4)
		return NULL;
	if (insn->op == OP_MOVZX) {
		if (from == 1)
			return is_mem ? exec_movzx_18_mem : exec_movzx_18_reg;
		return is_mem ? exec_movzx_28_mem : exec_movzx_28_reg;
	}
	switch (from << 4 | to) {
	case 0x14:
		return is_mem ? exec_movsx_14_mem : exec_movsx_14_reg;
	case 0x18:
		return is_mem ? exec_movsx_18_mem : exec_movsx_18_reg;
	case 0x24:
		return is_mem ? exec_movsx_24_mem : exec_movsx_24_reg;
	case 0x28:
		return is_mem ? exec_movsx_28_mem : exec_movsx_28_reg;
	case 0x48:
		return is_mem ? exec_movsx_48_mem : exec_movsx_48_reg;
	default:
		return NULL;
	}
}

static void exec_movzx(struct interp *cpu, const struct insn *insn)
{
	operand_write(cpu, insn, 0,
		      operand_read(cpu, insn, 1, insn->operand[1].size),
		      insn->operand[0].size);
}

static void exec_movsx(struct interp *cpu, const struct insn *insn)
{
	unsigned from = insn->operand[1].size;
	int64_t value = sign_extend(operand_read(cpu, insn, 1, from), from);

	operand_write(cpu, insn, 0, (uint64_t)value, insn->operand[0].size);
}

/* --- conditional ---------------------------------------------------------- */

/* The source is read, and a 32-bit destination zero-extended, whatever the
 * condition (SDM 2, CMOVcc). */
static void exec_cmov(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, reg = insn->operand[0].reg;
	uint64_t value = operand_read(cpu, insn, 1, size);

	if (!flags_condition(cpu->s.rflags, insn->cond))
		value = reg_read(cpu, reg, size);
	reg_write(cpu, reg, value, size);
}

static void exec_setcc(struct interp *cpu, const struct insn *insn)
{
	operand_write(cpu, insn, 0, flags_condition(cpu->s.rflags, insn->cond),
		      1);
}

/* --- others --------------------------------------------------------------- */

static void exec_xchg(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	unsigned a = insn->operand[0].reg, b = insn->operand[1].reg;
	uint64_t old = reg_read(cpu, a, size);

	reg_write(cpu, a, reg_read(cpu, b, size), size);
	reg_write(cpu, b, old, size);
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
	switch (size) {
	case 2:
		return __builtin_bswap16((uint16_t)value);
	case 4:
		return __builtin_bswap32((uint32_t)value);
	default:
		return __builtin_bswap64(value);
	}
}

static void exec_movbe(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;

	operand_write(cpu, insn, 0,
		      swap_bytes(operand_read(cpu, insn, 1, size), size), size);
}

/* BSWAP of 16 bits is undefined: whatever the host does with it. */
static void exec_bswap(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, reg = insn->operand[0].reg;
	uint64_t value = cpu->s.gpr[reg & 15];

	if (size == 2)
		asm(".byte 0x66\n\tbswap %k0" : "+r"(value));
	else
		value = swap_bytes(value, size);
	reg_write(cpu, reg, value, size);
}

static void exec_xlat(struct interp *cpu, const struct insn *insn)
{
	uint64_t offset = cpu->s.gpr[RBX] + (uint8_t)cpu->s.gpr[RAX];

	reg_write(cpu, RAX,
		  mem_load(cpu, insn->seg, truncate(offset, insn->adsize), 1),
		  1);
}

/* CBW, CWDE, CDQE */
static void exec_cbw(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;

	reg_write(cpu, RAX, (uint64_t)sign_extend(cpu->s.gpr[RAX], size / 2),
		  size);
}

/* CWD, CDQ, CQO */
static void exec_cwd(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->opsize;

	reg_write(cpu, RDX,
		  (uint64_t)(sign_extend(cpu->s.gpr[RAX], size) >> 63), size);
}

static void exec_lahf(struct interp *cpu, const struct insn *insn)
{
	reg_write(cpu, INSN_REG_AH, cpu->s.rflags & 0xff, 1);
}

static void exec_sahf(struct interp *cpu, const struct insn *insn)
{
	uint64_t mask = RFLAGS_STATUS & 0xff;

	cpu->s.rflags = (cpu->s.rflags & ~mask) |
			(reg_read(cpu, INSN_REG_AH, 1) & mask);
}

static void exec_salc(struct interp *cpu, const struct insn *insn)
{
	reg_write(cpu, RAX, cpu->s.rflags & RFLAGS_CF ? 0xff : 0, 1);
}

static void exec_clc(struct interp *cpu, const struct insn *insn)
{
	cpu->s.rflags &= ~RFLAGS_CF;
}

static void exec_stc(struct interp *cpu, const struct insn *insn)
{
	cpu->s.rflags |= RFLAGS_CF;
}

static void exec_cmc(struct interp *cpu, const struct insn *insn)
{
	cpu->s.rflags ^= RFLAGS_CF;
}

static void exec_cld(struct interp *cpu, const struct insn *insn)
{
	cpu->s.rflags &= ~RFLAGS_DF;
}

static void exec_std(struct interp *cpu, const struct insn *insn)
{
	cpu->s.rflags |= RFLAGS_DF;
}

static void exec_nop(struct interp *cpu, const struct insn *insn)
{
}

/*
 * A loop that waits for another vCPU: on a host with more to run than it has
 * processors that one may stand still until this one's time slice is over.
 */
#define PAUSES_PER_YIELD 64

static void exec_pause(struct interp *cpu, const struct insn *insn)
{
	__builtin_ia32_pause();
	if (++cpu->pauses % PAUSES_PER_YIELD == 0)
		sched_yield();
}

static void exec_lfence(struct interp *cpu, const struct insn *insn)
{
	asm volatile("lfence" : : : "memory");
}

static void exec_sfence(struct interp *cpu, const struct insn *insn)
{
	asm volatile("sfence" : : : "memory");
}

static void exec_mfence(struct interp *cpu, const struct insn *insn)
{
	asm volatile("mfence" : : : "memory");
}

/* CLFLUSH, CLFLUSHOPT, CLWB fault as a load of a byte does (SDM 2, CLFLUSH);
 * guest memory is coherent anyway. */
static void exec_clflush(struct interp *cpu, const struct insn *insn)
{
	uint64_t offset = operand_address(cpu, insn);
	unsigned size = 1;

	if (!mem_span(cpu, insn->seg, offset, &size, MMU_READ))
		mem_read(cpu, insn->seg, offset, 1);
}

interp_fn *move_specialize(const struct insn *insn)
{
	switch (insn->op) {
	case OP_MOV:
		return mov_specialize(insn);
	case OP_LEA:
		return insn->operand[0].size == 8 ? exec_lea_8 : NULL;
	case OP_MOVZX:
	case OP_MOVSX:
	case OP_MOVSXD:
		return extend_specialize(insn);
	case OP_XCHG:
		/* F3 90 is PAUSE, with a REX.B too. */
		return insn->opcode == 0x90 && (insn->prefixes & PREFIX_REP) ?
			       exec_pause :
			       NULL;
	default:
		return NULL;
	}
}

const struct interp_handler move_handlers[] = {
	{ OP_LEA, exec_lea },	      { OP_MOVZX, exec_movzx },
	{ OP_MOVSX, exec_movsx },     { OP_MOVSXD, exec_movsx },
	{ OP_CMOVCC, exec_cmov },     { OP_SETCC, exec_setcc },
	{ OP_XCHG, exec_xchg },	      { OP_MOVBE, exec_movbe },
	{ OP_MOVNTI, exec_movzx },    { OP_BSWAP, exec_bswap },
	{ OP_XLAT, exec_xlat },	      { OP_CBW, exec_cbw },
	{ OP_CWD, exec_cwd },	      { OP_LAHF, exec_lahf },
	{ OP_SAHF, exec_sahf },	      { OP_SALC, exec_salc },
	{ OP_CLC, exec_clc },	      { OP_STC, exec_stc },
	{ OP_CMC, exec_cmc },	      { OP_CLD, exec_cld },
	{ OP_STD, exec_std },	      { OP_NOP, exec_nop },
	{ OP_PAUSE, exec_pause },     { OP_PREFETCHW, exec_nop },
	{ OP_PREFETCHWT1, exec_nop }, { OP_PREFETCHNTA, exec_nop },
	{ OP_PREFETCHT0, exec_nop },  { OP_PREFETCHT1, exec_nop },
	{ OP_PREFETCHT2, exec_nop },  { OP_LFENCE, exec_lfence },
	{ OP_SFENCE, exec_sfence },   { OP_MFENCE, exec_mfence },
	{ OP_CLFLUSH, exec_clflush }, { OP_CLFLUSHOPT, exec_clflush },
	{ OP_CLWB, exec_clflush },    { 0 },
};
