/* SPDX-License-Identifier: BSD-2-Clause */
/* The interpreter as an engine. */
#pragma once

#include "core/engine.h"

extern const struct engine_ops interp_engine;
