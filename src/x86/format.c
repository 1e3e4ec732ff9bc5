/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions as text, in Intel's syntax (SDM volume 2, 3.1.1.3). */
#include "x86/format.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct line {
	char *text;
	size_t size;
	size_t length; /* of the whole, also what did not fit */
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line,
						      const char *format, ...)
{
	size_t left = line->length < line->size ? line->size - line->length : 0;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(left ? line->text + line->length : NULL, left,
			   format, args);
	va_end(args);
	line->length += length;
}

/* --- mnemonic ------------------------------------------------------------- */

static const char *const conditions[16] = {
	"o", "no", "b", "ae", "e", "ne", "be", "a",
	"s", "ns", "p", "np", "l", "ge", "le", "g",
};

/* Mnemonics of which Intel has one for each operand size: 2, 4, 8 bytes. */
static const struct {
	uint16_t op;
	const char *names[3];
} sized_names[] = {
	{ OP_CBW, { "cbw", "cwde", "cdqe" } },
	{ OP_CWD, { "cwd", "cdq", "cqo" } },
	{ OP_IRET, { "iret", "iretd", "iretq" } },
	{ OP_PUSHF, { "pushf", "pushfd", "pushfq" } },
	{ OP_POPF, { "popf", "popfd", "popfq" } },
	{ OP_PUSHA, { "pusha", "pushad", "" } },
	{ OP_POPA, { "popa", "popad", "" } },
};

/* Families that Intel writes as another mnemonic. */
static const struct {
	uint16_t op;
	const char *name;
} plain_names[] = {
	{ OP_PUSH_SREG, "push" },  { OP_POP_SREG, "pop" },
	{ OP_MOV_SREG, "mov" },	   { OP_MOV_CR, "mov" },
	{ OP_MOV_DR, "mov" },	   { OP_CALL_FAR, "call far" },
	{ OP_JMP_FAR, "jmp far" }, { OP_RET_FAR, "retf" },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool put_special_name(struct line *line, const struct insn *insn)
{
	static const char *const counters[] = { "jcxz", "jecxz", "jrcxz" };
	unsigned int width = insn->opsize >> 2;

	for (size_t i = 0; i < COUNT(sized_names); i++)
		if (sized_names[i].op == insn->op) {
			put(line, "%s", sized_names[i].names[width]);
			return true;
		}
	for (size_t i = 0; i < COUNT(plain_names); i++)
		if (plain_names[i].op == insn->op) {
			put(line, "%s", plain_names[i].name);
			return true;
		}
	switch (insn->op) {
	case OP_JCC:
		put(line, "j%s", conditions[insn->cond]);
		return true;
	case OP_SETCC:
		put(line, "set%s", conditions[insn->cond]);
		return true;
	case OP_CMOVCC:
		put(line, "cmov%s", conditions[insn->cond]);
		return true;
	case OP_JCXZ:
		put(line, "%s", counters[insn->adsize >> 2]);
		return true;
	case OP_UD:
		put(line, "ud%c",
		    insn->opcode == 0x0b ? '2' :
		    insn->opcode == 0xff ? '0' :
					   '1');
		return true;
	default:
		return false;
	}
}

static bool is_string_operand(const struct operand *operand)
{
	return operand->kind == OPND_STR_SRC || operand->kind == OPND_STR_DST;
}

static bool is_string(const struct insn *insn)
{
	return is_string_operand(&insn->operand[0]) ||
	       is_string_operand(&insn->operand[1]);
}

static void put_mnemonic(struct line *line, const struct insn *insn)
{
	const char *name = insn_op_name(insn->op);

	if (insn->prefixes & PREFIX_LOCK)
		put(line, "lock ");
	if (is_string(insn) && insn->prefixes & PREFIX_REPNE)
		put(line, "repne ");
	if (is_string(insn) && insn->prefixes & PREFIX_REP)
		put(line, "rep ");
	if (put_special_name(line, insn))
		return;
	for (; *name; name++)
		put(line, "%c",
		    *name >= 'A' && *name <= 'Z' ? *name + 32 : *name);
}

/* --- operands ------------------------------------------------------------- */

static void put_gpr(struct line *line, unsigned int reg, unsigned int size)
{
	static const char *const legacy[] = { "ax", "cx", "dx", "bx",
					      "sp", "bp", "si", "di" };
	static const char *const low[] = { "al",  "cl",	 "dl",	"bl",
					   "spl", "bpl", "sil", "dil" };
	static const char *const high[] = { "ah", "ch", "dh", "bh" };

	if (reg >= INSN_REG_AH && reg <= INSN_REG_BH)
		put(line, "%s", high[reg - INSN_REG_AH]);
	else if (reg >= 8)
		put(line, "r%u%s", reg,
		    size == 1 ? "b" :
		    size == 2 ? "w" :
		    size == 4 ? "d" :
				"");
	else if (size == 1)
		put(line, "%s", low[reg]);
	else
		put(line, "%s%s",
		    size == 8 ? "r" :
		    size == 4 ? "e" :
				"",
		    legacy[reg]);
}

static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };

static void put_hex(struct line *line, int64_t value, bool after_register)
{
	if (!after_register)
		put(line, "0x%llx", (unsigned long long)value);
	else if (value < 0)
		put(line, "-0x%llx", -(unsigned long long)value);
	else if (value > 0)
		put(line, "+0x%llx", (unsigned long long)value);
}

static void put_size(struct line *line, unsigned int size)
{
	static const struct {
		unsigned int size;
		const char *name;
	} names[] = {
		{ 1, "byte" },	   { 2, "word" },     { 4, "dword" },
		{ 6, "fword" },	   { 8, "qword" },    { 10, "tbyte" },
		{ 16, "xmmword" }, { 32, "ymmword" }, { 64, "zmmword" },
	};

	for (size_t i = 0; i < COUNT(names); i++)
		if (names[i].size == size)
			put(line, "%s ptr ", names[i].name);
}

static void put_vector(struct line *line, unsigned int reg, unsigned int size)
{
	put(line, "%cmm%u", size > 32 ? 'z' : size > 16 ? 'y' : 'x', reg);
}

static uint64_t mask_address(const struct insn *insn, uint64_t value)
{
	return insn->adsize == 8 ? value :
	       insn->adsize == 4 ? (uint32_t)value :
				   (uint16_t)value;
}

static void put_index(struct line *line, const struct insn *insn)
{
	if (insn_row(insn)->attrs & ROW_VSIB)
		put_vector(line, insn->index, 16 << insn->vl);
	else
		put_gpr(line, insn->index, insn->adsize);
	if (insn->scale > 1)
		put(line, "*%u", insn->scale);
}

static void put_memory(struct line *line, const struct insn *insn,
		       const struct operand *operand)
{
	bool has_register = insn->base != INSN_REG_NONE ||
			    insn->index != INSN_REG_NONE;

	if (operand->kind == OPND_MOFFS)
		has_register = false;
	put_size(line, operand->size);
	if (insn->prefixes & PREFIX_SEG)
		put(line, "%s:", segments[insn->seg]);
	put(line, "[");
	if (has_register) {
		if (insn->base == INSN_REG_RIP)
			put(line, "%s", insn->adsize == 4 ? "eip" : "rip");
		else if (insn->base != INSN_REG_NONE)
			put_gpr(line, insn->base, insn->adsize);
		if (insn->index != INSN_REG_NONE) {
			if (insn->base != INSN_REG_NONE)
				put(line, "+");
			put_index(line, insn);
		}
		put_hex(line, insn->disp, true);
	} else {
		put_hex(line, mask_address(insn, insn->disp), false);
	}
	put(line, "]");
	if (insn->evex_b)
		put(line, "{1toN}");
}

static void put_string(struct line *line, const struct insn *insn,
		       const struct operand *operand)
{
	bool is_source = operand->kind == OPND_STR_SRC;

	put_size(line, operand->size);
	put(line, "%s:[", is_source ? segments[insn->seg] : "es");
	put_gpr(line, is_source ? RSI : RDI, insn->adsize);
	put(line, "]");
}

static void put_target(struct line *line, const struct insn *insn,
		       uint64_t address)
{
	uint64_t target = address + insn->len + insn->imm;

	if (insn->opsize == 2)
		target = (uint16_t)target;
	else if (insn->mode != X86_MODE_64)
		target = (uint32_t)target;
	put(line, "0x%llx", (unsigned long long)target);
}

static void put_imm(struct line *line, const struct insn *insn,
		    const struct operand *operand)
{
	uint64_t value = insn->imm;

	if (operand->size < 8)
		value &= (1ull << 8 * operand->size) - 1;
	put(line, "0x%llx", (unsigned long long)value);
}

static void put_operand(struct line *line, const struct insn *insn,
			const struct operand *operand, uint64_t address)
{
	switch (operand->kind) {
	case OPND_REG:
		put_gpr(line, operand->reg, operand->size);
		break;
	case OPND_MEM:
	case OPND_MOFFS:
		put_memory(line, insn, operand);
		break;
	case OPND_STR_SRC:
	case OPND_STR_DST:
		put_string(line, insn, operand);
		break;
	case OPND_IMM:
		put_imm(line, insn, operand);
		break;
	case OPND_IMM2:
		put(line, "0x%x", insn->imm2);
		break;
	case OPND_ONE:
		put(line, "1");
		break;
	case OPND_REL:
		put_target(line, insn, address);
		break;
	case OPND_FARPTR:
		put(line, "0x%x:0x%llx", insn->imm2,
		    (unsigned long long)insn->imm);
		break;
	case OPND_SREG:
		put(line, "%s", segments[operand->reg]);
		break;
	case OPND_CR:
		put(line, "cr%u", operand->reg);
		break;
	case OPND_DR:
		put(line, "dr%u", operand->reg);
		break;
	case OPND_ST:
		put(line, "st(%u)", operand->reg);
		break;
	case OPND_MM:
		put(line, "mm%u", operand->reg);
		break;
	case OPND_VREG:
		put_vector(line, operand->reg, operand->size);
		break;
	case OPND_KREG:
		put(line, "k%u", operand->reg);
		break;
	case OPND_TILE:
		put(line, "tmm%u", operand->reg);
		break;
	}
}

size_t insn_format(char *text, size_t size, const struct insn *insn,
		   uint64_t address)
{
	struct line line = { text, size, 0 };

	if (size)
		text[0] = 0;
	put_mnemonic(&line, insn);
	for (unsigned int i = 0; i < insn->nops; i++) {
		put(&line, i ? ", " : " ");
		put_operand(&line, insn, &insn->operand[i], address);
		if (i == 0 && insn->evex_k)
			put(&line, "{k%u}%s", insn->evex_k,
			    insn->evex_z ? "{z}" : "");
	}
	return line.length;
}
