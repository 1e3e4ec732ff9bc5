/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic on numbers that somebody else chose: true means it fits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define checked_add(a, b, result) (!__builtin_add_overflow(a, b, result))
#define checked_sub(a, b, result) (!__builtin_sub_overflow(a, b, result))
#define checked_mul(a, b, result) (!__builtin_mul_overflow(a, b, result))

/* [start, start + length) lies inside [0, limit); an empty range may touch it. */
static inline bool range_inside(uint64_t start, uint64_t length, uint64_t limit)
{
	return length <= limit && start <= limit - length;
}

/* The two ranges share a byte; neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_length, uint64_t b,
				  uint64_t b_length)
{
	return a_length && b_length &&
	       (a <= b ? b - a < a_length : a - b < b_length);
}
