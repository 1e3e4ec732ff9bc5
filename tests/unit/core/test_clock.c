/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtual time: it runs, stops and can be set; timers fire in order, once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "core/clock.h"

#define MS 1000000ull

static void sleep_ms(unsigned ms)
{
	const struct timespec time = { .tv_nsec = ms * (long)MS };

	nanosleep(&time, NULL);
}

static void test_runs_and_stops(void **state)
{
	struct clock clock;
	uint64_t stopped;

	clock_init(&clock);
	assert_int_equal(clock_ns(&clock), 0);
	clock_start(&clock);
	sleep_ms(2);
	assert_true(clock_ns(&clock) >= 2 * MS);
	clock_stop(&clock);
	stopped = clock_ns(&clock);
	sleep_ms(2);
	assert_int_equal(clock_ns(&clock), stopped);
	clock_start(&clock);
	sleep_ms(2);
	assert_true(clock_ns(&clock) >= stopped + 2 * MS);
	clock_fini(&clock);
}

static void test_rate_matches_the_host(void **state)
{
	struct clock clock;
	struct timespec a, b;
	int64_t ours, theirs;

	clock_init(&clock);
	clock_start(&clock);
	clock_gettime(CLOCK_MONOTONIC, &a);
	ours = (int64_t)clock_ns(&clock);
	sleep_ms(50);
	ours = (int64_t)clock_ns(&clock) - ours;
	clock_gettime(CLOCK_MONOTONIC, &b);
	theirs = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
	/* Within 1 %, plus what a busy host puts between the readings. */
	assert_true(llabs(ours - theirs) < theirs / 100 + (int64_t)(20 * MS));
	clock_fini(&clock);
}

static void test_tsc_and_ns_agree(void **state)
{
	struct clock clock;
	uint64_t ns, from_tsc;

	clock_init(&clock);
	clock_set(&clock, 5000 * MS, 1ull << 40);
	assert_int_equal(clock_ns(&clock), 5000 * MS);
	assert_int_equal(clock_tsc(&clock), 1ull << 40);
	clock_start(&clock);
	ns = clock_ns(&clock);
	from_tsc = clock_tsc_to_ns(&clock, clock_tsc(&clock));
	assert_true(from_tsc >= ns && from_tsc - ns < 1000 * MS);
	/* one millisecond of ticks later is one millisecond later */
	from_tsc = clock_tsc_to_ns(&clock, (1ull << 40) + clock.tsc_khz);
	assert_true(from_tsc - 5000 * MS > MS - 10 &&
		    from_tsc - 5000 * MS < MS + 10);
	clock_fini(&clock);
}

struct log {
	pthread_mutex_t lock;
	struct timer timer[3];
	int order[8];
	int count;
};

struct entry {
	struct log *log;
	int number;
};

static void record(void *argument)
{
	struct entry *entry = argument;

	entry->log->order[entry->log->count++] = entry->number;
}

static void test_timers_fire_in_order(void **state)
{
	struct log log = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct entry entry[3] = { { &log, 0 }, { &log, 1 }, { &log, 2 } };
	struct clock clock;

	clock_init(&clock);
	for (int i = 0; i < 3; i++)
		timer_init(&log.timer[i], &clock, &log.lock, record, &entry[i]);
	assert_true(clock_next_ns(&clock) == ~0ull);
	timer_set(&log.timer[0], 3000);
	timer_set(&log.timer[1], 1000);
	timer_set(&log.timer[2], 2000);
	/* stopped: nothing is due, ever */
	assert_true(clock_next_ns(&clock) == ~0ull);
	clock_run(&clock);
	assert_int_equal(log.count, 0);
	clock_start(&clock);
	sleep_ms(1);
	assert_int_equal(clock_next_ns(&clock), 0);
	clock_run(&clock);
	assert_int_equal(log.count, 3);
	assert_int_equal(log.order[0], 1);
	assert_int_equal(log.order[1], 2);
	assert_int_equal(log.order[2], 0);
	assert_false(timer_is_set(&log.timer[0]));
	clock_run(&clock);
	assert_int_equal(log.count, 3);
	clock_fini(&clock);
}

static void test_cancel_and_move(void **state)
{
	struct log log = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct entry entry[2] = { { &log, 0 }, { &log, 1 } };
	struct clock clock;

	clock_init(&clock);
	clock_start(&clock);
	for (int i = 0; i < 2; i++)
		timer_init(&log.timer[i], &clock, &log.lock, record, &entry[i]);
	timer_set(&log.timer[0], 1);
	timer_set(&log.timer[1], 1);
	timer_cancel(&log.timer[0]);
	timer_set(&log.timer[1], clock_ns(&clock) + 3600000 * MS);
	sleep_ms(1);
	clock_run(&clock);
	assert_int_equal(log.count, 0);
	assert_true(timer_is_set(&log.timer[1]));
	assert_true(clock_next_ns(&clock) > 3000000 * MS);
	clock_fini(&clock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_and_stops),
		cmocka_unit_test(test_rate_matches_the_host),
		cmocka_unit_test(test_tsc_and_ns_agree),
		cmocka_unit_test(test_timers_fire_in_order),
		cmocka_unit_test(test_cancel_and_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
