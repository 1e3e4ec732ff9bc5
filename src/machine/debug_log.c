/* SPDX-License-Identifier: BSD-2-Clause */
/* The far end of the debug port. */

#include "machine/debug_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

int debug_log_open(struct debug_log *log, const char *path)
{
	*log = (struct debug_log){ .fd = STDERR_FILENO, .is_open = true };
	if (!path)
		return 0;
	log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (log->fd < 0) {
		int error = -errno;

		log->is_open = false;
		log_error("debug log %s: %s", path, strerror(-error));
		return error;
	}
	log->owns_fd = true;
	return 0;
}

/* A pipe nobody empties must not stop the vCPU: look before writing. */
static void flush(struct debug_log *log)
{
	struct pollfd poll_fd = { .fd = log->fd, .events = POLLOUT };

	if (!log->length)
		return;
	if (poll(&poll_fd, 1, 0) != 1 ||
	    write(log->fd, log->line, log->length) != (ssize_t)log->length)
		log->lost++;
	log->length = 0;
}

void debug_log_close(struct debug_log *log)
{
	if (!log->is_open)
		return;
	flush(log);
	if (log->lost)
		log_warning("debug log: %" PRIu64 " lines were lost",
			    log->lost);
	if (log->owns_fd)
		close(log->fd);
	log->is_open = false;
}

void debug_log_byte(void *argument, uint8_t byte)
{
	struct debug_log *log = argument;

	log->line[log->length++] = (char)byte;
	if (byte == '\n' || log->length == sizeof(log->line))
		flush(log);
}
