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

static uint64_t clock_now(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void input_steal_skip(struct vcpu *vcpu)
{
	vcpu->steal.wall_ns = clock_now(CLOCK_MONOTONIC);
	vcpu->steal.cpu_ns = clock_now(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t input_steal(struct vcpu *vcpu)
{
	uint64_t wall = vcpu->steal.wall_ns, cpu = vcpu->steal.cpu_ns;
	int64_t stolen;

	input_steal_skip(vcpu);
	stolen = (int64_t)((vcpu->steal.wall_ns - wall) -
			   (vcpu->steal.cpu_ns - cpu));
	/* Two clocks, read one after the other. */
	if (wall && stolen > 0)
		vcpu->steal.stolen_ns += (uint64_t)stolen;
	return vcpu->steal.stolen_ns;
}

void input_wall_clock(struct vm *vm, uint64_t *seconds, uint32_t *nanoseconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*seconds = (uint64_t)now.tv_sec;
	*nanoseconds = (uint32_t)now.tv_nsec;
}
