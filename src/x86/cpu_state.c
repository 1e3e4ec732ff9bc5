/* SPDX-License-Identifier: BSD-2-Clause */
/* A processor after RESET#, INIT and the start-up IPI: SDM 3, table 9-1. */
#include "x86/cpu_state.h"

#include <string.h>

#include "x86/msr.h"

#define REAL_CODE (SEGMENT_P | SEGMENT_S | SEGMENT_CODE | 3)
#define REAL_DATA (SEGMENT_P | SEGMENT_S | 3)
#define SYS_LDT	  (SEGMENT_P | 2)
#define SYS_TSS	  (SEGMENT_P | 11) /* busy 32-bit TSS */

static struct cpu_segment flat64k(uint16_t attributes)
{
	return (struct cpu_segment){
		.attributes = attributes,
		.limit = 0xffff,
	};
}

/* What RESET# and INIT do alike. */
static void reset_common(struct cpu_state *state, bool is_bootstrap)
{
	memset(state->gpr, 0, sizeof(state->gpr));
	state->gpr[RDX] = 0x600; /* family 6 */
	state->rip = 0xfff0;
	state->rflags = RFLAGS_FIXED1;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		state->segment[i] = flat64k(REAL_DATA);
	state->segment[SEG_CS] = flat64k(REAL_CODE);
	state->segment[SEG_CS].selector = 0xf000;
	state->segment[SEG_CS].base = 0xffff0000;
	state->ldtr = flat64k(SYS_LDT);
	state->tr = flat64k(SYS_TSS);
	state->gdtr = (struct cpu_table){ .limit = 0xffff };
	state->idtr = (struct cpu_table){ .limit = 0xffff };

	state->cr2 = 0;
	state->cr3 = 0;
	state->cr4 = 0;
	state->cr8 = 0;
	state->msr.efer = 0;
	memset(state->dr, 0, sizeof(state->dr));
	state->dr[6] = DR6_FIXED1;
	state->dr[7] = DR7_FIXED1;
	memset(state->pdpte, 0, sizeof(state->pdpte));

	state->activity = is_bootstrap ? CPU_ACTIVE : CPU_WAIT_SIPI;
	state->sti_shadow = false;
	state->mov_ss_shadow = false;
	state->nmi_is_blocked = false;
	state->nmi_is_pending = false;
	state->in_smm = false;
	memset(&state->event, 0, sizeof(state->event));
	memset(&state->nested, 0, sizeof(state->nested));
}

void cpu_state_reset(struct cpu_state *state, bool is_bootstrap)
{
	memset(state, 0, sizeof(*state));
	reset_common(state, is_bootstrap);
	state->cr0 = CR0_CD | CR0_NW | CR0_ET;
	state->xcr0 = XCR0_X87;
	state->msr.pat = PAT_RESET;
	state->msr.misc_enable = MISC_ENABLE_FAST_STRINGS |
				 MISC_ENABLE_BTS_UNAVAIL |
				 MISC_ENABLE_PEBS_UNAVAIL;
	/* Tags 5555h: eight zeroes, none of them empty. */
	state->fpu.fcw = 0x40;
	state->fpu.ftw = 0xff;
	state->fpu.mxcsr = 0x1f80;
	state->fpu.xstate_bv = XCR0_X87;
}

void cpu_state_init(struct cpu_state *state, bool is_bootstrap)
{
	reset_common(state, is_bootstrap);
	state->cr0 = (state->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
}

void cpu_state_sipi(struct cpu_state *state, uint8_t vector)
{
	state->segment[SEG_CS].selector = vector << 8;
	state->segment[SEG_CS].base = vector << 12;
	state->rip = 0;
	state->activity = CPU_ACTIVE;
}
