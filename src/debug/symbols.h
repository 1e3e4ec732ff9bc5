/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of addresses in the guest's kernel: from a vmlinux with a symbol table,
 * or from text as System.map and /proc/kallsyms have it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "x86/addr.h"
#include "x86/cpu_state.h"

struct symbols;

/*
 * Reads a file. -errno, logged, when it is none of the above or names nothing
 * (a kallsyms whose addresses are hidden).
 */
int symbols_open(const char *path, struct symbols **symbols);
/*
 * The same for a kernel image that may have none: quiet, and *symbols NULL,
 * unless it is an ELF file with a table.
 */
void symbols_open_kernel(const char *path, struct symbols **symbols);
void symbols_close(struct symbols *symbols); /* NULL is fine */

/* The last symbol at or before an address, and how far before; or NULL. */
const char *symbols_find(const struct symbols *symbols, gva_t address,
			 uint64_t *offset);
/* The address of the first symbol of a name. */
bool symbols_look_up(const struct symbols *symbols, const char *name,
		     gva_t *address);

/*
 * By how much the running kernel has moved from where its table has it (KASLR):
 * what IA32_LSTAR holds, past entry_SYSCALL_64. 0 where that says nothing.
 */
uint64_t symbols_shift(const struct symbols *symbols,
		       const struct cpu_state *state);

#define SYMBOL_TEXT_MAX 96

/* "start_kernel+1f", or "" where there is none; symbols may be NULL. */
void symbol_text(const struct symbols *symbols, const struct cpu_state *state,
		 gva_t address, char text[SYMBOL_TEXT_MAX]);
