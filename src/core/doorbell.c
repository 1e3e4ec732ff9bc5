/* SPDX-License-Identifier: BSD-2-Clause */
/* Doorbells: guest writes that only signal an eventfd. */

#include "core/doorbell.h"

#include <unistd.h>

#include "core/vm.h"

int doorbell_add(struct vm *vm, struct doorbell *doorbell, const char *name)
{
	int error = 0;

	doorbell->source = exit_source(&vm->sources, name);
	if (vm->engine_ops->doorbell_add)
		error = vm->engine_ops->doorbell_add(vm, doorbell);
	if (error)
		return error;
	/* Listed on every engine: a write the engine hands over still rings. */
	pthread_rwlock_wrlock(&vm->doorbell_lock);
	list_add(&vm->doorbells, &doorbell->link);
	pthread_rwlock_unlock(&vm->doorbell_lock);
	return 0;
}

void doorbell_remove(struct vm *vm, struct doorbell *doorbell)
{
	if (vm->engine_ops->doorbell_remove)
		vm->engine_ops->doorbell_remove(vm, doorbell);
	pthread_rwlock_wrlock(&vm->doorbell_lock);
	list_remove(&doorbell->link);
	pthread_rwlock_unlock(&vm->doorbell_lock);
}

static bool matches(const struct doorbell *doorbell, enum bus_kind kind,
		    uint64_t address, const struct access *access)
{
	return doorbell->kind == kind && doorbell->address == address &&
	       (!doorbell->size || doorbell->size == access->size) &&
	       (!doorbell->has_value ||
		doorbell->value == (access->value & size_mask(access->size)));
}

bool doorbell_ring(struct vm *vm, enum bus_kind kind, uint64_t address,
		   const struct access *access, unsigned *source)
{
	const uint64_t one = 1;
	struct doorbell *doorbell;
	bool found = false;

	pthread_rwlock_rdlock(&vm->doorbell_lock);
	list_for_each(doorbell, &vm->doorbells, link) {
		if (!matches(doorbell, kind, address, access))
			continue;
		/* EAGAIN: the counter is full, so the peer is awake anyway. */
		if (write(doorbell->event_fd, &one, sizeof(one)) < 0)
			(void)0;
		*source = doorbell->source;
		found = true;
		break;
	}
	pthread_rwlock_unlock(&vm->doorbell_lock);
	return found;
}
