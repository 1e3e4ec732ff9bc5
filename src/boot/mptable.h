/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MP configuration table, by which a guest without ACPI finds processors
 * and IOAPIC: Intel MultiProcessor Specification 1.4, chapter 4.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct mptable_board {
	unsigned vcpu_count;
	uint32_t signature, features; /* CPUID 1: EAX and EDX */
	uint32_t base; /* where the table will stand, below 1 MiB */
};

#define MPTABLE_ROOM 0x1000u

/**
 * Writes the floating pointer and the table behind it, which will stand at
 * `base`, to bytes (MPTABLE_ROOM of them). Returns their size.
 */
size_t mptable_build(const struct mptable_board *board, uint8_t *bytes);
