/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors, code segments and inner stacks: for segment.c, event.c and the
 * far transfers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"
#include "x86/segment.h"

/* What SYSCALL and its kin load, whatever the tables say (SDM 3, 5.8.7), less
 * DPL and L or D. */
#define SEGMENT_FLAT_CODE                                          \
	(SEGMENT_P | SEGMENT_S | SEGMENT_CODE | SEGMENT_WRITABLE | \
	 SEGMENT_ACCESSED | SEGMENT_G)
#define SEGMENT_FLAT_DATA                                              \
	(SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED | \
	 SEGMENT_G | SEGMENT_DB)

/* What SYSRET takes over from R11. */
#define SYSRET_FLAGS                                                       \
	(RFLAGS_STATUS | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | \
	 RFLAGS_NT | RFLAGS_AC | RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID)

/* A descriptor in memory. */
struct descriptor {
	gva_t address;
	uint64_t low;
	uint64_t high; /* of 16-byte system descriptors in long mode */
};

/* Raises vector(selector), RPL replaced by `ext`: 1 for external events. */
_Noreturn void fault_selector(struct interp *cpu, enum vector vector,
			      uint16_t selector, unsigned ext);

/* False: the selector is outside its table. Reads memory, may fault. */
bool descriptor_read(struct interp *cpu, uint16_t selector,
		     struct descriptor *descriptor);
/* The upper half of a system descriptor in long mode; false: outside. */
bool descriptor_read_high(struct interp *cpu, uint16_t selector,
			  struct descriptor *descriptor);
void descriptor_set_accessed(struct interp *cpu,
			     const struct descriptor *descriptor,
			     struct cpu_segment *segment);

bool cpu_is_protected(const struct interp *cpu);

/*
 * The code segment that a gate names (SDM 3, 6.12.1, 5.8.4): code, present,
 * DPL <= CPL. Faults with EXT as given.
 */
struct cpu_segment segment_gate_code(struct interp *cpu, uint16_t selector,
				     unsigned ext);

/* A real-mode segment register: 16 times the selector. */
void segment_load_real(struct interp *cpu, enum segment index,
		       uint16_t selector);

/* The same in virtual-8086 mode: 64 KiB of level 3, whatever was before. */
void segment_load_vm86(struct interp *cpu, enum segment index,
		       uint16_t selector);

/* CS and CPL; the selector's RPL becomes the CPL. SS keeps CPL in its DPL. */
void segment_set_code(struct interp *cpu, const struct cpu_segment *code,
		      unsigned cpl);

/* The null SS of 64-bit mode that privilege changes load. */
struct cpu_segment segment_null_stack(unsigned cpl);

/* After a return to an outer level: data segments it may not use are nulled
 * (SDM 3, 5.8.6). */
void segments_drop_inner(struct interp *cpu, unsigned cpl);

/*
 * A stack that is being built or taken down, before it becomes the CPU's.
 * Pushes fault with #SS(error).
 */
struct stack {
	struct cpu_segment segment;
	uint64_t sp;
	uint64_t mask; /* of sp */
	enum mmu_view view;
	uint32_t error;
	bool is_64bit; /* no limit, only canonical form */
};

/* The current one. */
struct stack stack_current(const struct interp *cpu);

/* That of privilege level `cpl` from the TSS: #TS and #SS with EXT. */
struct stack stack_from_tss(struct interp *cpu, unsigned cpl, unsigned ext);
/* 64-bit: RSPn, or with ist 1..7 from the interrupt stack table. */
struct stack stack_from_tss64(struct interp *cpu, unsigned cpl, unsigned ist,
			      unsigned ext);

void stack_put(struct interp *cpu, struct stack *stack, uint64_t value,
	       unsigned size);
/* Moves the sp: with a 16-bit stack the upper half stays. */
void stack_commit(struct interp *cpu, const struct stack *stack);
