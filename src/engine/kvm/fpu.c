/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX registers by name, from and to the kernel's XSAVE image
 * (SDM 1, 13.4: the standard format). Components that struct cpu_state has no
 * name for stay as they are.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/kvm/internal.h"

/* Byte offsets: SDM 1, table 10-2, 13.4.2 and CPUID leaf 0Dh, subleaf 2. */
#define XSAVE_FCW	0
#define XSAVE_FSW	2
#define XSAVE_FTW	4
#define XSAVE_FOP	6
#define XSAVE_FIP	8
#define XSAVE_FDP	16
#define XSAVE_MXCSR	24
#define XSAVE_ST	32
#define XSAVE_XMM	160
#define XSAVE_XSTATE_BV 512
#define XSAVE_YMM_HIGH	576

static int read_xsave(struct vcpu *vcpu)
{
	struct kvm_vm *vm = kvm_vm(vcpu->vm);
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);

	return kvm_must(kvm->fd,
			vm->xsave_size > sizeof(struct kvm_xsave) ?
				KVM_GET_XSAVE2 :
				KVM_GET_XSAVE,
			kvm->xsave, "get FPU state");
}

int kvm_get_fpu(struct vcpu *vcpu, struct cpu_state *state)
{
	const uint8_t *image = (const uint8_t *)kvm_vcpu(vcpu)->xsave;
	struct cpu_fpu *fpu = &state->fpu;
	struct kvm_xcrs xcrs;
	int error = read_xsave(vcpu);

	if (!error)
		error = kvm_must(kvm_vcpu(vcpu)->fd, KVM_GET_XCRS, &xcrs,
				 "get XCR0");
	if (error)
		return error;
	for (unsigned i = 0; i < xcrs.nr_xcrs; i++)
		if (xcrs.xcrs[i].xcr == 0)
			state->xcr0 = xcrs.xcrs[i].value;
	fpu->fcw = load_u16(image + XSAVE_FCW);
	fpu->fsw = load_u16(image + XSAVE_FSW);
	fpu->ftw = image[XSAVE_FTW];
	fpu->fop = load_u16(image + XSAVE_FOP);
	fpu->fip = load_u64(image + XSAVE_FIP);
	fpu->fdp = load_u64(image + XSAVE_FDP);
	fpu->mxcsr = load_u32(image + XSAVE_MXCSR);
	for (unsigned i = 0; i < 8; i++) {
		fpu->st[i].mantissa = load_u64(image + XSAVE_ST + 16 * i);
		fpu->st[i].sign_exponent =
			load_u16(image + XSAVE_ST + 16 * i + 8);
	}
	for (unsigned i = 0; i < 16; i++) {
		memcpy(fpu->ymm[i], image + XSAVE_XMM + 16 * i, 16);
		memcpy(fpu->ymm[i] + 16, image + XSAVE_YMM_HIGH + 16 * i, 16);
	}
	fpu->xstate_bv = load_u64(image + XSAVE_XSTATE_BV) &
			 (XCR0_X87 | XCR0_SSE | XCR0_AVX);
	return 0;
}

static void fill_image(const struct cpu_fpu *fpu, uint8_t *image)
{
	store_u16(image + XSAVE_FCW, fpu->fcw);
	store_u16(image + XSAVE_FSW, fpu->fsw);
	store_u16(image + XSAVE_FTW, fpu->ftw);
	store_u16(image + XSAVE_FOP, fpu->fop);
	store_u64(image + XSAVE_FIP, fpu->fip);
	store_u64(image + XSAVE_FDP, fpu->fdp);
	store_u32(image + XSAVE_MXCSR, fpu->mxcsr);
	for (unsigned i = 0; i < 8; i++) {
		store_u64(image + XSAVE_ST + 16 * i, fpu->st[i].mantissa);
		store_u64(image + XSAVE_ST + 16 * i + 8,
			  fpu->st[i].sign_exponent);
	}
	for (unsigned i = 0; i < 16; i++) {
		memcpy(image + XSAVE_XMM + 16 * i, fpu->ymm[i], 16);
		memcpy(image + XSAVE_YMM_HIGH + 16 * i, fpu->ymm[i] + 16, 16);
	}
}

/* Does any register of ours have an upper half that is not zero? */
static bool has_upper_halves(const struct cpu_fpu *fpu)
{
	for (unsigned i = 0; i < 16; i++)
		if (load_u64(fpu->ymm[i] + 16) | load_u64(fpu->ymm[i] + 24))
			return true;
	return false;
}

int kvm_set_fpu(struct vcpu *vcpu, const struct cpu_state *state)
{
	struct kvm_vcpu *kvm = kvm_vcpu(vcpu);
	uint8_t *image = (uint8_t *)kvm->xsave;
	struct kvm_xcrs xcrs = {
		.nr_xcrs = 1,
		.xcrs[0].value = state->xcr0,
	};
	uint64_t present;
	int error = kvm_must(kvm->fd, KVM_SET_XCRS, &xcrs, "set XCR0");

	if (!error)
		error = read_xsave(vcpu);
	if (error)
		return error;
	fill_image(&state->fpu, image);
	/* x87 and SSE always: without them the kernel takes no MXCSR. */
	present = load_u64(image + XSAVE_XSTATE_BV) & ~(uint64_t)XCR0_AVX;
	present |= XCR0_X87 | XCR0_SSE;
	if (has_upper_halves(&state->fpu))
		present |= XCR0_AVX;
	store_u64(image + XSAVE_XSTATE_BV, present);
	return kvm_must(kvm->fd, KVM_SET_XSAVE, image, "set FPU state");
}
