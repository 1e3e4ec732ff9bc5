/* SPDX-License-Identifier: BSD-2-Clause */
/* The definition block of the board: what is in the ACPI namespace. */
#pragma once

#include "boot/acpi.h"
#include "boot/aml.h"

/* Appends the DSDT's AML, without its table header. */
void dsdt_build(struct aml *aml, const struct acpi_board *board);
