/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals as events of the loop, instead of interruptions of anything. */
#pragma once

#include <signal.h>

#include "host/loop.h"

struct signals {
	struct loop *loop;
	sigset_t set, old;
	int fd;
	struct loop_watch watch;
	void (*fn)(void *argument, int signal);
	void *argument;
};

/*
 * Blocks `count` signals in the calling thread (and in threads it creates from
 * now on) and calls fn on the loop's thread for each that arrives. 0 or -errno.
 */
int signals_init(struct signals *signals, struct loop *loop, const int *wanted,
		 unsigned count, void (*fn)(void *, int), void *argument);
/* Unblocks them again, on the thread that called init. */
void signals_fini(struct signals *signals);
