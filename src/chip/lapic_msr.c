/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's MSRs: its registers in x2APIC mode (SDM 3, 10.12), and
 * IA32_APIC_BASE, which switches modes (10.4.4, figure 10-27). All on the
 * vCPU's own thread.
 */
#include "chip/lapic_internal.h"

#include "base/cleanup.h"
#include "core/msr.h"
#include "core/vm.h"
#include "x86/cpuid.h"
#include "x86/msr.h"

/* --- the MSRs (x2APIC) ----------------------------------------------------- */

static bool x2apic_read(struct lapic *lapic, unsigned reg, uint64_t *value)
{
	uint32_t low;

	switch (reg) {
	case REG_APR:
	case REG_EOI:
	case REG_RRD:
	case REG_DFR:
	case REG_ICR_HIGH:
	case REG_SELF_IPI:
		return false;
	default:
		break;
	}
	LOCKED(&lapic->lock);
	if (!lapic_read_register(lapic, reg, &low))
		return false;
	*value = low;
	if (reg == REG_ICR_LOW)
		*value |= (uint64_t)lapic->icr_high << 32;
	return true;
}

/* Bits a write may set; others are #GP (10.12.1.2). 0: 0 only, or no write. */
static uint64_t x2apic_writable(unsigned reg)
{
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		return BITS(7, 0);
	case REG_SVR:
		return SVR_WRITABLE;
	case REG_ICR_LOW:
		return BITS(63, 32) | ICR_LOW_WRITABLE;
	case REG_LVT_TIMER ... REG_LVT_ERROR:
		return lapic_lvt_writable[reg - REG_LVT_TIMER] | BIT(12) |
		       BIT(14);
	case REG_INITIAL:
		return BITS(31, 0);
	case REG_DIVIDE:
		return 0xb;
	default:
		return 0;
	}
}

static bool x2apic_write(struct lapic *lapic, unsigned reg, uint64_t value)
{
	uint64_t writable = x2apic_writable(reg);

	if (!writable && reg != REG_EOI && reg != REG_ESR)
		return false;
	if (value & ~writable)
		return false;
	switch (reg) {
	case REG_EOI:
		lapic_end_of_interrupt(lapic);
		return true;
	case REG_ICR_LOW:
		pthread_mutex_lock(&lapic->lock);
		lapic->icr_low = value;
		lapic->icr_high = value >> 32;
		pthread_mutex_unlock(&lapic->lock);
		lapic_command(lapic, value, value >> 32);
		return true;
	case REG_SELF_IPI:
		lapic_command(lapic, (value & LVT_VECTOR) | 1u << 18, 0);
		return true;
	default:
		break;
	}
	LOCKED(&lapic->lock);
	lapic_write_register(lapic, reg, value);
	return true;
}

/* --- IA32_APIC_BASE and the MSR table -------------------------------------- */

static unsigned maxphyaddr(const struct lapic *lapic)
{
	const struct cpuid_table *cpuid = lapic->vcpu->vm->cpuid;
	unsigned bits =
		cpuid ? cpuid_value(cpuid, 0x80000008, 0, CPUID_EAX) & 0xff : 0;

	return bits ? bits : 52;
}

/* The state machine of figure 10-27. False: #GP. */
static bool write_base(struct lapic *lapic, uint64_t value)
{
	const uint64_t mode = APIC_BASE_ENABLED | APIC_BASE_X2APIC;
	uint64_t from = lapic->base & mode, to = value & mode;

	if (value & ~(APIC_BASE_PAGE | mode | APIC_BASE_BSP) ||
	    value >> maxphyaddr(lapic))
		return false;
	if (to == APIC_BASE_X2APIC || (from == 0 && to == mode) ||
	    (from == mode && to == APIC_BASE_ENABLED))
		return false;
	LOCKED(&lapic->lock);
	lapic->base = value;
	/* Disabling loses the state, as after a power-up (10.4.3). */
	if (from && !to)
		lapic_reset_registers(lapic);
	if (from != to && to == mode)
		lapic->ldr = lapic_x2apic_ldr(lapic->vcpu->apic_id);
	lapic_update(lapic);
	return true;
}

bool lapic_read_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct lapic *lapic = lapic_of(vcpu);

	if (index == MSR_APIC_BASE) {
		*value = lapic->base;
		return true;
	}
	if (index == MSR_TSC_DEADLINE) {
		LOCKED(&lapic->lock);
		*value = lapic->tsc_deadline;
		return true;
	}
	lapic_pv_sync(lapic);
	return lapic_is_x2apic(lapic) &&
	       x2apic_read(lapic, index - MSR_X2APIC_FIRST, value);
}

bool lapic_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct lapic *lapic = lapic_of(vcpu);

	if (index == MSR_APIC_BASE) {
		lapic_pv_sync(lapic);
		return write_base(lapic, value);
	}
	if (index == MSR_TSC_DEADLINE) {
		LOCKED(&lapic->lock);
		lapic_timer_set_deadline(lapic, value);
		return true;
	}
	lapic_pv_sync(lapic);
	return lapic_is_x2apic(lapic) &&
	       x2apic_write(lapic, index - MSR_X2APIC_FIRST, value);
}

static bool on_rdmsr(void *device, struct vcpu *vcpu, uint32_t index,
		     uint64_t *value)
{
	return lapic_read_msr(vcpu, index, value);
}

static bool on_wrmsr(void *device, struct vcpu *vcpu, uint32_t index,
		     uint64_t value)
{
	return lapic_write_msr(vcpu, index, value);
}

int lapic_init(struct vm *vm)
{
	static const uint32_t ranges[][2] = {
		{ MSR_APIC_BASE, MSR_APIC_BASE },
		{ MSR_TSC_DEADLINE, MSR_TSC_DEADLINE },
		{ MSR_X2APIC_FIRST, MSR_X2APIC_FIRST + REG_SELF_IPI },
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct msr_range range = {
			.name = "lapic",
			.first = ranges[i][0],
			.last = ranges[i][1],
			.read = on_rdmsr,
			.write = on_wrmsr,
		};
		int error = msr_add(&vm->msrs, &vm->sources, &range);

		if (error)
			return error;
	}
	vm->apic_ops = &lapic_ops;
	return 0;
}
