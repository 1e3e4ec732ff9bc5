/* SPDX-License-Identifier: BSD-2-Clause */
/* Random byte strings that are likely to be instructions. */
#include "encodings.h"

#include <stdio.h>

#include "x86/decode.h"

uint64_t encoding_next(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static unsigned int put_prefixes(uint8_t *bytes, uint64_t bits)
{
	static const uint8_t prefixes[16] = { 0x66, 0xf2, 0xf3, 0x67,
					      0x66, 0xf2, 0xf3, 0x48,
					      0x41, 0x4c, 0xf0, 0x64,
					      0x2e, 0x44, 0x66, 0x4f };
	unsigned int count = (bits & 7) < 4 ? 0 : (bits & 7) - 4;
	unsigned int i;

	for (i = 0; i < count; i++)
		bytes[i] = prefixes[bits >> (4 + 4 * i) & 15];
	return i;
}

static void put_vex(uint8_t *bytes, uint64_t bits)
{
	if (bits & 1) {
		bytes[0] = 0xc5;
		if (bits & 2)
			bytes[1] |= 0x78;
		return;
	}
	bytes[0] = 0xc4;
	bytes[1] = (bytes[1] & 0xe0) | (1 + (bits >> 2) % 3);
	if (bits & 0x100)
		bytes[2] |= 0x78;
}

static void put_evex(uint8_t *bytes, uint64_t bits)
{
	static const uint8_t maps[8] = { 1, 2, 3, 1, 2, 3, 5, 6 };

	bytes[0] = 0x62;
	bytes[1] = (bytes[1] & 0xf0) | maps[bits & 7];
	bytes[2] |= 4;
	if (bits & 8) {
		bytes[2] |= 0x78;
		bytes[3] |= 8;
	}
	if (bits & 0x10)
		bytes[3] &= 0x68;
	if (bits & 0x20)
		bytes[1] |= 0xf0;
}

void encoding_fill(uint8_t bytes[ENCODING_BYTES], uint64_t *seed)
{
	uint64_t bits, kind;
	unsigned int at;

	for (int i = 0; i < ENCODING_BYTES; i += 8) {
		bits = encoding_next(seed);
		for (int j = 0; j < 8; j++)
			bytes[i + j] = bits >> 8 * j;
	}
	bits = encoding_next(seed);
	kind = bits & 15;
	at = kind < 12 || (bits & 0xf00) == 0 ? put_prefixes(bytes, bits >> 8) :
						0;
	bits = encoding_next(seed);
	if (kind < 3)
		return;
	if (kind < 10) {
		bytes[at] = 0x0f;
		if (kind >= 7)
			bytes[at + 1] = kind & 1 ? 0x38 : 0x3a;
		if (kind == 4)
			bytes[at + 1] = bits & 1 ? 0x01 :
					bits & 2 ? 0xae :
						   0xc7;
		return;
	}
	if (kind < 13)
		put_vex(bytes + at, bits);
	else
		put_evex(bytes + at, bits);
}

void encoding_print(char *text, int mode, const uint8_t *bytes, int count)
{
	static const char *const names[] = {
		[X86_MODE_REAL] = "real",
		[X86_MODE_16] = "16",
		[X86_MODE_32] = "32",
		[X86_MODE_64] = "64",
	};

	text += sprintf(text, "%s:", names[mode]);
	for (int i = 0; i < count; i++)
		text += sprintf(text, " %02x", bytes[i]);
}
