/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs: which ones the kernel keeps, those of struct cpu_state, and time.
 *
 * The kernel knows many MSRs that are no part of the CPU model (performance
 * counters, its own paravirtual ones, processor trivia). A filter lets it have
 * those of the model and makes every other one an exit, so that the guest gets
 * the same answer on every engine: core/msr's.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/kvm/internal.h"
#include "x86/kvm_para.h"

#define MSR_IA32_TSC	      0x10
#define MSR_IA32_TSC_ADJUST   0x3b
#define MSR_IA32_TSC_DEADLINE 0x6e0

#define SLOT(index, member)                                   \
	{                                                     \
		index, offsetof(struct cpu_state, msr.member) \
	}
#define FIXED(index, n) SLOT(index, mtrr_fixed[n])
#define PHYSICAL(n)                                 \
	SLOT(0x200 + 2 * (n), mtrr_physical[n][0]), \
		SLOT(0x201 + 2 * (n), mtrr_physical[n][1])

/* Where struct cpu_state has them; EFER comes with the system registers. */
static const struct {
	uint32_t index;
	uint32_t offset;
} msr_slots[] = {
	SLOT(0xc0000081, star),
	SLOT(0xc0000082, lstar),
	SLOT(0xc0000083, cstar),
	SLOT(0xc0000084, fmask),
	SLOT(0xc0000102, kernel_gs_base),
	SLOT(0xc0000103, tsc_aux),
	SLOT(0x174, sysenter_cs),
	SLOT(0x175, sysenter_esp),
	SLOT(0x176, sysenter_eip),
	SLOT(0x277, pat),
	SLOT(0x1a0, misc_enable),
	SLOT(0x48, spec_ctrl),
	SLOT(0x1d9, debugctl),
	SLOT(MSR_IA32_TSC_ADJUST, tsc_adjust),
	SLOT(0x2ff, mtrr_def_type),
	FIXED(0x250, 0),
	FIXED(0x258, 1),
	FIXED(0x259, 2),
	FIXED(0x268, 3),
	FIXED(0x269, 4),
	FIXED(0x26a, 5),
	FIXED(0x26b, 6),
	FIXED(0x26c, 7),
	FIXED(0x26d, 8),
	FIXED(0x26e, 9),
	FIXED(0x26f, 10),
	PHYSICAL(0),
	PHYSICAL(1),
	PHYSICAL(2),
	PHYSICAL(3),
	PHYSICAL(4),
	PHYSICAL(5),
	PHYSICAL(6),
	PHYSICAL(7),
};

_Static_assert(ARRAY_SIZE(msr_slots) <= KVM_MSRS_MAX, "has_msr is too small");

struct msr_list {
	struct kvm_msrs header;
	struct kvm_msr_entry entry[KVM_MSRS_MAX];
};

int kvm_get_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct msr_list list = { .header.nmsrs = 1, .entry[0].index = index };
	int count = kvm_call(kvm_vcpu(vcpu)->fd, KVM_GET_MSRS, &list);

	*value = list.entry[0].data;
	return count == 1 ? 0 : -ENOENT;
}

int kvm_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct msr_list list = {
		.header.nmsrs = 1,
		.entry[0] = { .index = index, .data = value },
	};

	return kvm_call(kvm_vcpu(vcpu)->fd, KVM_SET_MSRS, &list) == 1 ? 0 :
									-ENOENT;
}

void kvm_probe_msrs(struct vcpu *vcpu)
{
	uint64_t value;

	for (size_t i = 0; i < ARRAY_SIZE(msr_slots); i++)
		kvm_vm(vcpu->vm)->has_msr[i] =
			kvm_get_msr(vcpu, msr_slots[i].index, &value) == 0;
}

static uint64_t *slot_value(const struct cpu_state *state, size_t slot)
{
	return (uint64_t *)((char *)state + msr_slots[slot].offset);
}

/* The list of those that the kernel has, with the state's values. */
static void make_list(struct vcpu *vcpu, const struct cpu_state *state,
		      struct msr_list *list)
{
	*list = (struct msr_list){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(msr_slots); i++) {
		if (!kvm_vm(vcpu->vm)->has_msr[i])
			continue;
		list->entry[list->header.nmsrs++] = (struct kvm_msr_entry){
			.index = msr_slots[i].index,
			.data = *slot_value(state, i),
		};
	}
}

int kvm_get_msrs(struct vcpu *vcpu, struct cpu_state *state)
{
	struct msr_list list;
	unsigned n = 0;
	int count;

	make_list(vcpu, state, &list);
	count = kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_MSRS, &list, "get MSRs");
	if (count < 0)
		return count;
	if ((unsigned)count < list.header.nmsrs) {
		log_error("kvm: MSR %#x cannot be read",
			  list.entry[count].index);
		return -EIO;
	}
	for (size_t i = 0; i < ARRAY_SIZE(msr_slots); i++)
		if (kvm_vm(vcpu->vm)->has_msr[i])
			*slot_value(state, i) = list.entry[n++].data;
	return kvm_get_msr(vcpu, MSR_IA32_TSC, &state->tsc) ? -EIO : 0;
}

/* Leaves of the list what differs from `now`, which has the same MSRs. */
static void keep_changes(struct msr_list *list, const struct msr_list *now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < list->header.nmsrs; i++)
		if (list->entry[i].data != now->entry[i].data)
			list->entry[kept++] = list->entry[i];
	list->header.nmsrs = kept;
}

/*
 * Only what changes is written: some kernels complain of a write to an MSR that
 * they only know how to read.
 */
int kvm_set_msrs(struct vcpu *vcpu, const struct cpu_state *state)
{
	int fd = kvm_vcpu(vcpu)->fd;
	struct msr_list list, now;
	int count;

	make_list(vcpu, state, &list);
	now = list;
	count = kvm_must(fd, KVM_GET_MSRS, &now, "get MSRs");
	if (count < 0)
		return count;
	keep_changes(&list, &now);
	count = kvm_must(fd, KVM_SET_MSRS, &list, "set MSRs");
	if (count < 0)
		return count;
	if ((unsigned)count < list.header.nmsrs) {
		log_error("kvm: MSR %#x cannot be set to %#llx",
			  list.entry[count].index,
			  (unsigned long long)list.entry[count].data);
		return -EINVAL;
	}
	return kvm_set_tsc_offset(vcpu, state->msr.tsc_adjust);
}

/* --- time ----------------------------------------------------------------- */

int kvm_set_tsc_offset(struct vcpu *vcpu, uint64_t tsc_adjust)
{
	uint64_t offset = kvm_vm(vcpu->vm)->tsc_offset + tsc_adjust;
	struct kvm_device_attr attribute = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	if (kvm_vm(vcpu->vm)->has_tsc_offset)
		return kvm_must(kvm_vcpu(vcpu)->fd, KVM_SET_DEVICE_ATTR,
				&attribute, "TSC offset");
	if (kvm_set_msr(vcpu, MSR_IA32_TSC, __builtin_ia32_rdtsc() + offset)) {
		log_error("kvm: the TSC cannot be set");
		return -EIO;
	}
	return 0;
}

/* The deadline is armed in the host's time: write it again after a pause. */
static void rearm_deadline(struct vcpu *vcpu)
{
	uint64_t deadline;

	if (kvm_get_msr(vcpu, MSR_IA32_TSC_DEADLINE, &deadline) == 0 &&
	    deadline)
		kvm_set_msr(vcpu, MSR_IA32_TSC_DEADLINE, deadline);
}

static void stop_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		kvm_leave_debug(vm->vcpus[i]);
		if (!kvm_vm(vm)->is_stopped)
			kvm_apic_stop_timer(vm->vcpus[i]);
	}
	if (!kvm_vm(vm)->is_stopped)
		kvm_paravirt_stop(vm);
}

/*
 * Where the host's TSC is not invariant, the clock makes one of its nanoseconds
 * and the guest has the hardware's: they start alike and part. The guest's is
 * the one that its deadlines are in, so the clock follows it as it stops.
 */
void kvm_clock_changed(struct vm *vm, bool is_running, uint64_t tsc_offset)
{
	struct clock *clock = &vm->clock;

	if (!is_running)
		stop_vcpus(vm);
	kvm_vm(vm)->is_stopped = !is_running;
	if (!clock->has_host_tsc) {
		uint64_t host_tsc = __builtin_ia32_rdtsc();

		if (!is_running) {
			/* 0: it never ran. */
			if (kvm_vm(vm)->tsc_offset)
				clock_set(clock, clock_ns(clock),
					  host_tsc + kvm_vm(vm)->tsc_offset);
			return;
		}
		tsc_offset = clock_tsc(clock) - host_tsc;
	}
	if (!is_running)
		return;
	kvm_vm(vm)->tsc_offset = tsc_offset;
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		uint64_t adjust = 0;

		kvm_get_msr(vm->vcpus[i], MSR_IA32_TSC_ADJUST, &adjust);
		kvm_set_tsc_offset(vm->vcpus[i], adjust);
		kvm_apic_start_timer(vm->vcpus[i]);
		rearm_deadline(vm->vcpus[i]);
	}
	kvm_paravirt_start(vm);
}

/* --- the filter ----------------------------------------------------------- */

/*
 * What the kernel keeps: time, APIC base, speculation controls, SYSENTER,
 * MISC_ENABLE, debug control, MTRRs, PAT, the TSC deadline, SYSCALL and segment
 * bases, TSC_AUX, AMD's VIRT_SPEC_CTRL, its paravirtual clock, steal time and
 * EOI. The x2APIC's cannot be filtered.
 */
static const uint32_t kernel_msrs[][2] = {
	{ 0x10, 0x12 },
	{ 0x1b, 0x1b },
	{ 0x3b, 0x3b },
	{ 0x48, 0x49 },
	{ 0xfe, 0xfe },
	{ 0x10a, 0x10b },
	{ 0x174, 0x176 },
	{ 0x1a0, 0x1a0 },
	{ 0x1d9, 0x1d9 },
	{ 0x200, 0x20f },
	{ 0x250, 0x250 },
	{ 0x258, 0x259 },
	{ 0x268, 0x26f },
	{ 0x277, 0x277 },
	{ 0x2ff, 0x2ff },
	{ 0x6e0, 0x6e0 },
	{ MSR_KVM_WALL, MSR_KVM_CLOCK },
	{ MSR_KVM_STEAL, MSR_KVM_EOI },
	{ 0xc0000080, 0xc0000084 },
	{ 0xc0000100, 0xc0000103 },
	{ 0xc001011f, 0xc001011f },
};

/* Parts of the MSR space with a bitmap each; what lies outside is an exit. */
static const uint32_t filter_bases[] = { 0, 0x600, MSR_KVM_WALL, 0xc0000000,
					 0xc0010000 };

#define FILTER_MSRS 0x400

_Static_assert(ARRAY_SIZE(filter_bases) <= KVM_MSR_FILTER_MAX_RANGES,
	       "too many ranges");

int kvm_filter_msrs(struct kvm_vm *kvm)
{
	uint8_t bitmap[ARRAY_SIZE(filter_bases)][FILTER_MSRS / 8] = { 0 };
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { KVM_MSR_EXIT_REASON_UNKNOWN |
			  KVM_MSR_EXIT_REASON_FILTER },
	};
	int error = kvm_must(kvm->fd, KVM_ENABLE_CAP, &cap,
			     "MSR exits (Linux 5.10)");

	if (error)
		return error;
	for (size_t i = 0; i < ARRAY_SIZE(filter_bases); i++) {
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			.nmsrs = FILTER_MSRS,
			.base = filter_bases[i],
			.bitmap = bitmap[i],
		};
		for (size_t j = 0; j < ARRAY_SIZE(kernel_msrs); j++)
			for (uint32_t n = kernel_msrs[j][0];
			     n <= kernel_msrs[j][1]; n++)
				if (n - filter_bases[i] < FILTER_MSRS)
					bitmap[i][(n - filter_bases[i]) / 8] |=
						BIT((n - filter_bases[i]) % 8);
	}
	return kvm_must(kvm->fd, KVM_X86_SET_MSR_FILTER, &filter, "MSR filter");
}
