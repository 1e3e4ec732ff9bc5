/* SPDX-License-Identifier: BSD-2-Clause */
/* The bus: lookup, access sizes, splitting, nobody there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/bus.h"
#include "core/exit.h"

/* A register file that remembers what it was asked. */
struct probe {
	struct bus_region region;
	uint8_t bytes[16];
	unsigned calls;
	unsigned last_size;
};

static enum bus_result probe_access(void *device, struct access *access)
{
	struct probe *probe = device;

	probe->calls++;
	probe->last_size = access->size;
	for (unsigned i = 0; i < access->size; i++) {
		uint8_t *byte = &probe->bytes[access->offset + i];

		if (access->is_write)
			*byte = (uint8_t)(access->value >> (8 * i));
		else
			access->value |= (uint64_t)*byte << (8 * i);
	}
	return BUS_HANDLED;
}

struct fixture {
	struct exit_sources sources;
	struct bus bus;
	struct probe a, b;
};

static void add(struct fixture *f, struct probe *probe, const char *name,
		uint64_t base, uint8_t sizes)
{
	*probe = (struct probe){ .region = { .name = name,
					     .base = base,
					     .size = sizeof(probe->bytes),
					     .sizes = sizes,
					     .handler = probe_access,
					     .device = probe } };
	for (unsigned i = 0; i < sizeof(probe->bytes); i++)
		probe->bytes[i] = (uint8_t)(0x10 + i);
	assert_int_equal(bus_add(&f->bus, &probe->region), 0);
}

static void setup(struct fixture *f)
{
	exit_sources_init(&f->sources);
	bus_init(&f->bus, BUS_MMIO, &f->sources);
}

static uint64_t read_at(struct fixture *f, uint64_t address, unsigned size,
			unsigned *source)
{
	struct access access = { .size = (uint8_t)size };

	bus_access(&f->bus, address, &access, source);
	return access.value;
}

static void test_names_who_answered(void **state)
{
	struct fixture f;
	unsigned source;

	setup(&f);
	add(&f, &f.a, "a", 0x1000, 0);
	add(&f, &f.b, "b", 0x2000, 0);
	assert_int_equal(read_at(&f, 0x1000, 4, &source), 0x13121110);
	assert_string_equal(f.sources.name[source], "a");
	assert_int_equal(read_at(&f, 0x200f, 1, &source), 0x1f);
	assert_string_equal(f.sources.name[source], "b");
}

static void test_nobody_reads_all_ones(void **state)
{
	struct fixture f;
	unsigned source;
	struct access access = { .size = 4, .value = 0 };

	setup(&f);
	assert_int_equal(bus_access(&f.bus, 0x99, &access, &source),
			 BUS_UNHANDLED);
	assert_int_equal(access.value, 0xffffffff);
	assert_int_equal(source, 0);
}

static void test_large_access_is_split(void **state)
{
	struct fixture f;
	unsigned source;
	struct access write = { .size = 4,
				.value = 0xddccbbaa,
				.is_write = true };

	setup(&f);
	add(&f, &f.a, "a", 0x1000, 1);
	assert_int_equal(read_at(&f, 0x1002, 4, &source), 0x15141312);
	assert_int_equal(f.a.calls, 4);
	assert_int_equal(f.a.last_size, 1);
	bus_access(&f.bus, 0x1004, &write, &source);
	assert_int_equal(f.a.bytes[4], 0xaa);
	assert_int_equal(f.a.bytes[7], 0xdd);
}

static void test_small_read_is_cut_out(void **state)
{
	struct fixture f;
	unsigned source;
	struct access write = { .size = 1, .value = 1, .is_write = true };

	setup(&f);
	add(&f, &f.a, "a", 0x1000, 4);
	assert_int_equal(read_at(&f, 0x1006, 1, &source), 0x16);
	assert_int_equal(f.a.last_size, 4);
	assert_int_equal(bus_access(&f.bus, 0x1006, &write, &source),
			 BUS_ERROR);
	assert_int_equal(f.a.bytes[6], 0x16);
}

static void test_access_may_span_regions(void **state)
{
	struct fixture f;
	unsigned source;

	setup(&f);
	add(&f, &f.a, "a", 0x1000, 0);
	add(&f, &f.b, "b", 0x1010, 0);
	assert_int_equal(read_at(&f, 0x100e, 4, &source), 0x11101f1e);
	/* the last two bytes of b, then nobody */
	assert_int_equal(read_at(&f, 0x101e, 4, &source), 0xffff1f1e);
}

static void test_first_added_wins_and_moves(void **state)
{
	struct fixture f;
	unsigned source;

	setup(&f);
	add(&f, &f.a, "a", 0x1000, 0);
	add(&f, &f.b, "b", 0x1000, 0);
	read_at(&f, 0x1000, 1, &source);
	assert_string_equal(f.sources.name[source], "a");
	assert_int_equal(bus_move(&f.bus, &f.a.region, 0x4000), 0);
	read_at(&f, 0x1000, 1, &source);
	assert_string_equal(f.sources.name[source], "b");
	bus_remove(&f.bus, &f.b.region);
	assert_int_equal(read_at(&f, 0x1000, 1, &source), 0xff);
}

static void test_refuses_bad_regions(void **state)
{
	struct fixture f;
	struct bus_region wraps = { .name = "w", .base = ~0ull, .size = 2 };
	struct bus_region empty = { .name = "e", .base = 1 };

	setup(&f);
	assert_true(bus_add(&f.bus, &wraps) < 0);
	assert_true(bus_add(&f.bus, &empty) < 0);
	add(&f, &f.a, "a", 0x1000, 0);
	assert_true(bus_move(&f.bus, &f.a.region, ~0ull) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_who_answered),
		cmocka_unit_test(test_nobody_reads_all_ones),
		cmocka_unit_test(test_large_access_is_split),
		cmocka_unit_test(test_small_read_is_cut_out),
		cmocka_unit_test(test_access_may_span_regions),
		cmocka_unit_test(test_first_added_wins_and_moves),
		cmocka_unit_test(test_refuses_bad_regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
