/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builds the loader's script from the tables themselves: built for base 0,
 * every pointer in them is an offset already, and the RSDP leads to them all.
 */
#include "boot/acpi_loader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"

#define RSDP_SIZE     36
#define RSDP_XSDT     24
#define HEADER_SIZE   36
#define CHECKSUM      9 /* in a table's header */
#define FADT_FACS     36
#define FADT_DSDT     40
#define FADT_X_DSDT   140
#define FACS_ALIGN    64

#define FILE_NAME_MAX 56
#define COMMANDS_MAX  32

enum { ALLOCATE = 1, ADD_POINTER, ADD_CHECKSUM };
enum { ZONE_HIGH = 1, ZONE_FSEG };

/* All commands are as long as the longest, with room to grow. */
struct __attribute__((packed)) command {
	uint32_t kind;
	union {
		struct __attribute__((packed)) {
			char file[FILE_NAME_MAX];
			uint32_t alignment;
			uint8_t zone;
		} allocate;
		struct __attribute__((packed)) {
			char in[FILE_NAME_MAX], to[FILE_NAME_MAX];
			uint32_t offset;
			uint8_t size;
		} pointer;
		struct __attribute__((packed)) {
			char file[FILE_NAME_MAX];
			uint32_t offset, start, length;
		} checksum;
		uint8_t room[124];
	};
};

struct script {
	struct command command[COMMANDS_MAX];
	unsigned count;
};

static struct command *next(struct script *script, uint32_t kind)
{
	struct command *command = &script->command[script->count++];

	BUG_ON(script->count > COMMANDS_MAX);
	command->kind = kind;
	return command;
}

static void allocate(struct script *script, const char *file,
		     uint32_t alignment, uint8_t zone)
{
	struct command *command = next(script, ALLOCATE);

	strcpy(command->allocate.file, file);
	command->allocate.alignment = alignment;
	command->allocate.zone = zone;
}

/* What stands at offset of `in` points into the tables. */
static void add_pointer(struct script *script, const char *in, uint32_t offset,
			uint8_t size)
{
	struct command *command = next(script, ADD_POINTER);

	strcpy(command->pointer.in, in);
	strcpy(command->pointer.to, ACPI_FILE_TABLES);
	command->pointer.offset = offset;
	command->pointer.size = size;
}

/* The byte is zero until firmware has summed up: OVMF counts it in. */
static void add_checksum(struct script *script, const char *file,
			 uint8_t *bytes, uint32_t offset, uint32_t start,
			 uint32_t length)
{
	struct command *command = next(script, ADD_CHECKSUM);

	bytes[offset] = 0;
	strcpy(command->checksum.file, file);
	command->checksum.offset = offset;
	command->checksum.start = start;
	command->checksum.length = length;
}

static void add_table(struct script *script, uint8_t *tables, uint32_t at)
{
	if (memcmp(tables + at, "FACP", 4) == 0) {
		add_pointer(script, ACPI_FILE_TABLES, at + FADT_FACS, 4);
		add_pointer(script, ACPI_FILE_TABLES, at + FADT_DSDT, 4);
		add_pointer(script, ACPI_FILE_TABLES, at + FADT_X_DSDT, 8);
	}
	add_checksum(script, ACPI_FILE_TABLES, tables, at + CHECKSUM, at,
		     load_u32(tables + at + 4));
}

static void write_script(struct script *script, uint8_t *rsdp, uint8_t *tables)
{
	uint32_t xsdt = load_u64(rsdp + RSDP_XSDT);
	uint32_t end = xsdt + load_u32(tables + xsdt + 4);

	allocate(script, ACPI_FILE_TABLES, FACS_ALIGN, ZONE_HIGH);
	allocate(script, ACPI_FILE_RSDP, 16, ZONE_FSEG);
	for (uint32_t at = xsdt + HEADER_SIZE; at < end; at += 8) {
		add_pointer(script, ACPI_FILE_TABLES, at, 8);
		add_table(script, tables, load_u64(tables + at));
	}
	add_checksum(script, ACPI_FILE_TABLES, tables, xsdt + CHECKSUM, xsdt,
		     end - xsdt);
	add_pointer(script, ACPI_FILE_RSDP, RSDP_XSDT, 8);
	add_checksum(script, ACPI_FILE_RSDP, rsdp, 8, 0, 20);
	add_checksum(script, ACPI_FILE_RSDP, rsdp, 32, 0, RSDP_SIZE);
}

int acpi_files_build(const struct acpi_board *board, struct acpi_files *files)
{
	struct acpi_board relative = *board;
	struct script *script = calloc(1, sizeof(*script));
	uint8_t *tables = calloc(1, BOOT_ACPI_ROOM + FACS_ALIGN);
	uint8_t *rsdp = malloc(RSDP_SIZE);
	size_t size;

	*files = (struct acpi_files){
		.tables = tables,
		.rsdp = rsdp,
		.loader = (uint8_t *)script,
	};
	if (!script || !tables || !rsdp) {
		acpi_files_fini(files);
		return -ENOMEM;
	}
	/* The FACS comes first, where its alignment is the file's. The RSDP
	 * moves into a file of its own. */
	relative.facs = 0;
	relative.base = FACS_ALIGN;
	size = acpi_build(&relative, tables + FACS_ALIGN);
	memcpy(rsdp, tables + FACS_ALIGN, RSDP_SIZE);
	memset(tables + FACS_ALIGN, 0, RSDP_SIZE);
	acpi_build_facs(tables);
	files->tables_size = FACS_ALIGN + size;
	files->rsdp_size = RSDP_SIZE;
	write_script(script, rsdp, tables);
	files->loader_size = script->count * sizeof(script->command[0]);
	return 0;
}

void acpi_files_fini(struct acpi_files *files)
{
	free(files->tables);
	free(files->rsdp);
	free(files->loader);
	memset(files, 0, sizeof(*files));
}
