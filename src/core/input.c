/* SPDX-License-Identifier: BSD-2-Clause */
/* The non-deterministic inputs, straight from the host. */

#include "core/input.h"

#include <sys/random.h>
#include <time.h>

#include "core/vm.h"

uint64_t input_tsc(struct vcpu *vcpu)
{
	return clock_tsc(&vcpu->vm->clock);
}

uint64_t input_random(struct vcpu *vcpu)
{
	uint64_t value;

	/* Eight bytes come whole once the host's pool is up (getrandom(2)). */
	while (getrandom(&value, sizeof(value), 0) != sizeof(value))
		;
	return value;
}

void input_wall_clock(struct vm *vm, uint64_t *seconds, uint32_t *nanoseconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*seconds = (uint64_t)now.tv_sec;
	*nanoseconds = (uint32_t)now.tv_nsec;
}
