/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a boot image's bytes come from: a part of a file, or memory. Files are
 * read, never mapped: one that shrinks under us is a short read, not SIGBUS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/addr.h"

struct memory;

struct boot_source {
	int fd; /* used when bytes is NULL; not owned */
	const uint8_t *bytes;
	uint64_t offset; /* of the part in the file or bytes */
	uint64_t size;
};

/*
 * Opens `path` for reading; its size must be known (a regular file or a block
 * device). On failure a negative errno and, if it is not the errno's own text
 * that says it best, *reason. The caller closes source->fd.
 */
int source_open(struct boot_source *source, const char *path,
		const char **reason);

/* All of [offset, offset + size) or false: outside, or the file shrank. */
bool source_read(const struct boot_source *source, uint64_t offset, void *to,
		 size_t size);

/* The same, straight into guest RAM. -EFAULT where the guest has no RAM, -EIO
 * where the source ends early. */
int source_load(const struct boot_source *source, uint64_t offset,
		struct memory *memory, gpa_t gpa, uint64_t size);
