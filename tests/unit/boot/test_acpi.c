/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables: checksums, pointers, and what iasl says of the AML, which
 * it takes apart and puts together again without a warning.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "boot/acpi.h"
#include "core/device.h"

struct tables {
	uint8_t bytes[BOOT_ACPI_ROOM];
	size_t size;
};

static const struct device_resources com1 = {
	.acpi_name = "COM1",
	.hid = "PNP0501",
	.uid = 1,
	.port = { { 0x3f8, 8 } },
	.irq = { 4, -1 },
};
static const struct device_resources hpet = {
	.acpi_name = "HPET",
	.hid = "PNP0103",
	.mmio = { { 0xfed00000, 0x400 } },
	.irq = { -1 },
};
static const struct device_resources rtc = {
	.acpi_name = "RTC",
	.hid = "PNP0B00",
	.port = { { 0x70, 2 } },
	.irq = { 8, -1 },
};
static const struct device_resources silent = { .irq = { -1 } };

static void build(struct tables *tables, unsigned vcpus, uint64_t ram_size)
{
	struct device device[] = {
		{ .name = "com1", .resources = &com1 },
		{ .name = "hpet", .resources = &hpet },
		{ .name = "rtc", .resources = &rtc },
		{ .name = "a", .resources = &silent },
		{ .name = "b" },
	};
	struct list devices;
	struct acpi_board board = { &devices, vcpus, ram_size, BOOT_ACPI,
				    BOOT_FACS };

	list_init(&devices);
	for (unsigned i = 0; i < ARRAY_SIZE(device); i++)
		list_add(&devices, &device[i].link);
	tables->size = acpi_build(&board, tables->bytes);
	assert_in_range(tables->size, 1, BOOT_ACPI_ROOM);
}

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total += *bytes++;
	return total;
}

/* A table by its guest address, its checksum and length checked. */
static const uint8_t *table_at(const struct tables *tables, uint64_t address)
{
	const uint8_t *table;
	uint32_t size;

	assert_in_range(address, BOOT_ACPI, BOOT_ACPI + tables->size - 36);
	table = tables->bytes + (address - BOOT_ACPI);
	size = load_u32(table + 4);
	assert_in_range(size, 36, tables->size - (address - BOOT_ACPI));
	assert_int_equal(sum(table, size), 0);
	return table;
}

static const uint8_t *find(const struct tables *tables, const char *name)
{
	const uint8_t *xsdt = table_at(tables, load_u64(tables->bytes + 24));
	unsigned count = (load_u32(xsdt + 4) - 36) / 8;

	assert_memory_equal(xsdt, "XSDT", 4);
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *table =
			table_at(tables, load_u64(xsdt + 36 + 8 * i));

		if (memcmp(table, name, 4) == 0)
			return table;
	}
	return NULL;
}

static void test_rsdp(void **state)
{
	struct tables *tables = *state;

	build(tables, 1, 512u << 20);
	assert_memory_equal(tables->bytes, "RSD PTR ", 8);
	assert_int_equal(sum(tables->bytes, 20), 0);
	assert_int_equal(sum(tables->bytes, 36), 0);
	assert_int_equal(tables->bytes[15], 2);
}

static void test_fadt(void **state)
{
	struct tables *tables = *state;
	const uint8_t *fadt;

	build(tables, 1, 512u << 20);
	fadt = find(tables, "FACP");
	assert_non_null(fadt);
	assert_int_equal(load_u32(fadt + 4), 276);
	assert_int_equal(load_u32(fadt + 36), BOOT_FACS);
	assert_int_equal(load_u16(fadt + 46), 9);
	assert_int_equal(load_u32(fadt + 56), 0x600);
	assert_int_equal(load_u64(fadt + 120), 0xcf9);
	assert_memory_equal(table_at(tables, load_u64(fadt + 140)), "DSDT", 4);
	assert_int_equal(load_u32(fadt + 40), load_u64(fadt + 140));
}

static void test_madt_has_every_processor(void **state)
{
	struct tables *tables = *state;
	unsigned processors = 0, ioapics = 0, overrides = 0;
	const uint8_t *madt;

	build(tables, 32, 512u << 20);
	madt = find(tables, "APIC");
	for (uint32_t at = 44; at < load_u32(madt + 4); at += madt[at + 1]) {
		assert_int_not_equal(madt[at + 1], 0);
		if (madt[at] == 0)
			assert_int_equal(madt[at + 3], processors++);
		ioapics += madt[at] == 1;
		overrides += madt[at] == 2;
	}
	assert_int_equal(processors, 32);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 2);
}

static void test_mcfg_and_hpet(void **state)
{
	struct tables *tables = *state;

	build(tables, 1, 512u << 20);
	assert_int_equal(load_u64(find(tables, "MCFG") + 44), 0xb0000000);
	assert_int_equal(find(tables, "MCFG")[55], 255);
	assert_int_equal(load_u64(find(tables, "HPET") + 44), 0xfed00000);
}

/* A unit for all of PCI, and the IOAPIC's messages from ff:00.0. */
static void test_dmar(void **state)
{
	struct tables *tables = *state;
	struct device vtd = { .name = "vtd" };
	struct list devices;
	struct acpi_board board = { &devices, 1, 16u << 20, BOOT_ACPI,
				    BOOT_FACS };
	const uint8_t *dmar;

	build(tables, 1, 512u << 20);
	assert_null(find(tables, "DMAR"));
	list_init(&devices);
	list_add(&devices, &vtd.link);
	tables->size = acpi_build(&board, tables->bytes);
	dmar = find(tables, "DMAR");
	assert_int_equal(load_u32(dmar + 4), 72);
	assert_int_equal(dmar[36], 39);
	assert_int_equal(dmar[37], 1);
	assert_int_equal(load_u16(dmar + 50), 24);
	assert_int_equal(dmar[52], 1);
	assert_int_equal(load_u64(dmar + 56), 0xfed90000);
	assert_int_equal(dmar[64], 3);
	assert_int_equal(dmar[69], 0xff);
}

static void test_no_devices(void **state)
{
	struct tables *tables = *state;
	struct acpi_board board = { NULL, 1, 16u << 20, BOOT_ACPI, BOOT_FACS };

	tables->size = acpi_build(&board, tables->bytes);
	assert_null(find(tables, "HPET"));
	assert_non_null(find(tables, "FACP"));
}

/* Whether `text` stands in the file. */
static bool file_has(const char *path, const char *text)
{
	cleanup_file FILE *file = fopen(path, "r");
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, text))
			return true;
	return false;
}

/* Runs a shell line in the folder, with the table's name as $t. */
static void run(const char *folder, const char *name, const char *line)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && t=%s && %s", folder, name,
		 line);
	assert_int_equal(system(command), 0);
}

static void check_table(const char *folder, const uint8_t *table)
{
	char path[256], name[5] = { 0 };
	FILE *file;

	memcpy(name, table, 4);
	snprintf(path, sizeof(path), "%s/%s.aml", folder, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(table, load_u32(table + 4), 1, file), 1);
	fclose(file);
	run(folder, name, "iasl -d $t.aml >d.log 2>&1");
	snprintf(path, sizeof(path), "%s/d.log", folder);
	assert_false(file_has(path, "arning"));
	assert_false(file_has(path, "rror"));
	/* Every remark is shown, and not one is wanted. */
	run(folder, name, "iasl -f $t.dsl >c.log 2>&1 || cat c.log");
	snprintf(path, sizeof(path), "%s/c.log", folder);
	if (!file_has(path, "0 Errors, 0 Warnings, 0 Remarks") &&
	    !file_has(path, "Table Input"))
		run(folder, name, "cat c.log; false");
	run(folder, name, "rm -f $t.* ?.log");
}

static void test_iasl(void **state)
{
	struct tables *tables = *state;
	char folder[] = "/tmp/ringfence-acpi-XXXXXX";
	static const char *const names[] = { "FACP", "APIC", "MCFG", "HPET" };

	if (system("iasl -v >/dev/null 2>&1") != 0)
		skip();
	build(tables, 32, 8ull << 30);
	assert_non_null(mkdtemp(folder));
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		check_table(folder, find(tables, names[i]));
	check_table(folder,
		    table_at(tables, load_u64(find(tables, "FACP") + 140)));
	rmdir(folder);
}

static void test_memory_map(void **state)
{
	struct e820_map map;
	uint64_t ram = 0;

	e820_build(&map, 8ull << 30);
	for (unsigned i = 0; i < map.count; i++) {
		if (i)
			assert_true(map.entry[i].base >=
				    map.entry[i - 1].base +
					    map.entry[i - 1].size);
		if (map.entry[i].type == E820_RAM)
			ram += map.entry[i].size;
	}
	/* All but the EBDA and what lies above it below 1 MiB. */
	assert_int_equal(ram, (8ull << 30) - (0x100000 - BOOT_EBDA));
	assert_int_equal(e820_low_end(8ull << 30), 0xb0000000);
	assert_int_equal(e820_high_end(8ull << 30),
			 0x100000000 + (8ull << 30) - 0xb0000000);
	assert_int_equal(board_window64_base(8ull << 30), 0x800000000);
	assert_int_equal(board_window64_base(64ull << 30), 0x1080000000);
	e820_build(&map, 1u << 20);
	assert_int_equal(map.count, 4);
}

static int setup(void **state)
{
	*state = malloc(sizeof(struct tables));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsdp),
		cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt_has_every_processor),
		cmocka_unit_test(test_mcfg_and_hpet),
		cmocka_unit_test(test_dmar),
		cmocka_unit_test(test_no_devices),
		cmocka_unit_test(test_iasl),
		cmocka_unit_test(test_memory_map),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
