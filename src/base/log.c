/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages to the user: whole lines on stderr, some of them rationed. */

#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"

/* A process has one stderr, so this much is shared by all VMs in it. */
static _Atomic int current_level = LOG_INFO;
static void (*_Atomic bug_hook)(void *argument);
static void *_Atomic bug_hook_argument;

#define GUEST_LINES_AT_ONCE 10

void log_set_level(enum log_level level)
{
	atomic_store(&current_level, level);
}

__attribute__((format(printf, 1, 0))) static void log_write(const char *format,
							    va_list args)
{
	static const char prefix[] = "ringfence: ";
	char line[1024];
	size_t length = sizeof(prefix) - 1;
	int n;

	memcpy(line, prefix, length);
	n = vsnprintf(line + length, sizeof(line) - length - 2, format, args);
	if (n < 0)
		return;
	length = MIN(length + (size_t)n, sizeof(line) - 3);
	/* Raw mode does no output processing: give it its own return. */
	line[length++] = '\r';
	line[length++] = '\n';
	if (!isatty(STDERR_FILENO)) {
		line[length - 2] = '\n';
		length--;
	}
	/* Nothing can be done about a stderr that does not take it. */
	if (write(STDERR_FILENO, line, length) < 0)
		return;
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	if ((int)level > atomic_load(&current_level))
		return;
	va_start(args, format);
	log_write(format, args);
	va_end(args);
}

void log_guest(struct log_limit *limit, enum log_level level,
	       const char *format, ...)
{
	struct timespec now;
	va_list args;

	if ((int)level > atomic_load(&current_level))
		return;
	if (limit->lines >= GUEST_LINES_AT_ONCE) {
		clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
		if (limit->window_s == (uint64_t)now.tv_sec) {
			limit->dropped++;
			return;
		}
		limit->window_s = (uint64_t)now.tv_sec;
		if (limit->dropped)
			log_line(level, "(%u more lines like the next)",
				 limit->dropped);
		limit->dropped = 0;
	} else {
		limit->lines++;
	}
	va_start(args, format);
	log_write(format, args);
	va_end(args);
}

void log_set_bug_hook(void (*hook)(void *argument), void *argument)
{
	atomic_store(&bug_hook, NULL);
	atomic_store(&bug_hook_argument, argument);
	atomic_store(&bug_hook, hook);
}

_Noreturn void log_bug(const char *file, int line, const char *format, ...)
{
	void (*hook)(void *argument) = atomic_exchange(&bug_hook, NULL);
	va_list args;

	log_line(LOG_ERROR,
		 "bug in ringfence at %s:%d, please report it:", file, line);
	va_start(args, format);
	log_write(format, args);
	va_end(args);
	if (hook)
		hook(atomic_load(&bug_hook_argument));
	abort();
}
