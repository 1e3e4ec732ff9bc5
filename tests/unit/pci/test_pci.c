/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI: config mechanisms, BARs, capabilities, MSI, MSI-X, INTx. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/vm.h"
#include "pci/pci.h"

#define ECAM 0xb0000000ull

static struct vm vm;
static struct pci_bus bus;
static struct pci_device pci, other;
static pthread_mutex_t device_lock;
static bool level[PCI_INTX_LINES];
static struct msi last;
static unsigned msi_count, writes;
static struct access seen;

static void set_line(void *chip, unsigned pin, bool value)
{
	level[pin] = value;
}

static void deliver(struct vm *machine, const struct msi *msi)
{
	last = *msi;
	msi_count++;
}

static const struct apic_ops apic = { .deliver = deliver };

static enum bus_result on_bar(void *device, struct access *access)
{
	seen = *access;
	access->value = 0x11223344;
	return BUS_HANDLED;
}

static void on_written(void *device, unsigned offset, unsigned size)
{
	writes++;
}

static uint64_t go(struct bus *on, uint64_t address, unsigned size, bool write,
		   uint64_t value)
{
	struct access access = { .size = size,
				 .value = value,
				 .is_write = write };
	unsigned source;

	bus_access(on, address, &access, &source);
	return access.value;
}

static uint32_t get(unsigned devfn, unsigned offset, unsigned size)
{
	go(&vm.io, 0xcf8, 4, true, 1u << 31 | devfn << 8 | (offset & 0xfc));
	return go(&vm.io, 0xcfc + (offset & 3), size, false, 0);
}

static void put(unsigned devfn, unsigned offset, unsigned size, uint32_t value)
{
	go(&vm.io, 0xcf8, 4, true, 1u << 31 | devfn << 8 | (offset & 0xfc));
	go(&vm.io, 0xcfc + (offset & 3), size, true, value);
}

static const struct pci_id id = {
	.vendor = 0x1af4,
	.device = 0x1041,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0x020000,
	.revision = 1,
};

static const uint8_t rom[2048] = { 0x55, 0xaa, 4, [2047] = 0x77 };

static int setup(void **state)
{
	struct irq_line intx[PCI_INTX_LINES];
	unsigned i;

	for (i = 0; i < PCI_INTX_LINES; i++)
		intx[i] = (struct irq_line){ set_line, NULL, i };
	memset(level, 0, sizeof(level));
	msi_count = writes = 0;
	pthread_mutex_init(&device_lock, NULL);
	assert_int_equal(vm_init(&vm, "test", NULL), 0);
	vm.apic_ops = &apic;
	assert_int_equal(pci_bus_init(&bus, &vm, intx), 0);
	pci_bus_move_ecam(&bus, ECAM);
	pci_device_init(&pci, "nic", &id);
	pci.config_written = on_written;
	pci_intx_init(&pci);
	pci_bar_init(&pci, 0, PCI_BAR_IO, 32, on_bar, &pci, &device_lock, 0);
	pci_msix_init(&pci, 1, 40);
	pci_bar_init(&pci, 2, PCI_BAR_PREFETCH64, 0x4000, on_bar, &pci,
		     &device_lock, 0);
	pci_bar_init(&pci, 4, PCI_BAR_MEMORY, 0x100, on_bar, &pci, &device_lock,
		     0);
	pci_msi_init(&pci);
	assert_int_equal(pci_device_add(&bus, &pci, PCI_DEVFN(3, 0)), 0);
	pci_device_init(&other, "other", &id);
	pci_intx_init(&other);
	pci_rom_init(&other, rom, sizeof(rom));
	assert_int_equal(pci_device_add(&bus, &other, PCI_DEVFN(3, 0)),
			 -EEXIST);
	assert_int_equal(pci_device_add(&bus, &other, PCI_DEVFN(11, 0)), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_fini(&vm);
	return 0;
}

#define DEV PCI_DEVFN(3, 0)

static void config_mechanisms(void **state)
{
	uint64_t at = ECAM + (DEV << 12);

	assert_int_equal(get(DEV, 0, 4), 0x10411af4);
	assert_int_equal(get(DEV, 0, 2), 0x1af4);
	assert_int_equal(get(DEV, 2, 2), 0x1041);
	assert_int_equal(get(DEV, 3, 1), 0x10);
	assert_int_equal(get(DEV, 8, 4), 0x02000001);
	assert_int_equal(get(DEV, 0x2c, 4), 0x11001af4);
	assert_int_equal(get(PCI_DEVFN(4, 0), 0, 4), ~0u);
	assert_int_equal(go(&vm.io, 0xcf8, 4, false, 0),
			 1u << 31 | PCI_DEVFN(4, 0) << 8);
	/* Another bus, and with the enable bit off. */
	go(&vm.io, 0xcf8, 4, true, 1u << 31 | 1 << 16 | DEV << 8);
	assert_int_equal(go(&vm.io, 0xcfc, 4, false, 0), ~0u);
	go(&vm.io, 0xcf8, 4, true, DEV << 8);
	assert_int_equal(go(&vm.io, 0xcfc, 4, false, 0), ~0u);
	/* Byte writes to the address port are not for it. */
	go(&vm.io, 0xcf8, 1, true, 0xff);
	assert_int_equal(go(&vm.io, 0xcf8, 4, false, 0), DEV << 8);

	assert_int_equal(go(&vm.mmio, at, 4, false, 0), 0x10411af4);
	assert_int_equal(go(&vm.mmio, at + 2, 1, false, 0), 0x41);
	assert_int_equal(go(&vm.mmio, at + 0x100, 4, false, 0), ~0u);
	assert_int_equal(go(&vm.mmio, at + (1 << 20), 4, false, 0), ~0u);
	go(&vm.mmio, at + 0x3c, 1, true, 0x5a);
	assert_int_equal(get(DEV, 0x3c, 2), 0x015a);
	assert_int_equal(writes, 1);
	pci_bus_move_ecam(&bus, PCI_UNMAPPED);
	assert_int_equal(go(&vm.mmio, at, 4, false, 0), ~0u);
}

/* CF8h's low bits are 0; for test programs they add to the data port's. */
static void low_bits(void **state)
{
	go(&vm.io, 0xcf8, 4, true, 1u << 31 | DEV << 8 | 2);
	assert_int_equal(go(&vm.io, 0xcf8, 4, false, 0), 1u << 31 | DEV << 8);
	assert_int_equal(go(&vm.io, 0xcfc, 2, false, 0), 0x1af4);
	bus.keeps_low_bits = true;
	go(&vm.io, 0xcf8, 4, true, 1u << 31 | DEV << 8 | 2);
	assert_int_equal(go(&vm.io, 0xcfc, 2, false, 0), 0x1041);
	assert_int_equal(go(&vm.io, 0xcfe, 2, false, 0), 0x1041);
	/* Never past config space. */
	go(&vm.io, 0xcf8, 4, true, 1u << 31 | DEV << 8 | 0xff);
	assert_int_equal(go(&vm.io, 0xcfc, 4, false, 0), ~0u);
	bus.keeps_low_bits = false;
}

static void read_only_stays(void **state)
{
	unsigned offset;

	for (offset = 0; offset < 256; offset += 4)
		if (offset != 4)
			put(DEV, offset, 4, ~0u);
	assert_int_equal(get(DEV, 0, 4), 0x10411af4);
	assert_int_equal(get(DEV, 8, 4), 0x02000001);
	assert_int_equal(get(DEV, 0x3c, 4), 0x01ff);
	put(DEV, 4, 4, ~0u);
	assert_int_equal(get(DEV, 4, 4), 0x00100547);
	pci_device_reset(&pci);
	assert_int_equal(get(DEV, 4, 4), 0x00100000);
	assert_int_equal(get(DEV, 0x10, 4), 1);
}

static void bars(void **state)
{
	static const uint32_t sizing[6] = { 0xffffffe1, 0xfffff000, 0xffffc00c,
					    0xffffffff, 0xffffff00, 0 };
	unsigned i;

	for (i = 0; i < 6; i++) {
		put(DEV, 0x10 + 4 * i, 4, ~0u);
		assert_int_equal(get(DEV, 0x10 + 4 * i, 4), sizing[i]);
	}
	put(DEV, 0x10, 4, 0xc000);
	put(DEV, 0x18, 4, 0);
	put(DEV, 0x1c, 4, 0x8);
	put(DEV, 0x20, 4, 0xfe000000);
	/* Nothing is decoded before the command register says so. */
	assert_int_equal(go(&vm.io, 0xc004, 4, false, 0), ~0u);
	put(DEV, 4, 2, PCI_COMMAND_IO);
	assert_int_equal(go(&vm.io, 0xc004, 4, false, 0), 0x11223344);
	assert_int_equal(seen.offset, 4);
	assert_int_equal(go(&vm.mmio, 0xfe000010, 4, false, 0), ~0u);
	put(DEV, 4, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(go(&vm.io, 0xc004, 4, false, 0), ~0u);
	assert_int_equal(go(&vm.mmio, 0xfe000010, 4, false, 0), 0x11223344);
	assert_int_equal(go(&vm.mmio, 0x800003ff8, 4, false, 0), 0x11223344);
	assert_int_equal(seen.offset, 0x3ff8);
	/* Moving it, half by half. */
	put(DEV, 0x1c, 4, 0x9);
	assert_int_equal(go(&vm.mmio, 0x800003ff8, 4, false, 0), ~0u);
	assert_int_equal(go(&vm.mmio, 0x900003ff8, 4, false, 0), 0x11223344);
	/* Where nothing can be: at 0, and past the end of what decodes. */
	put(DEV, 0x20, 4, 0);
	assert_int_equal(go(&vm.mmio, 0x10, 4, false, 0), ~0u);
	put(DEV, 0x1c, 4, 0xffffffff);
	assert_int_equal(go(&vm.mmio, 0xffffffff00000000, 4, false, 0), ~0u);
	put(DEV, 4, 2, 0);
	assert_int_equal(go(&vm.mmio, 0x900003ff8, 4, false, 0), ~0u);
}

static void assignment(void **state)
{
	const struct pci_windows windows = {
		.io = 0xc010,
		.io_end = 0xd000,
		.memory = 0xc0000100,
		.memory_end = 0xc0003000,
		.memory64 = 0x800000000,
		.memory64_end = 0x800002000,
	};

	pci_bus_assign(&bus, &windows);
	assert_int_equal(get(DEV, 0x10, 4), 0xc021);
	assert_int_equal(get(DEV, 0x14, 4), 0xc0001000);
	assert_int_equal(get(DEV, 0x20, 4), 0xc0002000);
	/* No room for 16 KiB. */
	assert_int_equal(get(DEV, 0x18, 4), 0xc);
	assert_int_equal(get(DEV, 4, 2), 3);
	assert_int_equal(go(&vm.io, 0xc020, 1, false, 0), 0x44);
}

static unsigned find(uint8_t wanted)
{
	unsigned at = get(DEV, 0x34, 1);

	while (at && get(DEV, at, 1) != wanted)
		at = get(DEV, at + 1, 1);
	assert_int_not_equal(at, 0);
	return at;
}

static void msi(void **state)
{
	unsigned at = find(PCI_CAPABILITY_MSI);

	assert_int_equal(get(DEV, at + 2, 2), 0x0180);
	assert_false(pci_msi_send(&pci));
	put(DEV, at + 4, 4, 0xfee02003);
	put(DEV, at + 12, 2, 0x4051);
	put(DEV, at + 2, 2, 1);
	/* Not a byte leaves the device without bus mastering. */
	assert_true(pci_msi_send(&pci));
	assert_int_equal(msi_count, 0);
	put(DEV, 4, 2, PCI_COMMAND_MASTER);
	assert_int_equal(msi_count, 1);
	assert_int_equal(last.address, 0xfee02000);
	assert_int_equal(last.data, 0x4051);
	assert_int_equal(last.requester, DEV);
	assert_true(pci.dma.is_enabled);
	/* Masked: pending until it is not. */
	put(DEV, at + 16, 4, 1);
	assert_true(pci_msi_send(&pci));
	assert_int_equal(msi_count, 1);
	assert_int_equal(get(DEV, at + 20, 4), 1);
	put(DEV, at + 16, 4, 0);
	assert_int_equal(msi_count, 2);
	assert_int_equal(get(DEV, at + 20, 4), 0);
}

static void msix(void **state)
{
	unsigned at = find(PCI_CAPABILITY_MSIX);
	const uint64_t table = 0xc0000000;

	assert_int_equal(get(DEV, at + 2, 2), 39);
	assert_int_equal(get(DEV, at + 4, 4), 1);
	assert_int_equal(get(DEV, at + 8, 4), 0x801);
	put(DEV, 0x14, 4, table);
	put(DEV, 4, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(go(&vm.mmio, table + 39 * 16 + 12, 4, false, 0), 1);
	go(&vm.mmio, table + 33 * 16, 8, true, 0xfee01000);
	go(&vm.mmio, table + 33 * 16 + 8, 4, true, 0x61);
	assert_int_equal(go(&vm.mmio, table + 33 * 16 + 8, 8, false, 0),
			 0x100000061);
	assert_false(pci_msix_send(&pci, 33));
	put(DEV, at + 2, 2, 0xc000);
	assert_true(pci_msix_is_enabled(&pci));
	assert_true(pci_msix_send(&pci, 33));
	assert_true(pci_msix_send(&pci, 33));
	assert_true(pci_msix_send(&pci, 40));
	assert_int_equal(msi_count, 0);
	assert_int_equal(go(&vm.mmio, table + 0x800, 8, false, 0), 2ull << 32);
	/* The entry's mask and the function's both have to go. */
	go(&vm.mmio, table + 33 * 16 + 12, 4, true, 0);
	assert_int_equal(msi_count, 0);
	put(DEV, at + 2, 2, 0x8000);
	assert_int_equal(msi_count, 1);
	assert_int_equal(last.address, 0xfee01000);
	assert_int_equal(last.data, 0x61);
	assert_int_equal(go(&vm.mmio, table + 0x800, 8, false, 0), 0);
	/* Past the table, the PBA, and odd accesses. */
	go(&vm.mmio, table + 40 * 16, 4, true, 1);
	assert_int_equal(go(&vm.mmio, table + 40 * 16, 4, false, 0), 0);
	go(&vm.mmio, table + 0x800, 4, true, ~0u);
	go(&vm.mmio, table + 0xffc, 4, true, ~0u);
	assert_int_equal(go(&vm.mmio, table + 0xffc, 4, false, 0), 0);
	go(&vm.mmio, table + 2, 4, true, ~0u);
	assert_int_equal(go(&vm.mmio, table, 4, false, 0), 0);
}

static void intx_is_shared(void **state)
{
	/* Slots 3 and 11 have the same line. */
	pci_intx_set(&pci, true);
	assert_true(level[3]);
	assert_int_equal(get(DEV, 6, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	pci_intx_set(&other, true);
	pci_intx_set(&pci, false);
	assert_true(level[3]);
	put(PCI_DEVFN(11, 0), 4, 2, PCI_COMMAND_NO_INTX);
	assert_false(level[3]);
	put(PCI_DEVFN(11, 0), 4, 2, 0);
	assert_true(level[3]);
	pci_device_reset(&other);
	assert_false(level[3]);
	/* MSI-X on: the pin is silent. */
	pci_intx_set(&pci, true);
	put(DEV, find(PCI_CAPABILITY_MSIX) + 2, 2, 0x8000);
	assert_false(level[3]);
}

static void expansion_rom(void **state)
{
	unsigned devfn = other.devfn;

	put(devfn, 0x30, 4, 0xffffffff);
	assert_int_equal(get(devfn, 0x30, 4), 0xfffff801);
	put(devfn, 0x30, 4, 0xc8000001);
	/* Memory accesses are off. */
	assert_int_equal(go(&vm.mmio, 0xc8000000, 2, false, 0), 0xffff);
	put(devfn, 4, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(go(&vm.mmio, 0xc8000000, 2, false, 0), 0xaa55);
	assert_int_equal(go(&vm.mmio, 0xc80007ff, 1, false, 0), 0x77);
	go(&vm.mmio, 0xc8000000, 2, true, 0);
	assert_int_equal(go(&vm.mmio, 0xc8000000, 2, false, 0), 0xaa55);
	put(devfn, 0x30, 4, 0xc8000000);
	assert_int_equal(go(&vm.mmio, 0xc8000000, 2, false, 0), 0xffff);
	/* A device without one. */
	put(pci.devfn, 0x30, 4, 0xffffffff);
	assert_int_equal(get(pci.devfn, 0x30, 4), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(low_bits),
		T(expansion_rom),
		T(config_mechanisms),
		T(read_only_stays),
		T(bars),
		T(assignment),
		T(msi),
		T(msix),
		T(intx_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
