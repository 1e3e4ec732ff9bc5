/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor's registers as gdb numbers them, and the description of the
 * target that tells gdb so (gdb's manual, appendix G).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "debug/rsp.h"
#include "x86/cpu_state.h"

unsigned gdb_register_count(void);

/* Appends its value in hexadecimal. */
void gdb_register_read(const struct cpu_state *state, unsigned number,
		       struct rsp_reply *reply);
/* Takes its value from *at; false: not so many digits. Values that do not fit
 * the register are cut; what is derived stays. */
bool gdb_register_write(struct cpu_state *state, unsigned number,
			const char **at);

/* target.xml; the caller frees it. NULL when out of memory. */
char *gdb_target_description(size_t *size);
