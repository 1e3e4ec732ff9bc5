/* SPDX-License-Identifier: BSD-2-Clause */
/* Tries each facility of the kernel in a way that changes nothing. */
#include "cli/host_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"

#define SAY(facility, ...) \
	snprintf((facility)->finding, sizeof((facility)->finding), __VA_ARGS__)

static void say_errno(struct host_facility *f, int error)
{
	f->is_there = error == 0;
	SAY(f, "%s", error ? strerror(error) : "allowed");
}

static void probe_userfaultfd(struct host_facility *f)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	say_errno(f, fd < 0 ? errno : 0);
	if (fd >= 0)
		close(fd);
}

static void probe_io_uring(struct host_facility *f)
{
	/* A NULL argument: EFAULT means that it would have been read. */
	syscall(SYS_io_uring_setup, 1, NULL);
	say_errno(f, errno == EFAULT ? 0 : errno);
}

static void probe_personality(struct host_facility *f)
{
	int now = personality(0xffffffff);

	say_errno(f, now < 0 || personality(now | ADDR_NO_RANDOMIZE) < 0 ?
			     errno :
			     0);
	if (now >= 0)
		personality(now);
}

/* In a child: it would be this process that changes. */
static void probe_user_namespaces(struct host_facility *f)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		say_errno(f, errno);
	else
		say_errno(f, WIFEXITED(status) ? WEXITSTATUS(status) : EPERM);
}

static void probe_perf(struct host_facility *f)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK,
					.exclude_kernel = 1 };
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1,
			 PERF_FLAG_FD_CLOEXEC);

	say_errno(f, fd < 0 ? errno : 0);
	if (fd >= 0)
		close(fd);
}

/* The first line of the file that begins with `key`, what follows it. */
static bool read_line(const char *path, const char *key, char *text,
		      size_t room)
{
	cleanup_file FILE *file = fopen(path, "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(text, room, "%s",
			 line + strlen(key) +
				 strspn(line + strlen(key), " \t"));
		return true;
	}
	return false;
}

static void probe_huge_pages(struct host_facility *f)
{
	char total[24] = "0", shmem[80] = "?";

	read_line("/proc/meminfo", "HugePages_Total:", total, sizeof(total));
	read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "",
		  shmem, sizeof(shmem));
	f->is_there = atoi(total) > 0 || strstr(shmem, "[always]") ||
		      strstr(shmem, "[advise]");
	SAY(f, "%s reserved; transparent for shared memory: %s", total, shmem);
}

static void probe_seccomp(struct host_facility *f)
{
	char mode[16] = "0";
	static const char *const modes[] = { "none", "strict", "a filter" };
	int n;

	read_line("/proc/self/status", "Seccomp:", mode, sizeof(mode));
	n = atoi(mode);
	/* A filter may be added in any case; this says what there is. */
	f->is_there = true;
	SAY(f, "on this process: %s", n >= 0 && n < 3 ? modes[n] : mode);
}

void host_probe(struct host_facility facility[HOST_FACILITIES])
{
	static const struct {
		const char *name, *cost;
		void (*probe)(struct host_facility *facility);
	} probes[HOST_FACILITIES] = {
		{ "userfaultfd",
		  "later engines watch guest memory by mprotect instead",
		  probe_userfaultfd },
		{ "io_uring", "disks will be served by threads instead",
		  probe_io_uring },
		{ "personality", "later engines keep colliding addresses soft",
		  probe_personality },
		{ "user namespaces",
		  "networking without root needs another "
		  "way",
		  probe_user_namespaces },
		{ "perf events", "no reasons for exits that stay in the kernel",
		  probe_perf },
		{ "huge pages", "guest memory in small pages: more TLB misses",
		  probe_huge_pages },
		{ "seccomp", "", probe_seccomp },
	};

	for (unsigned i = 0; i < HOST_FACILITIES; i++) {
		facility[i] = (struct host_facility){ .name = probes[i].name,
						      .cost = probes[i].cost };
		probes[i].probe(&facility[i]);
	}
}
