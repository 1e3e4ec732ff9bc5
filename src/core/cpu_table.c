/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of struct cpu_state, and what must hold of one that was read. */

#include "core/cpu_table.h"

#include <errno.h>

#include "base/bits.h"
#include "core/state.h"
#include "core/vcpu.h"

#define FIELD(type, member) STATE_FIELD(struct type, member, STATE_UINT, 1)
#define LATER(type, member, version) \
	STATE_FIELD(struct type, member, STATE_UINT, version)
#define FLAG(type, member)	    STATE_FIELD(struct type, member, STATE_BOOL, 1)
#define ARRAY(type, member)	    STATE_ARRAY(struct type, member, STATE_UINT, 1)
#define NESTED(type, member, table) STATE_NESTED(struct type, member, table, 1)
#define NESTED_ARRAY(type, member, table) \
	STATE_NESTED_ARRAY(struct type, member, table, 1)
#define TABLE_OF(name_, version_)                                              \
	static const struct state_table name_##_table = {                      \
		.name = #name_, .version = (version_), .field = name_##_fields \
	}
#define TABLE(name_) TABLE_OF(name_, 1)

static const struct state_field segment_fields[] = {
	FIELD(cpu_segment, selector),
	FIELD(cpu_segment, attributes),
	FIELD(cpu_segment, limit),
	FIELD(cpu_segment, base),
	{ .name = NULL },
};
TABLE(segment);

static const struct state_field descriptors_fields[] = {
	FIELD(cpu_table, base),
	FIELD(cpu_table, limit),
	{ .name = NULL },
};
TABLE(descriptors);

static const struct state_field msr_fields[] = {
	FIELD(cpu_msrs, efer),
	FIELD(cpu_msrs, star),
	FIELD(cpu_msrs, lstar),
	FIELD(cpu_msrs, cstar),
	FIELD(cpu_msrs, fmask),
	FIELD(cpu_msrs, kernel_gs_base),
	FIELD(cpu_msrs, sysenter_cs),
	FIELD(cpu_msrs, sysenter_esp),
	FIELD(cpu_msrs, sysenter_eip),
	FIELD(cpu_msrs, tsc_aux),
	FIELD(cpu_msrs, pat),
	FIELD(cpu_msrs, misc_enable),
	FIELD(cpu_msrs, spec_ctrl),
	FIELD(cpu_msrs, tsc_adjust),
	FIELD(cpu_msrs, debugctl),
	FIELD(cpu_msrs, mtrr_def_type),
	ARRAY(cpu_msrs, mtrr_fixed),
	{ .name = "mtrr_physical",
	  .kind = STATE_UINT,
	  .offset = offsetof(struct cpu_msrs, mtrr_physical),
	  .size = sizeof(uint64_t),
	  .count = sizeof(((struct cpu_msrs *)0)->mtrr_physical) /
		   sizeof(uint64_t),
	  .since = 1 },
	LATER(cpu_msrs, pkrs, 2),
	{ .name = NULL },
};
TABLE_OF(msr, 2);

static const struct state_field x87_fields[] = {
	FIELD(cpu_x87_register, mantissa),
	FIELD(cpu_x87_register, sign_exponent),
	{ .name = NULL },
};
TABLE(x87);

static const struct state_field fpu_fields[] = {
	FIELD(cpu_fpu, fcw),
	FIELD(cpu_fpu, fsw),
	FIELD(cpu_fpu, fop),
	FIELD(cpu_fpu, ftw),
	FIELD(cpu_fpu, fip),
	FIELD(cpu_fpu, fdp),
	NESTED_ARRAY(cpu_fpu, st, x87_table),
	FIELD(cpu_fpu, mxcsr),
	STATE_ARRAY(struct cpu_fpu, ymm, STATE_BYTES, 1),
	FIELD(cpu_fpu, xstate_bv),
	{ .name = NULL },
};
TABLE(fpu);

static const struct state_field event_fields[] = {
	FLAG(cpu_event, is_valid),
	FLAG(cpu_event, has_error_code),
	FIELD(cpu_event, kind),
	FIELD(cpu_event, vector),
	FIELD(cpu_event, error_code),
	FIELD(cpu_event, payload),
	{ .name = NULL },
};
TABLE(event);

static const struct state_field cpu_fields[] = {
	ARRAY(cpu_state, gpr),
	FIELD(cpu_state, rip),
	FIELD(cpu_state, rflags),
	NESTED_ARRAY(cpu_state, segment, segment_table),
	NESTED(cpu_state, ldtr, segment_table),
	NESTED(cpu_state, tr, segment_table),
	NESTED(cpu_state, gdtr, descriptors_table),
	NESTED(cpu_state, idtr, descriptors_table),
	FIELD(cpu_state, cr0),
	FIELD(cpu_state, cr2),
	FIELD(cpu_state, cr3),
	FIELD(cpu_state, cr4),
	FIELD(cpu_state, cr8),
	FIELD(cpu_state, xcr0),
	ARRAY(cpu_state, dr),
	ARRAY(cpu_state, pdpte),
	NESTED(cpu_state, msr, msr_table),
	FIELD(cpu_state, tsc),
	NESTED(cpu_state, fpu, fpu_table),
	FIELD(cpu_state, activity),
	FLAG(cpu_state, sti_shadow),
	FLAG(cpu_state, mov_ss_shadow),
	FLAG(cpu_state, nmi_is_blocked),
	FLAG(cpu_state, nmi_is_pending),
	FLAG(cpu_state, in_smm),
	NESTED(cpu_state, event, event_table),
	FLAG(cpu_state, nested.in_guest),
	LATER(cpu_state, pkru, 2),
	{ .name = NULL },
};
TABLE_OF(cpu, 2);

/* Reserved bits of MXCSR fault where it is loaded: on our own host. */
#define MXCSR_BITS 0xffffu

static int on_restored(void *instance)
{
	const struct saved_cpu *saved = instance;
	const struct cpu_state *s = &saved->state;

	if ((unsigned)s->activity > CPU_WAIT_SIPI ||
	    (unsigned)s->event.kind > CPU_EVENT_SOFTWARE)
		return -EINVAL;
	if (s->in_smm || s->nested.in_guest || (s->fpu.mxcsr & ~MXCSR_BITS) ||
	    (saved->requests & ~(uint32_t)SAVED_REQUESTS))
		return -EINVAL;
	/* What the processor refuses to be loaded with: SDM 3, 2.5, 4.1.1. */
	if ((s->cr0 >> 32) || ((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE)))
		return -EINVAL;
	if ((s->msr.efer & EFER_LMA) &&
	    (!(s->cr0 & CR0_PG) || !(s->cr4 & CR4_PAE)))
		return -EINVAL;
	return 0;
}

static const struct state_field saved_fields[] = {
	NESTED(saved_cpu, state, cpu_table),
	FIELD(saved_cpu, requests),
	FIELD(saved_cpu, sipi_vector),
	LATER(saved_cpu, paravirt.clock, 2),
	LATER(saved_cpu, paravirt.wall, 2),
	LATER(saved_cpu, paravirt.steal, 2),
	LATER(saved_cpu, paravirt.eoi, 2),
	LATER(saved_cpu, stolen_ns, 2),
	{ .name = NULL },
};

const struct state_table saved_cpu_table = {
	.name = "vcpu",
	.version = 2,
	.field = saved_fields,
	.restored = on_restored,
};
