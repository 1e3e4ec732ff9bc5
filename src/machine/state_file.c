/* SPDX-License-Identifier: BSD-2-Clause */
/* State files as bytes: writing and checking them. */

#include "machine/state_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/crc32c.h"

#define CHECKED (STATE_FILE_HEAD - 4) /* bytes of a head before its checksum */

static const char magic[16] = { 'r', 'i', 'n', 'g', 'f', 'e', 'n', 'c',
				'e', ' ', 's', 't', 'a', 't', 'e', '\n' };

static void seal(uint8_t head[STATE_FILE_HEAD])
{
	store_u32(head + CHECKED, crc32c(0, head, CHECKED));
}

static bool is_sealed(const uint8_t head[STATE_FILE_HEAD])
{
	return load_u32(head + CHECKED) == crc32c(0, head, CHECKED);
}

/* --- writing -------------------------------------------------------------- */

static void write_at(struct state_file_writer *writer, uint64_t at,
		     const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size && !writer->error) {
		ssize_t n = pwrite(writer->fd, from, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			writer->error = n < 0 ? -errno : -ENOSPC;
			return;
		}
		from += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
}

void state_file_begin(struct state_file_writer *writer, int fd)
{
	*writer =
		(struct state_file_writer){ .fd = fd, .size = STATE_FILE_HEAD };
}

void state_file_add(struct state_file_writer *writer, const char *name,
		    uint32_t version, const void *bytes, size_t size)
{
	uint8_t head[STATE_FILE_HEAD] = { 0 };
	size_t length = strlen(name);

	if (length > STATE_SECTION_NAME_MAX || size > STATE_SECTION_SIZE_MAX)
		writer->error = -E2BIG;
	if (writer->error)
		return;
	memcpy(head, name, length);
	store_u32(head + 40, version);
	store_u32(head + 44, writer->sections++);
	store_u64(head + 48, size);
	store_u32(head + 56, crc32c(0, bytes, size));
	seal(head);
	write_at(writer, writer->size, head, sizeof(head));
	write_at(writer, writer->size + sizeof(head), bytes, size);
	writer->size += sizeof(head) + size;
}

int state_file_finish(struct state_file_writer *writer)
{
	uint8_t head[STATE_FILE_HEAD] = { 0 };

	memcpy(head, magic, sizeof(magic));
	store_u32(head + 16, STATE_FILE_VERSION);
	store_u32(head + 20, STATE_FILE_HEAD);
	store_u64(head + 24, writer->size);
	store_u32(head + 32, writer->sections);
	seal(head);
	/* The rest is on the disk before the header says that it is. */
	if (!writer->error && fdatasync(writer->fd))
		writer->error = -errno;
	write_at(writer, 0, head, sizeof(head));
	if (!writer->error && fsync(writer->fd))
		writer->error = -errno;
	return writer->error;
}

/* --- reading -------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int
refuse(struct state_file_reader *reader, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reader->why, sizeof(reader->why), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int read_at(struct state_file_reader *reader, uint64_t at, void *bytes,
		   size_t size)
{
	uint8_t *to = bytes;

	while (size) {
		ssize_t n = pread(reader->fd, to, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse(reader, "%s", strerror(errno));
		if (n == 0)
			return refuse(reader, "it was cut off");
		to += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int read_header(struct state_file_reader *reader, uint64_t size)
{
	uint8_t head[STATE_FILE_HEAD];
	uint32_t version;

	if (size < sizeof(head))
		return refuse(reader, "not a state file: it is too short");
	if (read_at(reader, 0, head, sizeof(head)))
		return -EINVAL;
	if (memcmp(head, magic, sizeof(magic)) != 0)
		return refuse(reader, "not a state file, or not a whole one");
	/* A newer header may be sealed otherwise: its version comes first. */
	version = load_u32(head + 16);
	if (!is_sealed(head))
		return refuse(reader, version > STATE_FILE_VERSION ?
					      "its header is damaged, or newer "
					      "than this program" :
					      "its header is damaged");
	if (version > STATE_FILE_VERSION)
		return refuse(reader,
			      "version %u of the format; this program knows "
			      "up to %u",
			      version, STATE_FILE_VERSION);
	if (version < 1 || load_u32(head + 20) != STATE_FILE_HEAD)
		return refuse(reader, "its header is none of ours");
	reader->size = load_u64(head + 24);
	reader->sections = load_u32(head + 32);
	if (reader->size != size)
		return refuse(reader,
			      "%" PRIu64
			      " bytes, where it should have %" PRIu64,
			      size, reader->size);
	return 0;
}

int state_file_open(struct state_file_reader *reader, int fd)
{
	struct stat status;

	*reader = (struct state_file_reader){ .fd = fd, .at = STATE_FILE_HEAD };
	if (fstat(fd, &status))
		return refuse(reader, "%s", strerror(errno));
	if (!S_ISREG(status.st_mode))
		return refuse(reader, "not a regular file");
	if (read_header(reader, (uint64_t)status.st_size))
		return -EINVAL;
	reader->bytes = malloc(STATE_SECTION_SIZE_MAX);
	if (!reader->bytes)
		return refuse(reader, "%s", strerror(ENOMEM));
	return 0;
}

int state_file_next(struct state_file_reader *reader,
		    struct state_section *section)
{
	uint8_t head[STATE_FILE_HEAD];
	uint64_t size, left;

	if (reader->next == reader->sections) {
		if (reader->at != reader->size)
			return refuse(reader, "something follows its end");
		return 0;
	}
	if (!range_inside(reader->at, sizeof(head), reader->size))
		return refuse(reader, "it ends too early");
	if (read_at(reader, reader->at, head, sizeof(head)))
		return -EINVAL;
	if (!is_sealed(head))
		return refuse(reader, "the head of section %u is damaged",
			      reader->next);
	memcpy(section->name, head, STATE_SECTION_NAME_MAX);
	section->name[STATE_SECTION_NAME_MAX] = 0;
	section->version = load_u32(head + 40);
	size = load_u64(head + 48);
	left = reader->size - reader->at - sizeof(head);
	if (load_u32(head + 44) != reader->next || size > left ||
	    size > STATE_SECTION_SIZE_MAX)
		return refuse(reader, "section %s is out of place",
			      section->name);
	if (read_at(reader, reader->at + sizeof(head), reader->bytes, size))
		return -EINVAL;
	if (load_u32(head + 56) != crc32c(0, reader->bytes, size))
		return refuse(reader, "section %s is damaged", section->name);
	section->bytes = reader->bytes;
	section->size = size;
	reader->at += sizeof(head) + size;
	reader->next++;
	return 1;
}

void state_file_close(struct state_file_reader *reader)
{
	free(take_pointer(&reader->bytes));
}
