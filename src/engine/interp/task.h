/* SPDX-License-Identifier: BSD-2-Clause */
/* Hardware task switches: SDM 3, chapter 7. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"

enum task_source { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_EVENT };

struct task_request {
	enum task_source source;
	uint16_t selector; /* of the new TSS */
	/* What the old TSS keeps. */
	uint64_t rip, rflags;
	unsigned ext; /* EXT of error codes: 1 for external events */
	/* Pushed on the new task's stack. */
	bool has_error_code;
	uint32_t error_code;
};

/*
 * Switches to another task, not in long mode. What is wrong with the TSSs
 * faults in the old task; from then on s.rip is the new task's, and what is
 * wrong with its segments faults there (SDM 3, 7.3).
 */
void task_switch(struct interp *cpu, const struct task_request *request);
