/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: kernel NAME N: what a process asks of its kernel, N times.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_NAME "/tmp/file"

static void must(int is_true)
{
	if (!is_true) {
		perror("kernel");
		exit(1);
	}
}

static void do_getppid(long n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void do_readwrite(long n)
{
	static char page[4096];
	int fd = open(FILE_NAME, O_RDWR | O_CREAT, 0600);

	must(fd >= 0);
	while (n--) {
		must(pwrite(fd, page, sizeof(page), 0) == sizeof(page));
		must(pread(fd, page, sizeof(page), 0) == sizeof(page));
	}
}

static void do_stat(long n)
{
	struct stat stat_;

	close(open(FILE_NAME, O_RDWR | O_CREAT, 0600));
	while (n--)
		must(stat(FILE_NAME, &stat_) == 0);
}

static void do_open(long n)
{
	close(open(FILE_NAME, O_RDWR | O_CREAT, 0600));
	while (n--) {
		int fd = open(FILE_NAME, O_RDONLY);

		must(fd >= 0);
		close(fd);
	}
}

/* N pages, 4096 a mapping. */
static void do_fault(long n)
{
	const size_t pages = 4096;

	for (; n > 0; n -= (long)pages) {
		char *map = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		must(map != MAP_FAILED);
		madvise(map, pages * 4096, MADV_NOHUGEPAGE);
		for (size_t i = 0; i < pages; i++)
			((volatile char *)map)[i * 4096] = 1;
		munmap(map, pages * 4096);
	}
}

static void do_mmap(long n)
{
	while (n--) {
		char *map = mmap(NULL, 16384, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		must(map != MAP_FAILED);
		*(volatile char *)map = 1;
		munmap(map, 16384);
	}
}

static void do_fork(long n)
{
	while (n--) {
		pid_t pid = fork();

		must(pid >= 0);
		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static void spawn(const char *path, long n)
{
	char *const arguments[] = { (char *)path, NULL };
	char *const environment[] = { NULL };

	while (n--) {
		int status = -1;
		pid_t pid = vfork();

		must(pid >= 0);
		if (pid == 0) {
			execve(path, arguments, environment);
			_exit(127);
		}
		waitpid(pid, &status, 0);
		must(status == 0);
	}
}

static void do_exec_static(long n)
{
	spawn("/bench/nothing", n);
}

static void do_exec_dynamic(long n)
{
	spawn("/bin/true", n);
}

static void do_pipe(long n)
{
	int to[2], from[2];
	char byte = 0;

	must(pipe(to) == 0 && pipe(from) == 0);
	if (fork() == 0) {
		close(to[1]);
		while (read(to[0], &byte, 1) == 1)
			must(write(from[1], &byte, 1) == 1);
		_exit(0);
	}
	while (n--) {
		must(write(to[1], &byte, 1) == 1);
		must(read(from[0], &byte, 1) == 1);
	}
	close(to[1]);
	wait(NULL);
}

static const struct {
	const char *name;
	void (*run)(long n);
} kinds[] = {
	{ "getppid", do_getppid },
	{ "readwrite", do_readwrite },
	{ "stat", do_stat },
	{ "open", do_open },
	{ "fault", do_fault },
	{ "mmap", do_mmap },
	{ "fork", do_fork },
	{ "exec-static", do_exec_static },
	{ "exec-dynamic", do_exec_dynamic },
	{ "pipe", do_pipe },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(argv[1], kinds[i].name)) {
			kinds[i].run(atol(argv[2]));
			return 0;
		}
	fprintf(stderr, "usage: kernel NAME N\n");
	return 2;
}
