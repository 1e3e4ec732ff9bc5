/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop: KVM_RUN, and what its return means.
 *
 * A kick sets immediate_exit, which makes the next KVM_RUN return at once, and
 * sends a signal that fetches the thread out of one that has begun. The loop
 * clears immediate_exit first and looks at the requests after that, so whatever
 * was asked for before the flag was cleared is seen, and after it, the flag is.
 *
 * The kernel finishes an instruction whose access we performed only when
 * KVM_RUN is called again. Before run returns, `finish` does that with
 * immediate_exit set, so that nobody sees half an instruction.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/kvm/internal.h"

int kvm_kick_signal(void)
{
	return SIGRTMIN + 6;
}

static void on_kick(int signal)
{
}

void kvm_install_kick_handler(void)
{
	struct sigaction action = { .sa_handler = on_kick };

	sigaction(kvm_kick_signal(), &action, NULL);
}

static int own_tid(void)
{
	return (int)syscall(SYS_gettid);
}

void kvm_kick(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	int tid;

	if (!kvm || !kvm->run)
		return;
	__atomic_store_n(&kvm->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	tid = atomic_load(&kvm->tid);
	if (tid && tid != own_tid())
		syscall(SYS_tgkill, getpid(), tid, kvm_kick_signal());
}

/* What handling an exit says about the loop. */
enum next {
	NEXT_RUN,
	NEXT_SHUTDOWN,
	NEXT_POSITION,
	NEXT_BREAKPOINT,
	NEXT_ERROR,
};

static void load_value(struct access *access, const uint8_t *data)
{
	access->value = 0;
	memcpy(&access->value, data, access->size);
}

/* Every element of a string is an exit of its own. */
static enum next on_io(struct vcpu *vcpu, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		struct exit exit = {
			.reason = EXIT_IO,
			.io = {
				.port = run->io.port,
				.access = {
					.size = run->io.size,
					.is_write = run->io.direction ==
						    KVM_EXIT_IO_OUT,
				},
			},
		};

		if (exit.io.access.is_write)
			load_value(&exit.io.access, data);
		exit_handle(vcpu, &exit);
		if (!exit.io.access.is_write)
			memcpy(data, &exit.io.access.value, run->io.size);
	}
	return NEXT_RUN;
}

/* A write to ROM is lost without anybody noticing, as on real boards. */
static bool is_lost(struct vcpu *vcpu, gpa_t gpa)
{
	struct memory_slot slot;

	return __atomic_load_n(&kvm_vm(vcpu->vm)->has_rom, __ATOMIC_RELAXED) &&
	       memory_find(&vcpu->vm->memory, gpa, &slot) &&
	       slot.kind == MEMORY_ROM;
}

/* The kernel cuts at page ends, so lengths of 3, 5, 6 and 7 occur. */
static enum next on_mmio(struct vcpu *vcpu, struct kvm_run *run)
{
	unsigned done = 0;

	if (run->mmio.is_write && is_lost(vcpu, run->mmio.phys_addr))
		return NEXT_RUN;
	while (done < run->mmio.len) {
		unsigned left = run->mmio.len - done;
		uint8_t *data = run->mmio.data + done;
		struct exit exit = {
			.reason = EXIT_MMIO,
			.mmio = {
				.gpa = run->mmio.phys_addr + done,
				.access = {
					.size = left >= 8 ? 8 :
						left >= 4 ? 4 :
						left >= 2 ? 2 : 1,
					.is_write = run->mmio.is_write,
				},
			},
		};

		if (exit.mmio.access.is_write)
			load_value(&exit.mmio.access, data);
		exit_handle(vcpu, &exit);
		if (!exit.mmio.access.is_write)
			memcpy(data, &exit.mmio.access.value,
			       exit.mmio.access.size);
		done += exit.mmio.access.size;
	}
	return NEXT_RUN;
}

static enum next on_rdmsr(struct vcpu *vcpu, struct kvm_run *run)
{
	struct exit exit = {
		.reason = EXIT_RDMSR,
		.msr.index = run->msr.index,
	};

	run->msr.error = exit_handle(vcpu, &exit) == EXIT_FAULT;
	run->msr.data = exit.msr.value;
	return NEXT_RUN;
}

static enum next on_wrmsr(struct vcpu *vcpu, struct kvm_run *run)
{
	struct exit exit = {
		.reason = EXIT_WRMSR,
		.msr = { .index = run->msr.index, .value = run->msr.data },
	};

	run->msr.error = exit_handle(vcpu, &exit) == EXIT_FAULT;
	return NEXT_RUN;
}

static enum next on_eoi(struct vcpu *vcpu, struct kvm_run *run)
{
	struct exit exit = {
		.reason = EXIT_EOI_INDUCED,
		.vector = run->eoi.vector,
	};

	exit_handle(vcpu, &exit);
	return NEXT_RUN;
}

static enum next on_window(struct vcpu *vcpu, struct kvm_run *run)
{
	struct exit exit = { .reason = EXIT_INTERRUPT_WINDOW };

	exit_handle(vcpu, &exit);
	return NEXT_RUN;
}

static enum next on_shutdown(struct vcpu *vcpu, struct kvm_run *run)
{
	struct exit exit = { .reason = EXIT_TRIPLE_FAULT };

	exit_handle(vcpu, &exit);
	kvm_vcpu(vcpu)->is_shut_down = true;
	return NEXT_SHUTDOWN;
}

static enum next on_debug(struct vcpu *vcpu, struct kvm_run *run)
{
	switch (kvm_debug_event(vcpu, run)) {
	case DEBUG_BREAKPOINT:
		return NEXT_BREAKPOINT;
	case DEBUG_STEP:
		return NEXT_POSITION;
	case DEBUG_OF_GUEST:
		break;
	}
	return NEXT_RUN;
}

static enum next on_interrupted(struct vcpu *vcpu, struct kvm_run *run)
{
	return NEXT_RUN;
}

typedef enum next exit_function(struct vcpu *vcpu, struct kvm_run *run);

/* Reasons that are not here end the run with a report. */
static exit_function *const functions[] = {
	[KVM_EXIT_IO] = on_io,
	[KVM_EXIT_MMIO] = on_mmio,
	[KVM_EXIT_X86_RDMSR] = on_rdmsr,
	[KVM_EXIT_X86_WRMSR] = on_wrmsr,
	[KVM_EXIT_IOAPIC_EOI] = on_eoi,
	[KVM_EXIT_IRQ_WINDOW_OPEN] = on_window,
	[KVM_EXIT_SHUTDOWN] = on_shutdown,
	[KVM_EXIT_DEBUG] = on_debug,
	[KVM_EXIT_INTR] = on_interrupted,
};

static enum next handle(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	uint32_t reason = kvm->run->exit_reason;

	kvm->user_exits++;
	if (reason < ARRAY_SIZE(functions) && functions[reason])
		return functions[reason](vcpu, kvm->run);
	kvm_report(vcpu, "cannot go on");
	return NEXT_ERROR;
}

/*
 * One KVM_RUN and what came of it. *is_half_done: the kernel will complete the
 * instruction on the next one.
 */
static enum next step(struct vcpu *vcpu, bool *is_half_done)
{
	int result = kvm_call(kvm_vcpu(vcpu)->fd, KVM_RUN, NULL);

	vcpu_event(vcpu, KVM_EVENT_RUNS, 1);
	*is_half_done = false;
	if (result == 0) {
		*is_half_done = true;
		return handle(vcpu);
	}
	if (result == -EINTR) {
		vcpu_event(vcpu, KVM_EVENT_KICKED, 1);
		return NEXT_RUN;
	}
	if (result == -EAGAIN) /* an AP got its INIT or SIPI */
		return NEXT_RUN;
	log_error("kvm: run vCPU %u: %s", vcpu->index, strerror(-result));
	kvm_report(vcpu, "cannot go on");
	return NEXT_ERROR;
}

static enum next finish(struct vcpu *vcpu, bool is_half_done)
{
	enum next next = NEXT_RUN;

	while (is_half_done && next == NEXT_RUN) {
		__atomic_store_n(&kvm_vcpu(vcpu)->run->immediate_exit, 1,
				 __ATOMIC_SEQ_CST);
		next = step(vcpu, &is_half_done);
	}
	return next;
}

static enum next loop(struct vcpu *vcpu)
{
	struct kvm_run *run = kvm_vcpu(vcpu)->run;
	bool is_half_done = false;
	enum next next = NEXT_RUN;

	while (next == NEXT_RUN) {
		__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (atomic_load(&vcpu->requests) & VCPU_LEAVE)
			return finish(vcpu, is_half_done);
		kvm_inject(vcpu);
		next = step(vcpu, &is_half_done);
	}
	return next;
}

/*
 * With a signal pending that KVM_RUN unblocks, it comes back before it enters
 * the guest (api.rst, KVM_SET_SIGNAL_MASK): after it has made an interrupt of a
 * timer that ran out. With immediate_exit it would not get that far.
 */
int kvm_settle(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	struct {
		struct kvm_signal_mask head;
		uint64_t set; /* as the kernel has it: 8 bytes */
	} __attribute__((packed)) mask = { .head.len = 8 };
	const struct timespec now = { 0 };
	sigset_t kick, old;
	int error;

	sigemptyset(&kick);
	sigaddset(&kick, kvm_kick_signal());
	pthread_sigmask(SIG_BLOCK, &kick, &old);
	memcpy(&mask.set, &old, sizeof(mask.set));
	mask.set &= ~BIT(kvm_kick_signal() - 1);
	error = kvm_must(kvm->fd, KVM_SET_SIGNAL_MASK, &mask, "signal mask");
	if (!error) {
		syscall(SYS_tgkill, getpid(), own_tid(), kvm_kick_signal());
		__atomic_store_n(&kvm->run->immediate_exit, 0,
				 __ATOMIC_SEQ_CST);
		kvm->run->request_interrupt_window = 0;
		error = kvm_call(kvm->fd, KVM_RUN, NULL);
		/* Something that waited to be told. */
		if (!error)
			handle(vcpu);
		else if (error == -EINTR || error == -EAGAIN)
			error = 0;
		kvm_must(kvm->fd, KVM_SET_SIGNAL_MASK, NULL, "signal mask");
		sigtimedwait(&kick, NULL, &now);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

static void unblock_kicks(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, kvm_kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

enum run_result kvm_run(struct vcpu *vcpu, const struct run_until *until)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	enum next next;

	if (kvm->is_shut_down)
		return RUN_SHUTDOWN;
	if (until && until->kind != RUN_ONE_INSTRUCTION) {
		log_error("kvm: cannot stop at a count of instructions");
		return RUN_ERROR;
	}
	if (kvm_enter_debug(vcpu, until))
		return RUN_ERROR;
	unblock_kicks();
	atomic_store(&kvm->tid, own_tid());
	next = loop(vcpu);
	atomic_store(&kvm->tid, 0);
	switch (next) {
	case NEXT_SHUTDOWN:
		return RUN_SHUTDOWN;
	case NEXT_POSITION:
		return RUN_POSITION;
	case NEXT_BREAKPOINT:
		return RUN_BREAKPOINT;
	case NEXT_ERROR:
		return RUN_ERROR;
	case NEXT_RUN:
		break;
	}
	return atomic_load(&vcpu->requests) & VCPU_STOP ? RUN_STOP : RUN_PAUSE;
}
