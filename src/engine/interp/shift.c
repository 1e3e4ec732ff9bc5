/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ROL ROR RCL RCR SHL SHR SAR SHLD SHRD, SDM 2. The host masks the count,
 * leaves the flags alone when it is 0 and gives its own undefined ones.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

enum shift {
	SHIFT_ROL,
	SHIFT_ROR,
	SHIFT_RCL,
	SHIFT_RCR,
	SHIFT_SHL,
	SHIFT_SHR,
	SHIFT_SAR,
	SHIFT_COUNT,
};

#define SHIFT(text)                                                   \
	do {                                                          \
		switch (size) {                                       \
		case 1:                                               \
			asm(FLAGS_LOAD text "b %%cl, %b0" FLAGS_STORE \
			    : "+r"(a), "+&a"(*ax)                     \
			    : "c"(count));                            \
			break;                                        \
		case 2:                                               \
			asm(FLAGS_LOAD text "w %%cl, %w0" FLAGS_STORE \
			    : "+r"(a), "+&a"(*ax)                     \
			    : "c"(count));                            \
			break;                                        \
		case 4:                                               \
			asm(FLAGS_LOAD text "l %%cl, %k0" FLAGS_STORE \
			    : "+r"(a), "+&a"(*ax)                     \
			    : "c"(count));                            \
			break;                                        \
		default:                                              \
			asm(FLAGS_LOAD text "q %%cl, %0" FLAGS_STORE  \
			    : "+r"(a), "+&a"(*ax)                     \
			    : "c"(count));                            \
		}                                                     \
	} while (0)

ALWAYS_INLINE uint64_t compute(enum shift op, unsigned size, uint64_t a,
			       uint8_t count, uint32_t *ax)
{
	switch (op) {
	case SHIFT_ROL:
		SHIFT("rol");
		break;
	case SHIFT_ROR:
		SHIFT("ror");
		break;
	case SHIFT_RCL:
		SHIFT("rcl");
		break;
	case SHIFT_RCR:
		SHIFT("rcr");
		break;
	case SHIFT_SHL:
		SHIFT("shl");
		break;
	case SHIFT_SHR:
		SHIFT("shr");
		break;
	default:
		SHIFT("sar");
		break;
	}
	return a;
}

/* CL, an immediate byte or 1. */
ALWAYS_INLINE uint8_t shift_count(const struct interp *cpu,
				  const struct insn *insn, unsigned number)
{
	const struct operand *operand = &insn->operand[number];

	if (operand->kind == OPND_REG)
		return (uint8_t)cpu->s.gpr[RCX];
	return operand->kind == OPND_ONE ? 1 : (uint8_t)insn->imm;
}

ALWAYS_INLINE void shift_reg(struct interp *cpu, const struct insn *insn,
			     enum shift op, unsigned size)
{
	unsigned reg = insn->operand[0].reg;
	uint32_t ax = flags_get(cpu);
	uint64_t a = compute(op, size, reg_read(cpu, reg, size),
			     shift_count(cpu, insn, 1), &ax);

	reg_write(cpu, reg, a, size);
	flags_set(cpu, ax);
}

ALWAYS_INLINE void shift_mem(struct interp *cpu, const struct insn *insn,
			     enum shift op, unsigned size)
{
	uint32_t ax = flags_get(cpu);
	struct mem_rmw rmw;
	uint64_t a;

	mem_rmw_begin(cpu, &rmw, insn->seg, operand_address(cpu, insn), size,
		      false);
	a = compute(op, size, host_load(rmw.host, size),
		    shift_count(cpu, insn, 1), &ax);
	host_store(rmw.host, a, size);
	mem_rmw_end(cpu, &rmw);
	flags_set(cpu, ax);
}

#define SIZES(X, op) X(op, 1) X(op, 2) X(op, 4) X(op, 8)
/* clang-format off */
#define OPS(X)                                              \
	SIZES(X, ROL) SIZES(X, ROR) SIZES(X, RCL)           \
	SIZES(X, RCR) SIZES(X, SHL) SIZES(X, SHR)           \
	SIZES(X, SAR)
/* clang-format on */

#define X(op, size)                                                   \
	static void exec_##op##_##size##_reg(struct interp *cpu,      \
					     const struct insn *insn) \
	{                                                             \
		shift_reg(cpu, insn, SHIFT_##op, size);               \
	}                                                             \
	static void exec_##op##_##size##_mem(struct interp *cpu,      \
					     const struct insn *insn) \
	{                                                             \
		shift_mem(cpu, insn, SHIFT_##op, size);               \
	}
OPS(X)
#undef X

#define SIZE_1 0
#define SIZE_2 1
#define SIZE_4 2
#define SIZE_8 3

static interp_fn *const shift_fn[SHIFT_COUNT][4][2] = {
#define X(op, size)                                             \
	[SHIFT_##op][SIZE_##size] = { exec_##op##_##size##_reg, \
				      exec_##op##_##size##_mem },
	OPS(X)
#undef X
};

static int shift_of(enum x86_op op)
{
	switch (op) {
	case OP_ROL:
		return SHIFT_ROL;
	case OP_ROR:
		return SHIFT_ROR;
	case OP_RCL:
		return SHIFT_RCL;
	case OP_RCR:
		return SHIFT_RCR;
	case OP_SHL:
		return SHIFT_SHL;
	case OP_SHR:
		return SHIFT_SHR;
	case OP_SAR:
		return SHIFT_SAR;
	default:
		return -1;
	}
}

interp_fn *shift_specialize(const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];
	int op = shift_of(insn->op);

	if (op < 0)
		return NULL;
	return shift_fn[op][__builtin_ctz(to->size | 8)][operand_is_mem(to)];
}

/* --- double shifts -------------------------------------------------------- */

#define DOUBLE(text, suffix, a_name, b_name)                                \
	asm(FLAGS_LOAD text suffix " %%cl, " b_name ", " a_name FLAGS_STORE \
	    : "+r"(a), "+&a"(*ax)                                           \
	    : "c"(count), "r"(b))

static uint64_t shift_double(bool is_left, unsigned size, uint64_t a,
			     uint64_t b, uint8_t count, uint32_t *ax)
{
	switch (size) {
	case 2:
		if (is_left)
			DOUBLE("shld", "w", "%w0", "%w3");
		else
			DOUBLE("shrd", "w", "%w0", "%w3");
		break;
	case 4:
		if (is_left)
			DOUBLE("shld", "l", "%k0", "%k3");
		else
			DOUBLE("shrd", "l", "%k0", "%k3");
		break;
	default:
		if (is_left)
			DOUBLE("shld", "q", "%0", "%3");
		else
			DOUBLE("shrd", "q", "%0", "%3");
		break;
	}
	return a;
}

static void exec_shift_double(struct interp *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];
	bool is_left = insn->op == OP_SHLD;
	uint64_t b = reg_read(cpu, insn->operand[1].reg, to->size), a;
	uint8_t count = shift_count(cpu, insn, 2);
	uint32_t ax = flags_get(cpu);
	struct mem_rmw rmw;

	if (to->kind == OPND_REG) {
		a = reg_read(cpu, to->reg, to->size);
		a = shift_double(is_left, to->size, a, b, count, &ax);
		reg_write(cpu, to->reg, a, to->size);
	} else {
		mem_rmw_begin(cpu, &rmw, insn->seg, operand_address(cpu, insn),
			      to->size, false);
		a = host_load(rmw.host, to->size);
		a = shift_double(is_left, to->size, a, b, count, &ax);
		host_store(rmw.host, a, to->size);
		mem_rmw_end(cpu, &rmw);
	}
	flags_set(cpu, ax);
}

const struct interp_handler shift_handlers[] = {
	{ OP_SHLD, exec_shift_double },
	{ OP_SHRD, exec_shift_double },
	{ 0 },
};
