/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual interface: Linux, Documentation/virt/kvm/x86/msr.rst and
 * hypercalls.rst. What the guest registers is an address in its memory; we
 * write there on the vCPU's own thread, and nothing when the address is not
 * RAM.
 *
 * The clock and the TSC it goes with stop together, so what was written stays
 * true over a pause, and over save and restore on a host of the same rate.
 */
#include "chip/paravirt.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "chip/lapic_internal.h"
#include "core/input.h"
#include "core/state.h"
#include "core/vm.h"
#include "x86/cpuid.h"
#include "x86/kvm_para.h"

/* Lost time is looked for this often: a guest looks at its scheduler's tick. */
#define STEAL_PERIOD_NS 2000000

static struct paravirt *paravirt_of(const struct vcpu *vcpu)
{
	return vcpu->vm->paravirt;
}

static bool offers(const struct vcpu *vcpu, unsigned feature)
{
	const struct cpuid_table *cpuid = vcpu->vm->cpuid;

	return cpuid &&
	       cpuid_has_bit(cpuid, KVM_PARA_FEATURES, 0, CPUID_EAX, feature);
}

static bool is_enabled(uint64_t msr)
{
	return msr & KVM_PARA_ENABLED;
}

/* --- the clock ------------------------------------------------------------ */

/* ns = ((ticks shifted by `shift`) * multiplier) >> 32, at the best precision
 * that 32 bits have. */
static struct paravirt_scale find_scale(uint64_t tsc_khz)
{
	uint64_t ticks = tsc_khz * 1000, ns = 1000000000;
	int8_t shift = 0;

	while (ticks > 2 * ns) {
		ticks >>= 1;
		shift--;
	}
	while (ticks <= ns) {
		ticks <<= 1;
		shift++;
	}
	return (struct paravirt_scale){ (uint32_t)((ns << 32) / ticks), shift };
}

/* As the guest does it. */
static uint64_t scale_ticks(const struct paravirt_scale *scale, uint64_t ticks)
{
	ticks = scale->shift < 0 ? ticks >> -scale->shift :
				   ticks << scale->shift;
	return (uint64_t)(((unsigned __int128)ticks * scale->multiplier) >> 32);
}

static void take_base(struct paravirt *pv, uint64_t *tsc, uint64_t *ns)
{
	struct clock *clock = &pv->vm->clock;
	LOCKED(&pv->lock);

	if (!pv->has_base) {
		pv->base_tsc = clock_tsc(clock);
		pv->base_ns = clock_tsc_to_ns(clock, pv->base_tsc);
		pv->has_base = true;
	}
	*tsc = pv->base_tsc;
	*ns = pv->base_ns;
}

/*
 * Between begin and end of these the structure's version is odd. Its reader is
 * the same vCPU, or another that reads until it is even and the same twice.
 */
static uint32_t version_begin(struct memory *memory, gpa_t version)
{
	uint32_t value = 0;

	memory_read(memory, version, &value, sizeof(value));
	value = (value + 1) | 1;
	memory_write(memory, version, &value, sizeof(value));
	atomic_thread_fence(memory_order_release);
	return value + 1;
}

static void version_end(struct memory *memory, gpa_t version, uint32_t value)
{
	atomic_thread_fence(memory_order_release);
	memory_write(memory, version, &value, sizeof(value));
}

#define FIELD_GPA(base, type, member) ((base) + offsetof(struct type, member))

static void write_clock(struct vcpu *vcpu)
{
	struct paravirt *pv = paravirt_of(vcpu);
	struct memory *memory = &vcpu->vm->memory;
	gpa_t gpa = vcpu->paravirt.clock & ~KVM_PARA_ENABLED;
	struct kvm_para_clock clock = {
		.tsc_to_system_mul = pv->scale.multiplier,
		.tsc_shift = pv->scale.shift,
		.flags = offers(vcpu, KVM_PARA_STABLE) ? KVM_PARA_CLOCK_STABLE :
							 0,
	};

	if (!is_enabled(vcpu->paravirt.clock))
		return;
	take_base(pv, &clock.tsc_timestamp, &clock.system_time);
	clock.tsc_timestamp += vcpu->tsc_adjust;
	clock.version = version_begin(memory, gpa);
	memory_write(memory, FIELD_GPA(gpa, kvm_para_clock, pad0), &clock.pad0,
		     sizeof(clock) - sizeof(clock.version));
	version_end(memory, gpa, clock.version);
}

static void write_wall(struct vcpu *vcpu, gpa_t gpa)
{
	struct vm *vm = vcpu->vm;
	uint64_t seconds, since = clock_ns(&vm->clock), ns;
	uint32_t nanoseconds;
	struct kvm_para_wall wall;

	input_wall_clock(vm, &seconds, &nanoseconds);
	ns = seconds * 1000000000 + nanoseconds - since;
	wall.seconds = (uint32_t)(ns / 1000000000);
	wall.nanoseconds = (uint32_t)(ns % 1000000000);
	wall.version = version_begin(&vm->memory, gpa);
	memory_write(&vm->memory, FIELD_GPA(gpa, kvm_para_wall, seconds),
		     &wall.seconds, sizeof(wall) - sizeof(wall.version));
	version_end(&vm->memory, gpa, wall.version);
}

static void on_tsc_moved(struct vcpu *vcpu)
{
	write_clock(vcpu);
}

/* --- steal time and who sleeps -------------------------------------------- */

static gpa_t steal_gpa(const struct vcpu *vcpu)
{
	return vcpu->paravirt.steal & ~KVM_PARA_ENABLED;
}

static void write_steal(struct vcpu *vcpu)
{
	struct memory *memory = &vcpu->vm->memory;
	gpa_t gpa = steal_gpa(vcpu);
	gpa_t version = FIELD_GPA(gpa, kvm_para_steal, version);
	uint64_t stolen = input_steal(vcpu);
	uint32_t value = version_begin(memory, version);

	memory_write(memory, FIELD_GPA(gpa, kvm_para_steal, steal), &stolen,
		     sizeof(stolen));
	version_end(memory, version, value);
}

/* The byte that other vCPUs change by a locked CMPXCHG. */
static uint8_t exchange_preempted(struct vcpu *vcpu, uint8_t value)
{
	struct memory *memory = &vcpu->vm->memory;
	gpa_t gpa = FIELD_GPA(steal_gpa(vcpu), kvm_para_steal, preempted);
	uint8_t *byte = memory_write_begin(memory, gpa, 1);
	uint8_t old;

	if (!byte)
		return 0;
	old = __atomic_exchange_n(byte, value, __ATOMIC_SEQ_CST);
	memory_write_end(memory, gpa, 1);
	return old;
}

static void on_sleeps(struct vcpu *vcpu)
{
	if (!is_enabled(vcpu->paravirt.steal))
		return;
	write_steal(vcpu);
	exchange_preempted(vcpu, KVM_PARA_PREEMPTED);
}

static bool on_wakes(struct vcpu *vcpu)
{
	if (!is_enabled(vcpu->paravirt.steal))
		return false;
	input_steal_skip(vcpu);
	return exchange_preempted(vcpu, 0) & KVM_PARA_FLUSH;
}

static void on_ran(struct vcpu *vcpu)
{
	uint64_t period =
		vcpu->vm->clock.tsc_khz * (STEAL_PERIOD_NS / 1000) / 1000;
	uint64_t now = __builtin_ia32_rdtsc();

	if (!is_enabled(vcpu->paravirt.steal) ||
	    now - vcpu->steal.looked_tsc < period)
		return;
	vcpu->steal.looked_tsc = now;
	write_steal(vcpu);
}

/* --- MSRs ----------------------------------------------------------------- */

/* The MSR's place and feature; NULL: #GP. */
static uint64_t *find_msr(struct vcpu *vcpu, uint32_t index)
{
	struct paravirt_state *state = &vcpu->paravirt;

	switch (index) {
	case MSR_KVM_WALL_OLD:
		return offers(vcpu, KVM_PARA_CLOCK_OLD) ? &state->wall : NULL;
	case MSR_KVM_CLOCK_OLD:
		return offers(vcpu, KVM_PARA_CLOCK_OLD) ? &state->clock : NULL;
	case MSR_KVM_WALL:
		return offers(vcpu, KVM_PARA_CLOCK) ? &state->wall : NULL;
	case MSR_KVM_CLOCK:
		return offers(vcpu, KVM_PARA_CLOCK) ? &state->clock : NULL;
	case MSR_KVM_STEAL:
		return offers(vcpu, KVM_PARA_STEAL) ? &state->steal : NULL;
	case MSR_KVM_EOI:
		return offers(vcpu, KVM_PARA_EOI) ? &state->eoi : NULL;
	default:
		return NULL;
	}
}

/* Alignment that each asks for; other bits than the enabling one are #GP. */
static uint64_t reserved_bits(uint32_t index)
{
	switch (index) {
	case MSR_KVM_STEAL:
		return BITS(5, 1);
	case MSR_KVM_EOI:
		return BIT(1);
	default:
		return 0;
	}
}

static bool on_rdmsr(void *device, struct vcpu *vcpu, uint32_t index,
		     uint64_t *value)
{
	const uint64_t *msr = find_msr(vcpu, index);

	if (!msr)
		return false;
	*value = *msr;
	return true;
}

static bool on_wrmsr(void *device, struct vcpu *vcpu, uint32_t index,
		     uint64_t value)
{
	uint64_t *msr = find_msr(vcpu, index);

	if (!msr || (value & reserved_bits(index)))
		return false;
	if (msr == &vcpu->paravirt.eoi)
		lapic_pv_sync(lapic_of(vcpu));
	*msr = value;
	if (msr == &vcpu->paravirt.wall)
		write_wall(vcpu, value);
	if (msr == &vcpu->paravirt.clock)
		write_clock(vcpu);
	if (msr == &vcpu->paravirt.steal && is_enabled(value)) {
		input_steal_skip(vcpu);
		write_steal(vcpu);
	}
	return true;
}

/* --- hypercalls ----------------------------------------------------------- */

/* HLT of the vCPU with this APIC ID ends, or its next one does not begin. */
static void kick(struct vm *vm, uint64_t apic_id)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->apic_id == apic_id)
			vcpu_request(vm->vcpus[i], VCPU_UNHALT);
}

#define ICR_LOGICAL   BIT(11)
#define ICR_SHORTHAND BITS(19, 18)

/*
 * The same message to each of a set of APIC IDs: two bitmaps that begin at the
 * third argument, then the ICR. Answers how many there were.
 */
static uint64_t send_ipis(struct vcpu *vcpu, const uint64_t argument[4],
			  bool is_64bit)
{
	unsigned width = is_64bit ? 64 : 32;
	uint64_t first = argument[2], sent = 0;
	uint32_t icr = (uint32_t)argument[3];

	if (icr & (ICR_LOGICAL | ICR_SHORTHAND))
		return KVM_PARA_EINVAL;
	for (unsigned i = 0; i < 2 * width; i++) {
		uint64_t id = first + i;

		if (!(argument[i / width] & BIT(i % width)))
			continue;
		if (id < first || id >= vcpu->vm->vcpu_count)
			break;
		lapic_send_ipi(lapic_of(vcpu), icr, (uint32_t)id);
		sent++;
	}
	return sent;
}

static void on_hypercall(struct vcpu *vcpu, struct exit *exit)
{
	const uint64_t *argument = exit->vmcall.argument;
	uint64_t *result = &exit->vmcall.result;

	if (exit->vmcall.cpl) {
		*result = KVM_PARA_EPERM;
		return;
	}
	switch (exit->vmcall.number) {
	case KVM_PARA_POLL_IRQ:
		*result = 0;
		break;
	case KVM_PARA_KICK_CPU:
		if (!offers(vcpu, KVM_PARA_UNHALT))
			break;
		kick(vcpu->vm, argument[1]);
		*result = 0;
		break;
	case KVM_PARA_SEND_IPI:
		if (!offers(vcpu, KVM_PARA_IPI))
			break;
		*result = send_ipis(vcpu, argument, exit->vmcall.is_64bit);
		break;
	default: /* KVM_PARA_ENOSYS, as the caller has it */
		break;
	}
}

/* --- the device ----------------------------------------------------------- */

static void on_init(struct vcpu *vcpu)
{
	vcpu->paravirt = (struct paravirt_state){ 0 };
	vcpu_take(vcpu, VCPU_UNHALT);
}

static const struct paravirt_ops paravirt_ops = {
	.hypercall = on_hypercall,
	.sleeps = on_sleeps,
	.wakes = on_wakes,
	.ran = on_ran,
	.tsc_moved = on_tsc_moved,
	.init = on_init,
};

static void on_reset(void *device)
{
	struct paravirt *pv = device;

	for (unsigned i = 0; i < pv->vm->vcpu_count; i++)
		on_init(pv->vm->vcpus[i]);
}

/*
 * The machine goes on, perhaps from a file and on a host with another rate: time
 * goes on from where it was by the old one.
 */
static void on_start(void *device)
{
	struct paravirt *pv = device;
	struct clock *clock = &pv->vm->clock;
	struct paravirt_scale scale = find_scale(clock->tsc_khz);
	uint64_t tsc = clock_tsc(clock);

	if (pv->is_kernels)
		return;
	/* From an engine with a clock of its own, which ends here. */
	if (!pv->has_base) {
		pv->scale = scale;
		for (unsigned i = 0; i < pv->vm->vcpu_count; i++)
			write_clock(pv->vm->vcpus[i]);
		return;
	}
	if (scale.multiplier == pv->scale.multiplier &&
	    scale.shift == pv->scale.shift)
		return;
	pv->base_ns += scale_ticks(&pv->scale, tsc - pv->base_tsc);
	pv->base_tsc = tsc;
	pv->scale = scale;
	for (unsigned i = 0; i < pv->vm->vcpu_count; i++)
		write_clock(pv->vm->vcpus[i]);
}

static void on_destroy(void *device)
{
	struct paravirt *pv = device;

	pthread_mutex_destroy(&pv->lock);
}

static int on_restored(void *device)
{
	struct paravirt *pv = device;

	/* The kernel counts from where the VM's clock is. */
	if (pv->is_kernels)
		pv->has_base = false;
	/* A shift by more than the word has bits means nothing. */
	return pv->scale.shift > -32 && pv->scale.shift < 32 ? 0 : -EINVAL;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct paravirt, has_base, STATE_BOOL, 1),
	STATE_FIELD(struct paravirt, base_tsc, STATE_UINT, 1),
	STATE_FIELD(struct paravirt, base_ns, STATE_UINT, 1),
	STATE_FIELD(struct paravirt, scale.multiplier, STATE_UINT, 1),
	STATE_FIELD(struct paravirt, scale.shift, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table table = {
	.name = "paravirt",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.state = &table,
	.reset = on_reset,
	.start = on_start,
	.destroy = on_destroy,
};

int paravirt_init(struct paravirt *pv, struct vm *vm, bool is_kernels)
{
	static const uint32_t ranges[][2] = {
		{ MSR_KVM_WALL_OLD, MSR_KVM_CLOCK_OLD },
		{ MSR_KVM_WALL, MSR_KVM_CLOCK },
		{ MSR_KVM_STEAL, MSR_KVM_EOI },
	};

	*pv = (struct paravirt){
		.vm = vm,
		.is_kernels = is_kernels,
		.device = { .name = "paravirt", .ops = &ops, .self = pv },
	};
	pthread_mutex_init(&pv->lock, NULL);
	pv->scale = find_scale(vm->clock.tsc_khz);
	for (unsigned i = 0; i < ARRAY_SIZE(ranges) && !is_kernels; i++) {
		const struct msr_range range = {
			.name = "paravirt",
			.first = ranges[i][0],
			.last = ranges[i][1],
			.read = on_rdmsr,
			.write = on_wrmsr,
		};
		int error = msr_add(&vm->msrs, &vm->sources, &range);

		if (error)
			return error;
	}
	vm->paravirt = pv;
	if (!is_kernels)
		vm->paravirt_ops = &paravirt_ops;
	device_add(vm, &pv->device);
	return 0;
}
