/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the local APIC share. */
#pragma once

#include "chip/lapic.h"
#include "core/vcpu.h"

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

static inline bool lapic_is_enabled(const struct lapic *lapic)
{
	return lapic->base & APIC_BASE_ENABLED;
}

static inline bool lapic_is_x2apic(const struct lapic *lapic)
{
	return lapic->base & APIC_BASE_X2APIC;
}

/* All of these with lapic->lock held. */

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
void lapic_timer_set_initial(struct lapic *lapic, uint32_t count);
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value);
/* After LVT timer changed from `old`. */
void lapic_timer_mode_changed(struct lapic *lapic, uint32_t old);
uint32_t lapic_timer_current(struct lapic *lapic);
void lapic_timer_set_deadline(struct lapic *lapic, uint64_t tsc);

/* Without any lapic's lock. */
void lapic_deliver(struct vm *vm, const struct msi *msi);
void lapic_send_ipi(struct lapic *lapic, uint32_t low, uint32_t destination);
