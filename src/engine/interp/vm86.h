/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtual-8086 mode and its extensions (CR4.VME): SDM 3, chapter 20. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"

/* What a frame of IRET to virtual-8086 mode holds beside the usual three. */
struct vm86_frame {
	uint64_t rip, rflags, rsp;
	uint16_t segment[SEG_COUNT];
};

/* The end of an IRET at CPL 0 whose EFLAGS image has VM set: #GP(0). */
void vm86_enter(struct interp *cpu, const struct vm86_frame *frame);

/*
 * In virtual-8086 mode: is an instruction that IOPL guards (PUSHF, POPF, IRET
 * of 16 bits) to work on VIF instead of IF? #GP(0) where it may do neither.
 */
bool vm86_uses_vif(struct interp *cpu, unsigned size);

/* What PUSHF and redirected interrupts push: IF is VIF's, IOPL looks like 3. */
uint16_t vm86_flags(const struct interp *cpu);

/* POPF and IRET under VIF: #GP(0) when TF would be set, or IF while an
 * interrupt waits (VIP); nothing has changed then. */
void vm86_check_flags(struct interp *cpu, uint16_t image);
void vm86_set_flags(struct interp *cpu, uint16_t image);

/*
 * INT n in virtual-8086 mode (SDM 3, 20.3.3, table 20-2). True: it went to the
 * 8086 program's own handler; false: through the IDT. #GP(0) for neither.
 */
bool vm86_int(struct interp *cpu, uint8_t vector);
