/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XSAVE and XRSTOR of the guest's, which a kernel executes at each switch of
 * tasks: by the host's own instructions, on the registers where they are. The
 * guest's memory is written as it is; what is restored is copied first, so that
 * nobody changes it between the checks and the instruction. What the checks do
 * not pass is the interpreter's (SDM 1, 13.7 to 13.10).
 *
 * FIP, FDP and FOP of the processor name our own code: the guest gets those that
 * it restored last. PKRU is not among what the instructions are asked for, as
 * the processor's is the host's: where the guest asks, it is written from its
 * register, and restored by the interpreter.
 */
#include "engine/bt/bt.h"

#include "base/bits.h"
#include "engine/interp/block.h"
#include "x86/xsave_image.h"

#define AREA_SIZE     832 /* x87, SSE and AVX: the same in both forms */
#define XSTATE_BV     512
#define XCOMP_BV      520
#define HEADER_ZEROES 528
#define HEADER_END    576
#define MXCSR_OFFSET  24
#define FOP_OFFSET    6
#define FIP_OFFSET    8
#define FDP_OFFSET    16
#define FCW_MASKS     0x3f
#define FSW_ES	      0x80
#define MXCSR_MASKS   0x1f80
#define COMPACT	      BIT(63)
#define ON_HOST	      (XCR0_X87 | XCR0_SSE | XCR0_AVX)

/* The area at `address`, if all is as it mostly is. */
static uint8_t *find_area(struct bt_vcpu *vcpu, enum mmu_access access)
{
	struct interp *cpu = &vcpu->cpu;

	if (vcpu->vectors != VECTORS_IN_CPU || !(cpu->s.cr4 & CR4_OSXSAVE) ||
	    (cpu->s.cr0 & CR0_TS) || vcpu->address % 64)
		return NULL;
	return tlb_find(cpu, cpu->view, access, vcpu->address, AREA_SIZE);
}

static uint64_t requested(const struct interp *cpu)
{
	return (cpu->s.gpr[RDX] << 32 | (uint32_t)cpu->s.gpr[RAX]) &
	       cpu->s.xcr0;
}

/* Where PKRU goes: SDM 1, 13.4.2, 13.4.3. */
static uint8_t *find_pkru(struct bt_vcpu *vcpu, bool is_compact,
			  uint64_t components)
{
	struct interp *cpu = &vcpu->cpu;
	uint64_t offset = components & XCR0_AVX ? AREA_SIZE : HEADER_END;

	if (!is_compact)
		offset = cpuid_value(cpu->cpuid, 13, 9, CPUID_EBX);
	return tlb_find(cpu, cpu->view, MMU_WRITE, vcpu->address + offset, 8);
}

static void put_pkru(struct bt_vcpu *vcpu, enum bt_exit reason, uint8_t *area,
		     uint8_t *pkru)
{
	uint32_t value = vcpu->cpu.s.pkru;
	uint64_t state = load_u64(area + XSTATE_BV) & ~XCR0_PKRU;

	store_u64(area + XSTATE_BV, value ? state | XCR0_PKRU : state);
	if (reason == BT_XSAVEC)
		store_u64(area + XCOMP_BV,
			  load_u64(area + XCOMP_BV) | XCR0_PKRU);
	if (value || reason == BT_XSAVE)
		store_u64(pkru, value);
}

bool bt_xsave(struct bt_vcpu *vcpu, enum bt_exit reason)
{
	const struct cpu_fpu *fpu = &vcpu->cpu.s.fpu;
	uint64_t asked = requested(&vcpu->cpu), components = asked & ON_HOST;
	uint64_t saved = components;
	uint8_t *area = find_area(vcpu, MMU_WRITE), *pkru = NULL;

	if (!area)
		return false;
	if (asked & XCR0_PKRU) {
		pkru = find_pkru(vcpu, reason == BT_XSAVEC, asked);
		if (!pkru)
			return false;
	}
	if (reason == BT_XSAVEC)
		__asm__ volatile("xsavec64 (%0)"
				 :
				 : "r"(area), "a"(components), "d"(0)
				 : "memory");
	else if (reason == BT_XSAVEOPT)
		__asm__ volatile("xsaveopt64 (%0)"
				 :
				 : "r"(area), "a"(components), "d"(0)
				 : "memory");
	else
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(area), "a"(components), "d"(0)
				 : "memory");
	if (reason != BT_XSAVE)
		saved &= load_u64(area + XSTATE_BV);
	if (saved & XCR0_X87) {
		store_u16(area + FOP_OFFSET, fpu->fop);
		store_u64(area + FIP_OFFSET, fpu->fip);
		store_u64(area + FDP_OFFSET, fpu->fdp);
	}
	if (pkru)
		put_pkru(vcpu, reason, area, pkru);
	return true;
}

static bool header_is_legal(const struct interp *cpu, const uint8_t *area,
			    bool has_host_xsavec)
{
	uint64_t state = load_u64(area + XSTATE_BV);
	uint64_t compaction = load_u64(area + XCOMP_BV), other = 0;

	for (unsigned i = HEADER_ZEROES; i < HEADER_END; i += 8)
		other |= load_u64(area + i);
	if (other || (state & ~cpu->s.xcr0))
		return false;
	if (!compaction)
		return true;
	/* Without XSAVEC the compacted form is not offered. */
	return (compaction & COMPACT) &&
	       cpu->blocks->has_feature[FEAT_XSAVEC] && has_host_xsavec &&
	       !(compaction & ~(COMPACT | cpu->s.xcr0)) &&
	       !(state & ~compaction);
}

/* Nothing of what is loaded makes exceptions possible. */
static bool masks_all(const uint8_t *area, uint64_t components)
{
	bool is_compact = load_u64(area + XCOMP_BV) & COMPACT;
	uint64_t present = load_u64(area + XSTATE_BV) & components;
	uint32_t mxcsr = load_u32(area + MXCSR_OFFSET);
	bool has_mxcsr = is_compact ? present & XCR0_SSE :
				      components & (XCR0_SSE | XCR0_AVX);

	if (has_mxcsr && ((mxcsr & MXCSR_MASKS) != MXCSR_MASKS || mxcsr >> 16))
		return false;
	return !(present & XCR0_X87) ||
	       ((load_u16(area) & FCW_MASKS) == FCW_MASKS &&
		!(load_u16(area + 2) & FSW_ES));
}

static void take_pointers(struct cpu_fpu *fpu, const uint8_t *area)
{
	bool is_present = load_u64(area + XSTATE_BV) & XCR0_X87;

	fpu->fop = is_present ? load_u16(area + FOP_OFFSET) : 0;
	fpu->fip = is_present ? load_u64(area + FIP_OFFSET) : 0;
	fpu->fdp = is_present ? load_u64(area + FDP_OFFSET) : 0;
}

/* What the host's XCR0 may lack, and is not asked for, leaves the header. */
static void keep_on_host(uint8_t *area)
{
	store_u64(area + XSTATE_BV, load_u64(area + XSTATE_BV) & ON_HOST);
	store_u64(area + XCOMP_BV,
		  load_u64(area + XCOMP_BV) & (ON_HOST | COMPACT));
}

bool bt_xrstor(struct bt_vcpu *vcpu)
{
	struct interp *cpu = &vcpu->cpu;
	uint64_t components = requested(cpu);
	const uint8_t *from = find_area(vcpu, MMU_READ);
	uint8_t *to = vcpu->restored;
	unsigned long count = AREA_SIZE;

	if (!from || (components & XCR0_PKRU))
		return false;
	__asm__ volatile("rep movsb"
			 : "+S"(from), "+D"(to), "+c"(count)
			 :
			 : "memory");
	if (!header_is_legal(cpu, vcpu->restored, vcpu->bt->has_xsavec) ||
	    !masks_all(vcpu->restored, components))
		return false;
	keep_on_host(vcpu->restored);
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(vcpu->restored), "a"(components), "d"(0)
			 : "memory");
	if (components & XCR0_X87)
		take_pointers(&cpu->s.fpu, vcpu->restored);
	return true;
}
