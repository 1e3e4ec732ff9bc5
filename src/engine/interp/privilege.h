/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may execute what: checks that many system instructions begin with. */
#pragma once

#include "engine/interp/interp.h"

/* #GP(0) outside privilege level 0. Real mode is level 0. */
static inline void require_cpl0(struct interp *cpu)
{
	if (cpu->cpl)
		fault_gp(cpu, 0);
}

/* SGDT SIDT SLDT STR SMSW: CR4.UMIP (SDM 3, 2.5). */
static inline void require_umip(struct interp *cpu)
{
	if (cpu->cpl && (cpu->s.cr4 & CR4_UMIP))
		fault_gp(cpu, 0);
}
