/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables as firmware takes them from fw_cfg: two files of bytes whose
 * pointers are offsets, and a script that says where to put them and what to
 * patch. QEMU's hw/acpi/bios-linker-loader documents the script's form.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "boot/acpi.h"

#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_RSDP	 "etc/acpi/rsdp"
#define ACPI_FILE_LOADER "etc/table-loader"

struct acpi_files {
	uint8_t *tables, *rsdp, *loader;
	size_t tables_size, rsdp_size, loader_size;
};

/* Fills in `files`, which acpi_files_fini frees. base and facs of `board` are
 * not looked at. -ENOMEM. */
int acpi_files_build(const struct acpi_board *board, struct acpi_files *files);
void acpi_files_fini(struct acpi_files *files); /* zeroed is fine */
