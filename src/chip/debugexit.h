/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports 501h and 505h: the guest ends the process with a status. */
#pragma once

#include "core/bus.h"

struct vm;

struct debugexit {
	void (*exit)(void *argument, int status);
	void *argument;
	struct bus_region region[2];
};

/**
 * `exit` comes on the vCPU's thread, no lock held, perhaps on several at once
 * and perhaps again: the first one counts, as vm_stop has it. -errno of
 * bus_add.
 */
int debugexit_init(struct debugexit *device, struct vm *vm,
		   void (*exit)(void *argument, int status), void *argument);
