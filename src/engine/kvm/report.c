/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a vCPU cannot go on: the kernel's reason. Its registers follow from
 * whoever ends the machine (debug/report.h). */
#include "base/log.h"
#include "engine/kvm/internal.h"

static const char *internal_error(uint32_t suberror)
{
	static const char *const names[] = {
		[KVM_INTERNAL_ERROR_EMULATION] =
			"an instruction that KVM cannot emulate",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] =
			"an exit while delivering an event",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] =
			"an exit of the processor that KVM does not know",
	};

	return suberror < ARRAY_SIZE(names) && names[suberror] ?
		       names[suberror] :
		       "an internal error";
}

void kvm_report(struct vcpu *vcpu, const char *what)
{
	const struct kvm_run *run = kvm_vcpu(vcpu)->run;

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		log_error("kvm: vCPU %u %s: %s (%u)", vcpu->index, what,
			  internal_error(run->internal.suberror),
			  run->internal.suberror);
		for (uint32_t i = 0; i < run->internal.ndata &&
				     i < ARRAY_SIZE(run->internal.data);
		     i++)
			log_error("kvm:   data[%u] %#llx", i,
				  run->internal.data[i]);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		log_error("kvm: vCPU %u %s: the processor refuses the guest "
			  "state: reason %#llx",
			  vcpu->index, what,
			  run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		log_error("kvm: vCPU %u %s: exit reason %u, hardware %#llx",
			  vcpu->index, what, run->exit_reason,
			  run->hw.hardware_exit_reason);
	}
}
