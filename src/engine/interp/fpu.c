/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x87 and vector state itself: whether it may be used (SDM 3, 2.5 and
 * 13.1), its pieces, and the instructions that only move or clear it.
 */
#include "engine/interp/fpu.h"

#include <string.h>

#include "x86/regs.h"

/* --- may it be used ------------------------------------------------------- */

void check_sse(struct interp *cpu)
{
	if ((cpu->s.cr0 & CR0_EM) || !(cpu->s.cr4 & CR4_OSFXSR))
		fault_ud(cpu);
	if (cpu->s.cr0 & CR0_TS)
		interp_fault(cpu, VECTOR_NM, 0);
}

void check_avx(struct interp *cpu)
{
	uint64_t needed = XCR0_SSE | XCR0_AVX;

	if (!(cpu->s.cr4 & CR4_OSXSAVE) || (cpu->s.xcr0 & needed) != needed)
		fault_ud(cpu);
	if (cpu->s.cr0 & CR0_TS)
		interp_fault(cpu, VECTOR_NM, 0);
}

void check_mmx(struct interp *cpu)
{
	if (cpu->s.cr0 & CR0_EM)
		fault_ud(cpu);
	if (cpu->s.cr0 & CR0_TS)
		interp_fault(cpu, VECTOR_NM, 0);
}

void check_x87(struct interp *cpu)
{
	if (cpu->s.cr0 & (CR0_EM | CR0_TS))
		interp_fault(cpu, VECTOR_NM, 0);
}

/*
 * Waits before the instruction until an interrupt comes, which finds it as the
 * next one (SDM 1, 8.7.2): as in HLT, but nothing has been done.
 */
_Noreturn static void freeze(struct interp *cpu)
{
	cpu->s.activity = CPU_HALTED;
	cpu->pending.is_valid = false;
	longjmp(cpu->fault, 1);
}

void check_x87_pending(struct interp *cpu)
{
	bool is_pending = cpu->s.fpu.fsw & FSW_ES;

	if (likely(!is_pending && !cpu->has_fpu_error))
		return;
	if (is_pending && ((cpu->s.cr0 & CR0_NE) || !cpu->ops->fpu_error))
		interp_fault(cpu, VECTOR_MF, 0);
	cpu->has_fpu_error = is_pending;
	if (cpu->ops->fpu_error &&
	    !cpu->ops->fpu_error(cpu->world, is_pending) && is_pending)
		freeze(cpu);
}

void check_class(struct interp *cpu, const struct insn_row *row)
{
	if (row->class & CLASS_AVX)
		check_avx(cpu);
	else if (row->class & CLASS_SSE)
		check_sse(cpu);
	else if (row->class & CLASS_MMX)
		check_mmx(cpu);
	else if (row->class & CLASS_X87)
		check_x87(cpu);
}

/* --- memory operands ------------------------------------------------------ */

uint64_t vector_operand_offset(const struct interp *cpu,
			       const struct insn *insn)
{
	uint64_t offset = insn->disp;

	if (insn->base == INSN_REG_RIP)
		offset += cpu->next_rip;
	else if (insn->base < GPR_COUNT)
		offset += cpu->s.gpr[insn->base];
	if (insn->index < GPR_COUNT)
		offset += cpu->s.gpr[insn->index] * insn->scale;
	return offset & size_mask(insn->adsize);
}

void check_alignment(struct interp *cpu, const struct insn *insn,
		     uint64_t offset, unsigned alignment)
{
	uint64_t base = cpu->s.segment[insn->seg].base;

	/* Alignment is looked at first, even of an address that #SS is for. */
	if (insn->mode == X86_MODE_64 && insn->seg < SEG_FS)
		base = 0;
	if (!is_aligned(base + offset, alignment))
		fault_gp(cpu, 0);
}

/* --- x87 state ------------------------------------------------------------ */

void x87_normalize(struct fxsave_image *image)
{
	__asm__ volatile("fxrstor64 %0\n\tfxsave64 %0\n\tfninit"
			 : "+m"(*image)
			 :
			 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",
			   "st(6)", "st(7)", "xmm0", "xmm1", "xmm2", "xmm3",
			   "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
			   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			   "xmm15");
}

void x87_to_image(const struct cpu_fpu *fpu, struct fxsave_image *image)
{
	image->fcw = fpu->fcw;
	image->fsw = fpu->fsw;
	image->ftw = fpu->ftw;
	image->fop = fpu->fop;
	image->fip = fpu->fip;
	image->fdp = fpu->fdp;
	image->mxcsr = MXCSR_INIT;
	for (unsigned i = 0; i < 8; i++) {
		store_u64(image->st[i], fpu->st[i].mantissa);
		store_u64(image->st[i] + 8, fpu->st[i].sign_exponent);
	}
}

void x87_from_image(struct cpu_fpu *fpu, const struct fxsave_image *image)
{
	fpu->fcw = image->fcw;
	fpu->fsw = image->fsw;
	fpu->ftw = image->ftw;
	fpu->fop = image->fop;
	fpu->fip = image->fip;
	fpu->fdp = image->fdp;
	for (unsigned i = 0; i < 8; i++) {
		fpu->st[i].mantissa = load_u64(image->st[i]);
		fpu->st[i].sign_exponent = load_u16(image->st[i] + 8);
	}
}

void x87_enter_mmx(struct cpu_fpu *fpu)
{
	unsigned top = bits_get(fpu->fsw, 13, 11);
	struct cpu_x87_register physical[8];

	for (unsigned i = 0; i < 8; i++)
		physical[(top + i) & 7] = fpu->st[i];
	memcpy(fpu->st, physical, sizeof(physical));
	fpu->fsw &= ~BITS(13, 11);
	fpu->xstate_bv |= XCR0_X87;
}

void x87_init(struct cpu_fpu *fpu)
{
	fpu->fcw = FCW_INIT;
	fpu->fsw = 0;
	fpu->ftw = 0;
	fpu->fop = 0;
	fpu->fip = 0;
	fpu->fdp = 0;
	memset(fpu->st, 0, sizeof(fpu->st));
}

static bool x87_in_use(const struct cpu_fpu *fpu)
{
	for (unsigned i = 0; i < 8; i++)
		if (fpu->st[i].mantissa || fpu->st[i].sign_exponent)
			return true;
	return fpu->fcw != FCW_INIT || fpu->fsw || fpu->ftw || fpu->fop ||
	       fpu->fip || fpu->fdp;
}

uint64_t fpu_in_use(const struct cpu_fpu *fpu)
{
	static const uint8_t zero[16];
	uint64_t in_use = x87_in_use(fpu) ? XCR0_X87 : 0;

	for (unsigned i = 0; i < 16; i++) {
		if (memcmp(fpu->ymm[i], zero, 16))
			in_use |= XCR0_SSE;
		if (memcmp(fpu->ymm[i] + 16, zero, 16))
			in_use |= XCR0_AVX;
	}
	return in_use;
}

/* --- instructions --------------------------------------------------------- */

static void exec_fwait(struct interp *cpu, const struct insn *insn)
{
	if ((cpu->s.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		interp_fault(cpu, VECTOR_NM, 0);
	check_x87_pending(cpu);
}

static void exec_ldmxcsr(struct interp *cpu, const struct insn *insn)
{
	uint32_t mxcsr;

	check_class(cpu, insn_row(insn));
	mxcsr = mem_read(cpu, insn->seg, vector_operand_offset(cpu, insn), 4);
	if (mxcsr & ~MXCSR_MASK)
		fault_gp(cpu, 0);
	cpu->s.fpu.mxcsr = mxcsr;
}

static void exec_stmxcsr(struct interp *cpu, const struct insn *insn)
{
	check_class(cpu, insn_row(insn));
	mem_write(cpu, insn->seg, vector_operand_offset(cpu, insn),
		  cpu->s.fpu.mxcsr, 4);
}

static void exec_vzero(struct interp *cpu, const struct insn *insn)
{
	unsigned from = insn->op == OP_VZEROALL ? 0 : 16;
	unsigned registers = insn->mode == X86_MODE_64 ? 16 : 8;

	check_avx(cpu);
	for (unsigned i = 0; i < registers; i++)
		memset(cpu->s.fpu.ymm[i] + from, 0, 32 - from);
}

const struct interp_handler fpu_handlers[] = {
	{ OP_FWAIT, exec_fwait },
	{ OP_LDMXCSR, exec_ldmxcsr },
	{ OP_STMXCSR, exec_stmxcsr },
	{ OP_FXSAVE, exec_fxsave },
	{ OP_FXRSTOR, exec_fxrstor },
	{ OP_XSAVE, exec_xsave },
	{ OP_XSAVEOPT, exec_xsave },
	{ OP_XSAVEC, exec_xsave },
	{ OP_XRSTOR, exec_xrstor },
	{ OP_VLDMXCSR, exec_ldmxcsr },
	{ OP_VSTMXCSR, exec_stmxcsr },
	{ OP_VZEROUPPER, exec_vzero },
	{ OP_VZEROALL, exec_vzero },
	{ OP_MASKMOVQ, exec_maskmovq },
	{ OP_MASKMOVDQU, exec_maskmovdqu },
	{ OP_VMASKMOVDQU, exec_maskmovdqu },
	{ OP_VMASKMOVPS, exec_vmaskmov },
	{ OP_VMASKMOVPD, exec_vmaskmov },
	{ OP_VPMASKMOVD, exec_vmaskmov },
	{ OP_VPMASKMOVQ, exec_vmaskmov },
	{ OP_VPGATHERDD, exec_gather },
	{ OP_VPGATHERDQ, exec_gather },
	{ OP_VPGATHERQD, exec_gather },
	{ OP_VPGATHERQQ, exec_gather },
	{ OP_VGATHERDPS, exec_gather },
	{ OP_VGATHERDPD, exec_gather },
	{ OP_VGATHERQPS, exec_gather },
	{ OP_VGATHERQPD, exec_gather },
	{ 0 },
};
