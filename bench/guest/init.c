/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first process of a measured guest, and of the tree that is measured
 * natively: runs one shell command a line that it reads, and says when it is
 * done. Between commands the guest idles, so that the host can look at the
 * clocks. As a guest's init its line is the console; otherwise stdin and stdout.
 *
 *	bench: ready
 *	bench: done STATUS MICROSECONDS		(of its children, as the kernel
 *						under it counts them)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void set_up_guest(void)
{
	struct termios raw;
	int console;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/tmp", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	console = open("/dev/console", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(console, fd);
	if (tcgetattr(0, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(0, TCSANOW, &raw);
	}
}

static long children_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static int run(const char *line)
{
	char *const environment[] = { "PATH=/bench:/usr/bin:/bin", "HOME=/",
				      "LC_ALL=C", NULL };
	char *const arguments[] = { "sh", "-c", (char *)line, NULL };
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		execve("/bench/busybox", arguments, environment);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* By hand: stdio would read ahead, and nothing here needs speed. */
static int read_line(char *line, size_t size)
{
	size_t length = 0;

	while (length + 1 < size && read(0, line + length, 1) == 1) {
		if (line[length] == '\n') {
			line[length] = 0;
			return 1;
		}
		length++;
	}
	return 0;
}

int main(void)
{
	int is_guest = getpid() == 1;
	char line[4096];

	if (is_guest)
		set_up_guest();
	printf("bench: ready\r\n");
	fflush(stdout);
	while (read_line(line, sizeof(line))) {
		long before = children_us();
		int status = run(line);

		printf("bench: done %d %ld\r\n", status,
		       children_us() - before);
		fflush(stdout);
	}
	if (is_guest)
		reboot(RB_POWER_OFF);
	return 0;
}
