/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small assembler: the instructions the translator adds of its own. 64-bit
 * code; `gs` operands are fields of struct bt_vcpu. SDM 2 for the encodings.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "engine/bt/bt.h"

/* Writes through `at`; the code will run at at + delta. */
struct code {
	uint8_t *at, *end;
	ptrdiff_t delta;
};

#define GUEST_RSP R11
#define SCRATCH	  R10
/* A second one, for the functions that say so. */
#define SPARE R9

/* Where guest registers are: in memory, or in which register. */
static inline bool in_memory(unsigned guest)
{
	return guest >= R9 && guest <= R11;
}

static inline unsigned host_register(unsigned guest)
{
	return guest == RSP ? GUEST_RSP : guest;
}

#define FIELD(name)  ((uint32_t)offsetof(struct bt_vcpu, name))
#define FIELD_GPR(n) ((uint32_t)(offsetof(struct bt_vcpu, cpu.s.gpr) + 8 * (n)))
#define FIELD_RIP    FIELD(cpu.s.rip)

#define TLB_TAG	     offsetof(struct tlb_entry, tag)
#define TLB_ADDEND   offsetof(struct tlb_entry, addend)

/* That of the first entry of a table. */
static inline uint32_t field_tlb(unsigned view, enum mmu_access access,
				 size_t field)
{
	unsigned table = view * MMU_ACCESSES + access;

	return FIELD(cpu.tlb.entry[0][0][0]) + (uint32_t)field +
	       table * TLB_ENTRIES * (uint32_t)sizeof(struct tlb_entry);
}

/* The low `size` bytes of a word, up to 8. By words, as the compiler takes each
 * store of a byte for one to c->at too. There is room for 16 beyond the end. */
static inline void code_word(struct code *c, uint64_t word, unsigned size)
{
	uint8_t *at = c->at;

	BUG_ON(at >= c->end);
	store_u64(at, word);
	c->at = at + size;
}

static inline void code_u8(struct code *c, unsigned byte)
{
	code_word(c, byte, 1);
}

static inline void code_u32(struct code *c, uint32_t value)
{
	code_word(c, value, 4);
}

static inline void code_u64(struct code *c, uint64_t value)
{
	code_word(c, value, 8);
}

/* Up to 16 bytes, as a pair of such words. */
static inline void code_words(struct code *c, uint64_t low, uint64_t high,
			      unsigned size)
{
	uint8_t *at = c->at;

	BUG_ON(at >= c->end);
	store_u64(at, low);
	store_u64(at + 8, high);
	c->at = at + size;
}

/* Where the next byte will run. */
static inline uint8_t *code_here(const struct code *c)
{
	return c->at + c->delta;
}

/* What RET leaves in R10's lower half: the distance of its ids (bt_codes) from the
 * first. The upper half is its place in the cache. */
#define BT_RETURN_IDS(codes) \
	((uint32_t)(codes) * (uint32_t)(BT_EXEC * sizeof(uint32_t)))

enum { OP_SIZE_32 = 0, OP_SIZE_64 = 1 };

/* op reg, gs:[field] (or the other way round: the opcode says). */
static inline void code_gs(struct code *c, unsigned wide, unsigned opcode,
			   unsigned reg, uint32_t field)
{
	unsigned rex = wide << 3 | reg >> 3 << 2;
	uint64_t rest = opcode | ((reg & 7) << 3 | 4) << 8 | 0x25 << 16 |
			(uint64_t)field << 24;

	if (rex)
		code_words(c, 0x65 | (0x40 | rex) << 8 | rest << 16, rest >> 48,
			   9);
	else
		code_word(c, 0x65 | rest << 8, 8);
}

/* op reg, gs:[index + field]; index is not RSP or R12. */
static inline void code_gs_indexed(struct code *c, unsigned opcode,
				   unsigned reg, unsigned index, uint32_t field)
{
	uint32_t rex = 0x48 | reg >> 3 << 2 | index >> 3;
	uint32_t modrm = 0x80 | (reg & 7) << 3 | (index & 7);

	code_word(c,
		  0x65 | rex << 8 | opcode << 16 | modrm << 24 |
			  (uint64_t)field << 32,
		  8);
}

static inline void code_bytes(struct code *c, const uint8_t *bytes, size_t size)
{
	BUG_ON(c->at + size > c->end);
	memcpy(c->at, bytes, size);
	c->at += size;
}

/* The same by words: 7 bytes beyond the last may be read. */
static inline void code_copy(struct code *c, const uint8_t *bytes,
			     unsigned size)
{
	BUG_ON(c->at + size > c->end);
	for (unsigned i = 0; i < size; i += 8)
		store_u64(c->at + i, load_u64(bytes + i));
	c->at += size;
}

/* Instructions without an operand that varies, byte by byte. */
#define CODE(c, ...)                                      \
	code_bytes((c), (const uint8_t[]){ __VA_ARGS__ }, \
		   sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* op gs:[field], imm32: C7 MOV, 81 group 1, F7 TEST, by opcode and digit. */
static inline void code_gs_imm(struct code *c, unsigned wide, unsigned opcode,
			       unsigned digit, uint32_t field, uint32_t value)
{
	uint64_t rest = opcode | (digit << 3 | 4) << 8 | 0x25 << 16 |
			(uint64_t)field << 24;

	if (wide)
		code_words(c, 0x65 | 0x48 << 8 | rest << 16,
			   rest >> 48 | (uint64_t)value << 8, 13);
	else
		code_words(c, 0x65 | rest << 8, value, 12);
}

/* The same on a byte: C6 MOV, 80 group 1, F6 TEST. */
static inline void code_gs_imm8(struct code *c, unsigned opcode, unsigned digit,
				uint32_t field, unsigned value)
{
	uint64_t rest = opcode | (digit << 3 | 4) << 8 | 0x25 << 16 |
			(uint64_t)field << 24;

	code_words(c, 0x65 | rest << 8, value, 9);
}

static inline void code_load(struct code *c, unsigned reg, uint32_t field)
{
	code_gs(c, OP_SIZE_64, 0x8b, reg, field);
}

static inline void code_store(struct code *c, uint32_t field, unsigned reg)
{
	code_gs(c, OP_SIZE_64, 0x89, reg, field);
}

/* op rm, reg between registers: 89 MOV, 31 XOR ... */
static inline void code_rr(struct code *c, unsigned wide, unsigned opcode,
			   unsigned rm, unsigned reg)
{
	unsigned rex = wide << 3 | reg >> 3 << 2 | rm >> 3;

	uint32_t rest = opcode | (0xc0 | (reg & 7) << 3 | (rm & 7)) << 8;

	if (rex)
		code_word(c, 0x40 | rex | rest << 8, 3);
	else
		code_word(c, rest, 2);
}

static inline void code_move(struct code *c, unsigned to, unsigned from)
{
	code_rr(c, OP_SIZE_64, 0x89, to, from);
}

/* Group 1: /4 AND, /7 CMP ... with a 32-bit immediate, sign-extended. */
static inline void code_group1(struct code *c, unsigned wide, unsigned digit,
			       unsigned reg, uint32_t value)
{
	unsigned rex = wide << 3 | reg >> 3;

	uint64_t rest = 0x81 | (0xc0 | digit << 3 | (reg & 7)) << 8 |
			(uint64_t)value << 16;

	if (rex)
		code_word(c, 0x40 | rex | rest << 8, 7);
	else
		code_word(c, rest, 6);
}

/* IMUL to32, from32, value */
static inline void code_imul32(struct code *c, unsigned to, unsigned from,
			       uint32_t value)
{
	unsigned rex = 0x40 | to >> 3 << 2 | from >> 3;
	unsigned modrm = 0xc0 | (to & 7) << 3 | (from & 7);

	code_word(c, rex | 0x69 << 8 | modrm << 16 | (uint64_t)value << 24, 7);
}

/* SHR r32, n */
static inline void code_shr32(struct code *c, unsigned reg, unsigned n)
{
	if (reg >> 3)
		code_u8(c, 0x41);
	code_u8(c, 0xc1);
	code_u8(c, 0xe8 | (reg & 7));
	code_u8(c, n);
}

/* RORX to32, from32, n: BMI2 */
static inline void code_rorx32(struct code *c, unsigned to, unsigned from,
			       unsigned n)
{
	CODE(c, 0xc4, (~to & 8) << 4 | 0x40 | (~from & 8) << 2 | 3, 0x7b, 0xf0,
	     0xc0 | (to & 7) << 3 | (from & 7), n);
}

/* MOV reg, value in the shortest form that does not touch the flags. */
static inline void code_constant(struct code *c, unsigned reg, uint64_t value)
{
	unsigned low = reg & 7, high = reg >> 3;

	if (value == (uint32_t)value) {
		uint64_t rest = (0xb8 | low) | value << 8;

		if (high)
			code_word(c, 0x41 | rest << 8, 6);
		else
			code_word(c, rest, 5);
	} else if (value == (uint64_t)(int32_t)value) {
		code_word(c,
			  (0x48 | high) | 0xc7 << 8 | (0xc0 | low) << 16 |
				  value << 24,
			  7);
	} else {
		code_words(c, (0x48 | high) | (0xb8 | low) << 8 | value << 16,
			   value >> 48, 10);
	}
}

/* ModRM's mod for a displacement: none where the base can do without. */
static inline unsigned code_mod(unsigned base, int32_t displacement)
{
	if (!displacement && (base & 7) != 5)
		return 0;
	return displacement == (int8_t)displacement ? 0x40 : 0x80;
}

static inline unsigned code_displacement_size(unsigned mod)
{
	return mod == 0x80 ? 4 : mod >> 6;
}

static inline void code_displacement(struct code *c, unsigned mod,
				     int32_t displacement)
{
	if (mod == 0x40)
		code_u8(c, (uint8_t)displacement);
	else if (mod == 0x80)
		code_u32(c, (uint32_t)displacement);
}

/* LEA to, [base + displacement], of 32 bits or 64; flags stay. */
static inline void code_lea_sized(struct code *c, unsigned wide, unsigned to,
				  unsigned base, int32_t displacement)
{
	unsigned mod = code_mod(base, displacement);
	uint64_t word = (0x40 | wide << 3 | to >> 3 << 2 | base >> 3) |
			0x8d << 8 | (mod | (to & 7) << 3 | (base & 7)) << 16;
	unsigned size = 3;

	if ((base & 7) == 4)
		word |= 0x24ull << 8 * size++;
	word |= (uint64_t)(uint32_t)displacement << 8 * size;
	code_word(c, word, size + code_displacement_size(mod));
}

static inline void code_lea(struct code *c, unsigned to, unsigned base,
			    int32_t displacement)
{
	code_lea_sized(c, OP_SIZE_64, to, base, displacement);
}

#define NO_REGISTER 255

/* op to, [base + index * scale + displacement]; base and index optional. */
static inline void code_memory(struct code *c, bool wide, unsigned opcode,
			       unsigned to, unsigned base, unsigned index,
			       unsigned scale, int32_t displacement)
{
	unsigned log = scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0;
	unsigned b = base == NO_REGISTER ? 5 : base;
	unsigned i = index == NO_REGISTER ? 4 : index;
	unsigned rex = wide << 3 | to >> 3 << 2 | i >> 3 << 1 | b >> 3;
	unsigned mod = base == NO_REGISTER ? 0 : code_mod(b, displacement);
	unsigned more = base == NO_REGISTER ? 4 : code_displacement_size(mod);
	bool has_sib = index != NO_REGISTER || base == NO_REGISTER ||
		       (b & 7) == 4;
	uint64_t word = opcode | (mod | (to & 7) << 3 | (has_sib ? 4 : b & 7))
					 << 8;
	unsigned size = 2;

	if (has_sib)
		word |= (uint64_t)(log << 6 | (i & 7) << 3 | (b & 7))
			<< 8 * size++;
	word |= (uint64_t)(uint32_t)displacement << 8 * size;
	if (rex)
		word = 0x40 | rex | word << 8;
	code_word(c, word, size + more + (rex ? 1 : 0));
}

static inline void code_lea_full(struct code *c, bool wide, unsigned to,
				 unsigned base, unsigned index, unsigned scale,
				 int32_t displacement)
{
	code_memory(c, wide, 0x8d, to, base, index, scale, displacement);
}

/* Branches to code that exists; Jcc by condition. */
static inline void code_rel32(struct code *c, const uint8_t *target)
{
	code_u32(c, (uint32_t)(target - (code_here(c) + 4)));
}

static inline void code_jump(struct code *c, const uint8_t *target)
{
	uint64_t displacement = (uint32_t)(target - (code_here(c) + 5));

	code_word(c, 0xe9 | displacement << 8, 5);
}

static inline void code_jcc(struct code *c, unsigned condition,
			    const uint8_t *target)
{
	uint64_t displacement = (uint32_t)(target - (code_here(c) + 6));

	code_word(c, 0x0f | (0x80 | condition) << 8 | displacement << 16, 6);
}

enum {
	COND_B = 2,
	COND_AE = 3,
	COND_E = 4,
	COND_NE = 5,
	COND_BE = 6,
	COND_A = 7,
};

/* A forward branch whose target comes later: its displacement's place. */
static inline uint8_t *code_jcc_forward(struct code *c, unsigned condition)
{
	code_word(c, 0x0f | (0x80 | condition) << 8, 6);
	return c->at - 4;
}

static inline uint8_t *code_jump_forward(struct code *c)
{
	code_word(c, 0xe9, 5);
	return c->at - 4;
}

static inline void code_land(struct code *c, uint8_t *displacement)
{
	store_u32(displacement, (uint32_t)(c->at - (displacement + 4)));
}

#define PREFIX_CS 0x2e

/*
 * Of the code that follows, four bytes `before` bytes further on are patched in
 * one store while others run it: they shall lie within eight aligned bytes, which
 * is what processors write at once (SDM 3, 8.1.1; AMD's manual 2, 7.3.2). A
 * prefix that means nothing there takes no time of its own, which a NOP does.
 */
static inline void code_align_patched(struct code *c, unsigned before)
{
	unsigned at = (unsigned)((uintptr_t)code_here(c) + before) % 8;

	if (at > 4)
		code_word(c, PREFIX_CS * 0x010101, 8 - at);
}

/*
 * cmp rsp, gs:[attention]: COND_B, attention is asked for (INTERP_ATTENTION), or
 * COND_AE. Processors make one operation of this and the branch behind it, which
 * they do not of a comparison of memory with a constant.
 */
static inline void code_poll(struct code *c)
{
	code_gs(c, OP_SIZE_64, 0x3b, RSP, FIELD(cpu.attention));
}

/* cmp dword gs:[field], value; jne: the value's place is aligned when the
 * instruction is. */
static inline uint8_t *code_check(struct code *c, uint32_t field,
				  uint32_t value)
{
	code_gs_imm(c, OP_SIZE_32, 0x81, 7, field, value);
	return code_jcc_forward(c, COND_NE);
}

/* cmp dword gs:[r10d + field], value */
static inline void code_compare_indexed(struct code *c, uint32_t field,
					uint32_t value)
{
	code_words(c,
		   0x65 | 0x67 << 8 | 0x41 << 16 | 0x81ull << 24 |
			   (uint64_t)(0x80 | 7 << 3 | (SCRATCH & 7)) << 32 |
			   (uint64_t)field << 40,
		   field >> 24 | (uint64_t)value << 8, 13);
}

#define CODE_U32(value)                                                      \
	(uint8_t)(value), (uint8_t)((value) >> 8), (uint8_t)((value) >> 16), \
		(uint8_t)((value) >> 24)

/* Flags from RFLAGS to the vCPU; SPARE goes. */
static inline void code_save_flags(struct code *c)
{
	_Static_assert(SPARE == R9, "as it is here");
	CODE(c, 0x49, 0x89, 0xc1, /* mov r9, rax */
	     0x9f, /* lahf */
	     0x0f, 0x90, 0xc0, /* seto al */
	     0x65, 0x89, 0x04, 0x25,
	     CODE_U32(FIELD(flags)), /* mov gs:.., eax */
	     0x4c, 0x89, 0xc8); /* mov rax, r9 */
}

/* And back; SPARE goes. */
static inline void code_restore_flags(struct code *c)
{
	CODE(c, 0x49, 0x89, 0xc1, /* mov r9, rax */
	     0x65, 0x8b, 0x04, 0x25,
	     CODE_U32(FIELD(flags)), /* mov eax, gs:.. */
	     0x04, 0x7f, /* add al, 127: OF where SETO gave 1 */
	     0x9e, /* sahf */
	     0x4c, 0x89, 0xc8); /* mov rax, r9 */
}
