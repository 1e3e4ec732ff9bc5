/* SPDX-License-Identifier: BSD-2-Clause */
/* The engines there are, and the choice between them. */
#pragma once

#include "core/engine.h"

struct vm;

/*
 * The engine of that name, or for "auto" the first that is usable and fast,
 * saying in one line why a better one was passed over. NULL, with the reason
 * logged, when there is none.
 */
const struct engine_ops *engine_select(const char *name);

struct machine_option;

/*
 * Sets the options that the VM's engine knows by these names; after vm_create,
 * before vCPUs. -EINVAL, with the reason logged, for one that it does not know
 * or whose value it refuses. NULL: none.
 */
int engine_apply_options(struct vm *vm, const struct machine_option *options);
