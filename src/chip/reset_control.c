/* SPDX-License-Identifier: BSD-2-Clause */
/* Reset control register CF9h: ICH9 data sheet, 13.7.5. */
#include "chip/reset_control.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

#define PORT	       0xcf9
#define RESET_SYSTEM   BIT(1) /* hard rather than INIT */
#define RESET_CPU      BIT(2) /* rising: do it */
#define RESET_FULL     BIT(3) /* with a power cycle */
#define RESET_WRITABLE (RESET_SYSTEM | RESET_FULL)

/* INIT alone (06h without 02h) resets the machine too: nobody would boot it
 * again from a CPU that came out of INIT without firmware. */
static enum bus_result on_access(void *device, struct access *access)
{
	struct reset_control *control = device;

	if (!access->is_write) {
		access->value = control->value;
		return BUS_HANDLED;
	}
	control->value = access->value & RESET_WRITABLE;
	if (access->value & RESET_CPU)
		control->reset(control->argument);
	return BUS_HANDLED;
}

static void on_reset(void *device)
{
	struct reset_control *control = device;

	LOCKED(&control->lock);
	control->value = 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct reset_control, value, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "reset-control",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int reset_control_init(struct reset_control *control, struct vm *vm,
		       void (*reset)(void *argument), void *argument)
{
	memset(control, 0, sizeof(*control));
	pthread_mutex_init(&control->lock, NULL);
	control->reset = reset;
	control->argument = argument;
	control->device = (struct device){
		.name = "reset-control",
		.ops = &ops,
		.self = control,
	};
	control->region = (struct bus_region){
		.name = "reset-control",
		.base = PORT,
		.size = 1,
		.sizes = 1,
		.handler = on_access,
		.device = control,
		.lock = &control->lock,
	};
	device_add(vm, &control->device);
	return bus_add(&vm->io, &control->region);
}
