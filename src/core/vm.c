/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtual machine's life: built, started, paused, reset, stopped. */

#include "core/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

int vm_init(struct vm *vm, const char *name, const struct engine_ops *engine)
{
	*vm = (struct vm){ .name = name, .engine_ops = engine };
	vm->memory.fd = -1;
	exit_sources_init(&vm->sources);
	bus_init(&vm->io, BUS_IO, &vm->sources);
	bus_init(&vm->mmio, BUS_MMIO, &vm->sources);
	list_init(&vm->doorbells);
	pthread_rwlock_init(&vm->doorbell_lock, NULL);
	list_init(&vm->devices);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	return clock_init(&vm->clock);
}

static void vcpu_free(struct vcpu *vcpu)
{
	if (vcpu->engine)
		vcpu->vm->engine_ops->vcpu_destroy(vcpu);
	free(vcpu);
}

void vm_fini(struct vm *vm)
{
	devices_destroy(vm);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_free(vm->vcpus[i]);
	vm->vcpu_count = 0;
	if (vm->engine)
		vm->engine_ops->vm_destroy(vm);
	vm->engine = NULL;
	memory_fini(&vm->memory);
	bus_fini(&vm->io);
	bus_fini(&vm->mmio);
	clock_fini(&vm->clock);
	pthread_rwlock_destroy(&vm->doorbell_lock);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
}

void vm_set_a20(struct vm *vm, bool is_open)
{
	atomic_store(&vm->is_a20_closed, !is_open);
	vm->engine_ops->a20_changed(vm);
}

int vm_add_vcpu(struct vm *vm)
{
	struct vcpu *vcpu;
	int error;

	if (vm->vcpu_count == VM_VCPUS_MAX)
		return -ENOSPC;
	vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->index = vm->vcpu_count;
	vcpu->apic_id = vcpu->index;
	error = vm->engine_ops->vcpu_create(vcpu, vm->cpuid);
	if (error) {
		vcpu_free(vcpu);
		return error;
	}
	vm->vcpus[vm->vcpu_count++] = vcpu;
	return 0;
}

/* Signals go to the event loop's thread; vCPU threads take none but kicks. */
static int start_thread(struct vcpu *vcpu)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&vcpu->thread, NULL, vcpu_main, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!error) {
		LOCKED(&vcpu->vm->lock);
		vcpu->has_thread = true;
	}
	return -error;
}

int vm_start(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		int error;

		atomic_fetch_or(&vm->vcpus[i]->requests, VCPU_PAUSE);
		error = start_thread(vm->vcpus[i]);
		if (error) {
			log_error("vcpu %u: cannot start its thread: %s", i,
				  strerror(-error));
			vm_stop(vm, STOP_ERROR, 0);
			vm_join(vm);
			return error;
		}
	}
	return 0;
}

static void request_all(struct vm *vm, uint32_t bits)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_request(vm->vcpus[i], bits);
}

static bool all_paused(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->has_thread &&
		    !atomic_load(&vm->vcpus[i]->is_paused))
			return false;
	return true;
}

void vm_pause(struct vm *vm)
{
	request_all(vm, VCPU_PAUSE);
	pthread_mutex_lock(&vm->lock);
	while (!all_paused(vm))
		pthread_cond_wait(&vm->changed, &vm->lock);
	vm->is_running = false;
	pthread_mutex_unlock(&vm->lock);
	clock_stop(&vm->clock);
	if (vm->engine_ops->clock_changed)
		vm->engine_ops->clock_changed(vm, false, 0);
	devices_stop(vm);
}

void vm_resume(struct vm *vm)
{
	devices_start(vm);
	clock_start(&vm->clock);
	if (vm->engine_ops->clock_changed)
		vm->engine_ops->clock_changed(vm, true,
					      clock_tsc_offset(&vm->clock));
	pthread_mutex_lock(&vm->lock);
	vm->is_running = true;
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu->is_held || atomic_load(&vcpu->has_trapped))
			continue;
		atomic_fetch_and(&vcpu->requests, ~(uint32_t)VCPU_PAUSE);
		vcpu_request(vcpu, 0);
	}
}

static void count_exits(struct vcpu *vcpu, void *argument)
{
	vcpu->vm->engine_ops->count_exits(vcpu);
}

void vm_count_exits(struct vm *vm)
{
	if (!vm->engine_ops->count_exits)
		return;
	/* One whose thread has ended did so as the last it did. */
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_run_on(vm->vcpus[i], count_exits, NULL);
}

void vm_join(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu->has_thread)
			pthread_join(vcpu->thread, NULL);
		vcpu->has_thread = false;
	}
}

static void notify(struct vm *vm)
{
	if (vm->notify)
		vm->notify(vm->notify_argument);
}

void vm_stop(struct vm *vm, enum stop_reason reason, int status)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->stop_reason == STOP_NONE) {
		vm->stop_reason = reason;
		vm->stop_status = status;
	}
	pthread_mutex_unlock(&vm->lock);
	request_all(vm, VCPU_STOP);
	notify(vm);
}

void vm_stop_vcpu(struct vcpu *vcpu, enum stop_reason reason)
{
	struct vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->lock);
	if (vm->stop_reason == STOP_NONE)
		vm->stop_vcpu = vcpu;
	pthread_mutex_unlock(&vm->lock);
	vm_stop(vm, reason, 0);
}

void vm_request_reset(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->reset_wanted = true;
	pthread_mutex_unlock(&vm->lock);
	/* At once, lest a guest that finds itself still running tries the
	 * next way to reset, and triple-faults. */
	request_all(vm, VCPU_PAUSE);
	notify(vm);
}

void vm_reset(struct vm *vm)
{
	struct cpu_state state;

	pthread_mutex_lock(&vm->lock);
	vm->reset_wanted = false;
	pthread_mutex_unlock(&vm->lock);
	devices_reset(vm);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		vcpu_take(vcpu,
			  VCPU_INTERRUPT | VCPU_NMI | VCPU_INIT | VCPU_SIPI);
		atomic_store(&vcpu->nmis, 0);
		cpu_state_reset(&state, i == 0);
		if (vm->engine_ops->set_state(vcpu, &state))
			vm_stop(vm, STOP_ERROR, 0);
		if (vm->apic_ops && vm->apic_ops->reset)
			vm->apic_ops->reset(vcpu, false);
	}
}
