/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The debug-exit port 501h, for test guests: v ends the process with status
 * (v << 1) | 1, as QEMU's isa-debug-exit does. And the exit-status port 505h,
 * for guests that run a command: v is the status. doc/decisions/001.
 */
#include "chip/debugexit.h"

#include <string.h>

#include "base/bits.h"
#include "core/vm.h"

static enum bus_result on_debug_exit(void *self, struct access *access)
{
	struct debugexit *device = self;

	if (access->is_write)
		device->exit(device->argument, (access->value << 1 | 1) & 0xff);
	else
		access->value = 0;
	return BUS_HANDLED;
}

static enum bus_result on_exit_status(void *self, struct access *access)
{
	struct debugexit *device = self;

	if (access->is_write)
		device->exit(device->argument, access->value & 0xff);
	else
		access->value = 0;
	return BUS_HANDLED;
}

int debugexit_init(struct debugexit *device, struct vm *vm,
		   void (*exit)(void *argument, int status), void *argument)
{
	static const struct {
		uint16_t port;
		bus_handler *handler;
	} ports[2] = {
		{ 0x501, on_debug_exit },
		{ 0x505, on_exit_status },
	};
	int error = 0;
	unsigned i;

	memset(device, 0, sizeof(*device));
	device->exit = exit;
	device->argument = argument;
	for (i = 0; i < ARRAY_SIZE(ports) && !error; i++) {
		device->region[i] = (struct bus_region){
			.name = "debugexit",
			.base = ports[i].port,
			.size = 1,
			.sizes = 1,
			.handler = ports[i].handler,
			.device = device,
		};
		error = bus_add(&vm->io, &device->region[i]);
	}
	return error;
}
