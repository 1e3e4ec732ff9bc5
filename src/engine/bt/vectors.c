/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's x87, SSE and AVX registers: where they are, and how they get from
 * one place to another. XSAVE and XRSTOR cost more than all else on the way out
 * of translated code and back, and most of what is done outside needs no vector
 * registers. So they stay in the processor until somebody does: C code that may
 * run meanwhile is compiled for general registers only and calls nothing that
 * is not (Makefile: general; tests/system/general-registers.sh holds it to that).
 * Whoever goes beyond calls bt_vectors_leave first: world.c for all that the
 * interpreter asks of the world, run.c before it drops, and the translator, which
 * does without, before it allocates or evicts.
 *
 * In between stands an XSAVE area in the standard format (SDM 1, 13.4), with
 * the three components (EDX:EAX = 7). s.fpu is where the interpreter works on
 * them. FIP, FDP and FOP would name our own code, so they are not taken over.
 *
 * A signal's frame holds them; the host's threads may be switched at any time.
 */
#include "engine/bt/bt.h"

#include "base/bits.h"
#include "x86/xsave_image.h"

/* The sanitizers call functions of their own anywhere. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STAYS_IN_CPU false
#else
#define STAYS_IN_CPU true
#endif

static const uint32_t default_mxcsr = 0x1f80;

/* What the ABI wants of the units: MXCSR, FCW, an empty x87 stack; and no upper
 * halves, which slow SSE down. */
static void save(struct bt_vcpu *vcpu)
{
	__asm__ volatile("xsave64 %0\n\tldmxcsr %1\n\tfninit\n\tvzeroupper"
			 : "=m"(vcpu->xsave)
			 : "m"(default_mxcsr), "a"(7), "d"(0)
			 : "memory");
	vcpu->vectors = VECTORS_IN_AREA;
}

void bt_vectors_leave(struct bt_vcpu *vcpu)
{
	if (vcpu->vectors == VECTORS_IN_CPU)
		save(vcpu);
}

void bt_vectors_left(struct bt_vcpu *vcpu)
{
	if (!STAYS_IN_CPU)
		save(vcpu);
}

void bt_vectors_to_state(struct bt_vcpu *vcpu)
{
	struct cpu_fpu *fpu = &vcpu->cpu.s.fpu;
	uint64_t fip = fpu->fip, fdp = fpu->fdp;
	uint16_t fop = fpu->fop;

	bt_vectors_leave(vcpu);
	if (vcpu->vectors == VECTORS_IN_STATE)
		return;
	xsave_image_read(vcpu->xsave, fpu);
	fpu->fip = fip;
	fpu->fdp = fdp;
	fpu->fop = fop;
	vcpu->vectors = VECTORS_IN_STATE;
}

static void state_to_area(struct bt_vcpu *vcpu)
{
	for (unsigned i = 0; i < 64; i += 8)
		store_u64(vcpu->xsave + XSAVE_HEADER + i, 0);
	xsave_image_write(vcpu->xsave, &vcpu->cpu.s.fpu);
	store_u64(vcpu->xsave + XSAVE_HEADER, XCR0_X87 | XCR0_SSE | XCR0_AVX);
}

void bt_vectors_to_cpu(struct bt_vcpu *vcpu)
{
	if (vcpu->vectors == VECTORS_IN_CPU)
		return;
	if (vcpu->vectors == VECTORS_IN_STATE)
		state_to_area(vcpu);
	__asm__ volatile("xrstor64 %0"
			 :
			 : "m"(vcpu->xsave), "a"(7), "d"(0)
			 : "memory");
	vcpu->vectors = VECTORS_IN_CPU;
}
