/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, CRC32, RDRAND and RDSEED, SDM 2.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

/* --- BT and family -------------------------------------------------------- */

#define BIT_TEST(text)                           \
	do {                                     \
		switch (size) {                  \
			FLAGS_CASES_CARRY(text); \
		}                                \
	} while (0)

static uint64_t bit_test(enum x86_op op, unsigned size, uint64_t a, uint64_t b,
			 uint32_t *ax)
{
	switch (op) {
	case OP_BTS:
		BIT_TEST("bts");
		break;
	case OP_BTR:
		BIT_TEST("btr");
		break;
	case OP_BTC:
		BIT_TEST("btc");
		break;
	default:
		BIT_TEST("bt");
	}
	return a;
}

uint64_t bit_address(const struct interp *cpu, const struct insn *insn,
		     uint64_t b, unsigned size)
{
	uint64_t address = operand_address(cpu, insn);
	int64_t bit = sign_extend(b, size);

	if (insn->operand[1].kind == OPND_REG)
		address += (uint64_t)((bit >> (size == 8 ? 6 :
					       size == 4 ? 5 :
							   4)) *
				      (int64_t)size);
	return truncate(address, insn->adsize);
}

static void exec_bit_mem(struct interp *cpu, const struct insn *insn,
			 uint64_t b, unsigned size)
{
	uint64_t address = bit_address(cpu, insn, b, size), a;
	uint32_t ax = flags_get(cpu);
	struct mem_rmw rmw;

	if (insn->op == OP_BT) {
		a = mem_load(cpu, insn->seg, address, size);
		bit_test(OP_BT, size, a, b, &ax);
	} else {
		mem_rmw_begin(cpu, &rmw, insn->seg, address, size, false);
		a = bit_test(insn->op, size, host_load(rmw.host, size), b, &ax);
		host_store(rmw.host, a, size);
		mem_rmw_end(cpu, &rmw);
	}
	flags_set(cpu, ax);
}

static void exec_bit(struct interp *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];
	uint64_t b = operand_read(cpu, insn, 1, to->size), a;
	uint32_t ax = flags_get(cpu);

	if (to->kind != OPND_REG) {
		exec_bit_mem(cpu, insn, b, to->size);
		return;
	}
	a = bit_test(insn->op, to->size, reg_read(cpu, to->reg, to->size), b,
		     &ax);
	if (insn->op != OP_BT)
		reg_write(cpu, to->reg, a, to->size);
	flags_set(cpu, ax);
}

/* --- scans and counts ----------------------------------------------------- */

/* BSF and BSR leave the destination as it was when the source is 0: so does
 * the host, on all 64 bits or on what it does for 32. */
#define SCAN(text)                                                   \
	do {                                                         \
		switch (size) {                                      \
		case 2:                                              \
			asm(FLAGS_LOAD text "w %w2, %w0" FLAGS_STORE \
			    : "+r"(a), "+&a"(ax)                     \
			    : "r"(b));                               \
			break;                                       \
		case 4:                                              \
			asm(FLAGS_LOAD text "l %k2, %k0" FLAGS_STORE \
			    : "+r"(a), "+&a"(ax)                     \
			    : "r"(b));                               \
			break;                                       \
		default:                                             \
			asm(FLAGS_LOAD text "q %2, %0" FLAGS_STORE   \
			    : "+r"(a), "+&a"(ax)                     \
			    : "r"(b));                               \
		}                                                    \
	} while (0)

#define EXEC_SCAN(name)                                                      \
	static void exec_##name(struct interp *cpu, const struct insn *insn) \
	{                                                                    \
		unsigned size = insn->operand[0].size;                       \
		uint64_t *to = &cpu->s.gpr[insn->operand[0].reg & 15];       \
		uint64_t b = operand_read(cpu, insn, 1, size);               \
		uint64_t a = *to;                                            \
		uint32_t ax = flags_get(cpu);                                \
                                                                             \
		SCAN(#name);                                                 \
		*to = a;                                                     \
		flags_set(cpu, ax);                                          \
	}

EXEC_SCAN(bsf)
EXEC_SCAN(bsr)
EXEC_SCAN(tzcnt)
EXEC_SCAN(lzcnt)
EXEC_SCAN(popcnt)

/* --- others --------------------------------------------------------------- */

static void exec_crc32(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[1].size;
	uint64_t *to = &cpu->s.gpr[insn->operand[0].reg & 15];
	uint64_t b = operand_read(cpu, insn, 1, size);
	uint64_t crc = (uint32_t)*to;

	switch (size) {
	case 1:
		asm("crc32b %b1, %k0" : "+r"(crc) : "r"(b));
		break;
	case 2:
		asm("crc32w %w1, %k0" : "+r"(crc) : "r"(b));
		break;
	case 4:
		asm("crc32l %k1, %k0" : "+r"(crc) : "r"(b));
		break;
	default:
		asm("crc32q %1, %0" : "+r"(crc) : "r"(b));
	}
	*to = crc;
}

/* RDRAND, RDSEED: always succeed; CF set, the other five cleared. */
static void exec_random(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;

	reg_write(cpu, insn->operand[0].reg, cpu->ops->random(cpu->world),
		  size);
	cpu->s.rflags = (cpu->s.rflags & ~RFLAGS_STATUS) | RFLAGS_CF;
}

const struct interp_handler bit_handlers[] = {
	{ OP_BT, exec_bit },
	{ OP_BTS, exec_bit },
	{ OP_BTR, exec_bit },
	{ OP_BTC, exec_bit },
	{ OP_BSF, exec_bsf },
	{ OP_BSR, exec_bsr },
	{ OP_TZCNT, exec_tzcnt },
	{ OP_LZCNT, exec_lzcnt },
	{ OP_POPCNT, exec_popcnt },
	{ OP_CRC32, exec_crc32 },
	{ OP_RDRAND, exec_random },
	{ OP_RDSEED, exec_random },
	{ 0 },
};
