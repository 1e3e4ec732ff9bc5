/* SPDX-License-Identifier: BSD-2-Clause */
/* An entry of the paging structures, of 64 bits; those of 32 bits have what fits
 * the same (SDM 3, 4.3 to 4.5). */
#pragma once

#include "base/bits.h"

#define PTE_P	 BIT(0)
#define PTE_RW	 BIT(1)
#define PTE_US	 BIT(2)
#define PTE_A	 BIT(5)
#define PTE_D	 BIT(6)
#define PTE_PS	 BIT(7)
#define PTE_G	 BIT(8)
#define PTE_XD	 BIT(63)
#define PTE_ADDR BITS(51, 12)
