/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the debug port's bytes go: a file or stderr, a line at a time. A reader
 * that is too slow loses lines, not the guest time; the number is in the log.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct debug_log {
	int fd;
	bool owns_fd;
	bool is_open;
	char line[256];
	size_t length;
	uint64_t lost; /* lines */
};

/* path NULL: stderr. -errno, logged. */
int debug_log_open(struct debug_log *log, const char *path);
/* Writes what is left. A log never opened is fine. */
void debug_log_close(struct debug_log *log);

/* struct debugport's write: `log` is a struct debug_log. One thread at once. */
void debug_log_byte(void *log, uint8_t byte);
