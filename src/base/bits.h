/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit fields, alignment and little-endian access to byte arrays. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define BIT(n)	    (1ull << (n))

/* Bits high..low set, both inclusive, 63 >= high >= low. */
#define BITS(high, low)	  ((~0ull >> (63 - (high))) & (~0ull << (low)))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer)-offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* `alignment` is a power of two. */
static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1);
}

/* Wraps to 0 past the top: check the range first (base/checked.h). */
static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return align_down(value + alignment - 1, alignment);
}

static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
	return (value & (alignment - 1)) == 0;
}

static inline bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* Bits high..low of value, shifted down. */
static inline uint64_t bits_get(uint64_t value, unsigned high, unsigned low)
{
	return (value & BITS(high, low)) >> low;
}

/* The low `size` bytes all ones, size 1 to 8: what an absent device reads as. */
static inline uint64_t size_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

static inline uint16_t load_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void store_u16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void store_u32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void store_u64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}
