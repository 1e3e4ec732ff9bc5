/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page walker, SDM 3, chapter 4: from a linear address to a guest physical
 * one, with 32-bit, PAE and 4-level paging.
 *
 * A translation is a list of stages. Stage 0 is the guest's own paging; what it
 * yields, the addresses of its table entries included, passes through the
 * stages after it. (Nested paging is one more entry in that list.) The walker
 * keeps no state: memory is reached through callbacks only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "x86/addr.h"
#include "x86/cpu_state.h"

enum walk_kind { WALK_READ, WALK_WRITE, WALK_FETCH };

struct walk_access {
	enum walk_kind kind;
	/* A user-mode access: CPL 3 and not to a descriptor table or TSS. */
	bool is_user;
	/* Supervisor data access while CR4.SMAP is set, and either EFLAGS.AC
	 * is clear or the access is implicit (SDM 3, 4.6.1). */
	bool is_smap;
	/* A stage reads or updates its own table through a later stage. */
	bool is_table;
};

/* What the paging of one stage is governed by. */
struct walk_paging {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t pdpte[4]; /* PAE: loaded with CR3 */
	/* Rights by protection key, of user and of supervisor pages: 0
	 * forbids nothing (SDM 3, 4.6.2). */
	uint32_t pkru, pkrs;
	unsigned maxphyaddr; /* CPUID.80000008h:EAX[7:0] */
};

/* A translation: of the whole page, for more than the access asked for. */
struct walk_page {
	gpa_t gpa; /* of the address itself, not of its page */
	uint64_t size; /* of the page: the smallest of all stages */
	bool is_writable; /* R/W in every entry */
	bool is_user; /* U/S in every entry */
	uint8_t key; /* protection key: 0 where paging has none */
	bool is_executable; /* XD in no entry */
	bool is_global; /* G in the last entry, and CR4.PGE */
	bool is_dirty; /* D in the last entry, now */
};

/* Why there is none. */
struct walk_fault {
	unsigned stage;
	uint64_t address; /* as it came into that stage */
	uint32_t error; /* stage 0: the error code of #PF (SDM 3, 4.7) */
};

struct walk;

/*
 * One stage: translates `address` for `access`; false with *fault filled in.
 * `stage` is its own index in walk->stage.
 */
typedef bool walk_stage_fn(const struct walk *walk, unsigned stage,
			   uint64_t address, const struct walk_access *access,
			   struct walk_page *page, struct walk_fault *fault);

struct walk_stage {
	walk_stage_fn *translate;
	const void *control; /* its registers: struct walk_paging, ... */
};

#define WALK_STAGES_MAX 2

struct walk {
	/*
	 * Table entries: `size` is 4 or 8, the address aligned to it. What is
	 * not memory reads as all ones.
	 */
	uint64_t (*read)(void *world, gpa_t gpa, unsigned size);
	/* Locked: stores `new` if memory still holds `old`. False: it does
	 * not, the walk starts again. Where nothing can be stored: true. */
	bool (*exchange)(void *world, gpa_t gpa, unsigned size, uint64_t old,
			 uint64_t new);
	void *world;
	unsigned count;
	struct walk_stage stage[WALK_STAGES_MAX];
};

/* Stage 0: control is struct walk_paging. With CR0.PG = 0 the identity. */
walk_stage_fn walk_guest_paging;

/*
 * Translates and, when the access is allowed, sets the accessed flags on the
 * way and for a write the dirty flag. Pure but for the callbacks; any thread.
 */
bool walk_translate(const struct walk *walk, uint64_t address,
		    const struct walk_access *access, struct walk_page *page,
		    struct walk_fault *fault);

/* Whether the page's rights allow an access (SDM 3, 4.6.1). */
bool walk_is_allowed(const struct walk_paging *paging,
		     const struct walk_page *page,
		     const struct walk_access *access);

/* PDPTE registers that a MOV to CR3 or CR0 refuses with #GP (SDM 3, 4.4.1). */
bool walk_pdpte_is_valid(uint64_t pdpte, unsigned maxphyaddr);
