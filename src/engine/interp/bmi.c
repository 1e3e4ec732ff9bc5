/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BMI1 and BMI2: ANDN BEXTR BLSI BLSMSK BLSR BZHI MULX PDEP PEXT RORX SARX SHLX
 * SHRX, SDM 2, on the host's own units. 32- and 64-bit only.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

/* name result, a, b in the order of the SDM's operands; b may be memory. */
#define EXEC_3(name, write_flags)                                            \
	static void exec_##name(struct interp *cpu, const struct insn *insn) \
	{                                                                    \
		unsigned size = insn->operand[0].size;                       \
		uint64_t a = operand_read(cpu, insn, 1, size);               \
		uint64_t b = operand_read(cpu, insn, 2, size), result;       \
		uint32_t ax = flags_get(cpu);                                \
                                                                             \
		if (size == 8)                                               \
			asm(FLAGS_LOAD #name " %3, %2, %0" FLAGS_STORE       \
			    : "=&r"(result), "+&a"(ax)                       \
			    : "r"(a), "r"(b));                               \
		else                                                         \
			asm(FLAGS_LOAD #name " %k3, %k2, %k0" FLAGS_STORE    \
			    : "=&r"(result), "+&a"(ax)                       \
			    : "r"(a), "r"(b));                               \
		reg_write(cpu, insn->operand[0].reg, result, size);          \
		if (write_flags)                                             \
			flags_set(cpu, ax);                                  \
	}

EXEC_3(andn, true)
EXEC_3(pdep, false)
EXEC_3(pext, false)

/* The count or control comes last in the SDM's order and first in AT&T's. */
EXEC_3(bextr, true)
EXEC_3(bzhi, true)
EXEC_3(shlx, false)
EXEC_3(shrx, false)
EXEC_3(sarx, false)

#define EXEC_2(name)                                                         \
	static void exec_##name(struct interp *cpu, const struct insn *insn) \
	{                                                                    \
		unsigned size = insn->operand[0].size;                       \
		uint64_t a = operand_read(cpu, insn, 1, size), result;       \
		uint32_t ax = flags_get(cpu);                                \
                                                                             \
		if (size == 8)                                               \
			asm(FLAGS_LOAD #name " %2, %0" FLAGS_STORE           \
			    : "=&r"(result), "+&a"(ax)                       \
			    : "r"(a));                                       \
		else                                                         \
			asm(FLAGS_LOAD #name " %k2, %k0" FLAGS_STORE         \
			    : "=&r"(result), "+&a"(ax)                       \
			    : "r"(a));                                       \
		reg_write(cpu, insn->operand[0].reg, result, size);          \
		flags_set(cpu, ax);                                          \
	}

EXEC_2(blsi)
EXEC_2(blsmsk)
EXEC_2(blsr)

static void exec_rorx(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, bits = 8 * size;
	uint64_t a = operand_read(cpu, insn, 1, size);
	unsigned count = (uint8_t)insn->imm % bits;

	if (count)
		a = a >> count | a << (bits - count);
	reg_write(cpu, insn->operand[0].reg, a, size);
}

/* High half to the first operand, low to the second; the same register for
 * both holds the high half (SDM 2, MULX). */
static void exec_mulx(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, bits = 8 * size;
	uint64_t b = operand_read(cpu, insn, 2, size);
	uint64_t a = reg_read(cpu, RDX, size);
	unsigned __int128 product = (unsigned __int128)a * b;

	reg_write(cpu, insn->operand[1].reg, (uint64_t)product, size);
	reg_write(cpu, insn->operand[0].reg, (uint64_t)(product >> bits), size);
}

const struct interp_handler bmi_handlers[] = {
	{ OP_ANDN, exec_andn }, { OP_BEXTR, exec_bextr },
	{ OP_BZHI, exec_bzhi }, { OP_BLSI, exec_blsi },
	{ OP_BLSR, exec_blsr }, { OP_BLSMSK, exec_blsmsk },
	{ OP_PDEP, exec_pdep }, { OP_PEXT, exec_pext },
	{ OP_RORX, exec_rorx }, { OP_SARX, exec_sarx },
	{ OP_SHLX, exec_shlx }, { OP_SHRX, exec_shrx },
	{ OP_MULX, exec_mulx }, { 0 },
};
