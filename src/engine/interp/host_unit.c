/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executing x87, MMX, SSE and AVX instructions on the host's own units.
 *
 * The order of things is what makes faults precise: may it run (CR0, CR4,
 * XCR0); read the memory operand; run the stub, which touches nothing of the
 * guest's; SIMD exceptions; write the memory operand; commit registers. Only
 * the last step and the write before it change what the guest can see; but a
 * processor gives the x87 registers to MMX as soon as its operand is there.
 *
 * SIMD floating-point exceptions (SDM 1, 11.5): the stub runs with the guest's
 * MXCSR and traps if the guest's masks let it: which flags are set then, of
 * which elements, is the silicon's to say.
 */
#include "engine/interp/fpu.h"

#include <immintrin.h>
#include <string.h>

#include "base/log.h"

/* --- x87 ------------------------------------------------------------------ */

/* They ignore pending exceptions: SDM 1, 8.6; and from memory, where nothing
 * enters MMX, SDM 2, CVTPI2PD. */
static bool is_non_waiting(const struct insn *insn)
{
	switch (insn->op) {
	case OP_FNINIT:
	case OP_FNCLEX:
	case OP_FNSTCW:
	case OP_FNSTSW:
	case OP_FNSTENV:
	case OP_FNSAVE:
	case OP_FENI:
	case OP_FDISI:
	case OP_FSETPM:
		return true;
	case OP_CVTPI2PS:
	case OP_CVTPI2PD:
		return operand_is_mem(&insn->operand[1]);
	default:
		return false;
	}
}

/*
 * The pointers to the last instruction and operand are the stub's where the
 * host updated them; the guest sees its own. Which ones a processor updates,
 * and when, is left to it (SDM 1, 8.1.8 and 8.1.9).
 */
static void x87_fix_pointers(struct interp *cpu, const struct host_stub *stub,
			     const struct insn *insn)
{
	struct host_context *context = &cpu->host_unit->context;
	struct fxsave_image *image = &context->image;

	if (image->fip == (uintptr_t)stub->run + stub->insn_offset) {
		image->fip = cpu->s.rip;
		if ((image->fsw & FSW_ES) && !(cpu->s.fpu.fsw & FSW_ES))
			image->fop = (insn->opcode & 7) << 8 | insn->modrm;
	}
	if (image->fdp == (uintptr_t)context->memory && stub->memory >= 0)
		image->fdp = vector_operand_offset(cpu, insn);
}

/*
 * An unmasked exception may have kept an x87 store from storing (SDM 1, 8.5).
 * The stub is a pure function of the context, so running it again over other
 * bytes tells.
 */
static bool x87_has_stored(struct interp *cpu, const struct host_stub *stub,
			   unsigned size)
{
	struct host_context *context = &cpu->host_unit->context;
	uint8_t first[16];

	memcpy(first, context->memory, size);
	memset(context->memory, 0xff, size);
	x87_to_image(&cpu->s.fpu, &context->image);
	stub->run(context, context->memory, cpu->s.fpu.ymm);
	return memcmp(first, context->memory, size) == 0;
}

static bool is_environment(const struct insn *insn)
{
	return insn->op == OP_FLDENV || insn->op == OP_FNSTENV ||
	       insn->op == OP_FRSTOR || insn->op == OP_FNSAVE;
}

/* --- environments in real mode ---------------------------------------------
 *
 * The host runs FNSTENV and friends in 64-bit mode and so in the protected
 * mode formats (SDM 1, figures 8-9 and 8-11); figures 8-10 and 8-12 differ in
 * the pointers: linear addresses split over two words, with the opcode.
 */

static void environment_to_real(uint8_t *bytes, unsigned opsize,
				const struct cpu_fpu *fpu)
{
	uint32_t fip = fpu->fip, fdp = fpu->fdp;

	if (opsize == 2) {
		store_u16(bytes + 6, fip);
		store_u16(bytes + 8, (fip >> 16 & 15) << 12 | fpu->fop);
		store_u16(bytes + 10, fdp);
		store_u16(bytes + 12, (fdp >> 16 & 15) << 12);
		return;
	}
	store_u32(bytes + 12, 0xffff0000 | (fip & 0xffff));
	store_u32(bytes + 16, (fip >> 16) << 12 | fpu->fop);
	store_u32(bytes + 20, 0xffff0000 | (fdp & 0xffff));
	store_u32(bytes + 24, (fdp >> 16) << 12);
}

static void environment_from_real(const uint8_t *bytes, unsigned opsize,
				  struct fxsave_image *image)
{
	if (opsize == 2) {
		uint16_t high = load_u16(bytes + 8);

		image->fip = load_u16(bytes + 6) | (uint32_t)(high >> 12) << 16;
		image->fop = high & 0x7ff;
		image->fdp = load_u16(bytes + 10) |
			     (uint32_t)(load_u16(bytes + 12) >> 12) << 16;
		return;
	}
	image->fip = load_u16(bytes + 12) |
		     (load_u32(bytes + 16) >> 12 & 0xffff) << 16;
	image->fop = load_u32(bytes + 16) & 0x7ff;
	image->fdp = load_u16(bytes + 20) |
		     (load_u32(bytes + 24) >> 12 & 0xffff) << 16;
}

/* --- memory operands ------------------------------------------------------ */

static unsigned memory_alignment(const struct insn *insn,
				 const struct operand *operand)
{
	return insn_row(insn)->attrs & ROW_ALIGN ? operand->size : 1;
}

static void memory_in(struct interp *cpu, const struct insn *insn,
		      const struct operand *operand, uint64_t offset)
{
	uint8_t *bytes = cpu->host_unit->context.memory;
	unsigned alignment = memory_alignment(insn, operand);
	bool is_read = operand->access & ACCESS_R;

	BUG_ON(operand->size > sizeof(cpu->host_unit->context.memory));
	if (alignment > 1)
		check_alignment(cpu, insn, offset, alignment);
	if (is_read && is_environment(insn)) {
		/* Processors look at both ends first. */
		mem_read(cpu, insn->seg, offset, insn->opsize == 2 ? 2 : 4);
		mem_read(cpu, insn->seg, offset + operand->size - 1, 1);
	}
	if (is_read)
		mem_read_bytes(cpu, insn->seg, offset, bytes, operand->size);
	else
		memset(bytes, 0, operand->size);
}

/* --- with an error that IGNNE# lets pass ----------------------------------- */

#define FCW_MASKS BITS(5, 0)
#define FSW_ERROR (FSW_ES | BIT(15)) /* B is ES's copy */

static bool passes_error(const struct interp *cpu, const struct insn *insn)
{
	return (cpu->s.fpu.fsw & FSW_ES) && !is_non_waiting(insn);
}

/* The host has no IGNNE#: with everything masked nothing pends there. */
static void error_hide(struct fxsave_image *image)
{
	image->fcw |= FCW_MASKS;
	image->fsw &= ~FSW_ERROR;
}

static void error_restore(struct fxsave_image *image, const struct insn *insn,
			  uint16_t fcw)
{
	if (insn->op != OP_FLDCW && insn->op != OP_FLDENV &&
	    insn->op != OP_FRSTOR)
		image->fcw = fcw;
	if (image->fsw & ~image->fcw & FCW_MASKS)
		image->fsw |= FSW_ERROR;
}

/* --- the stub's run ------------------------------------------------------- */

static void context_load(struct interp *cpu, const struct host_stub *stub,
			 const struct insn *insn)
{
	struct host_context *context = &cpu->host_unit->context;

	if (stub->use & STUB_X87) {
		x87_to_image(&cpu->s.fpu, &context->image);
		if (unlikely(passes_error(cpu, insn)))
			error_hide(&context->image);
	}
	if (stub->use & STUB_FLAGS_IN)
		context->rflags = (cpu->s.rflags & RFLAGS_STATUS) |
				  RFLAGS_FIXED1;
	if (stub->use & STUB_GPR)
		context->rax = cpu->s.gpr[insn->operand[stub->gpr].reg & 15];
	if (stub->use & STUB_LENGTHS) {
		context->rax = cpu->s.gpr[RAX];
		context->rdx = cpu->s.gpr[RDX];
	}
	context->mxcsr = cpu->s.fpu.mxcsr & MXCSR_MASK;
}

/*
 * The host's MXCSR serves as it stands when the guest's has the same controls
 * and all flags that are set there: then what is set afterwards is the guest's
 * too. Loading MXCSR costs more than most instructions.
 */
static bool mxcsr_serves(uint32_t guest)
{
	uint32_t host = _mm_getcsr();

	return (guest & ~MXCSR_FLAGS) == MXCSR_INIT &&
	       (host & ~MXCSR_FLAGS) == MXCSR_INIT &&
	       !(host & MXCSR_FLAGS & ~guest);
}

/* With exceptions that the guest does not mask: the stub may trap. */
static void run_unmasked(struct interp *cpu, const struct host_stub *stub)
{
	struct host_context *context = &cpu->host_unit->context;

	host_traps_catch();
	context->trap_rip = (uintptr_t)stub->run + stub->insn_offset;
	context->resume_rip = (uintptr_t)stub->run + stub->insn_end;
	stub->run(context, context->memory, cpu->s.fpu.ymm);
	context->trap_rip = 0;
}

static void stub_run(struct interp *cpu, const struct host_stub *stub)
{
	struct host_context *context = &cpu->host_unit->context;
	uint32_t mxcsr = cpu->s.fpu.mxcsr;

	context->has_trapped = false;
	if (!(stub->use & STUB_MXCSR))
		stub->run(context, context->memory, cpu->s.fpu.ymm);
	else if (~mxcsr & MXCSR_MASKS)
		run_unmasked(cpu, stub);
	else if (!(stub->use & STUB_X87) && mxcsr_serves(mxcsr))
		stub->run_plain(context, context->memory, cpu->s.fpu.ymm);
	else
		stub->run(context, context->memory, cpu->s.fpu.ymm);
}

/* Takes over MXCSR's flags; #XM if the stub has trapped. */
static void check_simd(struct interp *cpu, const struct host_stub *stub)
{
	const struct host_context *context = &cpu->host_unit->context;

	cpu->s.fpu.mxcsr |= context->mxcsr & MXCSR_FLAGS;
	if (!context->has_trapped)
		return;
	if (stub->use & STUB_MMX)
		cpu->s.fpu.ftw = 0xff;
	if (!(cpu->s.cr4 & CR4_OSXMMEXCPT))
		fault_ud(cpu);
	interp_fault(cpu, VECTOR_XM, 0);
}

/* A load of 32 bytes that follows is not forwarded from two stores of 16. */
__attribute__((target("avx"))) static void copy_ymm(void *to, const void *from)
{
	_mm256_storeu_si256(to, _mm256_loadu_si256(from));
}

static void vector_commit(struct cpu_fpu *fpu, const struct insn *insn,
			  unsigned reg, const void *result)
{
	if (insn->encoding == ENC_VEX)
		copy_ymm(fpu->ymm[reg], result);
	else
		memcpy(fpu->ymm[reg], result, 16);
}

static void context_commit(struct interp *cpu, const struct host_stub *stub,
			   const struct insn *insn)
{
	struct host_context *context = &cpu->host_unit->context;
	struct cpu_fpu *fpu = &cpu->s.fpu;

	if (stub->use & STUB_VECTOR)
		vector_commit(fpu, insn, stub->vector, context->result[0]);
	if (stub->use & STUB_XMM0)
		vector_commit(fpu, insn, 0, context->result[1]);
	if (stub->use & STUB_X87) {
		if (unlikely(passes_error(cpu, insn)))
			error_restore(&context->image, insn, fpu->fcw);
		x87_from_image(fpu, &context->image);
	}
	if (stub->use & STUB_GPR)
		cpu->s.gpr[insn->operand[stub->gpr].reg & 15] = context->rax;
	if (stub->use & STUB_INDEX)
		cpu->s.gpr[RCX] = context->rcx;
	if (stub->use & STUB_FLAGS_OUT)
		cpu->s.rflags = (cpu->s.rflags & ~stub->flags_written) |
				(context->rflags & stub->flags_written);
	fpu->xstate_bv |= XCR0_SSE |
			  (insn->encoding == ENC_VEX ? XCR0_AVX : 0) |
			  (stub->use & STUB_X87 ? XCR0_X87 : 0);
}

static void memory_out(struct interp *cpu, const struct host_stub *stub,
		       const struct insn *insn, uint64_t offset)
{
	struct host_context *context = &cpu->host_unit->context;
	unsigned size = insn->operand[stub->memory].size;

	if ((stub->use & STUB_X87) && (context->image.fsw & FSW_ES) &&
	    !is_non_waiting(insn) && !x87_has_stored(cpu, stub, size))
		return;
	if (is_environment(insn)) {
		mem_check_write(cpu, insn->seg, offset,
				insn->opsize == 2 ? 2 : 4);
		mem_check_write(cpu, insn->seg, offset + size - 1, 1);
		if (insn->mode == X86_MODE_REAL)
			environment_to_real(context->memory, insn->opsize,
					    &cpu->s.fpu);
	}
	mem_write_bytes(cpu, insn->seg, offset, context->memory, size);
}

static void run_checked(struct interp *cpu, const struct host_stub *stub,
			const struct insn *insn)
{
	struct host_context *context = &cpu->host_unit->context;
	const struct operand *operand = NULL;
	uint64_t offset = 0;

	if (stub->memory >= 0) {
		operand = &insn->operand[stub->memory];
		offset = vector_operand_offset(cpu, insn);
		memory_in(cpu, insn, operand, offset);
	}
	if (stub->use & STUB_MMX)
		x87_enter_mmx(&cpu->s.fpu);
	context_load(cpu, stub, insn);
	stub_run(cpu, stub);
	if (stub->use & STUB_MXCSR)
		check_simd(cpu, stub);
	if (operand && (operand->access & ACCESS_W))
		memory_out(cpu, stub, insn, offset);
	if (stub->use & STUB_X87)
		x87_fix_pointers(cpu, stub, insn);
	if (insn->mode == X86_MODE_REAL &&
	    (insn->op == OP_FLDENV || insn->op == OP_FRSTOR))
		environment_from_real(context->memory, insn->opsize,
				      &context->image);
	context_commit(cpu, stub, insn);
}

void exec_host_unit(struct interp *cpu, const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn);
	const struct host_stub *stub = host_stub_find(cpu->host_unit, insn);

	if (stub->use & STUB_ILLEGAL)
		fault_ud(cpu);
	check_class(cpu, row);
	if ((stub->use & STUB_X87) && !is_non_waiting(insn))
		check_x87_pending(cpu);
	run_checked(cpu, stub, insn);
}
