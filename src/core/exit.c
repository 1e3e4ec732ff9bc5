/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exit ledger: counts, times and dispatches every exit of every engine.
 * Read exit_handle first; the table below it names what each reason does.
 */

#include "core/exit.h"

#include <stdatomic.h>

#include "core/doorbell.h"
#include "core/trace.h"
#include "core/vm.h"
#include "x86/cpu_model.h"
#include "x86/kvm_para.h"

static const struct {
	const char *name, *help;
} reasons[EXIT_REASON_COUNT] = {
#define X(id, name_, help_) [EXIT_##id] = { name_, help_ },
	EXIT_REASONS(X)
#undef X
};

const char *exit_reason_name(enum exit_reason reason)
{
	return reasons[reason].name;
}

const char *exit_reason_help(enum exit_reason reason)
{
	return reasons[reason].help;
}

/*
 * A handler serves one reason and says in *source who it was for. It may
 * change exit->reason where the event turns out to be another.
 */
typedef enum exit_action exit_handler(struct vcpu *vcpu, struct exit *exit,
				      unsigned *source);

static enum exit_action on_io(struct vcpu *vcpu, struct exit *exit,
			      unsigned *source)
{
	struct vm *vm = vcpu->vm;

	if (!exit->io.access.is_write ||
	    !doorbell_ring(vm, BUS_IO, exit->io.port, &exit->io.access, source))
		bus_access(&vm->io, exit->io.port, &exit->io.access, source);
	return EXIT_RESUME;
}

static enum exit_action on_apic_access(struct vcpu *vcpu, struct exit *exit,
				       unsigned *source)
{
	struct access *access = &exit->mmio.access;

	access->offset = exit->mmio.gpa & ~PAGE_MASK;
	if (vcpu->vm->apic_ops->access(vcpu, access) != BUS_HANDLED)
		access->value = size_mask(access->size);
	return EXIT_RESUME;
}

static bool is_apic_page(struct vcpu *vcpu, gpa_t gpa)
{
	const struct apic_ops *ops = vcpu->vm->apic_ops;

	return ops && ops->page && (gpa & PAGE_MASK) == ops->page(vcpu);
}

static enum exit_action on_mmio(struct vcpu *vcpu, struct exit *exit,
				unsigned *source)
{
	struct vm *vm = vcpu->vm;
	struct access *access = &exit->mmio.access;

	if (is_apic_page(vcpu, exit->mmio.gpa)) {
		exit->reason = EXIT_APIC_ACCESS;
		return on_apic_access(vcpu, exit, source);
	}
	if (!access->is_write ||
	    !doorbell_ring(vm, BUS_MMIO, exit->mmio.gpa, access, source))
		bus_access(&vm->mmio, exit->mmio.gpa, access, source);
	return EXIT_RESUME;
}

static enum exit_action on_hlt(struct vcpu *vcpu, struct exit *exit,
			       unsigned *source)
{
	return EXIT_WAIT;
}

static bool is_apic_off(struct vcpu *vcpu)
{
	const struct apic_ops *ops = vcpu->vm->apic_ops;

	return ops && ops->is_enabled && !ops->is_enabled(vcpu);
}

static enum exit_action on_cpuid(struct vcpu *vcpu, struct exit *exit,
				 unsigned *source)
{
	uint32_t regs[4] = { 0 };
	bool is_leaf1 = exit->cpuid.eax == 1;

	if (vcpu->vm->cpuid)
		cpuid_query(vcpu->vm->cpuid, vcpu->apic_id, exit->cpuid.cr4,
			    exit->cpuid.xcr0, exit->cpuid.eax, exit->cpuid.ecx,
			    regs);
	exit->cpuid.eax = regs[0];
	exit->cpuid.ebx = regs[1];
	exit->cpuid.ecx = regs[2];
	exit->cpuid.edx = regs[3];
	/* SDM 3, 10.4.3: a disabled local APIC is as good as none. */
	if (is_leaf1 && is_apic_off(vcpu))
		exit->cpuid.edx &= ~BIT(9);
	return EXIT_RESUME;
}

static enum exit_action on_rdmsr(struct vcpu *vcpu, struct exit *exit,
				 unsigned *source)
{
	const struct msr_range *range =
		msr_find(&vcpu->vm->msrs, exit->msr.index);

	exit->msr.value = 0;
	if (!range)
		return vcpu->vm->cpuid && cpu_constant_msr(vcpu->vm->cpuid,
							   exit->msr.index,
							   &exit->msr.value) ?
			       EXIT_RESUME :
			       EXIT_FAULT;
	*source = range->source;
	if (!range->read || !range->read(range->device, vcpu, exit->msr.index,
					 &exit->msr.value))
		return EXIT_FAULT;
	return EXIT_RESUME;
}

static enum exit_action on_wrmsr(struct vcpu *vcpu, struct exit *exit,
				 unsigned *source)
{
	const struct msr_range *range =
		msr_find(&vcpu->vm->msrs, exit->msr.index);

	if (!range)
		return vcpu->vm->cpuid &&
				       cpu_constant_msr_write(vcpu->vm->cpuid,
							      exit->msr.index) ?
			       EXIT_RESUME :
			       EXIT_FAULT;
	*source = range->source;
	if (!range->write || !range->write(range->device, vcpu, exit->msr.index,
					   exit->msr.value))
		return EXIT_FAULT;
	return EXIT_RESUME;
}

static enum exit_action on_vmcall(struct vcpu *vcpu, struct exit *exit,
				  unsigned *source)
{
	const struct paravirt_ops *ops = vcpu->vm->paravirt_ops;

	exit->vmcall.result = KVM_PARA_ENOSYS;
	if (ops)
		ops->hypercall(vcpu, exit);
	return EXIT_RESUME;
}

static enum exit_action on_eoi(struct vcpu *vcpu, struct exit *exit,
			       unsigned *source)
{
	struct vm *vm = vcpu->vm;

	if (vm->eoi_ops)
		vm->eoi_ops->eoi(vm->eoi, exit->vector);
	return EXIT_RESUME;
}

static exit_handler *const handlers[EXIT_REASON_COUNT] = {
	[EXIT_IO] = on_io,
	[EXIT_MMIO] = on_mmio,
	[EXIT_APIC_ACCESS] = on_apic_access,
	[EXIT_HLT] = on_hlt,
	[EXIT_CPUID] = on_cpuid,
	[EXIT_RDMSR] = on_rdmsr,
	[EXIT_WRMSR] = on_wrmsr,
	[EXIT_VMCALL] = on_vmcall,
	[EXIT_EOI_INDUCED] = on_eoi,
};

/* Only the vCPU's thread writes, so load and store need not be one step. */
static void add_relaxed(uint64_t *cell, uint64_t n)
{
	uint64_t old = __atomic_load_n(cell, __ATOMIC_RELAXED);

	__atomic_store_n(cell, old + n, __ATOMIC_RELAXED);
}

static void book(struct vcpu *vcpu, enum exit_reason reason, unsigned source,
		 uint64_t count, uint64_t cycles)
{
	struct exit_cell *cell = &vcpu->exits.cell[reason][source];

	add_relaxed(&cell->count, count);
	add_relaxed(&cell->cycles, cycles);
}

enum exit_action exit_handle(struct vcpu *vcpu, struct exit *exit)
{
	uint64_t start = __builtin_ia32_rdtsc();
	enum exit_action action = EXIT_RESUME;
	unsigned source = 0;

	if (handlers[exit->reason])
		action = handlers[exit->reason](vcpu, exit, &source);
	book(vcpu, exit->reason, source, 1, __builtin_ia32_rdtsc() - start);
	if (__builtin_expect(vcpu->vm->trace.kinds, 0))
		trace_exit(vcpu, exit, source);
	if (action == EXIT_RESUME &&
	    atomic_load_explicit(&vcpu->requests, memory_order_relaxed) &
		    VCPU_LEAVE)
		action = EXIT_LEAVE;
	return action;
}

void exit_count(struct vcpu *vcpu, enum exit_reason reason, uint64_t count)
{
	book(vcpu, reason, 0, count, 0);
}
