/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors as data: SDM 3, 3.4.5 and 5.8.3. */
#pragma once

#include <stdint.h>

#include "x86/cpu_state.h"

#define SELECTOR_RPL BITS(1, 0)
#define SELECTOR_TI  BIT(2)

/* Nothing but RPL: refers to no segment. */
static inline bool selector_is_null(uint16_t selector)
{
	return !(selector & ~SELECTOR_RPL);
}

/* Types of system descriptors, SDM 3, table 3-2. */
enum system_type {
	SYSTEM_TSS16 = 1,
	SYSTEM_LDT = 2,
	SYSTEM_TSS16_BUSY = 3,
	SYSTEM_CALL_GATE16 = 4,
	SYSTEM_TASK_GATE = 5,
	SYSTEM_INTERRUPT_GATE16 = 6,
	SYSTEM_TRAP_GATE16 = 7,
	SYSTEM_TSS32 = 9, /* also 64-bit */
	SYSTEM_TSS32_BUSY = 11,
	SYSTEM_CALL_GATE32 = 12, /* also 64-bit */
	SYSTEM_INTERRUPT_GATE32 = 14,
	SYSTEM_TRAP_GATE32 = 15,
};

/* Bits 47:40 and 55:52 of a descriptor, as struct cpu_segment has them. */
static inline uint32_t descriptor_attributes(uint64_t descriptor)
{
	return (descriptor >> 40) & 0xf0ff;
}

/* A code, data, LDT or TSS descriptor's first 8 bytes. */
static inline struct cpu_segment segment_from_descriptor(uint16_t selector,
							 uint64_t descriptor)
{
	struct cpu_segment segment = {
		.selector = selector,
		.attributes = descriptor_attributes(descriptor),
		.limit = bits_get(descriptor, 15, 0) |
			 bits_get(descriptor, 51, 48) << 16,
		.base = bits_get(descriptor, 39, 16) |
			bits_get(descriptor, 63, 56) << 24,
	};

	if (segment.attributes & SEGMENT_G)
		segment.limit = segment.limit << 12 | 0xfff;
	return segment;
}

/* The other way: `limit` in bytes, `attributes` as in struct cpu_segment. */
static inline uint64_t descriptor_make(uint32_t base, uint32_t limit,
				       uint32_t attributes)
{
	uint64_t units = attributes & SEGMENT_G ? limit >> 12 : limit;

	return bits_get(units, 15, 0) | bits_get(units, 19, 16) << 48 |
	       bits_get(base, 23, 0) << 16 | bits_get(base, 31, 24) << 56 |
	       (uint64_t)(attributes & 0xf0ff) << 40;
}

/* Interrupt, trap and call gates: SDM 3, figures 5-8, 6-2, 6-8. */
struct gate {
	uint16_t selector;
	uint64_t offset;
	uint32_t attributes; /* type, S, DPL, P as in struct cpu_segment */
	uint8_t ist; /* 64-bit interrupt gates */
	uint8_t parameters; /* 16- and 32-bit call gates */
};

/* `high` is 0 outside long mode. 16-bit gates have 16-bit offsets. */
static inline struct gate gate_from_descriptor(uint64_t low, uint64_t high)
{
	struct gate gate = {
		.selector = bits_get(low, 31, 16),
		.offset = bits_get(low, 15, 0) | bits_get(low, 63, 48) << 16 |
			  high << 32,
		.attributes = descriptor_attributes(low) & 0xff,
		.ist = bits_get(low, 34, 32),
		.parameters = bits_get(low, 36, 32),
	};

	if (!(gate.attributes & 8))
		gate.offset = (uint16_t)gate.offset;
	return gate;
}

static inline unsigned segment_dpl(uint32_t attributes)
{
	return (attributes & SEGMENT_DPL) >> SEGMENT_DPL_SHIFT;
}

static inline bool segment_is_code(uint32_t attributes)
{
	return (attributes & SEGMENT_S) && (attributes & SEGMENT_CODE);
}

static inline bool segment_is_conforming(uint32_t attributes)
{
	return segment_is_code(attributes) &&
	       (attributes & SEGMENT_EXPAND_DOWN);
}

static inline bool segment_is_writable(uint32_t attributes)
{
	return (attributes & SEGMENT_S) && !(attributes & SEGMENT_CODE) &&
	       (attributes & SEGMENT_WRITABLE);
}

static inline bool segment_is_readable(uint32_t attributes)
{
	return (attributes & SEGMENT_S) && (!(attributes & SEGMENT_CODE) ||
					    (attributes & SEGMENT_WRITABLE));
}
