/* SPDX-License-Identifier: BSD-2-Clause */
/* The board around a chip under test: see board.h. */
#include "board.h"

#include <stdlib.h>

#include "chip/lapic.h"

static struct board *board_of(struct vm *vm)
{
	return container_of(vm, struct board, vm);
}

static void record_msi(struct vm *vm, const struct msi *msi)
{
	struct board *board = board_of(vm);

	if (board->msi_count < ARRAY_SIZE(board->msi))
		board->msi[board->msi_count] = *msi;
	board->msi_count++;
}

static void set_wire(void *chip, unsigned pin, bool level)
{
	struct wire *wire = &((struct board *)chip)->wire[pin];

	wire->rises += level && !wire->level;
	wire->level = level;
}

static int vcpu_create(struct vcpu *vcpu, const struct cpuid_table *cpuid)
{
	return 0;
}

static const struct engine_ops engine = {
	.name = "none",
	.vcpu_create = vcpu_create,
};

static const struct apic_ops recorder = {
	.deliver = record_msi,
};

struct board *board_create(void)
{
	struct board *board = calloc(1, sizeof(*board));

	assert_non_null(board);
	assert_int_equal(vm_init(&board->vm, "test", &engine), 0);
	board->vm.apic_ops = &recorder;
	return board;
}

struct board *board_create_smp(unsigned vcpus)
{
	struct board *board = board_create();
	unsigned i;

	assert_int_equal(lapic_init(&board->vm), 0);
	for (i = 0; i < vcpus; i++) {
		assert_int_equal(vm_add_vcpu(&board->vm), 0);
		assert_int_equal(lapic_create(board->vm.vcpus[i]), 0);
	}
	return board;
}

void board_destroy(struct board *board)
{
	vm_fini(&board->vm);
	free(board);
}

struct irq_line board_wire(struct board *board, unsigned pin)
{
	return (struct irq_line){ set_wire, board, pin };
}

static uint64_t go(struct bus *bus, uint64_t address, unsigned size,
		   bool is_write, uint64_t value)
{
	struct access access = {
		.size = size,
		.value = value,
		.is_write = is_write,
	};
	unsigned source;

	bus_access(bus, address, &access, &source);
	return access.value;
}

uint32_t board_in(struct board *board, uint16_t port, unsigned size)
{
	return go(&board->vm.io, port, size, false, 0);
}

void board_out(struct board *board, uint16_t port, unsigned size,
	       uint32_t value)
{
	go(&board->vm.io, port, size, true, value);
}

uint64_t board_read(struct board *board, uint64_t gpa, unsigned size)
{
	return go(&board->vm.mmio, gpa, size, false, 0);
}

void board_write(struct board *board, uint64_t gpa, unsigned size,
		 uint64_t value)
{
	go(&board->vm.mmio, gpa, size, true, value);
}

void board_advance(struct board *board, uint64_t ns)
{
	struct clock *clock = &board->vm.clock;
	uint64_t end = clock_ns(clock) + ns, next;

	while ((next = clock_next_ns(clock)) <= end - clock_ns(clock)) {
		clock_set(clock, clock_ns(clock) + next, 0);
		clock_run(clock);
	}
	clock_set(clock, end, 0);
}

void board_advance_late(struct board *board, uint64_t ns)
{
	struct clock *clock = &board->vm.clock;

	clock_set(clock, clock_ns(clock) + ns, 0);
	clock_run(clock);
}
