/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device says of its state: named fields with a version, never a memory
 * image. save and restore (a later issue) walk these tables; so do dumps.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum state_kind {
	STATE_UINT, /* 1, 2, 4 or 8 bytes, little endian in the file */
	STATE_BOOL,
	STATE_BYTES,
	STATE_TIMER, /* struct timer: its deadline, or unset */
	STATE_STRUCT, /* nested table, `count` of them */
};

struct state_field {
	const char *name;
	enum state_kind kind;
	uint32_t offset; /* in the instance */
	uint32_t size; /* of one element */
	uint32_t count; /* elements; at least 1 */
	uint32_t since; /* first version that has it */
	const struct state_table *table; /* STATE_STRUCT */
};

struct state_table {
	const char *name;
	uint32_t version; /* of the table: grows with every added field */
	const struct state_field *field; /* ends with name == NULL */
	/* After restore: recompute what is derived; -EINVAL refuses it. */
	int (*restored)(void *instance);
};

#define STATE_FIELD(type, member, kind_, since_)                 \
	{                                                        \
		.name = #member, .kind = (kind_),                \
		.offset = offsetof(type, member),                \
		.size = sizeof(((type *)0)->member), .count = 1, \
		.since = (since_)                                \
	}

#define STATE_ARRAY(type, member, kind_, since_)                            \
	{                                                                   \
		.name = #member, .kind = (kind_),                           \
		.offset = offsetof(type, member),                           \
		.size = sizeof(((type *)0)->member[0]),                     \
		.count = ARRAY_SIZE(((type *)0)->member), .since = (since_) \
	}
