/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lockstep: translated code against a second interpreter, a block at a time.
 * `--engine bt,lockstep` checks every block, `lockstep=N` a stretch of blocks
 * now and then; one vCPU. doc/translator.md says what it finds and what not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bt_block;
struct bt_vcpu;
struct bt_vm;
struct translation;

/* Before vCPUs: every block, or about one in `every`. 0 or -ENOMEM. */
int bt_check_create(struct bt_vm *bt, unsigned every);
void bt_check_destroy(struct bt_vm *bt);
/* The vCPU's reference. 0 or -errno; -EINVAL for a second vCPU. */
int bt_check_add_vcpu(struct bt_vcpu *vcpu);

/* A block was translated to be checked. Lock held. */
void bt_check_note(const struct translation *t);

/*
 * All on the vCPU's thread; what they are for, in order. wants: before the
 * flavour is chosen, is the next block to be checked? start: that block has been
 * found. enter: right before translated code at s.rip. left: right behind it.
 * aborted: an instruction of the interpreter's faults.
 */
bool bt_check_wants(struct bt_vcpu *vcpu);
void bt_check_start(struct bt_vcpu *vcpu, const struct bt_block *block);
void bt_check_enter(struct bt_vcpu *vcpu);
void bt_check_left(struct bt_vcpu *vcpu);
void bt_check_aborted(struct bt_vcpu *vcpu);
