/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stopping the world.
 *
 * in_guest and is_stopped are a pair: each side sets its own, then looks at the
 * other's, both sequentially consistent, so that at least one sees the other.
 */
#include <sched.h>

#include "core/vm.h"
#include "engine/bt/bt.h"

void bt_enter_guest(struct bt_vcpu *vcpu)
{
	struct bt_vm *bt = vcpu->bt;

	for (;;) {
		atomic_store(&vcpu->in_guest, true);
		if (!atomic_load(&bt->is_stopped))
			return;
		atomic_store(&vcpu->in_guest, false);
		/* Held by who stopped the world. */
		pthread_mutex_lock(&bt->lock);
		pthread_mutex_unlock(&bt->lock);
	}
}

void bt_leave_guest(struct bt_vcpu *vcpu)
{
	atomic_store(&vcpu->in_guest, false);
}

void bt_stop_world(struct bt_vm *bt, struct bt_vcpu *self)
{
	bt_stop_some(bt, self, ~0u);
}

void bt_stop_some(struct bt_vm *bt, struct bt_vcpu *self, uint32_t set)
{
	struct vm *vm = bt->vm;

	atomic_store(&bt->is_stopped, true);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct bt_vcpu *other = vm->vcpus[i]->engine;

		if (!other || other == self || !(set >> i & 1))
			continue;
		while (atomic_load(&other->in_guest)) {
			atomic_store(&other->cpu.attention, INTERP_ATTENTION);
			sched_yield();
		}
	}
}

void bt_start_world(struct bt_vm *bt)
{
	atomic_store(&bt->is_stopped, false);
}
