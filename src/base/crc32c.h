/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32C (Castagnoli), RFC 3720 appendix B.4: what state files are sealed
 * with. It finds every change of up to 32 bits in a row. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The checksum of what `crc` stands for with `bytes` after it; 0 to begin
 * with. By the processor's own instruction where it has one.
 */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

/* The same by shifts and exclusive ors, for any processor. */
uint32_t crc32c_plain(uint32_t crc, const void *bytes, size_t size);
