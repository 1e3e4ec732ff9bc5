/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages to the user, and the one way to say that we ourselves are wrong. */
#pragma once

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Messages above this level are dropped; LOG_INFO from the start. Any thread. */
void log_set_level(enum log_level level);

/*
 * One line on stderr, "ringfence: " before it and a newline after it. A
 * terminal in raw mode gets the carriage return it needs. Any thread; the line
 * is written with one write(2).
 */
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level,
						    const char *format, ...);

#define log_error(...)	 log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * What a guest can cause goes through a budget: at most `burst` lines, then one
 * a second, with the number of lines dropped. Zero-initialized state is ready.
 */
struct log_limit {
	uint64_t window_s;
	uint32_t lines;
	uint32_t dropped;
};

__attribute__((format(printf, 3, 4))) void log_guest(struct log_limit *limit,
						     enum log_level level,
						     const char *format, ...);

/*
 * Called by BUG_ON before abort(), to dump what a reader will want, on the thread
 * that found the bug, whatever locks it holds. Of several that were set the last
 * is called, once; NULL: none.
 */
void log_set_bug_hook(void (*hook)(void *argument), void *argument);

_Noreturn __attribute__((format(printf, 3, 4))) void
log_bug(const char *file, int line, const char *format, ...);

/* We are wrong, not the guest and not the host; on in release builds. */
#define BUG_ON(condition)                                              \
	do {                                                           \
		if (__builtin_expect(!!(condition), 0))                \
			log_bug(__FILE__, __LINE__, "%s", #condition); \
	} while (0)
