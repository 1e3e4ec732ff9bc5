/* SPDX-License-Identifier: BSD-2-Clause */
/* The engines there are, and the choice between them. */
#pragma once

#include "core/engine.h"

/*
 * The engine of that name, or for "auto" the first that is usable and fast,
 * saying in one line why a better one was passed over. NULL, with the reason
 * logged, when there is none.
 */
const struct engine_ops *engine_select(const char *name);
