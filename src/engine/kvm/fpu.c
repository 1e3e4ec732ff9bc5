/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX registers by name, from and to the kernel's XSAVE image
 * (SDM 1, 13.4: the standard format). Components that struct cpu_state has no
 * name for stay as they are.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/kvm/internal.h"
#include "x86/xsave_image.h"

unsigned kvm_host_pkru_offset(size_t image_size)
{
	unsigned size, offset, c, d;

	if (!__get_cpuid_count(0xd, 9, &size, &offset, &c, &d) || size < 4 ||
	    offset < XSAVE_IMAGE_SIZE || offset + size > image_size)
		return 0;
	return offset;
}

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
	xsave_image_read(image, fpu);
	if (kvm_vm(vcpu->vm)->pkru_offset)
		state->pkru = xsave_image_read_pkru(
			image, kvm_vm(vcpu->vm)->pkru_offset);
	return 0;
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
	unsigned pkru = kvm_vm(vcpu->vm)->pkru_offset;
	uint64_t present;
	int error = kvm_must(kvm->fd, KVM_SET_XCRS, &xcrs, "set XCR0");

	if (!error)
		error = read_xsave(vcpu);
	if (error)
		return error;
	xsave_image_write(image, &state->fpu);
	/* x87 and SSE always: without them the kernel takes no MXCSR. */
	present = load_u64(image + XSAVE_HEADER) & ~(uint64_t)XCR0_AVX;
	present |= XCR0_X87 | XCR0_SSE;
	if (has_upper_halves(&state->fpu))
		present |= XCR0_AVX;
	store_u64(image + XSAVE_HEADER, present);
	if (pkru && xsave_image_read_pkru(image, pkru) != state->pkru)
		xsave_image_write_pkru(image, pkru, state->pkru);
	return kvm_must(kvm->fd, KVM_SET_XSAVE, image, "set FPU state");
}
