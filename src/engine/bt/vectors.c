/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's x87, SSE and AVX registers between translated code, where they
 * are the host's own, and s.fpu, where the interpreter works on them. In
 * between stands an XSAVE area in the standard format (SDM 1, 13.4).
 *
 * FIP, FDP and FOP would name our own code, so they are not taken over.
 */
#include "engine/bt/bt.h"

#include <string.h>

#include "base/bits.h"
#include "x86/xsave_image.h"

void bt_vectors_to_state(struct bt_vcpu *vcpu)
{
	struct cpu_fpu *fpu = &vcpu->cpu.s.fpu;
	uint64_t fip = fpu->fip, fdp = fpu->fdp;
	uint16_t fop = fpu->fop;

	if (vcpu->vectors == VECTORS_IN_STATE)
		return;
	xsave_image_read(vcpu->xsave, fpu);
	fpu->fip = fip;
	fpu->fdp = fdp;
	fpu->fop = fop;
	vcpu->vectors = VECTORS_IN_STATE;
}

void bt_vectors_to_area(struct bt_vcpu *vcpu)
{
	if (vcpu->vectors == VECTORS_IN_AREA)
		return;
	memset(vcpu->xsave + XSAVE_HEADER, 0, 64);
	xsave_image_write(vcpu->xsave, &vcpu->cpu.s.fpu);
	store_u64(vcpu->xsave + XSAVE_HEADER, XCR0_X87 | XCR0_SSE | XCR0_AVX);
	vcpu->vectors = VECTORS_IN_AREA;
}
