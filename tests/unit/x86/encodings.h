/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Byte strings that are likely to be instructions: random bytes with the
 * escapes, prefixes and VEX or EVEX headers that random bytes rarely form.
 */
#pragma once

#include <stdint.h>

#define ENCODING_BYTES 16

/** Next number of a seeded sequence. */
uint64_t encoding_next(uint64_t *seed);

/** Fills BYTES with one case of the sequence. */
void encoding_fill(uint8_t bytes[ENCODING_BYTES], uint64_t *seed);

/** Prints MODE and COUNT bytes in hex to TEXT (at least 64 characters). */
void encoding_print(char *text, int mode, const uint8_t *bytes, int count);
