/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of a local APIC's state. */

#include "core/apic_state.h"

#include "base/bits.h"
#include "core/state.h"

static const struct state_field fields[] = {
	STATE_FIELD(struct apic_state, base, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, tpr, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, svr, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, ldr, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, dfr, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, esr, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, esr_pending, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, icr_low, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, icr_high, STATE_UINT, 1),
	STATE_ARRAY(struct apic_state, lvt, STATE_UINT, 1),
	STATE_ARRAY(struct apic_state, irr, STATE_UINT, 1),
	STATE_ARRAY(struct apic_state, isr, STATE_UINT, 1),
	STATE_ARRAY(struct apic_state, tmr, STATE_UINT, 1),
	STATE_ARRAY(struct apic_state, lint, STATE_BOOL, 1),
	STATE_FIELD(struct apic_state, extint_message, STATE_BOOL, 1),
	STATE_FIELD(struct apic_state, timer_initial, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, timer_divide, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, timer_expiry_ns, STATE_UINT, 1),
	STATE_FIELD(struct apic_state, tsc_deadline, STATE_UINT, 1),
	{ .name = NULL },
};

const struct state_table apic_state_table = {
	.name = "apic",
	.version = 1,
	.field = fields,
};
