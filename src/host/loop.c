/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop, on epoll(7), timerfd_create(2) and eventfd(2). */

#include "host/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"

#define NS_PER_S   1000000000ull
#define BATCH	   16
#define NO_TIMEOUT (~0ull)

struct loop {
	int epoll_fd;
	int timer_fd;
	struct loop_watch timer_watch;
	struct loop_call waker;
	struct loop_timers timers;
	uint64_t armed_ns; /* what timer_fd was last set to, CLOCK_MONOTONIC */
	_Atomic bool wants_quit;
	/* Fetched, not yet handled: loop_remove strikes out its own. */
	struct epoll_event batch[BATCH];
	int batched;
};

static void drain(int fd)
{
	uint64_t count;

	/* EAGAIN: somebody drained it already. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

static void on_wake(void *loop)
{
	/* loop_run asks for the next deadline in every round anyway. */
}

static void on_timer(void *argument, uint32_t events)
{
	struct loop *loop = argument;

	drain(loop->timer_fd);
	loop->armed_ns = NO_TIMEOUT;
}

int loop_create(struct loop **result)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int error;

	if (!loop)
		return -ENOMEM;
	loop->timer_fd = loop->waker.event_fd = -1;
	loop->armed_ns = NO_TIMEOUT;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		goto fail;
	loop->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd < 0)
		goto fail;
	loop->timer_watch = (struct loop_watch){ .fd = loop->timer_fd,
						 .events = EPOLLIN,
						 .fn = on_timer,
						 .argument = loop };
	error = loop_add(loop, &loop->timer_watch);
	if (!error)
		error = loop_call_init(loop, &loop->waker, on_wake, loop);
	if (error) {
		loop_destroy(loop);
		return error;
	}
	*result = loop;
	return 0;
fail:
	error = -errno;
	loop_destroy(loop);
	return error;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->waker.event_fd >= 0)
		loop_call_fini(loop, &loop->waker);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop);
}

int loop_add(struct loop *loop, struct loop_watch *watch)
{
	struct epoll_event event = { .events = watch->events,
				     .data.ptr = watch };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event))
		return -errno;
	return 0;
}

int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event))
		return -errno;
	watch->events = events;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	for (int i = 0; i < loop->batched; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
}

static void on_call(void *argument, uint32_t events)
{
	struct loop_call *call = argument;

	drain(call->event_fd);
	call->fn(call->argument);
}

int loop_call_init(struct loop *loop, struct loop_call *call,
		   void (*fn)(void *), void *argument)
{
	int error;

	*call = (struct loop_call){ .fn = fn, .argument = argument };
	call->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (call->event_fd < 0)
		return -errno;
	call->watch = (struct loop_watch){ .fd = call->event_fd,
					   .events = EPOLLIN,
					   .fn = on_call,
					   .argument = call };
	error = loop_add(loop, &call->watch);
	if (error) {
		close(call->event_fd);
		call->event_fd = -1;
	}
	return error;
}

void loop_call_fini(struct loop *loop, struct loop_call *call)
{
	if (call->event_fd < 0)
		return;
	loop_remove(loop, &call->watch);
	close(call->event_fd);
	call->event_fd = -1;
}

void loop_call_now(struct loop_call *call)
{
	const uint64_t one = 1;

	/* EAGAIN: the counter is full, so the call is pending anyway. */
	if (write(call->event_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_set_timers(struct loop *loop, const struct loop_timers *timers)
{
	loop->timers = *timers;
}

void loop_wake(struct loop *loop)
{
	loop_call_now(&loop->waker);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Sets timer_fd for the earliest deadline, unless it already is. */
static void arm(struct loop *loop)
{
	struct itimerspec when = { 0 };
	uint64_t left = loop->timers.next_ns ?
				loop->timers.next_ns(loop->timers.argument) :
				NO_TIMEOUT;
	uint64_t at;

	if (left == NO_TIMEOUT) {
		if (loop->armed_ns != NO_TIMEOUT)
			timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME,
					&when, NULL);
		loop->armed_ns = NO_TIMEOUT;
		return;
	}
	/* A century is as good as never, and fits. */
	at = now_ns() + MIN(left, 100ull * 365 * 86400 * NS_PER_S);
	if (at == loop->armed_ns)
		return;
	when.it_value.tv_sec = (time_t)(at / NS_PER_S);
	when.it_value.tv_nsec = (long)(at % NS_PER_S);
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	loop->armed_ns = at;
}

static void dispatch(struct loop *loop)
{
	for (int i = 0; i < loop->batched; i++) {
		struct loop_watch *watch = loop->batch[i].data.ptr;

		if (watch)
			watch->fn(watch->argument, loop->batch[i].events);
	}
	loop->batched = 0;
}

int loop_run(struct loop *loop)
{
	while (!atomic_load(&loop->wants_quit)) {
		if (loop->timers.run)
			loop->timers.run(loop->timers.argument);
		arm(loop);
		loop->batched =
			epoll_wait(loop->epoll_fd, loop->batch, BATCH, -1);
		if (loop->batched < 0 && errno != EINTR) {
			loop->batched = 0;
			return -errno;
		}
		dispatch(loop);
	}
	atomic_store(&loop->wants_quit, false);
	return 0;
}

void loop_quit(struct loop *loop)
{
	atomic_store(&loop->wants_quit, true);
	loop_wake(loop);
}
