/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instruction once more, with other registers and its memory operand
 * elsewhere: what a translator does to same-ISA code. SDM 2, chapter 2.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "x86/insn.h"

#define INSN_NO_INDEX 4

/* [base + index * scale + displacement], without segment or address-size prefix.
 * base is not 4, 5, 12 or 13. */
struct insn_place {
	uint8_t base;
	uint8_t index; /* or INSN_NO_INDEX */
	uint8_t scale;
	int32_t displacement;
};

/* Which general register stands where another stood. */
struct insn_rename {
	uint8_t to[16]; /* for registers 0..15; bytes AH..BH do not change */
	struct insn_place place; /* of the memory operand, if any */
};

#define INSN_REENCODED_MAX (INSN_MAX_LEN + 5)

/*
 * Writes the instruction that `insn` was decoded from (legacy or VEX, no vector
 * index) to `out`, INSN_REENCODED_MAX bytes of room, for 64-bit mode. Returns its length, or 0
 * where it has no encoding: AH to BH beside a register that needs REX. From
 * other modes: what 64-bit mode has too, INC and DEC of one byte, and 82.
 */
unsigned insn_reencode(uint8_t *out, const struct insn *insn,
		       const uint8_t *bytes, const struct insn_rename *rename);

/* Bits of the general registers that operands name explicitly: values (reads
 * and writes) and the memory operand's base and index. */
uint32_t insn_registers(const struct insn *insn);
