/* SPDX-License-Identifier: BSD-2-Clause */
/* The interpreter as an engine. */
#pragma once

#include "core/engine.h"

extern const struct engine_ops interp_engine;

/* The world of a vCPU on core; `world` is the struct vcpu. */
struct interp_ops;
extern const struct interp_ops interp_world_ops;
