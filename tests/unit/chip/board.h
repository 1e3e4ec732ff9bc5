/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a chip's test needs around it: a VM without engine or memory, wires that
 * count, port and MMIO accesses through the real bus, and time that stands
 * still until the test moves it (fake_clock.c takes the place of core/clock.c).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/vm.h"

struct wire {
	bool level;
	unsigned rises;
};

struct board {
	struct vm vm;
	struct wire wire[24];
	struct msi msi[16]; /* what apic_ops->deliver was given */
	unsigned msi_count;
};

/** A board without vCPUs whose apic_ops records messages. */
struct board *board_create(void);
/** As above, with `vcpus` vCPUs and real local APICs. */
struct board *board_create_smp(unsigned vcpus);
void board_destroy(struct board *board);

struct irq_line board_wire(struct board *board, unsigned pin);

uint32_t board_in(struct board *board, uint16_t port, unsigned size);
void board_out(struct board *board, uint16_t port, unsigned size,
	       uint32_t value);
uint64_t board_read(struct board *board, uint64_t gpa, unsigned size);
void board_write(struct board *board, uint64_t gpa, unsigned size,
		 uint64_t value);

/** Moves the clock on and runs every timer at its own time on the way. */
void board_advance(struct board *board, uint64_t ns);
/** Moves the clock on first and runs the timers late, once. */
void board_advance_late(struct board *board, uint64_t ns);
