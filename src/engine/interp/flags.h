/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The six arithmetic flags between RFLAGS and the host's own flags, by way of
 * AX as LAHF and SETO leave it: SF ZF AF PF CF in AH, OF in AL. PUSHF and POPF
 * would do the same at ten times the cost.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"

/* AX to the host's flags: 1 + 127 overflows, 0 + 127 does not. */
#define FLAGS_LOAD "add $127, %%al\n\tsahf\n\t"
/* The host's flags to AX. */
#define FLAGS_STORE "\n\tlahf\n\tseto %%al"

/* In a switch by size: `text` on a and b that reads flags, or leaves some. */
#define FLAGS_CASES_CARRY(text)                              \
	case 2:                                              \
		asm(FLAGS_LOAD text "w %w2, %w0" FLAGS_STORE \
		    : "+r"(a), "+&a"(*ax)                    \
		    : "r"(b));                               \
		break;                                       \
	case 4:                                              \
		asm(FLAGS_LOAD text "l %k2, %k0" FLAGS_STORE \
		    : "+r"(a), "+&a"(*ax)                    \
		    : "r"(b));                               \
		break;                                       \
	default:                                             \
		asm(FLAGS_LOAD text "q %2, %0" FLAGS_STORE   \
		    : "+r"(a), "+&a"(*ax)                    \
		    : "r"(b))

static inline uint32_t flags_get(const struct interp *cpu)
{
	uint64_t rflags = cpu->s.rflags;

	return (uint32_t)((rflags & 0xff) << 8 | (rflags >> 11 & 1));
}

static inline void flags_set(struct interp *cpu, uint32_t ax)
{
	cpu->s.rflags = (cpu->s.rflags & ~RFLAGS_STATUS) | (ax >> 8 & 0xd5) |
			(uint64_t)(ax & 1) << 11;
}

/* Jcc, SETcc, CMOVcc: SDM 1, appendix B. */
static inline bool flags_condition(uint64_t rflags, unsigned condition)
{
	bool result;

	switch (condition >> 1 & 7) {
	case 0:
		result = rflags & RFLAGS_OF;
		break;
	case 1:
		result = rflags & RFLAGS_CF;
		break;
	case 2:
		result = rflags & RFLAGS_ZF;
		break;
	case 3:
		result = rflags & (RFLAGS_CF | RFLAGS_ZF);
		break;
	case 4:
		result = rflags & RFLAGS_SF;
		break;
	case 5:
		result = rflags & RFLAGS_PF;
		break;
	case 6:
		result = (rflags >> 7 ^ rflags >> 11) & 1;
		break;
	default:
		result = ((rflags >> 7 ^ rflags >> 11) & 1) ||
			 (rflags & RFLAGS_ZF);
		break;
	}
	return result != (condition & 1);
}
