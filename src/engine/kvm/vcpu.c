/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU's life, its CPUID, and what a debugger asks of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/kvm/internal.h"

#define MSR_IA32_ARCH_CAPABILITIES 0x10a

/* As many entries as any kernel has answered with, and room to spare. */
#define OFFER_MAX 256

static struct kvm_cpuid2 *supported_cpuid(int system_fd)
{
	struct kvm_cpuid2 *list =
		calloc(1, sizeof(*list) + OFFER_MAX * sizeof(list->entries[0]));

	if (!list)
		return NULL;
	list->nent = OFFER_MAX;
	if (kvm_must(system_fd, KVM_GET_SUPPORTED_CPUID, list,
		     "supported CPUID") < 0) {
		free(list);
		return NULL;
	}
	return list;
}

static uint64_t feature_msr(int system_fd, uint32_t index)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { .header.nmsrs = 1, .entry.index = index };

	if (!kvm_extension(system_fd, KVM_CAP_GET_MSR_FEATURES) ||
	    kvm_call(system_fd, KVM_GET_MSRS, &msrs) != 1)
		return 0;
	return msrs.entry.data;
}

int kvm_cpuid_offer(struct cpuid_table *table)
{
	cleanup_fd int system_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	cleanup_free struct kvm_cpuid2 *list = NULL;

	*table = (struct cpuid_table){ 0 };
	if (system_fd < 0)
		return -errno;
	list = supported_cpuid(system_fd);
	if (!list)
		return -EIO;
	for (uint32_t i = 0; i < list->nent; i++) {
		const struct kvm_cpuid_entry2 *from = &list->entries[i];
		struct cpuid_leaf leaf = {
			.leaf = from->function,
			.subleaf = from->index,
			.has_subleaf = from->flags &
				       KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = from->eax,
			.ebx = from->ebx,
			.ecx = from->ecx,
			.edx = from->edx,
		};

		if (table->count == CPUID_LEAVES_MAX)
			break;
		/* Old kernels carry it and say so by a capability only. */
		if (leaf.leaf == 1 &&
		    kvm_extension(system_fd, KVM_CAP_TSC_DEADLINE_TIMER))
			leaf.ecx |= BIT(24);
		table->leaf[table->count++] = leaf;
	}
	table->arch_capabilities =
		feature_msr(system_fd, MSR_IA32_ARCH_CAPABILITIES);
	return 0;
}

static int set_cpuid(struct vcpu *vcpu, const struct cpuid_table *table)
{
	cleanup_free struct kvm_cpuid2 *list = calloc(
		1, sizeof(*list) + CPUID_LEAVES_MAX * sizeof(list->entries[0]));

	if (!list)
		return -ENOMEM;
	for (unsigned i = 0; i < table->count; i++) {
		const struct cpuid_leaf *from = &table->leaf[i];
		struct kvm_cpuid_entry2 *to = &list->entries[list->nent++];

		*to = (struct kvm_cpuid_entry2){
			.function = from->leaf,
			.index = from->subleaf,
			.eax = from->eax,
			.ebx = from->ebx,
			.ecx = from->ecx,
			.edx = from->edx,
		};
		if (from->has_subleaf)
			to->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		if (from->leaf == 1)
			to->ebx = (to->ebx & 0x00ffffff) | vcpu->apic_id << 24;
		if (from->leaf == 0xb || from->leaf == 0x1f)
			to->edx = vcpu->apic_id;
	}
	return kvm_must(kvm_vcpu(vcpu)->fd, KVM_SET_CPUID2, list, "CPUID");
}

static int map_run(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	void *run = mmap(NULL, kvm_vm(vcpu->vm)->run_size,
			 PROT_READ | PROT_WRITE, MAP_SHARED, kvm->fd, 0);

	if (run == MAP_FAILED) {
		log_error("kvm: map vCPU %u: %s", vcpu->index, strerror(errno));
		return -errno;
	}
	kvm->run = run;
	return 0;
}

/* Both may be missing in the kernel; then a guest reads zeros. */
static void set_model_msrs(struct vcpu *vcpu, const struct cpuid_table *table)
{
	if (cpuid_has_bit(table, 7, 0, CPUID_EDX, 29))
		kvm_set_msr(vcpu, MSR_IA32_ARCH_CAPABILITIES,
			    table->arch_capabilities);
}

int kvm_vcpu_create(struct vcpu *vcpu, const struct cpuid_table *cpuid)
{
	struct kvm_vm *vm = kvm_vm(vcpu->vm);
	struct kvm_vcpu *kvm = calloc(1, sizeof(*kvm));
	struct cpu_state state;
	int error;

	if (!kvm)
		return -ENOMEM;
	vcpu->engine = kvm;
	kvm->stats_fd = -1;
	kvm->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (long)vcpu->apic_id);
	if (kvm->fd < 0) {
		error = -errno;
		log_error("kvm: create vCPU %u: %s", vcpu->index,
			  strerror(-error));
		return error;
	}
	kvm->xsave = calloc(1, vm->xsave_size);
	if (!kvm->xsave)
		return -ENOMEM;
	error = map_run(vcpu);
	if (!error)
		kvm_enforce_paravirt(vcpu);
	if (!error && cpuid)
		error = set_cpuid(vcpu, cpuid);
	if (error)
		return error;
	if (cpuid)
		set_model_msrs(vcpu, cpuid);
	if (vcpu->index == 0)
		kvm_probe_msrs(vcpu);
	kvm_stats_open(kvm);
	kvm_apic_ops.reset(vcpu, false);
	cpu_state_reset(&state, vcpu->index == 0);
	return kvm_set_state(vcpu, &state);
}

void kvm_vcpu_destroy(struct vcpu *vcpu)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);

	if (!kvm)
		return;
	vcpu->engine = NULL;
	if (kvm->run)
		munmap(kvm->run, kvm_vm(vcpu->vm)->run_size);
	if (kvm->stats_fd >= 0)
		close(kvm->stats_fd);
	if (kvm->fd >= 0)
		close(kvm->fd);
	kvm_fini_breakpoints(kvm);
	free(kvm->xsave);
	free(kvm);
}

int kvm_translate(struct vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
	struct kvm_translation translation = { .linear_address = gva };
	int error = kvm_must(kvm_vcpu(vcpu)->fd, KVM_TRANSLATE, &translation,
			     "translate");

	if (error)
		return error;
	if (!translation.valid)
		return -EFAULT;
	*gpa = translation.physical_address;
	return 0;
}
