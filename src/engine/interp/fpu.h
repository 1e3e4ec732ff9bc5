/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the x87 and vector units share: may the instruction run
 * now, where is its memory operand, and x87 state in and out of its image.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/host_unit.h"
#include "engine/interp/interp.h"

#define FSW_ES	    BIT(7)

#define MXCSR_INIT  0x1f80u
#define MXCSR_MASK  0xffffu /* bits 31:16 are reserved */
#define MXCSR_FLAGS 0x3fu
#define MXCSR_MASKS 0x1f80u

#define FCW_INIT    0x037f

/*
 * #UD and #NM by CR0, CR4 and XCR0 (SDM 3, tables 2-2, 13.1; SDM 2, 2.4 and
 * 2.7), then #MF for an x87 exception that waits.
 */
void check_sse(struct interp *cpu);
void check_avx(struct interp *cpu);
void check_mmx(struct interp *cpu);
void check_x87(struct interp *cpu);
void check_x87_pending(struct interp *cpu);

/* By the class of an instruction's row. */
void check_class(struct interp *cpu, const struct insn_row *row);

/* Offset of the ModRM memory operand in its segment, cut to the address size. */
uint64_t vector_operand_offset(const struct interp *cpu,
			       const struct insn *insn);

/* #GP(0) unless the operand's linear address is aligned. */
void check_alignment(struct interp *cpu, const struct insn *insn,
		     uint64_t offset, unsigned alignment);

/* Loads the image and saves it again: reserved bits, ES and the pointers' upper
 * bits become what the processor makes of them. Its MXCSR must be the ABI's. */
void x87_normalize(struct fxsave_image *image);

/* The x87 part only; the image's MXCSR gets a harmless value. */
void x87_to_image(const struct cpu_fpu *fpu, struct fxsave_image *image);
void x87_from_image(struct cpu_fpu *fpu, const struct fxsave_image *image);
void x87_init(struct cpu_fpu *fpu);

/* What every MMX instruction does first (SDM 1, 9.5.1): TOP = 0, so that MMn is
 * st[n]. That all registers are valid comes with its completion. */
void x87_enter_mmx(struct cpu_fpu *fpu);

/* Components that are not in their initial state (XINUSE, SDM 1, 13.6). */
uint64_t fpu_in_use(const struct cpu_fpu *fpu);

/* Handlers: xsave.c, masked.c. */
interp_fn exec_fxsave, exec_fxrstor;
interp_fn exec_xsave; /* XSAVE, XSAVEOPT, XSAVEC */
interp_fn exec_xrstor;
interp_fn exec_maskmovq, exec_maskmovdqu, exec_vmaskmov, exec_gather;
