/* SPDX-License-Identifier: BSD-2-Clause */
/* Carries the loader's script out as firmware does, and looks at the result. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/acpi_loader.h"

#define TABLES_AT 0x3fff000u

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total += *bytes++;
	return total;
}

static uint8_t *file(struct acpi_files *f, const char *name)
{
	if (strcmp(name, ACPI_FILE_TABLES) == 0)
		return f->tables;
	assert_string_equal(name, ACPI_FILE_RSDP);
	return f->rsdp;
}

static void run(struct acpi_files *f, const char *command)
{
	const char *name = command + 4;
	uint8_t *bytes = file(f, name);
	uint64_t value = 0;
	uint32_t offset;

	switch (load_u32(command)) {
	case 1: /* alignment, zone */
		assert_int_equal(command[64], bytes == f->tables ? 1 : 2);
		break;
	case 2:
		assert_ptr_equal(file(f, command + 60), f->tables);
		offset = load_u32(command + 116);
		memcpy(&value, bytes + offset, command[120]);
		assert_in_range(value, 0, f->tables_size);
		value += TABLES_AT;
		memcpy(bytes + offset, &value, command[120]);
		break;
	case 3:
		/* As OVMF: SeaBIOS would subtract. */
		bytes[load_u32(command + 60)] = -sum(
			bytes + load_u32(command + 64), load_u32(command + 68));
		break;
	default:
		fail();
	}
}

static void test_what_firmware_makes_of_it(void **state)
{
	const struct acpi_board board = { .vcpu_count = 4,
					  .ram_size = 64 << 20 };
	struct acpi_files f;
	const uint8_t *xsdt, *fadt = NULL, *dsdt;

	assert_int_equal(acpi_files_build(&board, &f), 0);
	assert_int_equal(f.loader_size % 128, 0);
	assert_int_equal(f.rsdp_size, 36);
	for (size_t at = 0; at < f.loader_size; at += 128)
		run(&f, (char *)f.loader + at);
	assert_memory_equal(f.rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(f.rsdp, 20), 0);
	assert_int_equal(sum(f.rsdp, 36), 0);
	xsdt = f.tables + load_u64(f.rsdp + 24) - TABLES_AT;
	assert_memory_equal(xsdt, "XSDT", 4);
	assert_int_equal(sum(xsdt, load_u32(xsdt + 4)), 0);
	for (size_t at = 36; at < load_u32(xsdt + 4); at += 8) {
		const uint8_t *table =
			f.tables + load_u64(xsdt + at) - TABLES_AT;

		assert_in_range(table - f.tables, 0, f.tables_size);
		assert_int_equal(sum(table, load_u32(table + 4)), 0);
		if (memcmp(table, "FACP", 4) == 0)
			fadt = table;
	}
	assert_non_null(fadt);
	assert_int_equal(load_u32(fadt + 36), TABLES_AT);
	assert_memory_equal(f.tables, "FACS", 4);
	dsdt = f.tables + load_u32(fadt + 40) - TABLES_AT;
	assert_memory_equal(dsdt, "DSDT", 4);
	assert_int_equal(sum(dsdt, load_u32(dsdt + 4)), 0);
	assert_int_equal(load_u64(fadt + 140), load_u32(fadt + 40));
	acpi_files_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_firmware_makes_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
