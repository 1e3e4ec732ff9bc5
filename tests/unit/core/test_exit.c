/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger: what is booked where, and what booking costs. */
#include "core/exit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "core/vm.h"

/* Far more than it costs (20 ns), so that a busy host is no failure. */
#define COST_LIMIT_NS 500
#define COST_RUNS     500000

struct world {
	struct vm vm;
	struct vcpu vcpu;
	uint64_t port, msr;
};

static enum bus_result port_access(void *device, struct access *access)
{
	struct world *world = device;

	if (access->is_write)
		world->port = access->value;
	else
		access->value = world->port;
	return BUS_HANDLED;
}

static bool msr_read(void *device, struct vcpu *vcpu, uint32_t index,
		     uint64_t *value)
{
	struct world *world = device;

	*value = world->msr;
	return true;
}

static struct world *world_create(void)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_int_equal(vm_init(&world->vm, "test", NULL), 0);
	world->vcpu.vm = &world->vm;
	return world;
}

static void world_destroy(struct world *world)
{
	vm_fini(&world->vm);
	free(world);
}

static uint64_t count_of(const struct world *world, enum exit_reason reason,
			 unsigned source)
{
	return world->vcpu.exits.cell[reason][source].count;
}

static uint64_t count_all(const struct world *world)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < EXIT_REASON_COUNT; i++)
		for (unsigned j = 0; j < EXIT_SOURCES_MAX; j++)
			sum += count_of(world, i, j);
	return sum;
}

static struct exit port_exit(uint16_t port, bool is_write, uint64_t value)
{
	return (struct exit){ .reason = EXIT_IO,
			      .io = { .port = port,
				      .access = { .size = 1,
						  .value = value,
						  .is_write = is_write } } };
}

static void test_ports(void **state)
{
	struct world *world = world_create();
	struct bus_region region = { .name = "probe",
				     .base = 0x300,
				     .size = 1,
				     .sizes = 1,
				     .handler = port_access,
				     .device = world };
	struct exit exit = port_exit(0x300, true, 0x5a);
	unsigned probe;

	assert_int_equal(bus_add(&world->vm.io, &region), 0);
	probe = exit_source(&world->vm.sources, "probe");
	assert_int_not_equal(probe, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_RESUME);
	exit = port_exit(0x300, false, 0);
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_RESUME);
	assert_int_equal(exit.io.access.value, 0x5a);
	exit = port_exit(0x301, false, 0);
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_RESUME);
	assert_int_equal(exit.io.access.value, 0xff);

	assert_int_equal(count_of(world, EXIT_IO, probe), 4);
	assert_int_equal(count_of(world, EXIT_IO, 0), 1);
	assert_int_equal(count_all(world), 5);
	assert_true(world->vcpu.exits.cell[EXIT_IO][probe].cycles > 0);
	bus_remove(&world->vm.io, &region);
	world_destroy(world);
}

static void test_msrs(void **state)
{
	struct world *world = world_create();
	struct msr_range range = { .name = "probe-msr",
				   .first = 0x4b564d00,
				   .last = 0x4b564d01,
				   .read = msr_read,
				   .device = world };
	struct exit exit = { .reason = EXIT_RDMSR };
	unsigned source;

	assert_int_equal(msr_add(&world->vm.msrs, &world->vm.sources, &range),
			 0);
	source = exit_source(&world->vm.sources, "probe-msr");
	world->msr = 77;
	exit.msr.index = 0x4b564d01;
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_RESUME);
	assert_int_equal(exit.msr.value, 77);
	/* It has no write handler; and the one behind it is nobody's. */
	exit.reason = EXIT_WRMSR;
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_FAULT);
	exit.msr.index = 0x4b564d02;
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_FAULT);
	exit.reason = EXIT_RDMSR;
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_FAULT);

	/* A refused access is an exit all the same. */
	assert_int_equal(count_of(world, EXIT_RDMSR, source), 1);
	assert_int_equal(count_of(world, EXIT_WRMSR, source), 1);
	assert_int_equal(count_of(world, EXIT_WRMSR, 0), 1);
	assert_int_equal(count_of(world, EXIT_RDMSR, 0), 1);
	assert_int_equal(count_all(world), 4);
	world_destroy(world);
}

static void test_every_reason(void **state)
{
	struct world *world = world_create();

	for (unsigned reason = 0; reason < EXIT_REASON_COUNT; reason++) {
		struct exit exit = { .reason = reason };

		assert_non_null(exit_reason_name(reason));
		assert_non_null(exit_reason_help(reason));
		/* Which needs a local APIC; this world has none. */
		if (reason == EXIT_APIC_ACCESS)
			exit_count(&world->vcpu, reason, 1);
		else
			exit_handle(&world->vcpu, &exit);
		assert_int_equal(count_of(world, reason, 0), 1);
		for (unsigned other = 0; other < reason; other++)
			assert_string_not_equal(exit_reason_name(reason),
						exit_reason_name(other));
	}
	exit_count(&world->vcpu, EXIT_IN_KERNEL, 1000);
	assert_int_equal(count_of(world, EXIT_IN_KERNEL, 0), 1001);
	assert_int_equal(count_all(world), EXIT_REASON_COUNT + 1000);
	world_destroy(world);
}

static void test_actions(void **state)
{
	struct world *world = world_create();
	struct exit exit = { .reason = EXIT_HLT };

	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_WAIT);
	/* Who was asked to stop leaves after the instruction, not within. */
	atomic_store(&world->vcpu.requests, VCPU_STOP);
	exit = port_exit(0x300, true, 0);
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_LEAVE);
	exit = (struct exit){ .reason = EXIT_RDMSR, .msr.index = 0x4b564dff };
	assert_int_equal(exit_handle(&world->vcpu, &exit), EXIT_FAULT);
	world_destroy(world);
}

static void test_source_table_full(void **state)
{
	struct world *world = world_create();
	char names[EXIT_SOURCES_MAX][8];
	unsigned known = exit_source(&world->vm.sources, "known");

	assert_int_not_equal(known, 0);
	for (unsigned i = 0; i < EXIT_SOURCES_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "dev%u", i);
		exit_source(&world->vm.sources, names[i]);
	}
	/* The last are nobody's: counted without a name rather than lost. */
	assert_int_equal(exit_source(&world->vm.sources, "late"), 0);
	assert_int_equal(exit_source(&world->vm.sources, "known"), known);
	assert_int_equal(world->vm.sources.count, EXIT_SOURCES_MAX);
	world_destroy(world);
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * A reason without a handler costs the booking alone. A boot of Debian has
 * 30,000 exits in five seconds on interp: at 20 ns each, 0.01 % of it.
 */
static void test_cost(void **state)
{
	struct world *world = world_create();
	struct exit exit = { .reason = EXIT_PAUSE };
	double start = cpu_seconds(), ns;

	for (unsigned i = 0; i < COST_RUNS; i++)
		exit_handle(&world->vcpu, &exit);
	ns = (cpu_seconds() - start) / COST_RUNS * 1e9;
	print_message("# %.1f ns to book an exit\n", ns);
	assert_int_equal(count_of(world, EXIT_PAUSE, 0), COST_RUNS);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_true(ns < COST_LIMIT_NS);
#endif
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_every_reason),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_source_table_full),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
