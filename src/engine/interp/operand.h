/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operands of integer instructions: registers by size, effective addresses,
 * memory with the TLB hit inlined, the stack. Sizes are 1, 2, 4, 8 and, where
 * it is fast that counts, compile-time constants.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* --- registers ------------------------------------------------------------ */

/* `reg` as insn.h numbers them: 16 to 19 are AH CH DH BH, size 1 only. */
ALWAYS_INLINE uint64_t reg_read(const struct interp *cpu, unsigned reg,
				unsigned size)
{
	uint64_t value = cpu->s.gpr[reg & 15];

	switch (size) {
	case 1:
		return (uint8_t)(value >> (reg & 16) / 2);
	case 2:
		return (uint16_t)value;
	case 4:
		return (uint32_t)value;
	default:
		return value;
	}
}

/* 32 bits zero-extend to 64, 8 and 16 bits leave the rest (SDM 1, 3.4.1.1).
 * Always stores all 64, so that a wider load after it can be forwarded. */
ALWAYS_INLINE void reg_write(struct interp *cpu, unsigned reg, uint64_t value,
			     unsigned size)
{
	uint64_t *to = &cpu->s.gpr[reg & 15];
	unsigned shift = (reg & 16) / 2;

	switch (size) {
	case 1:
		*to = (*to & ~(0xffull << shift)) | (value & 0xff) << shift;
		break;
	case 2:
		*to = (*to & ~0xffffull) | (value & 0xffff);
		break;
	case 4:
		*to = (uint32_t)value;
		break;
	default:
		*to = value;
		break;
	}
}

/* --- memory --------------------------------------------------------------- */

ALWAYS_INLINE uint64_t truncate(uint64_t value, unsigned size)
{
	return size == 8 ? value :
	       size == 4 ? (uint32_t)value :
	       size == 2 ? (uint16_t)value :
			   (uint8_t)value;
}

ALWAYS_INLINE int64_t sign_extend(uint64_t value, unsigned size)
{
	return size == 8 ? (int64_t)value :
	       size == 4 ? (int32_t)value :
	       size == 2 ? (int16_t)value :
			   (int8_t)value;
}

/* The effective address of a ModRM or moffs operand, cut to the address
 * size. */
ALWAYS_INLINE uint64_t operand_address(const struct interp *cpu,
				       const struct insn *insn)
{
	uint64_t address = (uint64_t)insn->disp;

	if (likely(insn->base < GPR_COUNT))
		address += cpu->s.gpr[insn->base];
	else if (insn->base == INSN_REG_RIP)
		address += cpu->next_rip;
	if (insn->index < GPR_COUNT)
		address += cpu->s.gpr[insn->index] * insn->scale;
	if (unlikely(insn->adsize != 8))
		address = truncate(address, insn->adsize);
	return address;
}

/*
 * The host's address of an operand when segmentation is flat and the TLB has
 * its page; else NULL, and the functions of mmu.c do it. A hit implies a
 * canonical address, since only such ones are filled in.
 */
ALWAYS_INLINE uint8_t *mem_hit(struct interp *cpu, enum segment segment,
			       uint64_t offset, unsigned size,
			       enum mmu_access access)
{
	if (unlikely(!cpu->is_flat))
		return NULL;
	return tlb_find(cpu, cpu->view, access, mem_flat(cpu, segment, offset),
			size);
}

ALWAYS_INLINE uint64_t mem_load(struct interp *cpu, enum segment segment,
				uint64_t offset, unsigned size)
{
	const uint8_t *host = mem_hit(cpu, segment, offset, size, MMU_READ);

	return likely(host) ? host_load(host, size) :
			      mem_read_slow(cpu, segment, offset, size);
}

ALWAYS_INLINE void mem_store(struct interp *cpu, enum segment segment,
			     uint64_t offset, uint64_t value, unsigned size)
{
	uint8_t *host = mem_hit(cpu, segment, offset, size, MMU_WRITE);

	if (likely(host)) {
		host_store(host, value, size);
		mem_written(cpu, host);
	} else {
		mem_write_slow(cpu, segment, offset, value, size);
	}
}

ALWAYS_INLINE uint64_t operand_load(struct interp *cpu, const struct insn *insn,
				    unsigned size)
{
	return mem_load(cpu, insn->seg, operand_address(cpu, insn), size);
}

ALWAYS_INLINE void operand_store(struct interp *cpu, const struct insn *insn,
				 uint64_t value, unsigned size)
{
	mem_store(cpu, insn->seg, operand_address(cpu, insn), value, size);
}

/* --- any kind of operand -------------------------------------------------- */

/* A register, memory or constant. */
static inline uint64_t operand_read(struct interp *cpu, const struct insn *insn,
				    unsigned number, unsigned size)
{
	const struct operand *operand = &insn->operand[number];

	switch (operand->kind) {
	case OPND_REG:
		return reg_read(cpu, operand->reg, size);
	case OPND_MEM:
	case OPND_MOFFS:
		return operand_load(cpu, insn, size);
	case OPND_ONE:
		return 1;
	case OPND_IMM2:
		return insn->imm2;
	default:
		return (uint64_t)insn->imm;
	}
}

/* A register, or memory that the instruction does not read. */
static inline void operand_write(struct interp *cpu, const struct insn *insn,
				 unsigned number, uint64_t value, unsigned size)
{
	const struct operand *operand = &insn->operand[number];

	if (operand->kind == OPND_REG)
		reg_write(cpu, operand->reg, value, size);
	else
		operand_store(cpu, insn, value, size);
}

/* --- the stack ------------------------------------------------------------ */

/* The stack's address size: SDM 1, 6.2.5. */
ALWAYS_INLINE uint64_t stack_mask(const struct interp *cpu)
{
	if (likely(cpu->mode == X86_MODE_64))
		return ~0ull;
	return cpu->s.segment[SEG_SS].attributes & SEGMENT_DB ? 0xffffffff :
								0xffff;
}

/* A 16-bit stack leaves the upper part of ESP alone. */
ALWAYS_INLINE uint64_t stack_pointer(const struct interp *cpu, uint64_t sp)
{
	uint64_t mask = stack_mask(cpu);

	if (unlikely(mask == 0xffff))
		return (cpu->s.gpr[RSP] & ~mask) | (sp & mask);
	return sp & mask;
}

ALWAYS_INLINE void stack_push(struct interp *cpu, uint64_t value, unsigned size)
{
	uint64_t sp = (cpu->s.gpr[RSP] - size) & stack_mask(cpu);

	mem_store(cpu, SEG_SS, sp, value, size);
	cpu->s.gpr[RSP] = stack_pointer(cpu, sp);
}

/* What a pop would give; the caller moves the stack pointer when the rest of
 * its instruction can no longer fault. */
ALWAYS_INLINE uint64_t stack_peek(struct interp *cpu, unsigned size)
{
	return mem_load(cpu, SEG_SS, cpu->s.gpr[RSP] & stack_mask(cpu), size);
}

ALWAYS_INLINE void stack_drop(struct interp *cpu, uint64_t bytes)
{
	cpu->s.gpr[RSP] = stack_pointer(cpu, cpu->s.gpr[RSP] + bytes);
}
