/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87, SSE and AVX registers by name, from and to an XSAVE image in the
 * standard format (SDM 1, 13.4), of which the first 832 bytes are used.
 */
#pragma once

#include <stdint.h>

#include "x86/cpu_state.h"

#define XSAVE_HEADER	 512 /* XSTATE_BV, XCOMP_BV */
#define XSAVE_YMM_HIGH	 576
#define XSAVE_IMAGE_SIZE 832

/* The registers and XSTATE_BV of these three components. */
void xsave_image_read(const uint8_t *image, struct cpu_fpu *fpu);
/*
 * PKRU of an image in which it stands at `offset` (CPUID.(0Dh,9):EBX), 0 where
 * the header says that it is in its initial state; and into an image, header
 * and all.
 */
uint32_t xsave_image_read_pkru(const uint8_t *image, unsigned offset);
void xsave_image_write_pkru(uint8_t *image, unsigned offset, uint32_t pkru);
/* The registers; the header stays the caller's. */
void xsave_image_write(uint8_t *image, const struct cpu_fpu *fpu);
