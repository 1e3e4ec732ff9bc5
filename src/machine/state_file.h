/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The format of a state file: a header, then sections, each with its name, its
 * version, its length and a checksum over its bytes; header and section heads
 * have a checksum of their own. All numbers are little endian.
 *
 *   file header, 64 bytes:
 *      0  "ringfence state\n"
 *     16  version of the format (4), size of this header (4)
 *     24  size of the file (8)
 *     32  number of sections (4), zeroes (24)
 *     60  CRC-32C of the 60 bytes before
 *   section head, 64 bytes, with its payload after it:
 *      0  name, padded with zeroes (40)
 *     40  version of what it holds (4), its number, from 0 (4)
 *     48  length of the payload (8)
 *     56  CRC-32C of the payload (4)
 *     60  CRC-32C of the 60 bytes before
 *
 * The file header is written last, so a file that was not finished is none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_FILE_VERSION     1
#define STATE_FILE_HEAD	       64
#define STATE_SECTION_NAME_MAX 40
#define STATE_SECTION_SIZE_MAX (4u << 20)

struct state_file_writer {
	int fd; /* the caller's */
	uint64_t size;
	uint32_t sections;
	int error; /* the first that happened: -errno */
};

/* At the start of an empty file. Errors are kept for state_file_finish. */
void state_file_begin(struct state_file_writer *writer, int fd);
void state_file_add(struct state_file_writer *writer, const char *name,
		    uint32_t version, const void *bytes, size_t size);
/* Writes the header and has the disk take it all. 0 or -errno. */
int state_file_finish(struct state_file_writer *writer);

struct state_section {
	char name[STATE_SECTION_NAME_MAX + 1];
	uint32_t version;
	const uint8_t *bytes; /* until the next one is read */
	size_t size;
};

struct state_file_reader {
	int fd; /* the caller's */
	uint64_t size, at;
	uint32_t sections, next;
	uint8_t *bytes; /* of the section, with room for the largest */
	char why[160]; /* what is wrong with the file */
};

/* -EINVAL, with the reason in why[], when this is no whole state file. */
int state_file_open(struct state_file_reader *reader, int fd);
/* 1: a section; 0: there are no more; -EINVAL. */
int state_file_next(struct state_file_reader *reader,
		    struct state_section *section);
void state_file_close(struct state_file_reader *reader);
