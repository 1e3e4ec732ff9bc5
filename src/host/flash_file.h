/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file behind a flash chip: read whole at the start, written through with
 * every change. Locked while it is open, so that no two machines write one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flash_file {
	int fd; /* -1: there is none, and changes stay in memory */
	const char *path; /* the caller's */
	uint64_t size;
	bool is_readonly;
	bool is_failing; /* the last write failed, and that has been said */
};

/**
 * Opens a regular file or block device, for reading only if is_readonly. What
 * is wrong, a writer elsewhere included, has been logged; -errno.
 */
int flash_file_open(struct flash_file *file, const char *path,
		    bool is_readonly);

/** All of its `size` bytes; 0 or -errno, logged. */
int flash_file_read(const struct flash_file *file, uint8_t *to);

/**
 * Writes through; `argument` is the file. 0 or -errno; of failures in a row the
 * first is logged. Where there is no file, nothing happens.
 */
int flash_file_write(void *argument, uint64_t offset, const uint8_t *bytes,
		     size_t size);

/** What was written reaches the disk. A file that is not open is fine. */
void flash_file_close(struct flash_file *file);
