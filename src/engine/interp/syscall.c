/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fast system calls and the FS and GS bases: SYSCALL, SYSRET, SYSENTER,
 * SYSEXIT, SWAPGS, RDFSBASE and its kin. SDM 2; segments as SDM 3, 5.8.7 has
 * them, flat whatever the descriptor tables say.
 */
#include "engine/interp/operand.h"
#include "engine/interp/segment.h"

/* Loads flat CS and SS of level `cpl`; is_64bit chooses L or D. */
static void set_flat(struct interp *cpu, uint16_t cs, uint16_t ss, unsigned cpl,
		     bool is_64bit)
{
	struct cpu_segment code = {
		.selector = cs,
		.attributes = SEGMENT_FLAT_CODE | cpl << SEGMENT_DPL_SHIFT |
			      (is_64bit ? SEGMENT_L : SEGMENT_DB),
		.limit = 0xffffffff,
	};

	cpu->s.segment[SEG_SS] = (struct cpu_segment){
		.selector = (ss & ~SELECTOR_RPL) | cpl,
		.attributes = SEGMENT_FLAT_DATA | cpl << SEGMENT_DPL_SHIFT,
		.limit = 0xffffffff,
	};
	segment_set_code(cpu, &code, cpl);
}

/* AMD's in legacy mode: EIP is in STAR (APM 3, SYSCALL). */
static void syscall_legacy(struct interp *cpu, uint16_t selector)
{
	struct cpu_state *s = &cpu->s;

	s->gpr[RCX] = (uint32_t)cpu->next_rip;
	s->rflags &= ~(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
	cpu->next_rip = (uint32_t)s->msr.star;
	set_flat(cpu, selector & ~SELECTOR_RPL, selector + 8, 0, false);
}

/* Intel's know it in 64-bit mode only, AMD's in protected mode. */
static bool has_syscall(const struct interp *cpu)
{
	return (cpu->s.msr.efer & EFER_SCE) &&
	       (cpu->mode == X86_MODE_64 ||
		((cpu->s.cr0 & CR0_PE) && interp_is_amd(cpu)));
}

static void exec_syscall(struct interp *cpu, const struct insn *insn)
{
	struct cpu_state *s = &cpu->s;
	uint16_t selector = bits_get(s->msr.star, 47, 32);

	if (!has_syscall(cpu))
		fault_ud(cpu);
	if (!cpu_is_long_mode(s)) {
		syscall_legacy(cpu, selector);
		return;
	}
	s->gpr[RCX] = cpu->next_rip;
	s->gpr[R11] = s->rflags & ~RFLAGS_RF;
	s->rflags &= ~((uint32_t)s->msr.fmask | RFLAGS_RF);
	s->rflags |= RFLAGS_FIXED1;
	cpu->next_rip = cpu->mode == X86_MODE_64 ? s->msr.lstar : s->msr.cstar;
	set_flat(cpu, selector & ~SELECTOR_RPL, selector + 8, 0, true);
}

/* The canonical check comes at CPL 0, before anything changes. */
static void exec_sysret(struct interp *cpu, const struct insn *insn)
{
	struct cpu_state *s = &cpu->s;
	uint16_t selector = bits_get(s->msr.star, 63, 48);
	bool is_64bit = insn->opsize == 8;

	if (!has_syscall(cpu))
		fault_ud(cpu);
	if (cpu->cpl || (is_64bit && !gva_is_canonical(s->gpr[RCX])))
		fault_gp(cpu, 0);
	/* Legacy mode has no R11: IF is set, the rest stays (APM 3, SYSRET). */
	if (cpu_is_long_mode(s))
		s->rflags = (s->gpr[R11] & SYSRET_FLAGS) | RFLAGS_FIXED1;
	else
		s->rflags |= RFLAGS_IF;
	cpu->next_rip = is_64bit ? s->gpr[RCX] : (uint32_t)s->gpr[RCX];
	set_flat(cpu, (selector + (is_64bit ? 16 : 0)) | 3, selector + 8, 3,
		 is_64bit);
	/* As if the SYSCALL had just completed: the trap comes before the first
	 * instruction there, not after it as with IRET. */
	if (s->rflags & RFLAGS_TF)
		s->event = (struct cpu_event){
			.is_valid = true,
			.kind = CPU_EVENT_EXCEPTION,
			.vector = VECTOR_DB,
			.payload = DR6_BS,
		};
}

static void exec_sysenter(struct interp *cpu, const struct insn *insn)
{
	struct cpu_state *s = &cpu->s;
	bool is_long = cpu_is_long_mode(s);
	uint16_t selector = s->msr.sysenter_cs;

	/* AMD's long mode has neither it nor SYSEXIT. */
	if (is_long && interp_is_amd(cpu))
		fault_ud(cpu);
	if (!(s->cr0 & CR0_PE) || !(selector & ~SELECTOR_RPL))
		fault_gp(cpu, 0);
	s->rflags &= ~(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
	s->gpr[RSP] = is_long ? s->msr.sysenter_esp :
				(uint32_t)s->msr.sysenter_esp;
	cpu->next_rip = is_long ? s->msr.sysenter_eip :
				  (uint32_t)s->msr.sysenter_eip;
	set_flat(cpu, selector & ~SELECTOR_RPL, selector + 8, 0, is_long);
}

static void exec_sysexit(struct interp *cpu, const struct insn *insn)
{
	struct cpu_state *s = &cpu->s;
	uint16_t selector = s->msr.sysenter_cs;
	bool is_64bit = insn->opsize == 8;

	if (cpu_is_long_mode(s) && interp_is_amd(cpu))
		fault_ud(cpu);
	if (!(s->cr0 & CR0_PE) || !(selector & ~SELECTOR_RPL) || cpu->cpl)
		fault_gp(cpu, 0);
	if (is_64bit &&
	    (!gva_is_canonical(s->gpr[RCX]) || !gva_is_canonical(s->gpr[RDX])))
		fault_gp(cpu, 0);
	s->gpr[RSP] = is_64bit ? s->gpr[RCX] : (uint32_t)s->gpr[RCX];
	cpu->next_rip = is_64bit ? s->gpr[RDX] : (uint32_t)s->gpr[RDX];
	set_flat(cpu, (selector + (is_64bit ? 32 : 16)) | 3,
		 selector + (is_64bit ? 40 : 24), 3, is_64bit);
}

static void exec_swapgs(struct interp *cpu, const struct insn *insn)
{
	uint64_t *base = &cpu->s.segment[SEG_GS].base;
	uint64_t old = *base;

	if (cpu->mode != X86_MODE_64)
		fault_ud(cpu);
	if (cpu->cpl)
		fault_gp(cpu, 0);
	*base = cpu->s.msr.kernel_gs_base;
	cpu->s.msr.kernel_gs_base = old;
}

/* --- bases at every privilege level --------------------------------------- */

static void read_base(struct interp *cpu, const struct insn *insn,
		      enum segment index)
{
	if (!(cpu->s.cr4 & CR4_FSGSBASE))
		fault_ud(cpu);
	reg_write(cpu, insn->operand[0].reg, cpu->s.segment[index].base,
		  insn->operand[0].size);
}

static void write_base(struct interp *cpu, const struct insn *insn,
		       enum segment index)
{
	uint64_t base;

	if (!(cpu->s.cr4 & CR4_FSGSBASE))
		fault_ud(cpu);
	base = reg_read(cpu, insn->operand[0].reg, insn->operand[0].size);
	if (!gva_is_canonical(base))
		fault_gp(cpu, 0);
	cpu->s.segment[index].base = base;
}

static void exec_rdfsbase(struct interp *cpu, const struct insn *insn)
{
	read_base(cpu, insn, SEG_FS);
}

static void exec_rdgsbase(struct interp *cpu, const struct insn *insn)
{
	read_base(cpu, insn, SEG_GS);
}

static void exec_wrfsbase(struct interp *cpu, const struct insn *insn)
{
	write_base(cpu, insn, SEG_FS);
}

static void exec_wrgsbase(struct interp *cpu, const struct insn *insn)
{
	write_base(cpu, insn, SEG_GS);
}

const struct interp_handler syscall_handlers[] = {
	{ OP_SYSCALL, exec_syscall },	{ OP_SYSRET, exec_sysret },
	{ OP_SYSENTER, exec_sysenter }, { OP_SYSEXIT, exec_sysexit },
	{ OP_SWAPGS, exec_swapgs },	{ OP_RDFSBASE, exec_rdfsbase },
	{ OP_RDGSBASE, exec_rdgsbase }, { OP_WRFSBASE, exec_wrfsbase },
	{ OP_WRGSBASE, exec_wrgsbase }, { 0 },
};
