/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32C: polynomial 1EDC6F41h, bits reversed, inverted before and after. */
#include "base/crc32c.h"

#include "base/bits.h"

#define POLYNOMIAL 0x82f63b78u

uint32_t crc32c_plain(uint32_t crc, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	crc = ~crc;
	for (; size; size--) {
		crc ^= *at++;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	}
	return ~crc;
}

/* SDM 2, CRC32. */
__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t crc, const uint8_t *at, size_t size)
{
	uint64_t value = (uint32_t)~crc;

	for (; size >= 8; size -= 8, at += 8)
		value = __builtin_ia32_crc32di(value, load_u64(at));
	for (; size; size--)
		value = __builtin_ia32_crc32qi((uint32_t)value, *at++);
	return ~(uint32_t)value;
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
	if (__builtin_cpu_supports("sse4.2"))
		return by_instruction(crc, bytes, size);
	return crc32c_plain(crc, bytes, size);
}
