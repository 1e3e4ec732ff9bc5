/* SPDX-License-Identifier: BSD-2-Clause */
/* x87, SSE and AVX registers, from and to an XSAVE image. */

#include "x86/xsave_image.h"

#include <string.h>

#include "base/bits.h"

/* Byte offsets: SDM 1, table 10-2, 13.4.2 */
#define XSAVE_FCW   0
#define XSAVE_FSW   2
#define XSAVE_FTW   4
#define XSAVE_FOP   6
#define XSAVE_FIP   8
#define XSAVE_FDP   16
#define XSAVE_MXCSR 24
#define XSAVE_ST    32
#define XSAVE_XMM   160

void xsave_image_read(const uint8_t *image, struct cpu_fpu *fpu)
{
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
	fpu->xstate_bv = load_u64(image + XSAVE_HEADER) &
			 (XCR0_X87 | XCR0_SSE | XCR0_AVX);
}

void xsave_image_write(uint8_t *image, const struct cpu_fpu *fpu)
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

uint32_t xsave_image_read_pkru(const uint8_t *image, unsigned offset)
{
	return load_u64(image + XSAVE_HEADER) & XCR0_PKRU ?
		       load_u32(image + offset) :
		       0;
}

void xsave_image_write_pkru(uint8_t *image, unsigned offset, uint32_t pkru)
{
	store_u64(image + XSAVE_HEADER,
		  load_u64(image + XSAVE_HEADER) | XCR0_PKRU);
	store_u64(image + offset, pkru);
}
