/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the local APIC share. */
#pragma once

#include "chip/lapic.h"
#include "core/vcpu.h"

struct apic_state;

#define APIC_BASE_BSP	     BIT(8)
#define APIC_BASE_X2APIC     BIT(10)
#define APIC_BASE_ENABLED    BIT(11)
#define APIC_BASE_PAGE	     BITS(51, 12)

#define SVR_ENABLED	     BIT(8)
#define SVR_NO_EOI_BROADCAST BIT(12)

#define LVT_VECTOR	     BITS(7, 0)
#define LVT_MODE_SHIFT	     8
#define LVT_MASKED	     BIT(16)
#define LVT_TIMER_PERIODIC   BIT(17)
#define LVT_TIMER_DEADLINE   BIT(18)
#define LVT_TIMER_MODE	     BITS(18, 17)

#define ESR_SEND_VECTOR	     BIT(5)
#define ESR_RECEIVE_VECTOR   BIT(6)
#define ESR_REGISTER	     BIT(7)

/* Registers by number: page offset / 16, and MSR - 800h (table 10-6). */
enum lapic_register {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR_LOW = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT_TIMER = 0x32,
	REG_LVT_ERROR = 0x37,
	REG_INITIAL = 0x38,
	REG_CURRENT = 0x39,
	REG_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
};

#define ICR_LOW_WRITABLE 0xccfffu
#define SVR_WRITABLE	 (SVR_NO_EOI_BROADCAST | SVR_ENABLED | BITS(7, 0))

extern const uint32_t lapic_lvt_writable[LAPIC_LVT_COUNT];

static inline struct lapic *lapic_of(struct vcpu *vcpu)
{
	return vcpu->apic;
}

static inline bool lapic_is_enabled(const struct lapic *lapic)
{
	return lapic->base & APIC_BASE_ENABLED;
}

static inline bool lapic_is_x2apic(const struct lapic *lapic)
{
	return lapic->base & APIC_BASE_X2APIC;
}

/* Derived from the ID, read-only (10.12.10.2). */
static inline uint32_t lapic_x2apic_ldr(uint32_t id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

/* All of these with lapic->lock held. */

/* False: there is no such register. EOI and the ICR are not for here. */
bool lapic_read_register(struct lapic *lapic, unsigned reg, uint32_t *value);
bool lapic_write_register(struct lapic *lapic, unsigned reg, uint32_t value);
void lapic_reset_registers(struct lapic *lapic);

/* Recomputes what has_interrupt sees and wakes the vCPU if there is some. */
void lapic_update(struct lapic *lapic);
/* A fixed interrupt arrives: IRR, TMR. Caller updates. */
void lapic_accept(struct lapic *lapic, uint8_t vector, bool is_level);
/* A local source asserts its entry of the vector table. Caller updates. */
void lapic_fire(struct lapic *lapic, enum lapic_lvt lvt);
void lapic_error(struct lapic *lapic, uint32_t esr_bit);
uint32_t lapic_priority(const struct lapic *lapic);

/* Highest vector set of IRR, ISR or TMR, or -1. */
int lapic_highest(const uint32_t bits[8]);

void lapic_timer_init(struct lapic *lapic, struct clock *clock);
void lapic_timer_reset(struct lapic *lapic);
/* The lapic's LVT is as it was; the clock too. */
void lapic_timer_restore(struct lapic *lapic, const struct apic_state *state);
void lapic_timer_set_initial(struct lapic *lapic, uint32_t count);
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value);
/* After LVT timer changed from `old`. */
void lapic_timer_mode_changed(struct lapic *lapic, uint32_t old);
uint32_t lapic_timer_current(struct lapic *lapic);
void lapic_timer_set_deadline(struct lapic *lapic, uint64_t tsc);

/* Without any lapic's lock; on the vCPU's own thread. */
void lapic_end_of_interrupt(struct lapic *lapic);
/* What writing the ICR does, destination in the form of the mode. */
void lapic_command(struct lapic *lapic, uint32_t low, uint32_t destination);
bool lapic_read_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value);
bool lapic_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* Without any lapic's lock; own thread, or parked. The EOI of the interrupt in
 * service may come by the guest's memory; what came so far is done. */
void lapic_pv_offer(struct lapic *lapic);
void lapic_pv_sync(struct lapic *lapic);

/* Without any lapic's lock. Any thread. */
void lapic_deliver(struct vm *vm, const struct msi *msi);
void lapic_send_ipi(struct lapic *lapic, uint32_t low, uint32_t destination);
