/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instruction by what was decoded of another with the same beginning: at most
 * one legacy prefix and REX, an opcode of the first two maps, ModRM and SIB
 * (SDM 2, chapter 2). All but the values of displacement and immediate follows
 * from that and the mode. The decoder has a branch for all that may be; this
 * has few, which counts where each instruction is another than the last.
 */
#include "x86/decode_cache.h"

#include "base/bits.h"
#include "x86/insn_table.h"

/* Bytes that may be read: more than the longest such instruction has. */
#define READ_AHEAD 24

enum byte_class {
	IS_OPCODE,
	IS_REX,
	IS_PREFIX,
	IS_OTHER, /* VEX, EVEX */
};

static const uint8_t classes[256] = {
	[0x26] = IS_PREFIX, [0x2e] = IS_PREFIX, [0x36] = IS_PREFIX,
	[0x3e] = IS_PREFIX, [0x64] = IS_PREFIX, [0x65] = IS_PREFIX,
	[0x66] = IS_PREFIX, [0x67] = IS_PREFIX, [0xf0] = IS_PREFIX,
	[0xf2] = IS_PREFIX, [0xf3] = IS_PREFIX, [0x62] = IS_OTHER,
	[0xc4] = IS_OTHER,  [0xc5] = IS_OTHER,	[0x40 ... 0x4f] = IS_REX,
};

/* How many bytes an instruction begins with; 0: not one of these. */
static unsigned size_of_head(const uint8_t *bytes)
{
	unsigned n = 0, map = MAP_ONE, index, modrm;

	if (classes[bytes[0]] == IS_PREFIX)
		n++;
	if (classes[bytes[n]] == IS_REX)
		n++;
	if (unlikely(classes[bytes[n]] != IS_OPCODE))
		return 0;
	if (bytes[n] == 0x0f) {
		n++;
		map = MAP_0F;
	}
	index = insn_index[ENC_LEGACY][map][bytes[n]];
	if (unlikely(!index || (map == MAP_0F && (bytes[n] & 0xfd) == 0x38)))
		return 0;
	n++;
	if (!(index & INDEX_MODRM))
		return n;
	modrm = bytes[n++];
	return n + (modrm < 0xc0 && (modrm & 7) == RSP);
}

/* Those with bytes that mean something else yet. */
static bool is_plain(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++)
		switch (insn_operand_letters[insn_row(insn)->operands[i]]
				.special) {
		case SPECIAL_ENTER:
		case SPECIAL_IMM8_2:
		case SPECIAL_FARPTR:
		case SPECIAL_MOFFS:
		case SPECIAL_VSIB:
		case SPECIAL_IMM_REG:
			return false;
		default:
			break;
		}
	return insn->encoding == ENC_LEGACY;
}

static bool has_unsigned_imm(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nops; i++) {
		unsigned imm =
			insn_operand_letters[insn_row(insn)->operands[i]].imm;

		if (imm == IMM_8 || imm == IMM_16)
			return true;
	}
	return false;
}

static void keep(struct insn *slot, struct decode_rest *rest, uint64_t key,
		 const struct insn *insn)
{
	unsigned disp = insn->disp_len, imm = insn->imm_len;

	*slot = *insn;
	*rest = (struct decode_rest){
		.key = key,
		.disp_shift = disp ? (uint8_t)(64 - 8 * disp) : 0,
		.imm_shift = imm ? (uint8_t)(64 - 8 * imm) : 0,
		.has_disp = disp,
		.has_imm = imm,
		.is_imm_unsigned = has_unsigned_imm(insn),
	};
	/* What is no immediate stays: the 1 of shifts. */
	if (disp)
		slot->disp = 0;
	if (imm)
		slot->imm = 0;
}

/* 0 unless `is_there`. */
static uint64_t extend(const uint8_t *at, unsigned shift, bool is_there,
		       bool is_unsigned)
{
	uint64_t value = load_u64(at) << shift;
	uint64_t zero = value >> shift;
	uint64_t extended = (uint64_t)((int64_t)value >> shift);

	return (is_unsigned ? zero : extended) & -(uint64_t)is_there;
}

int insn_decode_cached(struct decode_cache *cache, struct insn *out,
		       const uint8_t *bytes, size_t avail, enum x86_mode mode)
{
	unsigned size, index;
	const struct decode_rest *rest;
	uint64_t key;
	int length;

	if (unlikely(avail < READ_AHEAD || mode != X86_MODE_64))
		return insn_decode(out, bytes, avail, mode);
	size = size_of_head(bytes);
	if (unlikely(!size))
		return insn_decode(out, bytes, avail, mode);
	key = (load_u64(bytes) & BITS(8 * size - 1, 0)) | (uint64_t)size << 56;
	index = (unsigned)(key * 0x9e3779b97f4a7c15ull >> 40) % DECODE_CACHE;
	rest = &cache->rest[index];
	if (likely(rest->key == key)) {
		*out = cache->insn[index];
		out->disp |= (int64_t)extend(bytes + out->off_disp,
					     rest->disp_shift, rest->has_disp,
					     false);
		out->imm |= (int64_t)extend(bytes + out->off_imm,
					    rest->imm_shift, rest->has_imm,
					    rest->is_imm_unsigned);
		return out->len;
	}
	length = insn_decode(out, bytes, avail, mode);
	if (length > 0 && is_plain(out))
		keep(&cache->insn[index], &cache->rest[index], key, out);
	return length;
}
