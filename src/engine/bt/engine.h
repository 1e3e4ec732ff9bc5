/* SPDX-License-Identifier: BSD-2-Clause */
/* The binary translator as an engine. */
#pragma once

#include "core/engine.h"

extern const struct engine_ops bt_engine;
