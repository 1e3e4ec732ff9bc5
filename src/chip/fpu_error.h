/* SPDX-License-Identifier: BSD-2-Clause */
/* The x87's errors as interrupt 13, for CR0.NE = 0: SDM 1, appendix D. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

struct fpu_error {
	pthread_mutex_t lock; /* over everything below */
	struct irq_line irq;
	bool ferr; /* FERR# */
	bool ignne; /* IGNNE# */
	bool is_latched; /* the interrupt's level */
	struct bus_region region; /* F0h */
	struct device device;
};

/** Port F0h; becomes vm->fpu_error. `irq` is ISA interrupt 13. -errno of
 * bus_add. */
int fpu_error_init(struct fpu_error *chip, struct vm *vm,
		   const struct irq_line *irq);
