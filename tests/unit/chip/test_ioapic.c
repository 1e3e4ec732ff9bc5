/* SPDX-License-Identifier: BSD-2-Clause */
/* The IOAPIC: registers, edges, levels and their EOI. */
#include "board.h"

#include <string.h>

#include "chip/ioapic.h"

static struct board *board;
static struct ioapic ioapic;

static int setup(void **state)
{
	board = board_create();
	return ioapic_init(&ioapic, &board->vm);
}

static int teardown(void **state)
{
	board_destroy(board);
	return 0;
}

static uint32_t reg(unsigned index)
{
	board_write(board, IOAPIC_BASE, 4, index);
	return board_read(board, IOAPIC_BASE + 0x10, 4);
}

static void set_reg(unsigned index, uint32_t value)
{
	board_write(board, IOAPIC_BASE, 4, index);
	board_write(board, IOAPIC_BASE + 0x10, 4, value);
}

static void set_entry(unsigned pin, uint64_t value)
{
	set_reg(0x10 + 2 * pin + 1, value >> 32);
	set_reg(0x10 + 2 * pin, value);
}

static void eoi(uint8_t vector)
{
	board->vm.eoi_ops->eoi(board->vm.eoi, vector);
}

static void registers(void **state)
{
	unsigned i;

	assert_int_equal(reg(1), 0x00170020);
	set_reg(0, 0xff000000);
	assert_int_equal(reg(0), 0x0f000000);
	for (i = 0; i < 24; i++) {
		assert_int_equal(reg(0x10 + 2 * i), 0x10000);
		set_reg(0x10 + 2 * i, ~0u);
		set_reg(0x11 + 2 * i, ~0u);
		/* Delivery status and remote IRR are read-only. */
		assert_int_equal(reg(0x10 + 2 * i), 0x1afff);
		assert_int_equal(reg(0x11 + 2 * i), 0xffff0000);
	}
	assert_int_equal(reg(0x40), ~0u);
	set_reg(0x40, 0);
	set_reg(0x0f, 0);
}

static void edges(void **state)
{
	set_entry(4, 0x0300000000000824);
	ioapic_set(&ioapic, 4, true);
	ioapic_set(&ioapic, 4, true);
	assert_int_equal(board->msi_count, 1);
	assert_int_equal(board->msi[0].requester, MSI_FROM_IOAPIC);
	assert_int_equal(board->msi[0].address, 0xfee03004);
	assert_int_equal(board->msi[0].data, 0x24);
	ioapic_set(&ioapic, 4, false);
	ioapic_set(&ioapic, 4, true);
	assert_int_equal(board->msi_count, 2);
	/* An edge that meets the mask is lost. */
	set_entry(4, 0x10024);
	ioapic_set(&ioapic, 4, false);
	ioapic_set(&ioapic, 4, true);
	set_entry(4, 0x24);
	assert_int_equal(board->msi_count, 2);
	/* Nobody is at input 24. */
	ioapic_set(&ioapic, 24, true);
	assert_int_equal(board->msi_count, 2);
}

static void levels(void **state)
{
	set_entry(16, 0x8051);
	ioapic_set(&ioapic, 16, true);
	assert_int_equal(board->msi_count, 1);
	assert_int_equal(board->msi[0].data, 0xc051);
	assert_int_equal(reg(0x30), 0xc051);
	/* One message until the EOI, whatever the line does. */
	ioapic_set(&ioapic, 16, false);
	ioapic_set(&ioapic, 16, true);
	assert_int_equal(board->msi_count, 1);
	eoi(0x50);
	assert_int_equal(board->msi_count, 1);
	eoi(0x51);
	assert_int_equal(board->msi_count, 2);
	ioapic_set(&ioapic, 16, false);
	/* The EOI register does the same. */
	board_write(board, IOAPIC_BASE + 0x40, 4, 0x51);
	assert_int_equal(board->msi_count, 2);
	assert_int_equal(reg(0x30), 0x8051);
	/* Asserted while masked: sent when unmasked. */
	set_entry(16, 0x18051);
	ioapic_set(&ioapic, 16, true);
	assert_int_equal(board->msi_count, 2);
	set_entry(16, 0x8051);
	assert_int_equal(board->msi_count, 3);
	/* Edge and back drops remote IRR. */
	set_entry(16, 0x10051);
	set_entry(16, 0x8051);
	assert_int_equal(board->msi_count, 4);
}

static void delivers_to_a_local_apic(void **state)
{
	struct board *smp = board_create_smp(2);
	struct ioapic chip;
	struct access svr = {
		.offset = 0xf0, .size = 4, .value = 0x1ff, .is_write = true
	};
	struct access end = { .offset = 0xb0, .size = 4, .is_write = true };
	struct vcpu *vcpu = smp->vm.vcpus[1];
	unsigned i;

	assert_int_equal(ioapic_init(&chip, &smp->vm), 0);
	smp->vm.apic_ops->access(vcpu, &svr);
	chip.entry[20] = 0x0100000000008061;
	ioapic_set(&chip, 20, true);
	for (i = 0; i < 3; i++) {
		assert_true(vcpu_has_interrupt(vcpu));
		assert_int_equal(vcpu_take_interrupt(vcpu), 0x61);
		assert_false(vcpu_has_interrupt(vcpu));
		if (i == 2)
			ioapic_set(&chip, 20, false);
		smp->vm.apic_ops->access(vcpu, &end);
	}
	assert_false(vcpu_has_interrupt(vcpu));
	board_destroy(smp);
}

static struct msi route;
static unsigned route_pin, routes;

static void record_route(struct vm *vm, unsigned pin, const struct msi *msi)
{
	route = *msi;
	route_pin = pin;
	routes++;
}

static void tells_routes(void **state)
{
	static const struct apic_ops ops = { .route_changed = record_route };

	board->vm.apic_ops = &ops;
	routes = 0;
	set_entry(9, 0x0200000000018071);
	assert_int_equal(routes, 0); /* masked */
	set_entry(9, 0x0200000000008071);
	assert_int_equal(route_pin, 9);
	assert_int_equal(route.address, 0xfee02000);
	assert_int_equal(route.data, 0x71 | MSI_DATA_LEVEL | MSI_DATA_ASSERT);
	routes = 0;
	set_reg(0x10 + 2 * 9, 0x18071);
	assert_int_equal(routes, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(registers),	 T(edges),
		T(levels),	 T(delivers_to_a_local_apic),
		T(tells_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
