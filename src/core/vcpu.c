/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtual CPU's thread: the run loop, requests, waiting. */

#include "core/vcpu.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "core/vm.h"

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	/* EAGAIN and EINTR mean "look again", which every caller does. */
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void wake(struct vcpu *vcpu)
{
	atomic_fetch_add(&vcpu->wake, 1);
	futex(&vcpu->wake, FUTEX_WAKE, 1);
}

void vcpu_request(struct vcpu *vcpu, uint32_t bits)
{
	int saved = errno;

	atomic_fetch_or(&vcpu->requests, bits);
	wake(vcpu);
	if (vcpu->engine)
		vcpu->vm->engine_ops->kick(vcpu);
	errno = saved;
}

void vcpu_nmi(struct vcpu *vcpu)
{
	atomic_fetch_add(&vcpu->nmis, 1);
	vcpu_request(vcpu, VCPU_NMI);
}

uint32_t vcpu_take(struct vcpu *vcpu, uint32_t bits)
{
	if (!(atomic_load(&vcpu->requests) & bits))
		return 0;
	return atomic_fetch_and(&vcpu->requests, ~bits) & bits;
}

void vcpu_wait(struct vcpu *vcpu, uint32_t bits)
{
	for (;;) {
		uint32_t seen = atomic_load(&vcpu->wake);

		if (atomic_load(&vcpu->requests) & bits)
			return;
		futex(&vcpu->wake, FUTEX_WAIT, seen);
	}
}

bool vcpu_has_interrupt(struct vcpu *vcpu)
{
	const struct apic_ops *ops = vcpu->vm->apic_ops;

	return ops && ops->has_interrupt && ops->has_interrupt(vcpu);
}

int vcpu_take_interrupt(struct vcpu *vcpu)
{
	return vcpu->vm->apic_ops->acknowledge(vcpu);
}

/* What vcpu_run_on asked for, if anything. */
static void serve_call(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	if (!vcpu_take(vcpu, VCPU_CALL))
		return;
	/* The caller waits: the slot is stable until we clear it. */
	vcpu->call(vcpu, vcpu->call_argument);
	LOCKED(&vm->lock);
	vcpu->call = NULL;
	pthread_cond_broadcast(&vm->changed);
}

int vcpu_run_on(struct vcpu *vcpu, void (*fn)(struct vcpu *, void *),
		void *argument)
{
	struct vm *vm = vcpu->vm;
	LOCKED(&vm->lock);

	while (vcpu->call && !vcpu->has_ended)
		pthread_cond_wait(&vm->changed, &vm->lock);
	if (!vcpu->has_thread || vcpu->has_ended)
		return -ESRCH;
	vcpu->call_argument = argument;
	vcpu->call = fn;
	vcpu_request(vcpu, VCPU_CALL);
	while (vcpu->call == fn && !vcpu->has_ended)
		pthread_cond_wait(&vm->changed, &vm->lock);
	if (vcpu->call) {
		vcpu->call = NULL;
		return -ESRCH;
	}
	return 0;
}

static void set_paused(struct vcpu *vcpu, bool is_paused)
{
	struct vm *vm = vcpu->vm;
	LOCKED(&vm->lock);

	atomic_store(&vcpu->is_paused, is_paused);
	pthread_cond_broadcast(&vm->changed);
}

/* Stands still, state readable by others, until resumed or stopped. */
static void park(struct vcpu *vcpu)
{
	set_paused(vcpu, true);
	for (;;) {
		uint32_t seen = atomic_load(&vcpu->wake);
		uint32_t requests = atomic_load(&vcpu->requests);

		if ((requests & VCPU_STOP) || !(requests & VCPU_PAUSE))
			break;
		if (requests & VCPU_CALL)
			serve_call(vcpu);
		else
			futex(&vcpu->wake, FUTEX_WAIT, seen);
	}
	set_paused(vcpu, false);
}

/* Parks it until a debugger has looked. */
static void trap(struct vcpu *vcpu, enum run_result result)
{
	struct vm *vm = vcpu->vm;

	if (!vcpu->is_stepping && result == RUN_POSITION)
		return;
	vcpu->trap = result;
	atomic_store(&vcpu->has_trapped, true);
	atomic_fetch_or(&vcpu->requests, VCPU_PAUSE);
	if (vm->notify)
		vm->notify(vm->notify_argument);
}

/* Acts on what run returned; the requests themselves come next round. */
static void handle_result(struct vcpu *vcpu, enum run_result result)
{
	switch (result) {
	case RUN_SHUTDOWN:
		vm_stop_vcpu(vcpu, STOP_TRIPLE_FAULT);
		break;
	case RUN_ERROR:
		vm_stop_vcpu(vcpu, STOP_ERROR);
		break;
	case RUN_POSITION:
	case RUN_BREAKPOINT:
		trap(vcpu, result);
		break;
	case RUN_STOP:
	case RUN_PAUSE:
		break;
	}
}

/* A debugger's step, one of a trace, or on and on. */
static enum run_result run(struct vcpu *vcpu)
{
	static const struct run_until step = { .kind = RUN_ONE_INSTRUCTION,
					       .holds_interrupts = true },
				      traced = { .kind = RUN_ONE_INSTRUCTION };
	const struct engine_ops *ops = vcpu->vm->engine_ops;
	const struct trace *trace = &vcpu->vm->trace;

	if (trace_is_on(trace, TRACE_STEP)) {
		trace->step(trace->sink, vcpu);
		return ops->run(vcpu, vcpu->is_stepping ? &step : &traced);
	}
	return ops->run(vcpu, vcpu->is_stepping ? &step : NULL);
}

void *vcpu_main(void *argument)
{
	struct vcpu *vcpu = argument;
	struct vm *vm = vcpu->vm;
	char name[16];

	snprintf(name, sizeof(name), "vcpu %u", vcpu->index);
	pthread_setname_np(pthread_self(), name);
	for (;;) {
		uint32_t requests = atomic_load(&vcpu->requests);

		if (requests & VCPU_STOP)
			break;
		if (requests & VCPU_CALL)
			serve_call(vcpu);
		else if (requests & VCPU_PAUSE)
			park(vcpu);
		else
			handle_result(vcpu, run(vcpu));
	}
	if (vm->engine_ops->count_exits)
		vm->engine_ops->count_exits(vcpu);
	LOCKED(&vm->lock);
	vcpu->has_ended = true;
	atomic_store(&vcpu->is_paused, true);
	pthread_cond_broadcast(&vm->changed);
	return NULL;
}
