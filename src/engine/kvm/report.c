/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a vCPU cannot go on: the kernel's reason, registers, code bytes. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "engine/kvm/internal.h"

#define CODE_BYTES 16

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

static void report_reason(struct vcpu *vcpu, const char *what)
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

static void report_registers(const struct cpu_state *s)
{
	static const char *const names[GPR_COUNT] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
	};

	for (unsigned i = 0; i < GPR_COUNT; i += 4)
		log_error("kvm:   %-3s %016llx  %-3s %016llx  %-3s %016llx  "
			  "%-3s %016llx",
			  names[i], (unsigned long long)s->gpr[i], names[i + 1],
			  (unsigned long long)s->gpr[i + 1], names[i + 2],
			  (unsigned long long)s->gpr[i + 2], names[i + 3],
			  (unsigned long long)s->gpr[i + 3]);
	log_error("kvm:   rip %016llx  rflags %08llx  cr0 %08llx  cr2 %016llx  "
		  "cr3 %016llx  cr4 %08llx  efer %04llx",
		  (unsigned long long)s->rip, (unsigned long long)s->rflags,
		  (unsigned long long)s->cr0, (unsigned long long)s->cr2,
		  (unsigned long long)s->cr3, (unsigned long long)s->cr4,
		  (unsigned long long)s->msr.efer);
	log_error("kvm:   cs %04x base %08llx attributes %05x  ss %04x base "
		  "%08llx attributes %05x",
		  s->segment[SEG_CS].selector,
		  (unsigned long long)s->segment[SEG_CS].base,
		  s->segment[SEG_CS].attributes, s->segment[SEG_SS].selector,
		  (unsigned long long)s->segment[SEG_SS].base,
		  s->segment[SEG_SS].attributes);
}

static void report_code(struct vcpu *vcpu, const struct cpu_state *s)
{
	gva_t start = s->segment[SEG_CS].base + s->rip;
	char text[3 * CODE_BYTES + 1] = "";

	for (unsigned i = 0; i < CODE_BYTES; i++) {
		struct kvm_translation translation = {
			.linear_address = start + i,
		};
		uint8_t byte;

		if (kvm_call(kvm_vcpu(vcpu)->fd, KVM_TRANSLATE, &translation) ||
		    !translation.valid ||
		    memory_read(&vcpu->vm->memory, translation.physical_address,
				&byte, 1))
			break;
		snprintf(text + 3 * i, 4, " %02x", byte);
	}
	log_error("kvm:   code%s", text[0] ? text : ": not mapped");
}

void kvm_report(struct vcpu *vcpu, const char *what)
{
	struct cpu_state state;

	report_reason(vcpu, what);
	if (kvm_get_state(vcpu, &state))
		return;
	report_registers(&state);
	report_code(vcpu, &state);
}
