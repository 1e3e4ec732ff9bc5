/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop: watches, removal while handling, timers, calls, the end. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/loop.h"

struct fixture {
	struct loop *loop;
	int pipe[2][2];
	struct loop_watch watch[2];
	int calls;
	uint64_t deadline_ns;
	int expiries;
};

static void on_byte(void *argument, uint32_t events)
{
	struct fixture *f = argument;
	char byte;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(f->pipe[0][0], &byte, 1), 1);
	f->calls++;
	loop_quit(f->loop);
}

static void test_watch_is_called(void **state)
{
	struct fixture f = { 0 };

	assert_int_equal(loop_create(&f.loop), 0);
	assert_int_equal(pipe(f.pipe[0]), 0);
	f.watch[0] = (struct loop_watch){ .fd = f.pipe[0][0],
					  .events = EPOLLIN,
					  .fn = on_byte,
					  .argument = &f };
	assert_int_equal(loop_add(f.loop, &f.watch[0]), 0);
	assert_int_equal(write(f.pipe[0][1], "x", 1), 1);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.calls, 1);
	loop_remove(f.loop, &f.watch[0]);
	close(f.pipe[0][0]);
	close(f.pipe[0][1]);
	loop_destroy(f.loop);
}

/* Whoever comes first removes both: the other must not be called. */
static void on_first(void *argument, uint32_t events)
{
	struct fixture *f = argument;

	f->calls++;
	loop_remove(f->loop, &f->watch[0]);
	loop_remove(f->loop, &f->watch[1]);
	loop_quit(f->loop);
}

static void test_removed_watch_stays_silent(void **state)
{
	struct fixture f = { 0 };

	assert_int_equal(loop_create(&f.loop), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(f.pipe[i]), 0);
		assert_int_equal(write(f.pipe[i][1], "x", 1), 1);
		f.watch[i] = (struct loop_watch){ .fd = f.pipe[i][0],
						  .events = EPOLLIN,
						  .fn = on_first,
						  .argument = &f };
		assert_int_equal(loop_add(f.loop, &f.watch[i]), 0);
	}
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.calls, 1);
	for (int i = 0; i < 2; i++) {
		close(f.pipe[i][0]);
		close(f.pipe[i][1]);
	}
	loop_destroy(f.loop);
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t next_ns(void *argument)
{
	struct fixture *f = argument;
	uint64_t now = monotonic_ns();

	return f->deadline_ns > now ? f->deadline_ns - now : 0;
}

static void run_due(void *argument)
{
	struct fixture *f = argument;

	if (monotonic_ns() < f->deadline_ns)
		return;
	f->expiries++;
	f->deadline_ns += 2000000;
	if (f->expiries == 3)
		loop_quit(f->loop);
}

static void test_timers_expire_no_sooner(void **state)
{
	struct fixture f = { .deadline_ns = monotonic_ns() + 2000000 };
	const struct loop_timers timers = { next_ns, run_due, &f };
	uint64_t start = monotonic_ns();

	assert_int_equal(loop_create(&f.loop), 0);
	loop_set_timers(f.loop, &timers);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(f.expiries, 3);
	assert_true(monotonic_ns() - start >= 6000000 - 1);
	loop_destroy(f.loop);
}

static void count_call(void *argument)
{
	struct fixture *f = argument;

	f->calls++;
	loop_quit(f->loop);
}

static void *call_from_elsewhere(void *call)
{
	loop_call_now(call);
	return NULL;
}

static void test_calls_cross_threads(void **state)
{
	struct fixture f = { 0 };
	struct loop_call call;
	pthread_t thread;

	assert_int_equal(loop_create(&f.loop), 0);
	assert_int_equal(loop_call_init(f.loop, &call, count_call, &f), 0);
	assert_int_equal(
		pthread_create(&thread, NULL, call_from_elsewhere, &call), 0);
	assert_int_equal(loop_run(f.loop), 0);
	pthread_join(thread, NULL);
	assert_int_equal(f.calls, 1);
	loop_call_fini(f.loop, &call);
	loop_destroy(f.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch_is_called),
		cmocka_unit_test(test_removed_watch_stays_silent),
		cmocka_unit_test(test_timers_expire_no_sooner),
		cmocka_unit_test(test_calls_cross_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
