/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locked read-modify-write instructions, XCHG with memory, XADD, CMPXCHG and
 * CMPXCHG8B/16B: SDM 2; SDM 3, 8.1. Each is the host's own locked instruction
 * on the guest's memory, so it is atomic against every other vCPU, against the
 * host's devices, and gives the flags.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

/* The operand at `offset`, locked. rmw->host is where it is. */
ALWAYS_INLINE void begin(struct interp *cpu, struct mem_rmw *rmw,
			 const struct insn *insn, uint64_t offset,
			 unsigned size)
{
	mem_rmw_begin(cpu, rmw, insn->seg, offset, size, true);
}

#define AT(type) (*(volatile type *)host)

#define LOCKED_BINARY(text)                                             \
	do {                                                            \
		switch (size) {                                         \
		case 1:                                                 \
			asm volatile(FLAGS_LOAD "lock " text            \
						"b %b2, %1" FLAGS_STORE \
				     : "+&a"(*ax), "+m"(AT(uint8_t))    \
				     : "r"(b)                           \
				     : "memory");                       \
			break;                                          \
		case 2:                                                 \
			asm volatile(FLAGS_LOAD "lock " text            \
						"w %w2, %1" FLAGS_STORE \
				     : "+&a"(*ax), "+m"(AT(uint16_t))   \
				     : "r"(b)                           \
				     : "memory");                       \
			break;                                          \
		case 4:                                                 \
			asm volatile(FLAGS_LOAD "lock " text            \
						"l %k2, %1" FLAGS_STORE \
				     : "+&a"(*ax), "+m"(AT(uint32_t))   \
				     : "r"(b)                           \
				     : "memory");                       \
			break;                                          \
		default:                                                \
			asm volatile(FLAGS_LOAD "lock " text            \
						"q %2, %1" FLAGS_STORE  \
				     : "+&a"(*ax), "+m"(AT(uint64_t))   \
				     : "r"(b)                           \
				     : "memory");                       \
		}                                                       \
	} while (0)

#define LOCKED_UNARY(text)                                            \
	do {                                                          \
		switch (size) {                                       \
		case 1:                                               \
			asm volatile(FLAGS_LOAD "lock " text          \
						"b %1" FLAGS_STORE    \
				     : "+&a"(*ax), "+m"(AT(uint8_t))  \
				     :                                \
				     : "memory");                     \
			break;                                        \
		case 2:                                               \
			asm volatile(FLAGS_LOAD "lock " text          \
						"w %1" FLAGS_STORE    \
				     : "+&a"(*ax), "+m"(AT(uint16_t)) \
				     :                                \
				     : "memory");                     \
			break;                                        \
		case 4:                                               \
			asm volatile(FLAGS_LOAD "lock " text          \
						"l %1" FLAGS_STORE    \
				     : "+&a"(*ax), "+m"(AT(uint32_t)) \
				     :                                \
				     : "memory");                     \
			break;                                        \
		default:                                              \
			asm volatile(FLAGS_LOAD "lock " text          \
						"q %1" FLAGS_STORE    \
				     : "+&a"(*ax), "+m"(AT(uint64_t)) \
				     :                                \
				     : "memory");                     \
		}                                                     \
	} while (0)

/* Bits of bytes do not exist: sizes 2, 4, 8. `b` lies within the operand. */
#define LOCKED_BIT(text)                                                \
	do {                                                            \
		switch (size) {                                         \
		case 2:                                                 \
			asm volatile(FLAGS_LOAD "lock " text            \
						"w %w2, %1" FLAGS_STORE \
				     : "+&a"(*ax), "+m"(AT(uint16_t))   \
				     : "r"(b)                           \
				     : "memory");                       \
			break;                                          \
		case 4:                                                 \
			asm volatile(FLAGS_LOAD "lock " text            \
						"l %k2, %1" FLAGS_STORE \
				     : "+&a"(*ax), "+m"(AT(uint32_t))   \
				     : "r"(b)                           \
				     : "memory");                       \
			break;                                          \
		default:                                                \
			asm volatile(FLAGS_LOAD "lock " text            \
						"q %2, %1" FLAGS_STORE  \
				     : "+&a"(*ax), "+m"(AT(uint64_t))   \
				     : "r"(b)                           \
				     : "memory");                       \
		}                                                       \
	} while (0)

#define EXEC_BINARY(name, text)                                              \
	static void locked_##name(uint8_t *host, unsigned size, uint64_t b,  \
				  uint32_t *ax)                              \
	{                                                                    \
		LOCKED_BINARY(text);                                         \
	}                                                                    \
	static void exec_##name(struct interp *cpu, const struct insn *insn) \
	{                                                                    \
		exec_locked(cpu, insn, locked_##name);                       \
	}

#define EXEC_UNARY(name, text)                                               \
	static void locked_##name(uint8_t *host, unsigned size, uint64_t b,  \
				  uint32_t *ax)                              \
	{                                                                    \
		LOCKED_UNARY(text);                                          \
	}                                                                    \
	static void exec_##name(struct interp *cpu, const struct insn *insn) \
	{                                                                    \
		exec_locked(cpu, insn, locked_##name);                       \
	}

#define EXEC_BIT(name, text)                                                 \
	static void locked_##name(uint8_t *host, unsigned size, uint64_t b,  \
				  uint32_t *ax)                              \
	{                                                                    \
		LOCKED_BIT(text);                                            \
	}                                                                    \
	static void exec_##name(struct interp *cpu, const struct insn *insn) \
	{                                                                    \
		exec_locked_bit(cpu, insn, locked_##name);                   \
	}

typedef void locked_fn(uint8_t *host, unsigned size, uint64_t b, uint32_t *ax);

ALWAYS_INLINE void exec_locked(struct interp *cpu, const struct insn *insn,
			       locked_fn *fn)
{
	unsigned size = insn->operand[0].size;
	uint64_t b = insn->nops > 1 ? operand_read(cpu, insn, 1, size) : 0;
	uint32_t ax = flags_get(cpu);
	struct mem_rmw rmw;

	begin(cpu, &rmw, insn, operand_address(cpu, insn), size);
	fn(rmw.host, size, b, &ax);
	mem_rmw_end(cpu, &rmw);
	flags_set(cpu, ax);
}

ALWAYS_INLINE void exec_locked_bit(struct interp *cpu, const struct insn *insn,
				   locked_fn *fn)
{
	unsigned size = insn->operand[0].size;
	uint64_t b = operand_read(cpu, insn, 1, size);
	uint32_t ax = flags_get(cpu);
	struct mem_rmw rmw;

	begin(cpu, &rmw, insn, bit_address(cpu, insn, b, size), size);
	fn(rmw.host, size, b % (8 * size), &ax);
	mem_rmw_end(cpu, &rmw);
	flags_set(cpu, ax);
}

EXEC_BINARY(add, "add")
EXEC_BINARY(or, "or")
EXEC_BINARY(adc, "adc")
EXEC_BINARY(sbb, "sbb")
EXEC_BINARY(and, "and")
EXEC_BINARY(sub, "sub")
EXEC_BINARY(xor, "xor")
EXEC_UNARY(inc, "inc")
EXEC_UNARY(dec, "dec")
EXEC_UNARY(neg, "neg")
EXEC_UNARY(not, "not")
EXEC_BIT(bts, "bts")
EXEC_BIT(btr, "btr")
EXEC_BIT(btc, "btc")

/* --- exchanges ------------------------------------------------------------ */

static uint64_t exchange(uint8_t *host, unsigned size, uint64_t b)
{
	switch (size) {
	case 1:
		return __atomic_exchange_n((uint8_t *)host, (uint8_t)b,
					   __ATOMIC_SEQ_CST);
	case 2:
		asm volatile("xchgw %w0, %1"
			     : "+r"(b), "+m"(AT(uint16_t))
			     :
			     : "memory");
		return b;
	case 4:
		asm volatile("xchgl %k0, %1"
			     : "+r"(b), "+m"(AT(uint32_t))
			     :
			     : "memory");
		return b;
	default:
		asm volatile("xchgq %0, %1"
			     : "+r"(b), "+m"(AT(uint64_t))
			     :
			     : "memory");
		return b;
	}
}

/* The register may be either operand: both encodings mean the same. */
static void exec_xchg_mem(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	unsigned reg = insn->operand[operand_is_mem(&insn->operand[0])].reg;
	uint64_t b = reg_read(cpu, reg, size);
	struct mem_rmw rmw;

	begin(cpu, &rmw, insn, operand_address(cpu, insn), size);
	b = exchange(rmw.host, size, b);
	mem_rmw_end(cpu, &rmw);
	reg_write(cpu, reg, b, size);
}

#define XADD(suffix, register_name, type)                                    \
	asm volatile("lock xadd" suffix " " register_name ", %1" FLAGS_STORE \
		     : "=&a"(*ax), "+m"(AT(type)), "+r"(b)                   \
		     :                                                       \
		     : "memory")

static uint64_t exchange_add(uint8_t *host, unsigned size, uint64_t b,
			     uint32_t *ax)
{
	switch (size) {
	case 1:
		XADD("b", "%b2", uint8_t);
		break;
	case 2:
		XADD("w", "%w2", uint16_t);
		break;
	case 4:
		XADD("l", "%k2", uint32_t);
		break;
	default:
		XADD("q", "%2", uint64_t);
	}
	return b;
}

static void exec_xadd(struct interp *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];
	unsigned size = to->size, reg = insn->operand[1].reg;
	uint64_t b = reg_read(cpu, reg, size), a;
	uint32_t ax = 0;
	struct mem_rmw rmw;

	if (to->kind == OPND_REG) {
		uint8_t host[8];

		a = reg_read(cpu, to->reg, size);
		store_u64(host, a);
		b = exchange_add(host, size, b, &ax);
		/* XADD of a register with itself leaves the sum. */
		reg_write(cpu, reg, b, size);
		reg_write(cpu, to->reg, load_u64(host), size);
	} else {
		begin(cpu, &rmw, insn, operand_address(cpu, insn), size);
		b = exchange_add(rmw.host, size, b, &ax);
		mem_rmw_end(cpu, &rmw);
		reg_write(cpu, reg, b, size);
	}
	flags_set(cpu, ax);
}

#define CMPXCHG(suffix, register_name, type)                 \
	asm volatile("lock cmpxchg" suffix " " register_name \
		     ", %1\n\tmov %%rax, %2" FLAGS_STORE     \
		     : "+a"(rax), "+m"(AT(type)), "=&r"(old) \
		     : "r"(b)                                \
		     : "memory")

/* Returns the accumulator as the host leaves it, all 64 bits. */
static uint64_t compare_exchange(uint8_t *host, unsigned size, uint64_t rax,
				 uint64_t b, uint32_t *ax)
{
	uint64_t old;

	switch (size) {
	case 1:
		CMPXCHG("b", "%b3", uint8_t);
		break;
	case 2:
		CMPXCHG("w", "%w3", uint16_t);
		break;
	case 4:
		CMPXCHG("l", "%k3", uint32_t);
		break;
	default:
		CMPXCHG("q", "%3", uint64_t);
	}
	*ax = (uint32_t)rax;
	return old;
}

static void exec_cmpxchg(struct interp *cpu, const struct insn *insn)
{
	const struct operand *to = &insn->operand[0];
	unsigned size = to->size;
	uint64_t b = reg_read(cpu, insn->operand[1].reg, size);
	uint64_t rax = cpu->s.gpr[RAX];
	uint32_t ax = 0;
	struct mem_rmw rmw;

	if (to->kind == OPND_REG) {
		uint8_t host[8];

		store_u64(host, reg_read(cpu, to->reg, size));
		rax = compare_exchange(host, size, rax, b, &ax);
		cpu->s.gpr[RAX] = rax;
		/* Unequal, it is not written: a 32-bit one keeps its upper
		 * half. */
		if (ax >> 8 & RFLAGS_ZF)
			reg_write(cpu, to->reg, load_u64(host), size);
	} else {
		begin(cpu, &rmw, insn, operand_address(cpu, insn), size);
		rax = compare_exchange(rmw.host, size, rax, b, &ax);
		mem_rmw_end(cpu, &rmw);
		cpu->s.gpr[RAX] = rax;
	}
	flags_set(cpu, ax);
}

static void set_zf(struct interp *cpu, bool is_set)
{
	if (is_set)
		cpu->s.rflags |= RFLAGS_ZF;
	else
		cpu->s.rflags &= ~RFLAGS_ZF;
}

static void exec_cmpxchg8b(struct interp *cpu, const struct insn *insn)
{
	uint64_t *gpr = cpu->s.gpr;
	uint64_t old = gpr[RDX] << 32 | (uint32_t)gpr[RAX];
	uint64_t new = gpr[RCX] << 32 | (uint32_t)gpr[RBX];
	struct mem_rmw rmw;
	bool is_equal;

	begin(cpu, &rmw, insn, operand_address(cpu, insn), 8);
	asm volatile("lock cmpxchgq %3, %1"
		     : "=@ccz"(is_equal), "+m"(*(volatile uint64_t *)rmw.host),
		       "+a"(old)
		     : "r"(new)
		     : "memory");
	mem_rmw_end(cpu, &rmw);
	if (!is_equal) {
		gpr[RAX] = (uint32_t)old;
		gpr[RDX] = old >> 32;
	}
	set_zf(cpu, is_equal);
}

static void exec_cmpxchg16b(struct interp *cpu, const struct insn *insn)
{
	uint64_t *gpr = cpu->s.gpr;
	uint64_t address = operand_address(cpu, insn);
	uint64_t base = insn->seg >= SEG_FS ? cpu->s.segment[insn->seg].base :
					      0;
	uint64_t low = gpr[RAX], high = gpr[RDX];
	struct mem_rmw rmw;
	bool is_equal;

	if ((base + address) % 16)
		fault_gp(cpu, 0);
	begin(cpu, &rmw, insn, address, 16);
	asm volatile("lock cmpxchg16b %1"
		     : "=@ccz"(is_equal),
		       "+m"(*(volatile unsigned __int128 *)rmw.host), "+a"(low),
		       "+d"(high)
		     : "b"(gpr[RBX]), "c"(gpr[RCX])
		     : "memory");
	mem_rmw_end(cpu, &rmw);
	gpr[RAX] = low;
	gpr[RDX] = high;
	set_zf(cpu, is_equal);
}

/* What a LOCK prefix makes of the functions of other files. */
static const struct interp_handler locked_handlers[] = {
	{ OP_ADD, exec_add }, { OP_OR, exec_or },   { OP_ADC, exec_adc },
	{ OP_SBB, exec_sbb }, { OP_AND, exec_and }, { OP_SUB, exec_sub },
	{ OP_XOR, exec_xor }, { OP_INC, exec_inc }, { OP_DEC, exec_dec },
	{ OP_NEG, exec_neg }, { OP_NOT, exec_not }, { OP_BTS, exec_bts },
	{ OP_BTR, exec_btr }, { OP_BTC, exec_btc },
};

interp_fn *atomic_find(const struct insn *insn)
{
	if (insn->op == OP_XCHG && (operand_is_mem(&insn->operand[0]) ||
				    operand_is_mem(&insn->operand[1])))
		return exec_xchg_mem;
	if (!(insn->prefixes & PREFIX_LOCK))
		return NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(locked_handlers); i++)
		if (locked_handlers[i].op == insn->op)
			return locked_handlers[i].fn;
	return NULL;
}

/* Always locked: stronger than the plain forms need, and never wrong. */
const struct interp_handler atomic_handlers[] = {
	{ OP_XADD, exec_xadd },
	{ OP_CMPXCHG, exec_cmpxchg },
	{ OP_CMPXCHG8B, exec_cmpxchg8b },
	{ OP_CMPXCHG16B, exec_cmpxchg16b },
	{ 0 },
};
