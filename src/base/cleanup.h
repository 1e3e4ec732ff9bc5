/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clean-up by scope. `cleanup_fd int fd = open(..)` closes on every way out;
 * `return take_fd(&fd)` hands the value on and leaves nothing to clean up.
 */
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd_do(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free_do(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_file_do(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_unlock_do(pthread_mutex_t **mutex)
{
	pthread_mutex_unlock(*mutex);
}

#define cleanup_fd   __attribute__((cleanup(cleanup_fd_do)))
#define cleanup_free __attribute__((cleanup(cleanup_free_do)))
#define cleanup_file __attribute__((cleanup(cleanup_file_do)))

/* Holds `mutex` until the end of the enclosing block. */
#define LOCKED(mutex)                                                          \
	pthread_mutex_t *locked_scope                                          \
		__attribute__((cleanup(cleanup_unlock_do), unused)) = (mutex); \
	pthread_mutex_lock(locked_scope)

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_pointer(pointer)                    \
	({                                       \
		__auto_type taken_ = *(pointer); \
		*(pointer) = NULL;               \
		taken_;                          \
	})
