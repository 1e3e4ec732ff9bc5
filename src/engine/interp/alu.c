/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, ADCX ADOX: SDM 2. The
 * host's own instruction computes result and flags; one function for each
 * operation, size and operand shape.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

enum alu {
	ALU_ADD,
	ALU_OR,
	ALU_ADC,
	ALU_SBB,
	ALU_AND,
	ALU_SUB,
	ALU_XOR,
	ALU_CMP,
	ALU_TEST,
	ALU_BINARY_COUNT,
	ALU_INC = ALU_BINARY_COUNT,
	ALU_DEC,
	ALU_NEG,
	ALU_NOT,
};

/* Operand shapes: destination, source. */
enum shape { SHAPE_RR, SHAPE_RI, SHAPE_RM, SHAPE_MR, SHAPE_MI, SHAPE_COUNT };

/* Writes all six flags and reads none. */
#define BINARY(text)                                      \
	do {                                              \
		switch (size) {                           \
		case 1:                                   \
			asm(text "b %b2, %b0" FLAGS_STORE \
			    : "+r"(a), "=&a"(*ax)         \
			    : "r"(b));                    \
			break;                            \
		case 2:                                   \
			asm(text "w %w2, %w0" FLAGS_STORE \
			    : "+r"(a), "=&a"(*ax)         \
			    : "r"(b));                    \
			break;                            \
		case 4:                                   \
			asm(text "l %k2, %k0" FLAGS_STORE \
			    : "+r"(a), "=&a"(*ax)         \
			    : "r"(b));                    \
			break;                            \
		default:                                  \
			asm(text "q %2, %0" FLAGS_STORE   \
			    : "+r"(a), "=&a"(*ax)         \
			    : "r"(b));                    \
		}                                         \
	} while (0)

/* Reads flags, or leaves some as they were. */
#define BINARY_CARRY(text)                                           \
	do {                                                         \
		switch (size) {                                      \
		case 1:                                              \
			asm(FLAGS_LOAD text "b %b2, %b0" FLAGS_STORE \
			    : "+r"(a), "+&a"(*ax)                    \
			    : "r"(b));                               \
			break;                                       \
			FLAGS_CASES_CARRY(text);                     \
		}                                                    \
	} while (0)

#define UNARY(text)                                             \
	do {                                                    \
		switch (size) {                                 \
		case 1:                                         \
			asm(FLAGS_LOAD text "b %b0" FLAGS_STORE \
			    : "+r"(a), "+&a"(*ax));             \
			break;                                  \
		case 2:                                         \
			asm(FLAGS_LOAD text "w %w0" FLAGS_STORE \
			    : "+r"(a), "+&a"(*ax));             \
			break;                                  \
		case 4:                                         \
			asm(FLAGS_LOAD text "l %k0" FLAGS_STORE \
			    : "+r"(a), "+&a"(*ax));             \
			break;                                  \
		default:                                        \
			asm(FLAGS_LOAD text "q %0" FLAGS_STORE  \
			    : "+r"(a), "+&a"(*ax));             \
		}                                               \
	} while (0)

/* The upper bits of the result beyond `size` are not meaningful. */
ALWAYS_INLINE uint64_t compute(enum alu op, unsigned size, uint64_t a,
			       uint64_t b, uint32_t *ax)
{
	switch (op) {
	case ALU_ADD:
		BINARY("add");
		break;
	case ALU_OR:
		BINARY("or");
		break;
	case ALU_ADC:
		BINARY_CARRY("adc");
		break;
	case ALU_SBB:
		BINARY_CARRY("sbb");
		break;
	case ALU_AND:
		BINARY("and");
		break;
	case ALU_SUB:
		BINARY("sub");
		break;
	case ALU_XOR:
		BINARY("xor");
		break;
	case ALU_CMP:
		BINARY("cmp");
		break;
	case ALU_TEST:
		BINARY("test");
		break;
	case ALU_INC:
		UNARY("inc");
		break;
	case ALU_DEC:
		UNARY("dec");
		break;
	case ALU_NEG:
		UNARY("neg");
		break;
	case ALU_NOT:
		UNARY("not");
		break;
	}
	return a;
}

ALWAYS_INLINE bool alu_reads_flags(enum alu op)
{
	return op == ALU_ADC || op == ALU_SBB || op >= ALU_INC;
}

ALWAYS_INLINE bool alu_has_result(enum alu op)
{
	return op != ALU_CMP && op != ALU_TEST;
}

/* The way of memory that the TLB does not have, or that is not flat. */
static __attribute__((noinline)) void
alu_rmw(struct interp *cpu, const struct insn *insn, enum alu op, uint64_t b)
{
	unsigned size = insn->operand[0].size;
	uint32_t ax = flags_get(cpu);
	struct mem_rmw rmw;
	uint64_t a;

	mem_rmw_begin(cpu, &rmw, insn->seg, operand_address(cpu, insn), size,
		      false);
	a = compute(op, size, host_load(rmw.host, size), b, &ax);
	host_store(rmw.host, a, size);
	mem_rmw_end(cpu, &rmw);
	flags_set(cpu, ax);
}

/* op memory, b */
ALWAYS_INLINE void alu_mem(struct interp *cpu, const struct insn *insn,
			   enum alu op, unsigned size, uint64_t b)
{
	uint32_t ax = alu_reads_flags(op) ? flags_get(cpu) : 0;
	uint8_t *host;
	uint64_t a;

	if (!alu_has_result(op)) {
		compute(op, size, operand_load(cpu, insn, size), b, &ax);
		flags_set(cpu, ax);
		return;
	}
	host = mem_hit(cpu, insn->seg, operand_address(cpu, insn), size,
		       MMU_WRITE);
	if (unlikely(!host)) {
		alu_rmw(cpu, insn, op, b);
		return;
	}
	a = compute(op, size, host_load(host, size), b, &ax);
	host_store(host, a, size);
	mem_written(cpu, host);
	flags_set(cpu, ax);
}

/* op register, b */
ALWAYS_INLINE void alu_reg(struct interp *cpu, const struct insn *insn,
			   enum alu op, unsigned size, uint64_t b)
{
	unsigned reg = insn->operand[0].reg;
	uint32_t ax = alu_reads_flags(op) ? flags_get(cpu) : 0;
	uint64_t a = compute(op, size, reg_read(cpu, reg, size), b, &ax);

	if (alu_has_result(op))
		reg_write(cpu, reg, a, size);
	flags_set(cpu, ax);
}

ALWAYS_INLINE void alu_binary(struct interp *cpu, const struct insn *insn,
			      enum alu op, unsigned size, enum shape shape)
{
	uint64_t b;

	switch (shape) {
	case SHAPE_RI:
	case SHAPE_MI:
		b = (uint64_t)insn->imm;
		break;
	case SHAPE_RM:
		b = operand_load(cpu, insn, size);
		break;
	default:
		b = reg_read(cpu, insn->operand[1].reg, size);
	}
	if (shape == SHAPE_MR || shape == SHAPE_MI)
		alu_mem(cpu, insn, op, size, b);
	else
		alu_reg(cpu, insn, op, size, b);
}

#define SHAPES(X, op, size) \
	X(op, size, RR)     \
	X(op, size, RI) X(op, size, RM) X(op, size, MR) X(op, size, MI)
#define SIZES(X, op) \
	SHAPES(X, op, 1) SHAPES(X, op, 2) SHAPES(X, op, 4) SHAPES(X, op, 8)
/* clang-format off */
#define BINARY_OPS(X)                                       \
	SIZES(X, ADD) SIZES(X, OR) SIZES(X, ADC)            \
	SIZES(X, SBB) SIZES(X, AND) SIZES(X, SUB)           \
	SIZES(X, XOR) SIZES(X, CMP) SIZES(X, TEST)
/* clang-format on */

#define X(op, size, shape)                                                \
	static void exec_##op##_##size##_##shape(struct interp *cpu,      \
						 const struct insn *insn) \
	{                                                                 \
		alu_binary(cpu, insn, ALU_##op, size, SHAPE_##shape);     \
	}
BINARY_OPS(X)
#undef X

#define SIZE_1 0
#define SIZE_2 1
#define SIZE_4 2
#define SIZE_8 3

static interp_fn *const binary_fn[ALU_BINARY_COUNT][4][SHAPE_COUNT] = {
#define X(op, size, shape) \
	[ALU_##op][SIZE_##size][SHAPE_##shape] = exec_##op##_##size##_##shape,
	BINARY_OPS(X)
#undef X
};

#define UNARY_SIZES(X, op) X(op, 1) X(op, 2) X(op, 4) X(op, 8)
#define UNARY_OPS(X)        \
	UNARY_SIZES(X, INC) \
	UNARY_SIZES(X, DEC) UNARY_SIZES(X, NEG) UNARY_SIZES(X, NOT)

#define X(op, size)                                                   \
	static void exec_##op##_##size##_reg(struct interp *cpu,      \
					     const struct insn *insn) \
	{                                                             \
		alu_reg(cpu, insn, ALU_##op, size, 0);                \
	}                                                             \
	static void exec_##op##_##size##_mem(struct interp *cpu,      \
					     const struct insn *insn) \
	{                                                             \
		alu_mem(cpu, insn, ALU_##op, size, 0);                \
	}
UNARY_OPS(X)
#undef X

static interp_fn *const unary_fn[4][4][2] = {
#define X(op, size)                                                     \
	[ALU_##op - ALU_INC][SIZE_##size] = { exec_##op##_##size##_reg, \
					      exec_##op##_##size##_mem },
	UNARY_OPS(X)
#undef X
};

static int alu_of(enum x86_op op)
{
	switch (op) {
	case OP_ADD:
		return ALU_ADD;
	case OP_OR:
		return ALU_OR;
	case OP_ADC:
		return ALU_ADC;
	case OP_SBB:
		return ALU_SBB;
	case OP_AND:
		return ALU_AND;
	case OP_SUB:
		return ALU_SUB;
	case OP_XOR:
		return ALU_XOR;
	case OP_CMP:
		return ALU_CMP;
	case OP_TEST:
		return ALU_TEST;
	case OP_INC:
		return ALU_INC;
	case OP_DEC:
		return ALU_DEC;
	case OP_NEG:
		return ALU_NEG;
	case OP_NOT:
		return ALU_NOT;
	default:
		return -1;
	}
}

interp_fn *alu_specialize(const struct insn *insn)
{
	const struct operand *to = &insn->operand[0], *from = &insn->operand[1];
	unsigned size = (unsigned)__builtin_ctz(to->size | 8);
	int op = alu_of(insn->op);
	bool is_mem = operand_is_mem(to);
	enum shape shape;

	if (op < 0)
		return NULL;
	if (op >= ALU_INC)
		return unary_fn[op - ALU_INC][size][is_mem];
	if (operand_is_mem(from))
		shape = SHAPE_RM;
	else if (from->kind == OPND_REG)
		shape = is_mem ? SHAPE_MR : SHAPE_RR;
	else
		shape = is_mem ? SHAPE_MI : SHAPE_RI;
	return binary_fn[op][size][shape];
}

static void exec_adcx(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, reg = insn->operand[0].reg;
	uint64_t b = operand_read(cpu, insn, 1, size);
	uint64_t a = reg_read(cpu, reg, size);
	uint32_t ax = flags_get(cpu);

	if (size == 8)
		asm(FLAGS_LOAD "adcx %2, %0" FLAGS_STORE
		    : "+r"(a), "+&a"(ax)
		    : "r"(b));
	else
		asm(FLAGS_LOAD "adcx %k2, %k0" FLAGS_STORE
		    : "+r"(a), "+&a"(ax)
		    : "r"(b));
	reg_write(cpu, reg, a, size);
	flags_set(cpu, ax);
}

static void exec_adox(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, reg = insn->operand[0].reg;
	uint64_t b = operand_read(cpu, insn, 1, size);
	uint64_t a = reg_read(cpu, reg, size);
	uint32_t ax = flags_get(cpu);

	if (size == 8)
		asm(FLAGS_LOAD "adox %2, %0" FLAGS_STORE
		    : "+r"(a), "+&a"(ax)
		    : "r"(b));
	else
		asm(FLAGS_LOAD "adox %k2, %k0" FLAGS_STORE
		    : "+r"(a), "+&a"(ax)
		    : "r"(b));
	reg_write(cpu, reg, a, size);
	flags_set(cpu, ax);
}

const struct interp_handler alu_handlers[] = {
	{ OP_ADCX, exec_adcx },
	{ OP_ADOX, exec_adox },
	{ 0 },
};
