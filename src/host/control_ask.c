/* SPDX-License-Identifier: BSD-2-Clause */
/* The asking end of the control socket. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/control.h"
#include "host/registry.h"

#define TIMEOUT_S 10
/* Memory of many gigabytes goes to a slow disk while nobody answers. */
#define SAVE_TIMEOUT_S 3600

static int send_line(int fd, const struct request *request)
{
	char line[REQUEST_LINE_MAX];
	int size = request_format(request, line, sizeof(line));

	if (size < 0)
		return -EINVAL;
	if (send(fd, line, size, MSG_NOSIGNAL) != size)
		return errno ? -errno : -EPIPE;
	return 0;
}

/* {"error": "why"}: the words between the third and the last quote. */
static void copy_error(const char *line, char error[128])
{
	const char *start = strchr(line, ':');
	const char *end = strrchr(line, '"');
	size_t size;

	start = start ? strchr(start, '"') : NULL;
	if (!start || end <= start) {
		strcpy(error, "an answer that is none");
		return;
	}
	size = end - start - 1;
	size = size < 127 ? size : 127;
	memcpy(error, start + 1, size);
	error[size] = 0;
}

static int read_answer(FILE *from, FILE *to, char error[128])
{
	char bytes[4096];
	size_t n;

	errno = 0;
	if (!fgets(bytes, sizeof(bytes), from))
		return errno ? -errno : -EPIPE;
	if (strncmp(bytes, "{\"ok\"", 5) != 0) {
		copy_error(bytes, error);
		return -EREMOTEIO;
	}
	while ((n = fread(bytes, 1, sizeof(bytes), from)))
		if (fwrite(bytes, 1, n, to) != n)
			return -EIO;
	return ferror(from) ? -EIO : 0;
}

int control_ask(int folder, pid_t pid, const struct request *request, FILE *to,
		char error[128])
{
	const bool is_save = strcmp(request->command, "save") == 0;
	const struct timeval timeout = { .tv_sec = is_save ? SAVE_TIMEOUT_S :
							     TIMEOUT_S };
	cleanup_file FILE *file = NULL;
	cleanup_fd int fd = registry_connect(folder, pid);
	int result;

	if (fd < 0)
		return take_fd(&fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	result = send_line(fd, request);
	if (result)
		return result;
	file = fdopen(fd, "r");
	if (!file)
		return -errno;
	take_fd(&fd);
	return read_answer(file, to, error);
}
