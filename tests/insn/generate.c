/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Generating trials. Bytes come from a row's conditions, with everything that
 * they leave open drawn at random and the decoder as judge of what came out.
 * Registers are drawn so that most accesses fall into the data window, many of
 * them on its edges.
 */
#include "generate.h"

#include <string.h>

#include "x86/decode.h"
#include "x86/insn_table.h"

/* --- numbers -------------------------------------------------------------- */

struct random random_from(uint64_t seed, uint64_t number,
			  const struct code_kind *kind)
{
	struct random random = { seed * 0x9e3779b97f4a7c15ull + number, kind };

	random_next(&random);
	return random;
}

uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint64_t below(struct random *random, uint64_t limit)
{
	return random_next(random) % limit;
}

static bool chance(struct random *random, unsigned one_in)
{
	return below(random, one_in) == 0;
}

/* Integers with a liking for edges. */
static uint64_t integer(struct random *random)
{
	static const uint64_t edges[] = {
		0,
		1,
		~0ull,
		0x7f,
		0x80,
		0xff,
		0x7fff,
		0x8000,
		0x7fffffff,
		0x80000000,
		0x7fffffffffffffff,
		0x8000000000000000,
	};

	switch (below(random, 6)) {
	case 0:
		return edges[below(random, ARRAY_SIZE(edges))];
	case 1:
		return below(random, 256);
	case 2:
		return (uint32_t)random_next(random);
	case 3:
		return -below(random, 4096);
	default:
		return random_next(random);
	}
}

static uint32_t single(struct random *random)
{
	static const uint32_t edges[] = {
		0,	    0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
		0xff800000, 0x7fc00000, 0x7f800001, 0x00000001, 0x007fffff,
		0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000,
	};
	uint32_t value = random_next(random);

	switch (below(random, 4)) {
	case 0:
		return edges[below(random, ARRAY_SIZE(edges))];
	case 1: /* near 1 */
		return (value & 0x81ffffff) | 0x3e000000;
	case 2: /* few bits: exact results */
		return (value & 0xfff80000) % 0x7f000000;
	default:
		return value;
	}
}

static uint64_t real(struct random *random)
{
	static const uint64_t edges[] = {
		0,
		0x8000000000000000,
		0x3ff0000000000000,
		0x7ff0000000000000,
		0xfff0000000000000,
		0x7ff8000000000000,
		0x7ff0000000000001,
		0x0000000000000001,
		0x000fffffffffffff,
		0x0010000000000000,
		0x7fefffffffffffff,
		0x41e0000000000000,
		0x43e0000000000000,
		0xc3e0000000000000,
		0x36a0000000000000,
		0x47f0000000000000,
	};
	uint64_t value = random_next(random);

	switch (below(random, 4)) {
	case 0:
		return edges[below(random, ARRAY_SIZE(edges))];
	case 1:
		return (value & 0x803fffffffffffff) | 0x3fc0000000000000;
	case 2:
		return value & 0xbff8000000000000;
	default:
		return value;
	}
}

static uint64_t quadword(struct random *random)
{
	switch (below(random, 4)) {
	case 0:
		return random_next(random);
	case 1:
		return real(random);
	case 2:
		return single(random) | (uint64_t)single(random) << 32;
	default:
		return integer(random);
	}
}

/* --- rows ----------------------------------------------------------------- */

/* Not the same here and there, or not to be done to the sandbox. */
static bool op_is_comparable(unsigned op)
{
	switch (op) {
	case OP_INVALID:
	case OP_CPUID:
	case OP_RDRAND:
	case OP_RDSEED:
	case OP_INT3:
	case OP_INT:
	case OP_INT1:
	case OP_XABORT:
	case OP_XBEGIN:
		return false;
	default:
		return true;
	}
}

bool row_is_comparable(const struct cpuid_table *cpuid,
		       const struct code_kind *kind, unsigned number)
{
	const struct insn_row *row = &insn_rows[number];
	const struct insn_match *match = &insn_matches[number];

	if (number == 0 || row->encoding == ENC_EVEX ||
	    (row->class & (CLASS_AVX512 | CLASS_AMX)))
		return false;
	if ((match->mask & KEY_64) &&
	    !(match->value & KEY_64) != (kind->mode != X86_MODE_64))
		return false;
	if (!op_is_comparable(row->op) || !cpuid_has(cpuid, row->feature))
		return false;
	if (row->bt != BT_SYSTEM)
		return true;
	/* What user mode may not do is refused alike. */
	return row->op == OP_PUSHF || row->op == OP_POPF || row->op == OP_UD ||
	       row->priv == PRIV_IO || row->priv == PRIV_IF ||
	       (row->priv == PRIV_K && row->feature == FEAT_BASE);
}

/* --- bytes ---------------------------------------------------------------- */

struct bytes {
	uint8_t at[32];
	unsigned count;
};

static void put(struct bytes *bytes, uint8_t byte)
{
	bytes->at[bytes->count++] = byte;
}

static bool needs(const struct insn_match *match, uint32_t key)
{
	return (match->mask & key) && (match->value & key);
}

static bool choose_bit(struct random *random, const struct insn_match *match,
		       uint32_t key, unsigned one_in)
{
	if (match->mask & key)
		return match->value & key;
	return chance(random, one_in);
}

static uint8_t choose_modrm(struct random *random,
			    const struct insn_match *match)
{
	uint8_t mask = match->mask & 0x3f, modrm = random_next(random);
	uint8_t reg = match->value >> KEY_REG_SHIFT & 7;
	uint8_t rm = match->value >> KEY_RM_SHIFT & 7;

	if (match->mask & KEY_MOD3) {
		if (match->value & KEY_MOD3)
			modrm |= 0xc0;
		else if (modrm >= 0xc0)
			modrm &= 0x7f;
	}
	if (mask & 7 << KEY_REG_SHIFT)
		modrm = (modrm & 0xc7) | reg << 3;
	if (mask & 7 << KEY_RM_SHIFT)
		modrm = (modrm & 0xf8) | rm;
	return modrm;
}

/* 0 none, 1 66, 2 F3, 3 F2; -1: any, 66 excluded or not does not matter. */
static unsigned choose_pp(struct random *random, const struct insn_match *match)
{
	unsigned mask = match->mask >> KEY_PP_SHIFT & 3;
	unsigned value = match->value >> KEY_PP_SHIFT & 3;
	unsigned pp = chance(random, 3) ? below(random, 4) : 0;

	return (pp & ~mask) | value;
}

/* FS is the C library's, and GS has no segment but in 64-bit code. */
static void put_segment(struct random *random, struct bytes *bytes)
{
	static const uint8_t old[] = { 0x26, 0x2e, 0x36, 0x3e };

	if (chance(random, random->kind->mode == X86_MODE_64 ? 16 : 4))
		put(bytes, 0x67);
	if (random->kind->mode == X86_MODE_64 && chance(random, 16))
		put(bytes, 0x65);
	if (chance(random, 32))
		put(bytes, old[below(random, ARRAY_SIZE(old))]);
}

static void put_legacy(struct random *random, struct bytes *bytes,
		       const struct insn_row *row,
		       const struct insn_match *match, uint8_t modrm)
{
	static const uint8_t prefix[] = { 0, 0x66, 0xf3, 0xf2 };
	unsigned pp = choose_pp(random, match);
	uint8_t rex = 0x40;
	bool is_mem = modrm < 0xc0;

	put_segment(random, bytes);
	if ((row->attrs & ROW_LOCK) && is_mem && chance(random, 4))
		put(bytes, 0xf0);
	if ((row->attrs & ROW_REP) && chance(random, 2))
		pp = 2 + below(random, 2);
	if (pp)
		put(bytes, prefix[pp]);
	if (pp != 1 && !(match->mask >> KEY_PP_SHIFT & 1) && chance(random, 6))
		put(bytes, 0x66);
	if (choose_bit(random, match, KEY_W, 4))
		rex |= 8;
	if (chance(random, 2))
		rex |= below(random, 8);
	if (match->mask & KEY_REXB)
		rex = (rex & ~1) | (needs(match, KEY_REXB) ? 1 : 0);
	if (random->kind->mode == X86_MODE_64 &&
	    (rex != 0x40 || chance(random, 8)))
		put(bytes, rex);
	if (row->map != MAP_ONE)
		put(bytes, 0x0f);
	if (row->map == MAP_0F38)
		put(bytes, 0x38);
	if (row->map == MAP_0F3A)
		put(bytes, 0x3a);
}

static void put_vex(struct random *random, struct bytes *bytes,
		    const struct insn_row *row, const struct insn_match *match)
{
	unsigned map = row->map == MAP_0F ? 1 : row->map == MAP_0F38 ? 2 : 3;
	unsigned pp = choose_pp(random, match);
	unsigned vvvv = chance(random, 3) ? 15 : below(random, 16);
	bool w = choose_bit(random, match, KEY_W, 2);
	unsigned l = below(random, 2), not_les = 0;

	if (match->mask >> KEY_L_SHIFT & 3)
		l = match->value >> KEY_L_SHIFT & 3;
	put_segment(random, bytes);
	/* Outside 64-bit code what is not C4h's and C5h's is LES and LDS. */
	if (random->kind->mode != X86_MODE_64) {
		not_les = 6;
		vvvv |= 8;
	}
	if (map == 1 && !w && chance(random, 2)) {
		put(bytes, 0xc5);
		put(bytes, (below(random, 2) << 7 | (not_les & 4) << 5) |
				   vvvv << 3 | l << 2 | pp);
		return;
	}
	put(bytes, 0xc4);
	put(bytes, (below(random, 8) | not_les) << 5 | map);
	put(bytes, w << 7 | vvvv << 3 | l << 2 | pp);
}

/* Anything may follow: the decoder takes what it needs. */
static void put_tail(struct random *random, struct bytes *bytes)
{
	if (chance(random, 2))
		put(bytes, random_next(random));
	for (unsigned i = 0; i < 14; i++)
		put(bytes, chance(random, 3) ? 0 : random_next(random));
}

static bool bytes_generate(struct random *random, unsigned number,
			   struct bytes *bytes, struct insn *insn)
{
	const struct insn_row *row = &insn_rows[number];
	const struct insn_match *match = &insn_matches[number];

	for (unsigned attempt = 0; attempt < 64; attempt++) {
		uint8_t modrm = choose_modrm(random, match);
		int len;

		bytes->count = 0;
		if (row->encoding == ENC_VEX)
			put_vex(random, bytes, row, match);
		else
			put_legacy(random, bytes, row, match, modrm);
		put(bytes, match->opcode + below(random, match->span));
		put(bytes, modrm);
		put_tail(random, bytes);
		len = insn_decode(insn, bytes->at, INSN_MAX_LEN,
				  random->kind->mode);
		if (len > 0 && insn->row == number)
			return true;
	}
	return false;
}

/* --- addresses ------------------------------------------------------------ */

/* Somewhere in the data window, with a liking for its edges; an offset in the
 * data segment. */
static uint64_t place(struct random *random, unsigned alignment)
{
	uint64_t data = WORLD_AT(PAGE_DATA), at;

	switch (below(random, 24)) {
	case 0: /* from nothing into the window */
		at = data - below(random, 40);
		break;
	case 1:
	case 2:
	case 3: /* over the edge between its pages */
		at = data + PAGE_SIZE - below(random, 40);
		break;
	case 4: /* from writable to not */
		at = data + 2 * PAGE_SIZE - below(random, 40);
		break;
	case 5:
		at = data + 2 * PAGE_SIZE + below(random, PAGE_SIZE);
		break;
	case 6: /* out of the window */
		at = data + 3 * PAGE_SIZE - below(random, 40);
		break;
	case 7:
		return chance(random, 2) ? random_next(random) : data - 4096;
	default:
		at = data + 512 + below(random, 2 * PAGE_SIZE - 1024);
		break;
	}
	if (!chance(random, 16))
		at &= -(uint64_t)alignment;
	return at - random->kind->data_base;
}

/* Puts `value` in a register as an address of this size: bits beyond it do
 * not count. */
static void set_address(struct random *random, struct trial *trial,
			unsigned reg, uint64_t value, unsigned adsize)
{
	unsigned bits = adsize * 8;

	if (bits < 64)
		value = (value & size_mask(adsize)) |
			(chance(random, 2) ? 0 : random_next(random) << bits);
	trial->registers.gpr[reg] = value;
}

static void patch(struct trial *trial, unsigned offset, uint64_t value,
		  unsigned size)
{
	memcpy(trial->bytes + offset, &value, size);
}

/* Makes the ModRM operand's address what we want, as well as it can be. */
static void solve_address(struct random *random, struct trial *trial,
			  const struct insn *insn, uint64_t want)
{
	uint64_t *gpr = trial->registers.gpr;
	uint64_t next = trial->registers.rip + insn->len;
	uint64_t rest = want - insn->disp;
	bool has_index = insn->index < 16 &&
			 !(insn_row(insn)->attrs & ROW_VSIB);

	if (insn->seg == SEG_GS)
		rest -= WORLD_GS_BASE, want -= WORLD_GS_BASE;
	if (insn->seg == SEG_CS) {
		rest += random->kind->data_base - random->kind->code_base;
		want += random->kind->data_base - random->kind->code_base;
	}
	if (insn->base == INSN_REG_RIP) {
		patch(trial, insn->off_disp, want - next, 4);
	} else if (insn->base < 16 && has_index && insn->index == insn->base) {
		set_address(random, trial, insn->base, rest / (1 + insn->scale),
			    insn->adsize);
	} else if (insn->base < 16) {
		if (has_index) {
			if (!chance(random, 3))
				gpr[insn->index] = below(random, 64) - 32;
			rest -= gpr[insn->index] * insn->scale;
		}
		set_address(random, trial, insn->base, rest, insn->adsize);
	} else if (has_index) {
		set_address(random, trial, insn->index, rest / insn->scale,
			    insn->adsize);
	} else if (insn->disp_len >= MIN(4, insn->adsize)) {
		patch(trial, insn->off_disp, want, insn->disp_len);
	}
}

/* Indices of a gather: most of them close to the base. */
static void solve_gather(struct random *random, struct trial *trial,
			 const struct insn *insn)
{
	unsigned size = insn->opcode & 1 ? 8 : 4;
	unsigned reg = insn->index & 15;

	for (unsigned i = 0; i < 32 / size; i++) {
		int64_t index = below(random, 512 / insn->scale);
		uint8_t *half = i * size < 16 ? trial->registers.fx.xmm[reg] :
						trial->registers.ymm_high[reg];

		if (chance(random, 40))
			index = random_next(random);
		memcpy(half + i * size % 16, &index, size);
	}
}

static void solve_operands(struct random *random, struct trial *trial,
			   const struct insn *insn)
{
	uint64_t *gpr = trial->registers.gpr;
	unsigned alignment = insn_row(insn)->attrs & ROW_ALIGN ? 32 :
			     chance(random, 2)		       ? 8 :
								 1;

	switch (insn->op) {
	case OP_FXSAVE:
	case OP_FXRSTOR:
		alignment = 16;
		break;
	case OP_XSAVE:
	case OP_XSAVEOPT:
	case OP_XSAVEC:
	case OP_XRSTOR:
		alignment = 64;
		gpr[RAX] = below(random, 8);
		gpr[RDX] = 0;
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < insn->nops; i++) {
		const struct operand *operand = &insn->operand[i];

		if (operand->kind == OPND_MEM)
			solve_address(random, trial, insn,
				      place(random, alignment));
		else if (operand->kind == OPND_MOFFS)
			patch(trial, insn->off_disp, place(random, alignment),
			      insn->disp_len);
	}
	if (insn_row(insn)->attrs & ROW_VSIB)
		solve_gather(random, trial, insn);
	/* A bit string's offset moves the address. */
	if ((insn->op == OP_BT || insn->op == OP_BTS || insn->op == OP_BTR ||
	     insn->op == OP_BTC) &&
	    insn->operand[1].kind == OPND_REG && !chance(random, 8) &&
	    insn->operand[1].reg != insn->base)
		gpr[insn->operand[1].reg & 15] = below(random, 2048) - 1024;
}

/* Makes compare-and-exchange find what it expects, half of the time. */
static void solve_compare(struct random *random, struct trial *trial,
			  const uint8_t *memory)
{
	uint64_t value = load_u64(memory + 8 * below(random, 512));

	if (chance(random, 2))
		trial->registers.gpr[RAX] = value;
}

/* --- registers ------------------------------------------------------------ */

static void x87_generate(struct random *random, struct registers *registers)
{
	static const uint16_t exponents[] = { 0,      0x7fff, 0x3fff, 0x8000,
					      0xffff, 0x4005, 0xbfff, 0x3fc0,
					      0x403e, 0x0001, 0x7ffe };

	registers->fx.fcw = 0x037f;
	if (chance(random, 3))
		registers->fx.fcw = (random_next(random) & 0x1f3f) | 0x40;
	registers->fx.fsw = below(random, 8) << 11;
	if (chance(random, 3))
		registers->fx.fsw = random_next(random) & 0x7f7f;
	if (chance(random, 4) &&
	    (registers->fx.fsw & ~registers->fx.fcw & 0x3f) &&
	    !chance(random, 4))
		registers->fx.fcw |= 0x3f;
	if (registers->fx.fsw & ~registers->fx.fcw & 0x3f)
		registers->fx.fsw |= 0x8080;
	registers->fx.ftw = chance(random, 4) ? random_next(random) : 0xff;
	registers->fx.fop = random_next(random) & 0x7ff;
	registers->fx.fip = random_next(random) >> 17;
	registers->fx.fdp = random_next(random) >> 17;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t mantissa = random_next(random);
		uint16_t exponent = random_next(random);

		if (chance(random, 3))
			exponent =
				exponents[below(random, ARRAY_SIZE(exponents))];
		else if (chance(random, 2))
			exponent = (exponent & 0x803f) + 0x3fe0;
		if (chance(random, 4))
			mantissa &= 0xff00000000000000;
		if (!chance(random, 32) && exponent & 0x7fff)
			mantissa |= BIT(63);
		if (chance(random, 16))
			mantissa = 0, exponent &= 0x8000;
		store_u64(registers->fx.st[i], mantissa);
		store_u64(registers->fx.st[i] + 8, exponent);
	}
}

static void registers_generate(struct random *random,
			       struct registers *registers)
{
	for (unsigned i = 0; i < 16; i++)
		registers->gpr[i] = chance(random, 12) ? place(random, 8) :
							 integer(random);
	registers->gpr[RSP] = place(random, 8);
	registers->rflags = RFLAGS_FIXED1 | RFLAGS_IF |
			    (random_next(random) & RFLAGS_STATUS) |
			    (chance(random, 4) ? RFLAGS_DF : 0);
	x87_generate(random, registers);
	registers->fx.mxcsr = 0x1f80;
	if (chance(random, 4))
		registers->fx.mxcsr |= random_next(random) & 0xe07f;
	if (chance(random, 6))
		registers->fx.mxcsr = random_next(random) & 0xffff;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned half = 0; half < 16; half += 8) {
			store_u64(registers->fx.xmm[i] + half,
				  quadword(random));
			store_u64(registers->ymm_high[i] + half,
				  quadword(random));
		}
}

/* Registers that some instructions name implicitly. */
static void registers_fit(struct random *random, struct trial *trial,
			  const struct insn *insn)
{
	uint64_t *gpr = trial->registers.gpr;

	if (insn_row(insn)->bt == BT_STRING ||
	    insn_row(insn)->priv == PRIV_IO) {
		gpr[RSI] = place(random, 1);
		gpr[RDI] = place(random, 1);
		if (insn->seg == SEG_GS)
			gpr[RSI] -= WORLD_GS_BASE;
		if (insn->prefixes & (PREFIX_REP | PREFIX_REPNE))
			set_address(random, trial, RCX, below(random, 24),
				    insn->adsize);
	}
	switch (insn->op) {
	case OP_XLAT:
		gpr[RBX] = place(random, 1);
		break;
	case OP_MASKMOVQ:
	case OP_MASKMOVDQU:
	case OP_VMASKMOVDQU:
		gpr[RDI] = place(random, 1);
		if (insn->seg == SEG_GS)
			gpr[RDI] -= WORLD_GS_BASE;
		break;
	case OP_LEAVE:
	case OP_ENTER:
		gpr[RBP] = place(random, 8);
		break;
	case OP_DIV:
	case OP_IDIV:
		if (!chance(random, 4))
			gpr[RDX] = chance(random, 2) ? 0 : below(random, 100);
		break;
	default:
		break;
	}
}

static bool is_xsave(const struct insn *insn)
{
	return insn->op == OP_XSAVE || insn->op == OP_XSAVEOPT ||
	       insn->op == OP_XSAVEC || insn->op == OP_XRSTOR;
}

/* RDX:RAX has to name components that both sides have. */
static bool address_needs_mask(const struct insn *insn)
{
	return is_xsave(insn) && (insn->base == RAX || insn->base == RDX ||
				  insn->index == RAX || insn->index == RDX);
}

/* A branch into its own bytes would run on where we cannot follow. */
static bool branches_into_itself(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++)
		if (insn->operand[i].kind == OPND_REL)
			return insn->imm < 0 &&
			       insn->imm >= -(int64_t)insn->len;
	return false;
}

bool trial_generate(struct random *random, unsigned row, const uint8_t *memory,
		    struct trial *trial, struct insn *insn)
{
	struct bytes bytes;

	if (!bytes_generate(random, row, &bytes, insn) ||
	    branches_into_itself(insn) || address_needs_mask(insn))
		return false;
	memset(trial, 0, sizeof(*trial));
	trial->len = insn->len;
	memcpy(trial->bytes, bytes.at, insn->len);
	trial->offset = chance(random, 16) ? PAGE_SIZE - insn->len :
					     0x400 + below(random, 64);
	if (chance(random, 64) && insn->len > 1) /* the rest is not there */
		trial->offset += 1 + below(random, insn->len - 1);
	registers_generate(random, &trial->registers);
	trial->registers.rip =
		WORLD_AT(PAGE_CODE) + trial->offset - random->kind->code_base;
	registers_fit(random, trial, insn);
	if (insn->op == OP_CMPXCHG || insn->op == OP_CMPXCHG8B ||
	    insn->op == OP_CMPXCHG16B)
		solve_compare(random, trial, memory);
	solve_operands(random, trial, insn);
	for (unsigned i = 0; i < 16; i++)
		trial->registers.gpr[i] &= random->kind->gpr_mask;
	return insn_decode(insn, trial->bytes, INSN_MAX_LEN,
			   random->kind->mode) > 0;
}

void memory_generate(struct random *random, uint8_t *memory)
{
	for (unsigned i = 0; i < DATA_PAGES * PAGE_SIZE; i += 8) {
		uint64_t value = quadword(random);

		if (chance(random, 8)) /* somewhere to return to */
			value = WORLD_AT(PAGE_CODE) + below(random, 0x300);
		store_u64(memory + i, value);
	}
}
