/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop: one thread that waits for file descriptors and for
 * the earliest timer. Handlers run on it and hold no lock when they are called.
 */
#pragma once

#include <stdint.h>

struct loop;

/* Embedded in its owner; the file descriptor stays the owner's. */
struct loop_watch {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; level-triggered */
	void (*fn)(void *argument, uint32_t events);
	void *argument;
};

/* 0 or -errno. */
int loop_create(struct loop **loop);
void loop_destroy(struct loop *loop); /* NULL is fine */

/* On the loop's thread, or before loop_run. 0 or -errno. */
int loop_add(struct loop *loop, struct loop_watch *watch);
int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* After this fn is not called again, not even for events already fetched. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

/*
 * Whose timers run on the loop: next_ns says how long until the earliest is
 * due (~0: none), run runs what is due. loop_wake, from any thread and under
 * any lock, makes the loop ask again.
 */
struct loop_timers {
	uint64_t (*next_ns)(void *argument);
	void (*run)(void *argument);
	void *argument;
};

void loop_set_timers(struct loop *loop, const struct loop_timers *timers);
void loop_wake(struct loop *loop);

/* fn once, soon, on the loop's thread. Any thread; async-signal-safe is not
 * promised. Several calls before it ran may be one. */
struct loop_call {
	void (*fn)(void *argument);
	void *argument;
	int event_fd;
	struct loop_watch watch;
};

int loop_call_init(struct loop *loop, struct loop_call *call,
		   void (*fn)(void *), void *argument);
void loop_call_fini(struct loop *loop, struct loop_call *call);
void loop_call_now(struct loop_call *call);

/* Until loop_quit. 0 or -errno of epoll. */
int loop_run(struct loop *loop);
void loop_quit(struct loop *loop); /* any thread */
