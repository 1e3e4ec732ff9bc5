/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the unpacking child: limits first, then exec with three descriptors and
 * an empty environment. The child adds the seccomp filter itself, once it has
 * mapped what it needs.
 */
#include "boot/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"

#define HELPER		 "ringfence-unpack"
#define TIMEOUT_MS	 120000
#define CPU_LIMIT_S	 60
#define MEMORY_LIMIT	 (3ull << 30)

#define SAY(reason, ...) snprintf(reason, UNPACK_REASON_MAX, __VA_ARGS__)

/* Three places, and the first one that can be executed. */
static bool find_helper(char path[PATH_MAX])
{
	static const char *const beside[] = { "", "../libexec/ringfence/" };
	const char *folder = getenv("RINGFENCE_LIBEXEC");
	char self[PATH_MAX];
	ssize_t n;

	if (folder) {
		n = snprintf(path, PATH_MAX, "%s/" HELPER, folder);
		return n < PATH_MAX && access(path, X_OK) == 0;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return false;
	self[n] = 0;
	*(strrchr(self, '/') + 1) = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(beside); i++) {
		n = snprintf(path, PATH_MAX, "%s%s" HELPER, self, beside[i]);
		if (n < PATH_MAX && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void limit(int resource, uint64_t value)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

	/* One that is lower already stays. */
	setrlimit(resource, &limit);
}

/* Between fork and exec: async-signal-safe calls only. fds: in, out, error. */
_Noreturn static void child(const char *path, char *const argv[],
			    const int fds[3])
{
	static char *const no_environment[] = { NULL };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* The three are above 2 (fcntl F_DUPFD), so that none is overwritten
	 * before it was copied. */
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(126);
	syscall(SYS_close_range, 3, ~0u, 0);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, CPU_LIMIT_S);
	limit(RLIMIT_AS, MEMORY_LIMIT);
	limit(RLIMIT_NOFILE, 16);
	execve(path, argv, no_environment);
	_exit(127);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

/* Collects the child's words until it ends; false when its time is up. */
static bool collect(int fd, char *text, size_t room)
{
	int64_t end = now_ms() + TIMEOUT_MS;
	size_t used = 0;

	for (;;) {
		struct pollfd poller = { .fd = fd, .events = POLLIN };
		int64_t left = end - now_ms();
		char rest[64];
		ssize_t n;

		if (left <= 0)
			return false;
		if (poll(&poller, 1, left) <= 0)
			continue;
		n = used + 1 < room ? read(fd, text + used, room - 1 - used) :
				      read(fd, rest, sizeof(rest));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (used + 1 < room)
			used += n;
	}
	text[used] = 0;
	text[strcspn(text, "\n")] = 0;
	/* They come from a process that may have been taken over. */
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return true;
}

/* What the child's end means, in words. */
static int judge(int status, const char *words, char *reason)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (words[0])
		SAY(reason, "%s", words);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		SAY(reason, HELPER " made a system call it may not make");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		SAY(reason, "unpacking took too long");
	else if (WIFSIGNALED(status))
		SAY(reason, HELPER " was killed by signal %d",
		    WTERMSIG(status));
	else
		SAY(reason, HELPER " ended with status %d",
		    WEXITSTATUS(status));
	return -EINVAL;
}

/* Descriptors that dup2 to 0..2 cannot clobber. */
static int above_two(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int run_helper(const char *path, char *const argv[], int in, int out,
		      char *reason)
{
	int pipes[2];
	cleanup_fd int read_end = -1, write_end = -1, input = -1, output = -1;
	char words[UNPACK_REASON_MAX] = "";
	int status = 0;
	bool in_time;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	read_end = pipes[0];
	write_end = above_two(pipes[1]);
	close(pipes[1]);
	input = above_two(in);
	output = above_two(out);
	if (write_end < 0 || input < 0 || output < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(path, argv, (int[]){ input, output, write_end });
	close(take_fd(&write_end));
	in_time = collect(read_end, words, sizeof(words));
	if (!in_time)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!in_time) {
		SAY(reason, "unpacking took longer than %d s",
		    TIMEOUT_MS / 1000);
		return -ETIMEDOUT;
	}
	return judge(status, words, reason);
}

int unpack_payload(const struct boot_source *packed, enum payload_kind kind,
		   uint64_t size, int *memfd, char reason[UNPACK_REASON_MAX])
{
	cleanup_fd int fd = -1;
	char path[PATH_MAX], offset[24], length[24], out_size[24];
	char *argv[] = { (char *)HELPER, (char *)payload_kind_name(kind),
			 offset,	 length,
			 out_size,	 NULL };
	int error;

	BUG_ON(packed->bytes);
	reason[0] = 0;
	if (!find_helper(path)) {
		SAY(reason, HELPER " is not installed beside ringfence");
		return -ENOENT;
	}
	fd = memfd_create("unpacked kernel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
		error = -errno;
		SAY(reason, "memory to unpack it: %s", strerror(-error));
		return error;
	}
	snprintf(offset, sizeof(offset), "%llu",
		 (unsigned long long)packed->offset);
	snprintf(length, sizeof(length), "%llu",
		 (unsigned long long)packed->size);
	snprintf(out_size, sizeof(out_size), "%llu", (unsigned long long)size);
	error = run_helper(path, argv, packed->fd, fd, reason);
	if (error && !reason[0])
		SAY(reason, HELPER ": %s", strerror(-error));
	if (!error)
		*memfd = take_fd(&fd);
	return error;
}
