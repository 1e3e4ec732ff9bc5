/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions for the operand shapes that most instructions have. Each returns
 * NULL where the table's general function will do. A LOCK prefix is already
 * dealt with.
 */
#pragma once

#include "engine/interp/interp.h"

interp_fn *alu_specialize(const struct insn *insn);
interp_fn *move_specialize(const struct insn *insn);
interp_fn *shift_specialize(const struct insn *insn);
interp_fn *branch_specialize(const struct insn *insn);
interp_fn *stack_specialize(const struct insn *insn);

/* Locked forms, and XCHG with memory, which needs no prefix. */
interp_fn *atomic_find(const struct insn *insn);

/* Where BT and its family find bit `b`: a register's number reaches beyond the
 * operand (SDM 1, 3.7.1). */
uint64_t bit_address(const struct interp *cpu, const struct insn *insn,
		     uint64_t b, unsigned size);

/* I/O permission: SDM 1, 19.5. #GP(0) unless all `size` ports are allowed. */
void io_check(struct interp *cpu, uint16_t port, unsigned size);

/* One port access: an exit. Faults when the exit says so. */
uint64_t io_read(struct interp *cpu, uint16_t port, unsigned size);
void io_write(struct interp *cpu, uint16_t port, uint64_t value, unsigned size);
