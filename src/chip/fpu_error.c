/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x87's errors as interrupt 13: SDM 1, appendix D, and the ICH9 data sheet,
 * 5.15.1.2 and 13.7.4 (COPROC_ERR). FERR# latches the interrupt; a write to
 * port F0h, of whatever value, ends it and asserts IGNNE# until FERR# goes.
 */
#include "chip/fpu_error.h"

#include <string.h>

#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

#define PORT 0xf0

static void latch(struct fpu_error *chip, bool level)
{
	chip->is_latched = level;
	irq_set(&chip->irq, level);
}

/* The processors' pin: vm->fpu_error. */
static bool on_ferr(void *self, bool is_asserted)
{
	struct fpu_error *chip = self;

	LOCKED(&chip->lock);
	if (is_asserted && !chip->ferr)
		latch(chip, true);
	if (!is_asserted)
		chip->ignne = false;
	chip->ferr = is_asserted;
	return chip->ignne;
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct fpu_error *chip = device;

	if (!access->is_write) {
		access->value = 0xff;
		return BUS_HANDLED;
	}
	latch(chip, false);
	chip->ignne = chip->ferr;
	return BUS_HANDLED;
}

static void on_reset(void *device)
{
	struct fpu_error *chip = device;

	LOCKED(&chip->lock);
	chip->ferr = chip->ignne = false;
	latch(chip, false);
}

static const struct state_field fields[] = {
	STATE_FIELD(struct fpu_error, ferr, STATE_BOOL, 1),
	STATE_FIELD(struct fpu_error, ignne, STATE_BOOL, 1),
	STATE_FIELD(struct fpu_error, is_latched, STATE_BOOL, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "fpu-error",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int fpu_error_init(struct fpu_error *chip, struct vm *vm,
		   const struct irq_line *irq)
{
	memset(chip, 0, sizeof(*chip));
	pthread_mutex_init(&chip->lock, NULL);
	chip->irq = *irq;
	chip->device = (struct device){
		.name = "fpu-error",
		.ops = &ops,
		.self = chip,
	};
	chip->region = (struct bus_region){
		.name = "fpu-error",
		.base = PORT,
		.size = 1,
		.sizes = 1,
		.handler = on_access,
		.device = chip,
		.lock = &chip->lock,
	};
	vm->fpu_error = on_ferr;
	vm->fpu_error_chip = chip;
	device_add(vm, &chip->device);
	return bus_add(&vm->io, &chip->region);
}
