/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of one CPU, engine-neutral: what the architecture names and
 * nothing an engine made up. It is what get_state and set_state of an engine
 * carry, what save files hold and what the debugger shows. interp works on it
 * in place.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "x86/regs.h"

/*
 * A segment register with its hidden part. Attributes have the layout of the
 * VMCS access rights (SDM 3, 24.4.1): type 3:0, S 4, DPL 6:5, P 7, AVL 12,
 * L 13, D/B 14, G 15, unusable 16. The limit is in bytes, G already applied.
 */
struct cpu_segment {
	uint16_t selector;
	uint32_t attributes;
	uint32_t limit;
	uint64_t base;
};

#define SEGMENT_TYPE	    BITS(3, 0)
#define SEGMENT_ACCESSED    BIT(0)
#define SEGMENT_WRITABLE    BIT(1) /* data; readable for code */
#define SEGMENT_EXPAND_DOWN BIT(2) /* data; conforming for code */
#define SEGMENT_CODE	    BIT(3)
#define SEGMENT_S	    BIT(4)
#define SEGMENT_DPL	    BITS(6, 5)
#define SEGMENT_DPL_SHIFT   5
#define SEGMENT_P	    BIT(7)
#define SEGMENT_AVL	    BIT(12)
#define SEGMENT_L	    BIT(13)
#define SEGMENT_DB	    BIT(14)
#define SEGMENT_G	    BIT(15)
#define SEGMENT_UNUSABLE    BIT(16)

struct cpu_table {
	uint64_t base;
	uint16_t limit;
};

/* One x87 register as FXSAVE stores it: 80 bits, the rest zero. */
struct cpu_x87_register {
	uint64_t mantissa;
	uint16_t sign_exponent;
};

struct cpu_fpu {
	uint16_t fcw, fsw;
	uint16_t fop;
	uint8_t ftw; /* abridged: a bit per physical register, 1 = not empty */
	uint64_t fip, fdp;
	struct cpu_x87_register st[8]; /* st[0] is the top of the stack */
	uint32_t mxcsr;
	/* XMMn is bytes 0..15 of YMMn. 32-aligned, so that a vector move may. */
	_Alignas(32) uint8_t ymm[16][32];
	uint64_t xstate_bv; /* components not in their initial state */
};

enum cpu_activity {
	CPU_ACTIVE,
	CPU_HALTED, /* HLT */
	CPU_SHUTDOWN, /* after a triple fault */
	CPU_WAIT_SIPI, /* after INIT, or an AP after reset */
};

/* An event that was on its way in when the state was taken. */
struct cpu_event {
	bool is_valid;
	bool has_error_code;
	enum {
		CPU_EVENT_INTERRUPT,
		CPU_EVENT_NMI,
		CPU_EVENT_EXCEPTION,
		CPU_EVENT_SOFTWARE
	} kind;
	uint8_t vector;
	uint32_t error_code;
	uint64_t payload; /* CR2 of a #PF, DR6 of a #DB not yet written */
};

struct cpu_msrs {
	uint64_t efer;
	uint64_t star, lstar, cstar, fmask;
	uint64_t kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_aux;
	uint64_t pat;
	uint64_t misc_enable;
	uint64_t spec_ctrl;
	uint64_t tsc_adjust;
	uint64_t debugctl;
	uint64_t pkrs; /* protection keys of supervisor pages */
	uint64_t mtrr_def_type;
	uint64_t mtrr_fixed[11]; /* in the order of SDM 3, table 11-9 */
	uint64_t mtrr_physical[8][2]; /* base, mask */
};

struct cpu_state {
	uint64_t gpr[GPR_COUNT];
	uint64_t rip;
	uint64_t rflags;
	struct cpu_segment segment[SEG_COUNT];
	struct cpu_segment ldtr, tr;
	struct cpu_table gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8, xcr0;
	uint32_t pkru; /* protection keys of user pages (SDM 3, 4.6.2) */
	uint64_t dr[8]; /* 4 and 5 unused */
	/* PAE: the four page-directory pointers loaded with CR3 (SDM 3, 4.4.1) */
	uint64_t pdpte[4];
	struct cpu_msrs msr;
	uint64_t tsc; /* at the moment of get_state */
	struct cpu_fpu fpu;

	enum cpu_activity activity;
	bool sti_shadow; /* interrupts wait one instruction after STI */
	bool mov_ss_shadow; /* and after MOV SS, POP SS */
	bool nmi_is_blocked; /* until IRET */
	bool nmi_is_pending;
	bool in_smm; /* reserved: SMM is not built */
	struct cpu_event event;

	/* Guest mode of nested virtualization; zero until that is offered. */
	struct {
		bool in_guest;
	} nested;
};

/* Power-up or RESET# state (SDM 3, table 9-1); an AP comes out waiting. */
void cpu_state_reset(struct cpu_state *state, bool is_bootstrap);

/* INIT keeps what table 9-1 keeps: CR0.CD and NW, FPU, MSRs, TSC. */
void cpu_state_init(struct cpu_state *state, bool is_bootstrap);

/* Execution starts at vector << 12 in real mode (SDM 3, 8.4.4.1). */
void cpu_state_sipi(struct cpu_state *state, uint8_t vector);

static inline bool cpu_is_long_mode(const struct cpu_state *state)
{
	return state->msr.efer & EFER_LMA;
}

static inline bool cpu_is_64bit(const struct cpu_state *state)
{
	return cpu_is_long_mode(state) &&
	       (state->segment[SEG_CS].attributes & SEGMENT_L);
}

/* CPL is the DPL of SS (SDM 3, 24.4.1 on SS access rights). */
static inline unsigned cpu_privilege(const struct cpu_state *state)
{
	return bits_get(state->segment[SEG_SS].attributes, 6, 5);
}
