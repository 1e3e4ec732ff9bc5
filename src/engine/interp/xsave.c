/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FXSAVE, FXRSTOR and the XSAVE family on the vCPU's state. SDM 1, 10.5 and
 * chapter 13; XINUSE is computed from the values when it is asked for. XSAVES
 * and XRSTORS are not offered. PKRU's place in the standard format is what
 * CPUID says, in the compacted format behind AVX's.
 */
#include "engine/interp/fpu.h"

#include <string.h>

#include "x86/cpuid.h"
#include "x86/regs.h"

#define LEGACY_SIZE   512
#define HEADER_SIZE   64
#define AVX_OFFSET    (LEGACY_SIZE + HEADER_SIZE)
#define AVX_SIZE      256
#define AREA_SIZE     (AVX_OFFSET + AVX_SIZE)
#define MXCSR_OFFSET  24
#define XMM_OFFSET    160
#define XCOMP_COMPACT BIT(63)
#define PKRU_SIZE     8
#define PKRU_OFFSET   2688 /* where there is no CPUID */

static unsigned vector_registers(const struct insn *insn)
{
	return insn->mode == X86_MODE_64 ? 16 : 8;
}

/* --- the legacy region's parts -------------------------------------------- */

/* With REX.W pointers have 64 bits; else 32 and a selector, which processors
 * of today save as 0 (SDM 1, 8.1.8). */
static void x87_put(const struct cpu_fpu *fpu, uint8_t *area, bool is_wide)
{
	store_u16(area, fpu->fcw);
	store_u16(area + 2, fpu->fsw);
	area[4] = fpu->ftw;
	area[5] = 0;
	store_u16(area + 6, fpu->fop);
	store_u64(area + 8, is_wide ? fpu->fip : (uint32_t)fpu->fip);
	store_u64(area + 16, is_wide ? fpu->fdp : (uint32_t)fpu->fdp);
	for (unsigned i = 0; i < 8; i++) {
		store_u64(area + 32 + 16 * i, fpu->st[i].mantissa);
		store_u64(area + 40 + 16 * i, fpu->st[i].sign_exponent);
	}
}

static void x87_get(struct cpu_fpu *fpu, const uint8_t *area, bool is_wide)
{
	struct fxsave_image image = { .fcw = load_u16(area),
				      .fsw = load_u16(area + 2),
				      .ftw = area[4],
				      .fop = load_u16(area + 6),
				      .mxcsr = MXCSR_INIT };

	image.fip = is_wide ? load_u64(area + 8) : load_u32(area + 8);
	image.fdp = is_wide ? load_u64(area + 16) : load_u32(area + 16);
	memcpy(image.st, area + 32, sizeof(image.st));
	x87_normalize(&image);
	x87_from_image(fpu, &image);
}

static void mxcsr_put(const struct cpu_fpu *fpu, uint8_t *area)
{
	store_u32(area + MXCSR_OFFSET, fpu->mxcsr);
	store_u32(area + MXCSR_OFFSET + 4, MXCSR_MASK);
}

/* Registers' lower halves from XMM_OFFSET, or upper ones from AVX_OFFSET. */
static void vectors_put(const struct cpu_fpu *fpu, uint8_t *to, unsigned half,
			unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		memcpy(to + 16 * i, fpu->ymm[i] + 16 * half, 16);
}

static void vectors_get(struct cpu_fpu *fpu, const uint8_t *from, unsigned half,
			unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		memcpy(fpu->ymm[i] + 16 * half, from + 16 * i, 16);
}

static void vectors_clear(struct cpu_fpu *fpu, unsigned half, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		memset(fpu->ymm[i] + 16 * half, 0, 16);
}

/* --- FXSAVE, FXRSTOR ------------------------------------------------------ */

void exec_fxsave(struct interp *cpu, const struct insn *insn)
{
	unsigned size = XMM_OFFSET + 16 * vector_registers(insn);
	uint64_t offset;
	uint8_t area[LEGACY_SIZE] = { 0 };

	check_x87(cpu);
	offset = vector_operand_offset(cpu, insn);
	mem_linear(cpu, insn->seg, offset, LEGACY_SIZE, MMU_WRITE);
	check_alignment(cpu, insn, offset, 16);
	x87_put(&cpu->s.fpu, area, insn->w);
	mxcsr_put(&cpu->s.fpu, area);
	vectors_put(&cpu->s.fpu, area + XMM_OFFSET, 0, vector_registers(insn));
	/* Processors look at the end first. */
	mem_check_write(cpu, insn->seg, offset + LEGACY_SIZE - 1, 1);
	mem_check_write(cpu, insn->seg, offset, LEGACY_SIZE);
	mem_write_bytes(cpu, insn->seg, offset, area, size);
}

void exec_fxrstor(struct interp *cpu, const struct insn *insn)
{
	struct cpu_fpu *fpu = &cpu->s.fpu;
	uint64_t offset;
	uint8_t area[LEGACY_SIZE];

	check_x87(cpu);
	offset = vector_operand_offset(cpu, insn);
	mem_linear(cpu, insn->seg, offset, LEGACY_SIZE, MMU_READ);
	check_alignment(cpu, insn, offset, 16);
	mem_read(cpu, insn->seg, offset + LEGACY_SIZE - 1, 1);
	mem_read_bytes(cpu, insn->seg, offset, area, sizeof(area));
	if (load_u32(area + MXCSR_OFFSET) & ~MXCSR_MASK)
		fault_gp(cpu, 0);
	x87_get(fpu, area, insn->w);
	fpu->mxcsr = load_u32(area + MXCSR_OFFSET);
	vectors_get(fpu, area + XMM_OFFSET, 0, vector_registers(insn));
	fpu->xstate_bv = fpu_in_use(fpu);
}

/* --- XSAVE, XSAVEOPT, XSAVEC ---------------------------------------------- */

/* Checks of all of them; the requested-feature bitmap. */
static uint64_t xsave_begin(struct interp *cpu, const struct insn *insn,
			    uint64_t offset, enum mmu_access access)
{
	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		fault_ud(cpu);
	if (cpu->s.cr0 & CR0_TS)
		interp_fault(cpu, VECTOR_NM, 0);
	mem_linear(cpu, insn->seg, offset, AVX_OFFSET, access);
	check_alignment(cpu, insn, offset, 64);
	return (cpu->s.gpr[RDX] << 32 | (uint32_t)cpu->s.gpr[RAX]) &
	       cpu->s.xcr0;
}

/* In the compacted format by its components; in the standard one, anywhere. */
static unsigned pkru_offset(const struct interp *cpu, bool is_compact,
			    uint64_t components)
{
	uint32_t offset;

	if (is_compact)
		return components & XCR0_AVX ? AREA_SIZE : AVX_OFFSET;
	offset = cpu->cpuid ? cpuid_value(cpu->cpuid, 13, 9, CPUID_EBX) : 0;
	return offset ? offset : PKRU_OFFSET;
}

static unsigned area_size(const struct interp *cpu, bool is_compact,
			  uint64_t components)
{
	if (components & XCR0_PKRU)
		return pkru_offset(cpu, is_compact, components) + PKRU_SIZE;
	return components & XCR0_AVX ? AREA_SIZE : AVX_OFFSET;
}

struct xsave {
	uint64_t offset;
	uint64_t requested; /* RFBM */
	uint64_t saved;
	bool is_compact, saves_mxcsr;
	uint8_t area[AREA_SIZE];
};

static void xsave_fill(struct interp *cpu, const struct insn *insn,
		       struct xsave *save)
{
	const struct cpu_fpu *fpu = &cpu->s.fpu;
	uint64_t in_use = fpu_in_use(fpu);
	unsigned count = vector_registers(insn);
	uint64_t state;

	if (cpu->s.pkru)
		in_use |= XCR0_PKRU;
	if (save->is_compact && fpu->mxcsr != MXCSR_INIT)
		in_use |= XCR0_SSE;
	save->saved = save->requested;
	if (insn->op != OP_XSAVE)
		save->saved &= in_use;
	save->saves_mxcsr = save->is_compact ?
				    save->saved & XCR0_SSE :
				    save->requested & (XCR0_SSE | XCR0_AVX);
	x87_put(fpu, save->area, insn->w);
	mxcsr_put(fpu, save->area);
	vectors_put(fpu, save->area + XMM_OFFSET, 0, count);
	vectors_put(fpu, save->area + AVX_OFFSET, 1, count);
	state = save->requested & in_use;
	if (!save->is_compact)
		state |= mem_read(cpu, insn->seg, save->offset + LEGACY_SIZE,
				  8) &
			 ~save->requested;
	store_u64(save->area + LEGACY_SIZE, state);
	store_u64(save->area + LEGACY_SIZE + 8,
		  save->requested | XCOMP_COMPACT);
}

static void xsave_write(struct interp *cpu, const struct insn *insn,
			const struct xsave *save)
{
	unsigned vectors = 16 * vector_registers(insn);
	uint64_t pkru = save->offset +
			pkru_offset(cpu, save->is_compact, save->requested);
	const struct {
		uint16_t offset, size;
		bool is_written;
	} pieces[] = {
		{ 0, MXCSR_OFFSET, save->saved & XCR0_X87 },
		{ MXCSR_OFFSET, 8, save->saves_mxcsr },
		{ 32, XMM_OFFSET - 32, save->saved & XCR0_X87 },
		{ XMM_OFFSET, vectors, save->saved & XCR0_SSE },
		{ LEGACY_SIZE, save->is_compact ? 16 : 8, true },
		{ AVX_OFFSET, vectors, save->saved & XCR0_AVX },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
		if (pieces[i].is_written)
			mem_check_write(cpu, insn->seg,
					save->offset + pieces[i].offset,
					pieces[i].size);
	if (save->saved & XCR0_PKRU)
		mem_check_write(cpu, insn->seg, pkru, PKRU_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
		if (pieces[i].is_written)
			mem_write_bytes(cpu, insn->seg,
					save->offset + pieces[i].offset,
					save->area + pieces[i].offset,
					pieces[i].size);
	if (save->saved & XCR0_PKRU)
		mem_write(cpu, insn->seg, pkru, cpu->s.pkru, PKRU_SIZE);
}

void exec_xsave(struct interp *cpu, const struct insn *insn)
{
	struct xsave save;

	save.offset = vector_operand_offset(cpu, insn);
	save.requested = xsave_begin(cpu, insn, save.offset, MMU_WRITE);
	save.is_compact = insn->op == OP_XSAVEC;
	memset(save.area, 0, sizeof(save.area));
	/* Processors look at the end first. */
	mem_check_write(
		cpu, insn->seg,
		save.offset + area_size(cpu, save.is_compact, save.requested) -
			1,
		1);
	xsave_fill(cpu, insn, &save);
	xsave_write(cpu, insn, &save);
}

/* --- XRSTOR --------------------------------------------------------------- */

static bool offers_compaction(const struct interp *cpu)
{
	const struct cpuid_leaf *leaf =
		cpu->cpuid ? cpuid_find(cpu->cpuid, 13, 1) : NULL;

	return leaf && (leaf->eax & BIT(1));
}

/* SDM 1, 13.8.1 and 13.8.2. */
static bool header_is_legal(const struct interp *cpu, const uint8_t *header)
{
	static const uint8_t zero[48];
	uint64_t state = load_u64(header), compaction = load_u64(header + 8);

	if (!(compaction & XCOMP_COMPACT))
		return !(state & ~cpu->s.xcr0) && !compaction &&
		       !load_u64(header + 16);
	compaction &= ~XCOMP_COMPACT;
	return offers_compaction(cpu) && !(compaction & ~cpu->s.xcr0) &&
	       !(state & ~compaction) && !memcmp(header + 16, zero, 48);
}

static void xrstor_commit(struct interp *cpu, const struct insn *insn,
			  const uint8_t *area, uint64_t requested,
			  uint64_t present)
{
	struct cpu_fpu *fpu = &cpu->s.fpu;
	unsigned count = vector_registers(insn);

	if (requested & present & XCR0_X87)
		x87_get(fpu, area, insn->w);
	else if (requested & XCR0_X87)
		x87_init(fpu);
	if (requested & present & XCR0_SSE)
		vectors_get(fpu, area + XMM_OFFSET, 0, count);
	else if (requested & XCR0_SSE)
		vectors_clear(fpu, 0, count);
	if (requested & present & XCR0_AVX)
		vectors_get(fpu, area + AVX_OFFSET, 1, count);
	else if (requested & XCR0_AVX)
		vectors_clear(fpu, 1, count);
	fpu->xstate_bv = fpu_in_use(fpu);
}

/*
 * Reads the area and checks its header in a processor's order: XCOMP_BV says
 * which form it is; the standard form's ends are touched before its header is
 * found illegal, the compacted form's are not.
 */
static bool xrstor_read(struct interp *cpu, const struct insn *insn,
			uint64_t offset, uint64_t requested, uint8_t *area)
{
	bool is_compact =
		mem_read(cpu, insn->seg, offset + LEGACY_SIZE + 8, 8) &
		XCOMP_COMPACT;

	if (!is_compact && (requested & (XCR0_AVX | XCR0_PKRU)))
		mem_read(cpu, insn->seg,
			 offset + area_size(cpu, false, requested) - 1, 1);
	if (!is_compact && (requested & XCR0_X87))
		mem_read(cpu, insn->seg, offset, 8);
	if (!is_compact && (requested & (XCR0_SSE | XCR0_AVX)))
		mem_read(cpu, insn->seg, offset + MXCSR_OFFSET, 4);
	mem_read_bytes(cpu, insn->seg, offset + LEGACY_SIZE, area + LEGACY_SIZE,
		       HEADER_SIZE);
	if (!header_is_legal(cpu, area + LEGACY_SIZE))
		fault_gp(cpu, 0);
	mem_read_bytes(cpu, insn->seg, offset, area, LEGACY_SIZE);
	if (requested & load_u64(area + LEGACY_SIZE) & XCR0_AVX)
		mem_read_bytes(cpu, insn->seg, offset + AVX_OFFSET,
			       area + AVX_OFFSET, 16 * vector_registers(insn));
	return is_compact;
}

void exec_xrstor(struct interp *cpu, const struct insn *insn)
{
	uint64_t offset = vector_operand_offset(cpu, insn);
	uint64_t requested = xsave_begin(cpu, insn, offset, MMU_READ);
	uint8_t area[AREA_SIZE];
	bool is_compact = xrstor_read(cpu, insn, offset, requested, area);
	uint64_t present = load_u64(area + LEGACY_SIZE);
	uint32_t mxcsr = load_u32(area + MXCSR_OFFSET);
	uint32_t pkru = 0;
	uint64_t needs_mxcsr;

	if (requested & present & XCR0_PKRU)
		pkru = (uint32_t)mem_read(
			cpu, insn->seg,
			offset + pkru_offset(cpu, is_compact,
					     load_u64(area + LEGACY_SIZE + 8)),
			PKRU_SIZE);
	/* The compacted form has MXCSR in the SSE component. */
	needs_mxcsr = is_compact ? requested & present & XCR0_SSE :
				   requested & (XCR0_SSE | XCR0_AVX);
	if (needs_mxcsr && (mxcsr & ~MXCSR_MASK))
		fault_gp(cpu, 0);
	if (needs_mxcsr)
		cpu->s.fpu.mxcsr = mxcsr;
	else if (is_compact && (requested & XCR0_SSE))
		cpu->s.fpu.mxcsr = MXCSR_INIT;
	xrstor_commit(cpu, insn, area, requested, present);
	if (requested & XCR0_PKRU)
		interp_load_pkru(cpu, pkru);
}
