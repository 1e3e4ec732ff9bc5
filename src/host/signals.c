/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals as events of the loop, by signalfd(2). */

#include "host/signals.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_signal(void *argument, uint32_t events)
{
	struct signals *signals = argument;
	struct signalfd_siginfo info;

	while (read(signals->fd, &info, sizeof(info)) == sizeof(info))
		signals->fn(signals->argument, (int)info.ssi_signo);
}

int signals_init(struct signals *signals, struct loop *loop, const int *wanted,
		 unsigned count, void (*fn)(void *, int), void *argument)
{
	int error;

	*signals = (struct signals){
		.loop = loop, .fd = -1, .fn = fn, .argument = argument
	};
	sigemptyset(&signals->set);
	for (unsigned i = 0; i < count; i++)
		sigaddset(&signals->set, wanted[i]);
	pthread_sigmask(SIG_BLOCK, &signals->set, &signals->old);
	signals->fd = signalfd(-1, &signals->set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0) {
		error = -errno;
		signals_fini(signals);
		return error;
	}
	signals->watch = (struct loop_watch){ .fd = signals->fd,
					      .events = EPOLLIN,
					      .fn = on_signal,
					      .argument = signals };
	error = loop_add(loop, &signals->watch);
	if (error)
		signals_fini(signals);
	return error;
}

void signals_fini(struct signals *signals)
{
	if (signals->fd >= 0) {
		loop_remove(signals->loop, &signals->watch);
		close(signals->fd);
	}
	signals->fd = -1;
	pthread_sigmask(SIG_SETMASK, &signals->old, NULL);
}
