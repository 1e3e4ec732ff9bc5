/* SPDX-License-Identifier: BSD-2-Clause */
/* struct cpu_state from and to the kernel's vCPU. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/kvm/internal.h"

/* kvm_regs has its members by name in this order of ours. */
static const size_t gpr_offset[GPR_COUNT] = {
	[RAX] = offsetof(struct kvm_regs, rax),
	[RCX] = offsetof(struct kvm_regs, rcx),
	[RDX] = offsetof(struct kvm_regs, rdx),
	[RBX] = offsetof(struct kvm_regs, rbx),
	[RSP] = offsetof(struct kvm_regs, rsp),
	[RBP] = offsetof(struct kvm_regs, rbp),
	[RSI] = offsetof(struct kvm_regs, rsi),
	[RDI] = offsetof(struct kvm_regs, rdi),
	[R8] = offsetof(struct kvm_regs, r8),
	[R9] = offsetof(struct kvm_regs, r9),
	[R10] = offsetof(struct kvm_regs, r10),
	[R11] = offsetof(struct kvm_regs, r11),
	[R12] = offsetof(struct kvm_regs, r12),
	[R13] = offsetof(struct kvm_regs, r13),
	[R14] = offsetof(struct kvm_regs, r14),
	[R15] = offsetof(struct kvm_regs, r15),
};

static int get_regs(struct vcpu *vcpu, struct cpu_state *state)
{
	struct kvm_regs regs;
	int error = kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_REGS, &regs,
			     "get registers");

	if (error)
		return error;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		state->gpr[i] = *(__u64 *)((char *)&regs + gpr_offset[i]);
	state->rip = regs.rip;
	state->rflags = regs.rflags;
	return 0;
}

static int set_regs(struct vcpu *vcpu, const struct cpu_state *state)
{
	struct kvm_regs regs;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		*(__u64 *)((char *)&regs + gpr_offset[i]) = state->gpr[i];
	regs.rip = state->rip;
	regs.rflags = state->rflags | RFLAGS_FIXED1;
	return kvm_must(kvm_vcpu(vcpu)->fd, KVM_SET_REGS, &regs,
			"set registers");
}

static void get_segment(const struct kvm_segment *from, struct cpu_segment *to)
{
	to->selector = from->selector;
	to->base = from->base;
	to->limit = from->limit;
	to->attributes = from->type | from->s << 4 | from->dpl << 5 |
			 from->present << 7 | from->avl << 12 | from->l << 13 |
			 from->db << 14 | from->g << 15 | from->unusable << 16;
}

static void set_segment(const struct cpu_segment *from, struct kvm_segment *to)
{
	uint32_t bits = from->attributes;

	*to = (struct kvm_segment){
		.selector = from->selector,
		.base = from->base,
		.limit = from->limit,
		.type = bits_get(bits, 3, 0),
		.s = bits_get(bits, 4, 4),
		.dpl = bits_get(bits, 6, 5),
		.present = bits_get(bits, 7, 7),
		.avl = bits_get(bits, 12, 12),
		.l = bits_get(bits, 13, 13),
		.db = bits_get(bits, 14, 14),
		.g = bits_get(bits, 15, 15),
		.unusable = bits_get(bits, 16, 16),
	};
}

/* The two layouts agree up to the flags that follow the APIC base. */
static int read_sregs(struct vcpu *vcpu, struct kvm_sregs2 *sregs)
{
	int fd = kvm_vcpu(vcpu)->fd;
	struct kvm_sregs old;
	int error;

	*sregs = (struct kvm_sregs2){ 0 };
	if (kvm_vm(vcpu->vm)->has_sregs2)
		return kvm_must(fd, KVM_GET_SREGS2, sregs,
				"get system registers");
	error = kvm_must(fd, KVM_GET_SREGS, &old, "get system registers");
	memcpy(sregs, &old, offsetof(struct kvm_sregs2, flags));
	return error;
}

static int write_sregs(struct vcpu *vcpu, struct kvm_sregs2 *sregs)
{
	int fd = kvm_vcpu(vcpu)->fd;
	struct kvm_sregs old = { 0 };

	if (kvm_vm(vcpu->vm)->has_sregs2)
		return kvm_must(fd, KVM_SET_SREGS2, sregs,
				"set system registers");
	memcpy(&old, sregs, offsetof(struct kvm_sregs2, flags));
	return kvm_must(fd, KVM_SET_SREGS, &old, "set system registers");
}

static int get_sregs(struct vcpu *vcpu, struct cpu_state *state)
{
	struct kvm_sregs2 sregs;
	int error = read_sregs(vcpu, &sregs);

	if (error)
		return error;
	get_segment(&sregs.es, &state->segment[SEG_ES]);
	get_segment(&sregs.cs, &state->segment[SEG_CS]);
	get_segment(&sregs.ss, &state->segment[SEG_SS]);
	get_segment(&sregs.ds, &state->segment[SEG_DS]);
	get_segment(&sregs.fs, &state->segment[SEG_FS]);
	get_segment(&sregs.gs, &state->segment[SEG_GS]);
	get_segment(&sregs.ldt, &state->ldtr);
	get_segment(&sregs.tr, &state->tr);
	state->gdtr.base = sregs.gdt.base;
	state->gdtr.limit = sregs.gdt.limit;
	state->idtr.base = sregs.idt.base;
	state->idtr.limit = sregs.idt.limit;
	state->cr0 = sregs.cr0;
	state->cr2 = sregs.cr2;
	state->cr3 = sregs.cr3;
	state->cr4 = sregs.cr4;
	state->cr8 = sregs.cr8;
	state->msr.efer = sregs.efer;
	if (sregs.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
		memcpy(state->pdpte, sregs.pdptrs, sizeof(state->pdpte));
	return 0;
}

static bool has_pdptes(const struct cpu_state *state)
{
	return (state->cr0 & CR0_PG) && (state->cr4 & CR4_PAE) &&
	       !cpu_is_long_mode(state) &&
	       (state->pdpte[0] | state->pdpte[1] | state->pdpte[2] |
		state->pdpte[3]);
}

static int set_sregs(struct vcpu *vcpu, const struct cpu_state *state)
{
	struct kvm_sregs2 sregs;
	uint64_t apic_base;
	int error = read_sregs(vcpu, &sregs);

	if (error)
		return error;
	/* The APIC's base is not the CPU's state but the local APIC's. */
	apic_base = sregs.apic_base;
	sregs = (struct kvm_sregs2){
		.gdt = { .base = state->gdtr.base, .limit = state->gdtr.limit },
		.idt = { .base = state->idtr.base, .limit = state->idtr.limit },
		.cr0 = state->cr0,
		.cr2 = state->cr2,
		.cr3 = state->cr3,
		.cr4 = state->cr4,
		.cr8 = state->cr8,
		.efer = state->msr.efer,
		.apic_base = apic_base,
	};
	set_segment(&state->segment[SEG_ES], &sregs.es);
	set_segment(&state->segment[SEG_CS], &sregs.cs);
	set_segment(&state->segment[SEG_SS], &sregs.ss);
	set_segment(&state->segment[SEG_DS], &sregs.ds);
	set_segment(&state->segment[SEG_FS], &sregs.fs);
	set_segment(&state->segment[SEG_GS], &sregs.gs);
	set_segment(&state->ldtr, &sregs.ldt);
	set_segment(&state->tr, &sregs.tr);
	if (kvm_vm(vcpu->vm)->has_sregs2 && has_pdptes(state)) {
		sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		memcpy(sregs.pdptrs, state->pdpte, sizeof(sregs.pdptrs));
	}
	return write_sregs(vcpu, &sregs);
}

static int get_debug(struct vcpu *vcpu, struct cpu_state *state)
{
	struct kvm_debugregs debug;
	int error = kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_DEBUGREGS, &debug,
			     "get debug registers");

	for (unsigned i = 0; i < 4 && !error; i++)
		state->dr[i] = debug.db[i];
	state->dr[6] = debug.dr6;
	state->dr[7] = debug.dr7;
	return error;
}

static int set_debug(struct vcpu *vcpu, const struct cpu_state *state)
{
	struct kvm_debugregs debug = {
		.db = { state->dr[0], state->dr[1], state->dr[2],
			state->dr[3] },
		.dr6 = state->dr[6],
		.dr7 = state->dr[7],
	};

	return kvm_must(kvm_vcpu(vcpu)->fd, KVM_SET_DEBUGREGS, &debug,
			"set debug registers");
}

static void get_event(const struct kvm_vcpu_events *from, struct cpu_event *to)
{
	*to = (struct cpu_event){ 0 };
	if (from->exception.injected || from->exception.pending) {
		to->kind = CPU_EVENT_EXCEPTION;
		to->vector = from->exception.nr;
		to->has_error_code = from->exception.has_error_code;
		to->error_code = from->exception.error_code;
		if (from->exception_has_payload)
			to->payload = from->exception_payload;
	} else if (from->nmi.injected) {
		to->kind = CPU_EVENT_NMI;
		to->vector = VECTOR_NMI;
	} else if (from->interrupt.injected) {
		to->kind = from->interrupt.soft ? CPU_EVENT_SOFTWARE :
						  CPU_EVENT_INTERRUPT;
		to->vector = from->interrupt.nr;
	} else {
		return;
	}
	to->is_valid = true;
}

static int get_events(struct vcpu *vcpu, struct cpu_state *state)
{
	struct kvm_vcpu_events events;
	int error = kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_VCPU_EVENTS, &events,
			     "get pending events");

	if (error)
		return error;
	get_event(&events, &state->event);
	state->sti_shadow = events.interrupt.shadow & KVM_X86_SHADOW_INT_STI;
	state->mov_ss_shadow = events.interrupt.shadow &
			       KVM_X86_SHADOW_INT_MOV_SS;
	state->nmi_is_blocked = events.nmi.masked;
	state->nmi_is_pending = events.nmi.pending;
	return 0;
}

static void set_event(const struct cpu_event *from, struct kvm_vcpu_events *to)
{
	if (!from->is_valid)
		return;
	switch (from->kind) {
	case CPU_EVENT_EXCEPTION:
		to->exception.injected = 1;
		to->exception.nr = from->vector;
		to->exception.has_error_code = from->has_error_code;
		to->exception.error_code = from->error_code;
		break;
	case CPU_EVENT_NMI:
		to->nmi.injected = 1;
		break;
	case CPU_EVENT_INTERRUPT:
	case CPU_EVENT_SOFTWARE:
		to->interrupt.injected = 1;
		to->interrupt.nr = from->vector;
		to->interrupt.soft = from->kind == CPU_EVENT_SOFTWARE;
		break;
	}
}

static int set_events(struct vcpu *vcpu, const struct cpu_state *state)
{
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
			 KVM_VCPUEVENT_VALID_SHADOW,
		.nmi.masked = state->nmi_is_blocked,
		.nmi.pending = state->nmi_is_pending,
	};

	if (state->sti_shadow)
		events.interrupt.shadow |= KVM_X86_SHADOW_INT_STI;
	if (state->mov_ss_shadow)
		events.interrupt.shadow |= KVM_X86_SHADOW_INT_MOV_SS;
	set_event(&state->event, &events);
	return kvm_must(kvm_vcpu(vcpu)->fd, KVM_SET_VCPU_EVENTS, &events,
			"set pending events");
}

static int get_activity(struct vcpu *vcpu, struct cpu_state *state)
{
	struct kvm_mp_state mp;
	int error = kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_MP_STATE, &mp,
			     "get activity");

	if (error)
		return error;
	switch (mp.mp_state) {
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		state->activity = CPU_WAIT_SIPI;
		break;
	case KVM_MP_STATE_HALTED:
		state->activity = CPU_HALTED;
		break;
	default:
		state->activity = CPU_ACTIVE;
	}
	if (kvm_vcpu(vcpu)->is_shut_down)
		state->activity = CPU_SHUTDOWN;
	return 0;
}

static int set_activity(struct vcpu *vcpu, const struct cpu_state *state)
{
	static const uint32_t states[] = {
		[CPU_ACTIVE] = KVM_MP_STATE_RUNNABLE,
		[CPU_HALTED] = KVM_MP_STATE_HALTED,
		[CPU_SHUTDOWN] = KVM_MP_STATE_RUNNABLE,
		[CPU_WAIT_SIPI] = KVM_MP_STATE_INIT_RECEIVED,
	};
	struct kvm_mp_state mp = { .mp_state = states[state->activity] };

	kvm_vcpu(vcpu)->is_shut_down = state->activity == CPU_SHUTDOWN;
	return kvm_must(kvm_vcpu(vcpu)->fd, KVM_SET_MP_STATE, &mp,
			"set activity");
}

int kvm_get_state(struct vcpu *vcpu, struct cpu_state *state)
{
	int error;

	*state = (struct cpu_state){ 0 };
	/* First, and by itself: the kernel settles INIT and SIPI here. */
	error = get_activity(vcpu, state);
	error = error ? error : get_regs(vcpu, state);
	error = error ? error : get_sregs(vcpu, state);
	error = error ? error : get_debug(vcpu, state);
	error = error ? error : kvm_get_fpu(vcpu, state);
	error = error ? error : kvm_get_msrs(vcpu, state);
	return error ? error : get_events(vcpu, state);
}

int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *state)
{
	int error = set_sregs(vcpu, state);

	error = error ? error : set_regs(vcpu, state);
	error = error ? error : set_debug(vcpu, state);
	error = error ? error : kvm_set_fpu(vcpu, state);
	error = error ? error : kvm_set_msrs(vcpu, state);
	error = error ? error : set_events(vcpu, state);
	return error ? error : set_activity(vcpu, state);
}
