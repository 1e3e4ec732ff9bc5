/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets and names as files. Nothing here trusts what it finds: a socket
 * counts if somebody answers, a name if it points to such a socket.
 */
#include "host/registry.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NAME_MAX_LENGTH 64
#define BACKLOG		8
#define TRIES		8

static int open_private(const char *path)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* In /tmp somebody else may have been there first. */
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM;
	return take_fd(&fd);
}

int registry_open(char *where, size_t room)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];
	int n, fd = -ENOENT;

	if (runtime && runtime[0] == '/') {
		n = snprintf(path, sizeof(path), "%s/ringfence", runtime);
		if (n < (int)sizeof(path))
			fd = open_private(path);
	}
	if (fd < 0) {
		snprintf(path, sizeof(path), "/tmp/ringfence-%u", geteuid());
		fd = open_private(path);
	}
	if (where)
		snprintf(where, room, "%s", path);
	return fd;
}

bool registry_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > NAME_MAX_LENGTH || name[0] == '.')
		return false;
	if (strspn(name, "0123456789") == length)
		return false;
	for (; *name; name++)
		if (!isascii(*name) || (!isalnum(*name) && *name != '.' &&
					*name != '_' && *name != '-'))
			return false;
	return true;
}

static void socket_name(pid_t pid, char name[32])
{
	snprintf(name, 32, "%d.sock", (int)pid);
}

/* By way of /proc, because a socket's path may have 107 bytes only. */
static void socket_address(int folder, pid_t pid, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path),
		 "/proc/self/fd/%d/%d.sock", folder, (int)pid);
}

int registry_listen(int folder)
{
	cleanup_fd int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	char name[32];

	if (fd < 0)
		return -errno;
	/* Left behind by a process that had our number. */
	socket_name(getpid(), name);
	unlinkat(folder, name, 0);
	socket_address(folder, getpid(), &address);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

static void forget(int folder, pid_t pid)
{
	char name[32];

	/* Alive, and only not listening yet or any more? */
	if (kill(pid, 0) == 0 || errno != ESRCH)
		return;
	socket_name(pid, name);
	unlinkat(folder, name, 0);
}

int registry_connect(int folder, pid_t pid)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0)
		return -errno;
	socket_address(folder, pid, &address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != ECONNREFUSED && errno != ENOENT)
			return -errno;
		forget(folder, pid);
		return -ESRCH;
	}
	return take_fd(&fd);
}

static bool is_running(int folder, pid_t pid)
{
	cleanup_fd int fd = registry_connect(folder, pid);

	return fd >= 0;
}

/* The whole of text as a process number, or -1. */
static pid_t parse_pid(const char *text, const char *suffix)
{
	char *end;
	long pid;

	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno || strcmp(end, suffix) != 0 || pid <= 0 || pid > INT_MAX)
		return -1;
	return (pid_t)pid;
}

/* Whom a name's link points to, or -1. */
static pid_t name_holder(int folder, const char *file)
{
	char target[64];
	ssize_t n = readlinkat(folder, file, target, sizeof(target) - 1);

	if (n < 0)
		return -1;
	target[n] = 0;
	return parse_pid(target, ".sock");
}

static void name_file(const char *name, char file[NAME_MAX_LENGTH + 8])
{
	snprintf(file, NAME_MAX_LENGTH + 8, "%s.name", name);
}

int registry_take_name(int folder, const char *name, pid_t *holder)
{
	char file[NAME_MAX_LENGTH + 8], target[32];

	name_file(name, file);
	socket_name(getpid(), target);
	for (int i = 0; i < TRIES; i++) {
		if (symlinkat(target, folder, file) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
		*holder = name_holder(folder, file);
		if (*holder > 0 && *holder != getpid() &&
		    is_running(folder, *holder))
			return -EEXIST;
		/* Two that clean up at once: one of them wins the link. */
		unlinkat(folder, file, 0);
	}
	return -EEXIST;
}

void registry_leave(int folder, const char *name)
{
	char file[NAME_MAX_LENGTH + 8], own[32];

	if (name) {
		name_file(name, file);
		if (name_holder(folder, file) == getpid())
			unlinkat(folder, file, 0);
	}
	socket_name(getpid(), own);
	unlinkat(folder, own, 0);
}

pid_t registry_find(int folder, const char *who)
{
	char file[NAME_MAX_LENGTH + 8];
	pid_t pid = parse_pid(who, "");

	if (pid < 0) {
		if (!registry_name_is_valid(who))
			return -ESRCH;
		name_file(who, file);
		pid = name_holder(folder, file);
		if (pid > 0 && !is_running(folder, pid)) {
			unlinkat(folder, file, 0);
			return -ESRCH;
		}
	}
	return pid > 0 && is_running(folder, pid) ? pid : -ESRCH;
}

static int by_number(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int registry_each(int folder, void (*fn)(pid_t, void *), void *argument)
{
	cleanup_fd int again = openat(folder, ".", O_RDONLY | O_CLOEXEC);
	cleanup_free pid_t *pids = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;
	DIR *dir;

	dir = again < 0 ? NULL : fdopendir(again);
	if (!dir)
		return -errno;
	take_fd(&again);
	while ((entry = readdir(dir))) {
		pid_t pid = parse_pid(entry->d_name, ".sock");

		if (pid < 0)
			continue;
		if (count == room) {
			pid_t *more;

			room = room ? 2 * room : 16;
			more = realloc(pids, room * sizeof(*pids));
			if (!more)
				break;
			pids = more;
		}
		pids[count++] = pid;
	}
	closedir(dir);
	if (count)
		qsort(pids, count, sizeof(*pids), by_number);
	for (size_t i = 0; i < count; i++)
		fn(pids[i], argument);
	return 0;
}
