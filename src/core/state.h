/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device says of its state: named fields with a version, never a memory
 * image. save and restore (a later issue) walk these tables; so do dumps.
 */
#pragma once

#include <stdbool.h>
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

/* A member that is a structure with a table of its own. */
#define STATE_NESTED(type, member, table_, since_)               \
	{                                                        \
		.name = #member, .kind = STATE_STRUCT,           \
		.offset = offsetof(type, member),                \
		.size = sizeof(((type *)0)->member), .count = 1, \
		.since = (since_), .table = &(table_)            \
	}

#define STATE_NESTED_ARRAY(type, member, table_, since_)                     \
	{                                                                    \
		.name = #member, .kind = STATE_STRUCT,                       \
		.offset = offsetof(type, member),                            \
		.size = sizeof(((type *)0)->member[0]),                      \
		.count = ARRAY_SIZE(((type *)0)->member), .since = (since_), \
		.table = &(table_)                                           \
	}

/* Bytes that grow. Zero-initialized is empty; free(bytes) is the owner's. */
struct state_writer {
	uint8_t *bytes;
	size_t size, room;
	bool has_failed; /* out of memory */
};

void state_put(struct state_writer *writer, const void *bytes, size_t size);
void state_put_uint(struct state_writer *writer, uint64_t value, unsigned size);
void state_put_text(struct state_writer *writer, const char *text);

/* Bytes that somebody else wrote. The first thing that is wrong stays. */
struct state_reader {
	const uint8_t *bytes;
	size_t size, at;
	bool has_failed;
	char why[160]; /* of the first failure */
};

#define STATE_TEXT_MAX 64

/* False, with zeroes in *to, when there is not so much, or something failed. */
bool state_get(struct state_reader *reader, void *to, size_t size);
uint64_t state_get_uint(struct state_reader *reader, unsigned size);
/* At most STATE_TEXT_MAX - 1 bytes and a zero. */
bool state_get_text(struct state_reader *reader, char text[STATE_TEXT_MAX]);
__attribute__((format(printf, 2, 3))) void
state_fail(struct state_reader *reader, const char *format, ...);

/* The instance's fields. It must not change meanwhile: nothing runs. */
void state_write(struct state_writer *writer, const struct state_table *table,
		 const void *instance);

/*
 * Fields of an instance as `version` of its table had them; those that came
 * later stay as they are. Sets and cancels timers, then calls `restored`. Where
 * something does not fit, the reader fails and the instance is half-read: its
 * machine must not run.
 */
void state_read(struct state_reader *reader, const struct state_table *table,
		uint32_t version, void *instance);
