/* SPDX-License-Identifier: BSD-2-Clause */
/* The far end of -d. */

#include "debug/trace_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

int trace_file_open(struct trace_file *trace, const char *path, uint64_t limit)
{
	FILE *file = path ? fopen(path, "we") : stderr;

	*trace = (struct trace_file){ 0 };
	if (!file) {
		int error = -errno;

		log_error("--dump: %s: %s", path, strerror(-error));
		return error;
	}
	pthread_mutex_init(&trace->lock, NULL);
	trace->file = file;
	trace->owns_file = path;
	trace->is_terminal = !path && isatty(STDERR_FILENO);
	trace->left = limit;
	return 0;
}

void trace_file_close(struct trace_file *trace)
{
	FILE *file = trace->file;
	bool has_failed;

	if (!file)
		return;
	if (trace->lost)
		fprintf(file, "(the limit: %" PRIu64 " more lines)\n",
			trace->lost);
	has_failed = fflush(file) || ferror(file);
	if (trace->owns_file)
		has_failed |= fclose(file) != 0;
	if (has_failed)
		log_error("--dump: it could not be written: %s",
			  strerror(errno));
	trace->file = NULL;
	pthread_mutex_destroy(&trace->lock);
}

void trace_file_put(void *trace_file, const char *line, size_t length)
{
	struct trace_file *trace = trace_file;
	LOCKED(&trace->lock);

	if (trace->lost || length > trace->left) {
		trace->lost++;
		return;
	}
	trace->left -= length;
	fwrite(line, 1, length, trace->file);
	if (trace->is_terminal)
		fputc('\r', trace->file);
}
