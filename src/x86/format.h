/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions as text, in Intel's syntax, for dumps and traces. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "x86/insn.h"

/* Room that every instruction fits in, with the terminating zero. */
#define INSN_TEXT_SIZE 128

/*
 * insn_format: write INSN to TEXT, at most SIZE bytes including the zero that
 * is always there when SIZE is not 0.  ADDRESS is the instruction's own, for
 * branch targets.  Returns the length of the whole text, as snprintf does.
 * Pure function, any thread.
 */
size_t insn_format(char *text, size_t size, const struct insn *insn,
		   uint64_t address);
