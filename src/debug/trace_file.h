/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the lines of core/trace go: a file or standard error, up to a limit.
 * Whoever asked for them waits for the disk; nothing is lost but what is beyond
 * the limit, and then the last line says so.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct trace_file {
	pthread_mutex_t lock;
	FILE *file; /* NULL: never opened */
	bool owns_file;
	bool is_terminal; /* perhaps in raw mode: it needs a return */
	uint64_t left; /* bytes */
	uint64_t lost; /* lines */
};

/* path NULL: standard error. -errno, logged. */
int trace_file_open(struct trace_file *trace, const char *path, uint64_t limit);
/* Writes what is left. One never opened is fine. */
void trace_file_close(struct trace_file *trace);
/* struct trace's put: `trace_file` is one that is open. Any thread. */
void trace_file_put(void *trace_file, const char *line, size_t length);
