/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding what is like something that was decoded before: of 64-bit code, where
 * instructions with the same bytes up to ModRM and SIB differ in displacement
 * and immediate alone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "x86/decode.h"

#define DECODE_CACHE 2048

/* What follows those bytes, where `insn` says. */
struct decode_rest {
	uint64_t key; /* those bytes, and how many; 0: empty */
	uint8_t disp_shift, imm_shift; /* 64 less their bits */
	bool has_disp, has_imm, is_imm_unsigned;
};

/* All zeroes at first; 160 KiB. */
struct decode_cache {
	_Alignas(64) struct insn insn[DECODE_CACHE];
	_Alignas(64) struct decode_rest rest[DECODE_CACHE];
};

/* As insn_decode, and the same result. One thread at a time. */
int insn_decode_cached(struct decode_cache *cache, struct insn *out,
		       const uint8_t *bytes, size_t avail, enum x86_mode mode);
