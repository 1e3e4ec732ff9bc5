/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes to struct insn: all of the 16-, 32- and 64-bit encodings that
 * Intel documents.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "x86/insn.h"

/* What insn_decode returns, negated, when it returns no length. */
enum insn_error {
	INSN_SHORT = 1, /* the bytes end inside the instruction */
	INSN_UD, /* no such instruction in this mode: #UD */
	INSN_LONG, /* more than 15 bytes: #GP(0) */
};

/*
 * insn_decode: read one instruction from BYTES, of which AVAIL may be read.
 *
 * Returns its length (1..15) and fills *out, or -INSN_SHORT, -INSN_UD or
 * -INSN_LONG with *out undefined.  What a CPU model does not offer is
 * decoded too: the caller compares insn_row(out)->feature.  LOCK where it is
 * not allowed is -INSN_UD.  Pure function, any thread.
 */
int insn_decode(struct insn *out, const uint8_t *bytes, size_t avail,
		enum x86_mode mode);
