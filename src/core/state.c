/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks the tables of core/state.h: instances to bytes, and back. */

#include "core/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "core/clock.h"

/* --- bytes ---------------------------------------------------------------- */

static bool make_room(struct state_writer *writer, size_t size)
{
	size_t room = MAX(2 * writer->room, writer->size + size + 256);
	uint8_t *bytes;

	if (writer->has_failed)
		return false;
	if (writer->room - writer->size >= size)
		return true;
	bytes = realloc(writer->bytes, room);
	if (!bytes) {
		writer->has_failed = true;
		return false;
	}
	writer->bytes = bytes;
	writer->room = room;
	return true;
}

void state_put(struct state_writer *writer, const void *bytes, size_t size)
{
	if (!size || !make_room(writer, size))
		return;
	memcpy(writer->bytes + writer->size, bytes, size);
	writer->size += size;
}

/* Little endian, as the processor is. */
void state_put_uint(struct state_writer *writer, uint64_t value, unsigned size)
{
	state_put(writer, &value, size);
}

void state_put_text(struct state_writer *writer, const char *text)
{
	size_t size = MIN(strlen(text), (size_t)STATE_TEXT_MAX - 1);

	state_put_uint(writer, size, 1);
	state_put(writer, text, size);
}

void state_fail(struct state_reader *reader, const char *format, ...)
{
	va_list arguments;

	if (reader->has_failed)
		return;
	reader->has_failed = true;
	va_start(arguments, format);
	vsnprintf(reader->why, sizeof(reader->why), format, arguments);
	va_end(arguments);
}

bool state_get(struct state_reader *reader, void *to, size_t size)
{
	if (!reader->has_failed && size > reader->size - reader->at)
		state_fail(reader, "it ends too early");
	if (reader->has_failed) {
		memset(to, 0, size);
		return false;
	}
	memcpy(to, reader->bytes + reader->at, size);
	reader->at += size;
	return true;
}

uint64_t state_get_uint(struct state_reader *reader, unsigned size)
{
	uint64_t value = 0;

	state_get(reader, &value, size);
	return value;
}

bool state_get_text(struct state_reader *reader, char text[STATE_TEXT_MAX])
{
	size_t size = state_get_uint(reader, 1);

	memset(text, 0, STATE_TEXT_MAX);
	if (size >= STATE_TEXT_MAX)
		state_fail(reader, "a name is too long");
	return state_get(reader, text, MIN(size, STATE_TEXT_MAX - 1u));
}

/* --- writing -------------------------------------------------------------- */

static void write_timer(struct state_writer *writer, const struct timer *timer)
{
	state_put_uint(writer, timer->is_set, 1);
	state_put_uint(writer, timer->is_set ? timer->deadline_ns : 0, 8);
}

/* A timer's size is the program's business, not the file's. */
static uint32_t size_in_file(const struct state_field *field)
{
	switch (field->kind) {
	case STATE_TIMER:
		return 9;
	case STATE_STRUCT:
		return 0;
	default:
		return field->size;
	}
}

static void write_value(struct state_writer *writer,
			const struct state_field *field, const uint8_t *value)
{
	switch (field->kind) {
	case STATE_UINT:
	case STATE_BYTES:
	case STATE_BOOL:
		state_put(writer, value, field->size);
		break;
	case STATE_TIMER:
		write_timer(writer, (const struct timer *)value);
		break;
	case STATE_STRUCT:
		state_write(writer, field->table, value);
		break;
	}
}

void state_write(struct state_writer *writer, const struct state_table *table,
		 const void *instance)
{
	const struct state_field *field;

	for (field = table->field; field->name; field++) {
		const uint8_t *value =
			(const uint8_t *)instance + field->offset;

		state_put_text(writer, field->name);
		state_put_uint(writer, field->kind, 1);
		state_put_uint(writer, size_in_file(field), 4);
		state_put_uint(writer, field->count, 4);
		if (field->kind == STATE_STRUCT)
			state_put_uint(writer, field->table->version, 4);
		for (uint32_t i = 0; i < field->count; i++)
			write_value(writer, field, value + i * field->size);
	}
}

/* --- reading -------------------------------------------------------------- */

static void read_timer(struct state_reader *reader, struct timer *timer)
{
	uint64_t is_set = state_get_uint(reader, 1);
	uint64_t deadline = state_get_uint(reader, 8);

	if (is_set > 1)
		state_fail(reader, "a timer is neither set nor unset");
	if (reader->has_failed)
		return;
	if (is_set)
		timer_set(timer, deadline);
	else
		timer_cancel(timer);
}

static void read_bool(struct state_reader *reader, uint8_t *value)
{
	uint64_t number = state_get_uint(reader, 1);

	if (number > 1)
		state_fail(reader, "a flag is neither true nor false");
	*value = number == 1;
}

static void read_value(struct state_reader *reader,
		       const struct state_field *field, uint32_t version,
		       uint8_t *value)
{
	switch (field->kind) {
	case STATE_UINT:
	case STATE_BYTES:
		state_get(reader, value, field->size);
		break;
	case STATE_BOOL:
		read_bool(reader, value);
		break;
	case STATE_TIMER:
		read_timer(reader, (struct timer *)value);
		break;
	case STATE_STRUCT:
		state_read(reader, field->table, version, value);
		break;
	}
}

/* Name, kind, size and count; the version of a nested table. */
static uint32_t read_head(struct state_reader *reader,
			  const struct state_field *field)
{
	char name[STATE_TEXT_MAX];
	uint64_t kind, size, count;

	state_get_text(reader, name);
	kind = state_get_uint(reader, 1);
	size = state_get_uint(reader, 4);
	count = state_get_uint(reader, 4);
	if (strcmp(name, field->name) != 0)
		state_fail(reader, "it has '%.40s' where %s belongs", name,
			   field->name);
	if (kind != field->kind || size != size_in_file(field) ||
	    count != field->count)
		state_fail(reader, "its %s is of another shape", field->name);
	if (field->kind != STATE_STRUCT)
		return 0;
	return (uint32_t)state_get_uint(reader, 4);
}

void state_read(struct state_reader *reader, const struct state_table *table,
		uint32_t version, void *instance)
{
	const struct state_field *field;

	if (version < 1 || version > table->version)
		state_fail(reader,
			   "version %u of %s; this program knows up to %u",
			   version, table->name, table->version);
	for (field = table->field; field->name; field++) {
		uint8_t *value = (uint8_t *)instance + field->offset;
		uint32_t nested;

		if (field->since > version)
			continue;
		nested = read_head(reader, field);
		for (uint32_t i = 0; i < field->count && !reader->has_failed;
		     i++)
			read_value(reader, field, nested,
				   value + i * field->size);
	}
	if (!reader->has_failed && table->restored && table->restored(instance))
		state_fail(reader, "%s: its values do not go together",
			   table->name);
}
