/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI test device. Each BAR begins with a header: writing a test's number
 * to byte 0 starts it, the rest says which write it counts and how many came.
 * Tests that do not exist have width 0. The specification has wakers without
 * an exit (eventfds) for the second and third test; here all are counted.
 */
#include "chip/pci_testdev.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

/* The header, little-endian; the name runs to the area of writes. */
#define HEADER_TEST   0x00
#define HEADER_WIDTH  0x01
#define HEADER_OFFSET 0x04
#define HEADER_DATA   0x08
#define HEADER_COUNT  0x0c
#define HEADER_NAME   0x10

#define WRITES	      0x40 /* where the counted ones go, 4 bytes a test */
#define MEMORY_SIZE   0x1000
#define IO_SIZE	      0x100
#define DATA	      0xfa

static const struct {
	const char *name;
	uint8_t width;
	bool has_data; /* counts writes of DATA only */
} tests[PCI_TESTDEV_TESTS] = {
	{ "counted", 1, false },
	{ "wildcard", 1, false },
	{ "datamatch", 1, true },
};

static void build_header(const struct pci_testdev_bar *bar, uint8_t *header)
{
	memset(header, 0, WRITES);
	header[HEADER_TEST] = bar->test;
	if (bar->test >= PCI_TESTDEV_TESTS)
		return;
	header[HEADER_WIDTH] = tests[bar->test].width;
	store_u32(header + HEADER_OFFSET, WRITES + 4 * bar->test);
	store_u32(header + HEADER_DATA, DATA);
	store_u32(header + HEADER_COUNT, bar->count);
	strcpy((char *)header + HEADER_NAME, tests[bar->test].name);
}

static void on_write(struct pci_testdev_bar *bar, const struct access *access)
{
	if (access->offset == HEADER_TEST && access->size == 1) {
		bar->test = access->value;
		bar->count = 0;
		return;
	}
	if (bar->test >= PCI_TESTDEV_TESTS ||
	    access->offset != WRITES + 4u * bar->test ||
	    access->size != tests[bar->test].width ||
	    (tests[bar->test].has_data && (uint8_t)access->value != DATA))
		return;
	bar->count++;
}

static enum bus_result do_access(struct pci_testdev_bar *bar,
				 struct access *access)
{
	uint8_t header[WRITES];

	if (access->is_write) {
		on_write(bar, access);
		return BUS_HANDLED;
	}
	access->value = 0;
	if (access->offset + access->size <= sizeof(header)) {
		build_header(bar, header);
		memcpy(&access->value, header + access->offset, access->size);
	}
	return BUS_HANDLED;
}

static enum bus_result on_memory(void *device, struct access *access)
{
	return do_access(&((struct pci_testdev *)device)->bar[0], access);
}

static enum bus_result on_io(void *device, struct access *access)
{
	return do_access(&((struct pci_testdev *)device)->bar[1], access);
}

static void on_reset(void *device)
{
	struct pci_testdev *test = device;

	pci_device_reset(&test->pci);
	LOCKED(&test->lock);
	for (unsigned i = 0; i < 2; i++)
		test->bar[i] = (struct pci_testdev_bar){ .test = 0xff };
}

static const struct state_field bar_fields[] = {
	STATE_FIELD(struct pci_testdev_bar, test, STATE_UINT, 1),
	STATE_FIELD(struct pci_testdev_bar, count, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table bar_state = {
	.name = "pci-testdev-bar",
	.version = 1,
	.field = bar_fields,
};

static const struct state_field fields[] = {
	STATE_NESTED(struct pci_testdev, pci, pci_device_state, 1),
	STATE_NESTED_ARRAY(struct pci_testdev, bar, bar_state, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "pci-testdev",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int pci_testdev_init(struct pci_testdev *test, struct pci_bus *bus,
		     uint8_t devfn)
{
	const struct pci_id id = {
		.vendor = 0x1b36,
		.device = 0x0005,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.class_code = 0x00ff00, /* of no class */
	};
	int error;

	memset(test, 0, sizeof(*test));
	pthread_mutex_init(&test->lock, NULL);
	pci_device_init(&test->pci, "pci-testdev", &id);
	pci_bar_init(&test->pci, 0, PCI_BAR_MEMORY, MEMORY_SIZE, on_memory,
		     test, &test->lock, 1 | 2 | 4);
	pci_bar_init(&test->pci, 1, PCI_BAR_IO, IO_SIZE, on_io, test,
		     &test->lock, 1 | 2 | 4);
	test->bar[0].test = test->bar[1].test = 0xff;
	test->device = (struct device){
		.name = "pci-testdev",
		.ops = &ops,
		.self = test,
	};
	error = pci_device_add(bus, &test->pci, devfn);
	if (error)
		return error;
	device_add(bus->vm, &test->device);
	return 0;
}
