/* SPDX-License-Identifier: BSD-2-Clause */
/* Translation and the slow paths of memory, between tlb.c, mmu.c, access.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"
#include "x86/walk.h"

/* Where an operand, or the part of it on one page, is. */
struct mem_place {
	uint8_t *host; /* NULL: MMIO, or ROM that is written */
	gpa_t gpa;
};

/*
 * Translates and fills the TLB. False: *fault holds address and error code of
 * the #PF; nothing has changed.
 */
bool mmu_translate(struct interp *cpu, gva_t gva, enum mmu_access access,
		   enum mmu_view view, struct mem_place *place,
		   struct walk_fault *fault);

/* What governs the vCPU's paging now. */
struct walk_paging mmu_paging(struct interp *cpu);

/*
 * The same walk for what systems do all the time: DONE with *page filled in, FAULT
 * with *fault; OTHER: walk_translate has to. Changes nothing. walk64.c
 */
enum mmu_walk { MMU_WALK_DONE, MMU_WALK_FAULT, MMU_WALK_OTHER };

enum mmu_walk mmu_walk_64(struct interp *cpu, gva_t gva, enum mmu_access access,
			  enum mmu_view view, struct walk_page *page,
			  struct walk_fault *fault);

/* A page larger than 4 KiB has been entered into the TLB piecewise. */
void tlb_note_large(struct interp *cpu, gva_t gva, uint64_t size);

/* gva's page is at `host` (the page's). Another's entry that it replaces goes
 * where tlb_recall finds it. */
void tlb_enter(struct interp *cpu, enum mmu_view view, enum mmu_access access,
	       gva_t gva, const uint8_t *host);
/* True: there was a translation of gva, and the TLB has it again. */
bool tlb_recall(struct interp *cpu, enum mmu_view view, enum mmu_access access,
		gva_t gva);
/* That page is no longer to be written. */
void tlb_forget_host(struct interp *cpu, const uint8_t *host);

/* tlb.has_one_entry: what the last fill entered goes, this is the next. */
void tlb_drop_last(struct interp *cpu, enum mmu_view view, unsigned index);

/* A page's protection key was asked. */
void tlb_note_key(struct interp *cpu, bool is_user, unsigned key);
/* PKRS is about to change by these bits. */
void tlb_pkrs_changes(struct interp *cpu, uint32_t changed);

/* CPUID.80000008h:EAX[7:0]. */
unsigned mmu_maxphyaddr(struct interp *cpu);

/* One access to what is not RAM, any size up to 8: in the vCPU's exits. */
uint64_t mmio_read(struct interp *cpu, gpa_t gpa, unsigned size);
void mmio_write(struct interp *cpu, gpa_t gpa, uint64_t value, unsigned size);

/* ops->exit, with EXIT_LEAVE noted for the run loop. */
enum exit_action interp_exit(struct interp *cpu, struct exit *exit);

/* The guest's time stamp counter: ops->tsc shifted by TSC_ADJUST. */
uint64_t interp_tsc(struct interp *cpu);
