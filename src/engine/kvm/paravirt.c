/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's own paravirtual interface (Linux, virt/kvm/x86/msr.rst), kept in
 * step with the machine: its clock stands and goes on with the VM's, and what
 * the guest registered is in vcpu->paravirt whenever the VM stands, where
 * chip/paravirt keeps it on a software engine. So a guest moves between the
 * two.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/kvm/internal.h"
#include "x86/cpuid.h"
#include "x86/kvm_para.h"

static bool offers(const struct vm *vm, unsigned feature)
{
	return vm->cpuid && cpuid_has_bit(vm->cpuid, KVM_PARA_FEATURES, 0,
					  CPUID_EAX, feature);
}

/* All but the wall clock, which is written once, where it was asked for. */
static const struct {
	uint32_t index;
	uint8_t feature;
	uint16_t offset;
} msrs[] = {
	{ MSR_KVM_CLOCK, KVM_PARA_CLOCK,
	  offsetof(struct paravirt_state, clock) },
	{ MSR_KVM_STEAL, KVM_PARA_STEAL,
	  offsetof(struct paravirt_state, steal) },
	{ MSR_KVM_EOI, KVM_PARA_EOI, offsetof(struct paravirt_state, eoi) },
};

static uint64_t *value_of(struct vcpu *vcpu, unsigned i)
{
	return (uint64_t *)((char *)&vcpu->paravirt + msrs[i].offset);
}

void kvm_enforce_paravirt(struct vcpu *vcpu)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
		.args = { 1 },
	};

	/* A kernel without it has a guest that keeps to CPUID. */
	if (kvm_extension(kvm_vm(vcpu->vm)->fd, (int)cap.cap))
		kvm_must(kvm_vcpu(vcpu)->fd, KVM_ENABLE_CAP, &cap,
			 "paravirtual features by CPUID");
}

/* What the guest has been told was stolen from it must never become less: the
 * kernel keeps the sum in the guest's memory only. */
static void take_stolen(struct vcpu *vcpu)
{
	gpa_t gpa = (vcpu->paravirt.steal & ~63ull) +
		    offsetof(struct kvm_para_steal, steal);
	uint64_t stolen;

	if ((vcpu->paravirt.steal & KVM_PARA_ENABLED) &&
	    !memory_read(&vcpu->vm->memory, gpa, &stolen, sizeof(stolen)))
		vcpu->steal.stolen_ns = stolen;
}

static void get_paravirt(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		if (offers(vcpu->vm, msrs[i].feature))
			kvm_get_msr(vcpu, msrs[i].index, value_of(vcpu, i));
	if (offers(vcpu->vm, KVM_PARA_CLOCK))
		kvm_get_msr(vcpu, MSR_KVM_WALL, &vcpu->paravirt.wall);
	take_stolen(vcpu);
}

/* What a restored machine or a reset has, and the kernel has not. */
static void put_paravirt(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		uint64_t value, wanted = *value_of(vcpu, i);

		if (!offers(vcpu->vm, msrs[i].feature) ||
		    kvm_get_msr(vcpu, msrs[i].index, &value) || value == wanted)
			continue;
		if (kvm_set_msr(vcpu, msrs[i].index, wanted))
			log_error("kvm: MSR %#x cannot be set to %#llx",
				  msrs[i].index, (unsigned long long)wanted);
	}
}

/* The guest may have seen a later time than the VM's clock shows: both count
 * the same nanoseconds, but each by its own idea of the TSC's rate. */
static void follow_clock(struct vm *vm)
{
	struct kvm_clock_data data = { 0 };
	struct clock *clock = &vm->clock;

	if (!(vm->vcpus[0]->paravirt.clock & KVM_PARA_ENABLED) ||
	    kvm_call(kvm_vm(vm)->fd, KVM_GET_CLOCK, &data))
		return;
	if (data.clock > clock_ns(clock))
		clock_set(clock, data.clock, clock_tsc(clock));
}

void kvm_paravirt_stop(struct vm *vm)
{
	if (!offers(vm, KVM_PARA_CLOCK) || !vm->vcpu_count)
		return;
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		get_paravirt(vm->vcpus[i]);
	follow_clock(vm);
}

void kvm_paravirt_start(struct vm *vm)
{
	struct kvm_clock_data data = { .clock = clock_ns(&vm->clock) };

	if (!offers(vm, KVM_PARA_CLOCK))
		return;
	kvm_must(kvm_vm(vm)->fd, KVM_SET_CLOCK, &data, "set the clock");
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		put_paravirt(vm->vcpus[i]);
}
