/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MUL IMUL DIV IDIV MULX and the decimal adjustments, SDM 2. Multiplication
 * and division run on the host, after a check that division will not fault.
 */
#include "engine/interp/handlers.h"
#include "engine/interp/flags.h"
#include "engine/interp/operand.h"

/* --- multiplication ------------------------------------------------------- */

/* rDX:rAX = rAX * operand; AX = AL * operand for bytes. */
#define WIDE(text, suffix, name)                                 \
	asm(FLAGS_LOAD "xchg %%rax, %2\n\t" text suffix " " name \
		       "\n\txchg %%rax, %2" FLAGS_STORE          \
	    : "+&a"(*ax), "+&d"(*high), "+&r"(*low)              \
	    : "r"(b))

static void multiply_wide(bool is_signed, unsigned size, uint64_t *low,
			  uint64_t *high, uint64_t b, uint32_t *ax)
{
	switch (size) {
	case 1:
		if (is_signed)
			WIDE("imul", "b", "%b3");
		else
			WIDE("mul", "b", "%b3");
		break;
	case 2:
		if (is_signed)
			WIDE("imul", "w", "%w3");
		else
			WIDE("mul", "w", "%w3");
		break;
	case 4:
		if (is_signed)
			WIDE("imul", "l", "%k3");
		else
			WIDE("mul", "l", "%k3");
		break;
	default:
		if (is_signed)
			WIDE("imul", "q", "%3");
		else
			WIDE("mul", "q", "%3");
		break;
	}
}

static void wide_write(struct interp *cpu, unsigned size, uint64_t low,
		       uint64_t high)
{
	if (size == 1) {
		reg_write(cpu, RAX, low, 2);
		return;
	}
	reg_write(cpu, RAX, low, size);
	reg_write(cpu, RDX, high, size);
}

static void exec_mul(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint64_t b = operand_read(cpu, insn, 0, size);
	uint64_t low = cpu->s.gpr[RAX], high = cpu->s.gpr[RDX];
	uint32_t ax = flags_get(cpu);

	multiply_wide(insn->op == OP_IMUL, size, &low, &high, b, &ax);
	wide_write(cpu, size, low, high);
	flags_set(cpu, ax);
}

/* The forms with two and three operands: the destination is a register. */
static void exec_imul(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size, reg = insn->operand[0].reg;
	uint32_t ax = flags_get(cpu);
	uint64_t a, b;

	if (insn->nops == 1) {
		exec_mul(cpu, insn);
		return;
	}
	a = operand_read(cpu, insn, 1, size);
	b = insn->nops == 3 ? (uint64_t)insn->imm : reg_read(cpu, reg, size);
	switch (size) {
	case 2:
		asm(FLAGS_LOAD "imul %w2, %w0" FLAGS_STORE
		    : "+r"(a), "+&a"(ax)
		    : "r"(b));
		break;
	case 4:
		asm(FLAGS_LOAD "imul %k2, %k0" FLAGS_STORE
		    : "+r"(a), "+&a"(ax)
		    : "r"(b));
		break;
	default:
		asm(FLAGS_LOAD "imul %2, %0" FLAGS_STORE
		    : "+r"(a), "+&a"(ax)
		    : "r"(b));
	}
	reg_write(cpu, reg, a, size);
	flags_set(cpu, ax);
}

/* --- division ------------------------------------------------------------- */

/* The quotient of high:low by b does not fit: #DE. */
static bool div_overflows(unsigned size, uint64_t low, uint64_t high,
			  uint64_t b)
{
	if (size == 1)
		return b == 0 || (uint8_t)(low >> 8) >= b;
	return b == 0 || truncate(high, size) >= b;
}

static bool idiv_overflows(unsigned size, uint64_t low, uint64_t high,
			   uint64_t b)
{
	int64_t divisor = sign_extend(b, size);
	unsigned __int128 dividend, limit, magnitude;
	__int128 value;
	bool is_negative;

	if (divisor == 0)
		return true;
	switch (size) {
	case 1:
		value = (int16_t)low;
		break;
	case 2:
		value = (int32_t)((uint32_t)high << 16 | (uint16_t)low);
		break;
	case 4:
		value = (int64_t)(high << 32 | (uint32_t)low);
		break;
	default:
		value = (__int128)((unsigned __int128)high << 64 | low);
	}
	if (size == 8 && (int64_t)high == (int64_t)low >> 63)
		return (int64_t)low == INT64_MIN && divisor == -1;
	is_negative = (value < 0) != (divisor < 0);
	dividend = value < 0 ? -(unsigned __int128)value :
			       (unsigned __int128)value;
	magnitude = divisor < 0 ? -(uint64_t)divisor : (uint64_t)divisor;
	/* The first quotient that is too large, without a 128-bit division. */
	limit = ((unsigned __int128)1 << (size * 8 - 1)) + is_negative;
	return dividend >= limit * magnitude;
}

static void divide_wide(bool is_signed, unsigned size, uint64_t *low,
			uint64_t *high, uint64_t b, uint32_t *ax)
{
	switch (size) {
	case 1:
		if (is_signed)
			WIDE("idiv", "b", "%b3");
		else
			WIDE("div", "b", "%b3");
		break;
	case 2:
		if (is_signed)
			WIDE("idiv", "w", "%w3");
		else
			WIDE("div", "w", "%w3");
		break;
	case 4:
		if (is_signed)
			WIDE("idiv", "l", "%k3");
		else
			WIDE("div", "l", "%k3");
		break;
	default:
		if (is_signed)
			WIDE("idiv", "q", "%3");
		else
			WIDE("div", "q", "%3");
		break;
	}
}

static void exec_div(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	bool is_signed = insn->op == OP_IDIV;
	uint64_t b = operand_read(cpu, insn, 0, size);
	uint64_t low = cpu->s.gpr[RAX], high = cpu->s.gpr[RDX];
	uint32_t ax = flags_get(cpu);

	if (is_signed ? idiv_overflows(size, low, high, b) :
			div_overflows(size, low, high, b))
		interp_fault(cpu, VECTOR_DE, 0);
	divide_wide(is_signed, size, &low, &high, b, &ax);
	wide_write(cpu, size, low, high);
	flags_set(cpu, ax);
}

/* --- decimal adjustments: not in 64-bit mode, so not on the host ----------- */

/* SF, ZF and PF of AL; CF, AF and OF as given. OF is undefined: 0. */
static void decimal_flags(struct interp *cpu, uint8_t al, bool carry,
			  bool adjust)
{
	uint64_t flags = 0;

	if (carry)
		flags |= RFLAGS_CF;
	if (adjust)
		flags |= RFLAGS_AF;
	if (!al)
		flags |= RFLAGS_ZF;
	if (al & 0x80)
		flags |= RFLAGS_SF;
	if (!__builtin_parity(al))
		flags |= RFLAGS_PF;
	cpu->s.rflags = (cpu->s.rflags & ~RFLAGS_STATUS) | flags;
}

/* DAA and DAS differ in the direction. */
static void exec_decimal(struct interp *cpu, const struct insn *insn)
{
	bool is_add = insn->op == OP_DAA;
	uint8_t al = (uint8_t)cpu->s.gpr[RAX], old = al;
	bool old_carry = cpu->s.rflags & RFLAGS_CF, carry = false;
	bool adjust = (al & 15) > 9 || (cpu->s.rflags & RFLAGS_AF);

	if (adjust) {
		carry = old_carry || (is_add ? al > 0xff - 6 : al < 6);
		al = is_add ? al + 6 : al - 6;
	}
	if (old > 0x99 || old_carry) {
		al = is_add ? al + 0x60 : al - 0x60;
		carry = true;
	} else if (is_add) {
		carry = false;
	}
	reg_write(cpu, RAX, al, 1);
	decimal_flags(cpu, al, carry, adjust);
}

/* AAA and AAS work on AX as a whole (SDM 2: AX + 106h, AX - 6 and AH - 1). */
static void exec_ascii(struct interp *cpu, const struct insn *insn)
{
	uint16_t ax = (uint16_t)cpu->s.gpr[RAX];
	bool adjust = (ax & 15) > 9 || (cpu->s.rflags & RFLAGS_AF);

	if (adjust && insn->op == OP_AAA)
		ax += 0x106;
	else if (adjust)
		ax -= 0x106;
	ax &= 0xff0f;
	reg_write(cpu, RAX, ax, 2);
	decimal_flags(cpu, (uint8_t)ax, adjust, adjust);
}

static void exec_aam(struct interp *cpu, const struct insn *insn)
{
	uint8_t al = (uint8_t)cpu->s.gpr[RAX], base = (uint8_t)insn->imm;

	if (!base)
		interp_fault(cpu, VECTOR_DE, 0);
	reg_write(cpu, RAX, (uint64_t)(al / base) << 8 | al % base, 2);
	decimal_flags(cpu, al % base, false, false);
}

static void exec_aad(struct interp *cpu, const struct insn *insn)
{
	uint16_t ax = (uint16_t)cpu->s.gpr[RAX];
	uint8_t al = (uint8_t)((ax & 0xff) + (ax >> 8) * (uint8_t)insn->imm);

	reg_write(cpu, RAX, al, 2);
	decimal_flags(cpu, al, false, false);
}

const struct interp_handler multiply_handlers[] = {
	{ OP_MUL, exec_mul },
	{ OP_IMUL, exec_imul },
	{ OP_DIV, exec_div },
	{ OP_IDIV, exec_div },
	{ OP_DAA, exec_decimal },
	{ OP_DAS, exec_decimal },
	{ OP_AAA, exec_ascii },
	{ OP_AAS, exec_ascii },
	{ OP_AAM, exec_aam },
	{ OP_AAD, exec_aad },
	{ 0 },
};
