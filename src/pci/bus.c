/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI bus 0: configuration mechanism 1 (PCI 3.0, 3.2.2.3.2) and ECAM (PCIe 3.0,
 * 7.2.2), shared interrupt lines, and address assignment.
 */
#include "pci/pci.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/vm.h"

#define PORT_ADDRESS	 0xcf8
#define PORT_DATA	 0xcfc
#define ADDRESS_ENABLE	 BIT(31)
#define ADDRESS_WRITABLE (ADDRESS_ENABLE | BITS(23, 2))

/* One access at a device's offset; nobody there reads all ones. */
static enum bus_result config_access(struct pci_bus *bus, unsigned bus_number,
				     uint8_t devfn, unsigned offset,
				     struct access *access)
{
	struct pci_device *pci = bus_number ? NULL : bus->device[devfn];

	if (!pci || offset + access->size > PCI_CONFIG_SIZE)
		return BUS_UNHANDLED;
	if (access->is_write)
		pci_config_write(pci, offset, access->size, access->value);
	else
		access->value = pci_config_read(pci, offset, access->size);
	return BUS_HANDLED;
}

static enum bus_result on_address(void *device, struct access *access)
{
	struct pci_bus *bus = device;

	if (access->is_write)
		bus->address = access->value & (ADDRESS_WRITABLE |
						(bus->keeps_low_bits ? 3 : 0));
	else
		access->value = bus->address;
	return BUS_HANDLED;
}

static enum bus_result on_data(void *device, struct access *access)
{
	struct pci_bus *bus = device;
	uint32_t address = bus->address;

	if (!(address & ADDRESS_ENABLE))
		return BUS_UNHANDLED;
	return config_access(bus, bits_get(address, 23, 16),
			     bits_get(address, 15, 8),
			     (address & 0xff) | access->offset, access);
}

static enum bus_result on_ecam(void *device, struct access *access)
{
	uint64_t offset = access->offset;

	return config_access(device, bits_get(offset, 27, 20),
			     bits_get(offset, 19, 12), offset & 0xfff, access);
}

void pci_bus_move_ecam(struct pci_bus *bus, uint64_t base)
{
	bus_move(&bus->vm->mmio, &bus->ecam_region, base);
}

static void on_reset(void *device)
{
	struct pci_bus *bus = device;

	LOCKED(&bus->lock);
	bus->address = 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct pci_bus, address, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "pci",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int pci_bus_init(struct pci_bus *bus, struct vm *vm,
		 const struct irq_line intx[PCI_INTX_LINES])
{
	struct bus_region region = {
		.name = "pci",
		.device = bus,
		.lock = &bus->lock,
	};
	int error;

	memset(bus, 0, sizeof(*bus));
	pthread_mutex_init(&bus->lock, NULL);
	pthread_mutex_init(&bus->intx_lock, NULL);
	bus->vm = vm;
	memcpy(bus->intx, intx, sizeof(bus->intx));
	bus->self = (struct device){
		.name = "pci",
		.ops = &ops,
		.self = bus,
	};
	device_add(vm, &bus->self);

	bus->address_region = region;
	bus->address_region.base = PORT_ADDRESS;
	bus->address_region.size = 4;
	bus->address_region.sizes = 4;
	bus->address_region.handler = on_address;
	bus->data_region = region;
	bus->data_region.base = PORT_DATA;
	bus->data_region.size = 4;
	bus->data_region.handler = on_data;
	bus->ecam_region = region;
	bus->ecam_region.base = PCI_UNMAPPED;
	bus->ecam_region.size = PCI_ECAM_SIZE;
	bus->ecam_region.sizes = 1 | 2 | 4;
	bus->ecam_region.handler = on_ecam;
	error = bus_add(&vm->io, &bus->address_region);
	if (!error)
		error = bus_add(&vm->io, &bus->data_region);
	return error ? error : bus_add(&vm->mmio, &bus->ecam_region);
}

/* The BARs are on their bus from the start, out of reach until decoded. */
int pci_device_add(struct pci_bus *bus, struct pci_device *pci, uint8_t devfn)
{
	struct pci_device *first = bus->device[devfn & ~7u];
	unsigned i;
	int error = 0;

	if (bus->device[devfn])
		return -EEXIST;
	pci->bus = bus;
	pci->devfn = devfn;
	pci->dma.vm = bus->vm;
	pci->dma.requester = devfn;
	for (i = 0; i < PCI_BARS && !error; i++) {
		struct pci_bar *bar = &pci->bar[i];

		if (bar->kind == PCI_BAR_IO)
			error = bus_add(&bus->vm->io, &bar->region);
		else if (bar->kind != PCI_BAR_NONE)
			error = bus_add(&bus->vm->mmio, &bar->region);
	}
	if (pci->rom.size && !error)
		error = bus_add(&bus->vm->mmio, &pci->rom);
	memcpy(pci->initial, pci->config, sizeof(pci->initial));
	bus->device[devfn] = pci;
	/* A function above 0 makes function 0 say so. */
	if (first && (devfn & 7)) {
		first->config[PCI_HEADER_TYPE] |= BIT(7);
		first->initial[PCI_HEADER_TYPE] |= BIT(7);
	}
	return error;
}

/* --- address assignment ---------------------------------------------------- */

static uint64_t *window_of(struct pci_windows *windows, enum pci_bar_kind kind,
			   uint64_t **end)
{
	switch (kind) {
	case PCI_BAR_IO:
		*end = &windows->io_end;
		return &windows->io;
	case PCI_BAR_MEMORY64:
	case PCI_BAR_PREFETCH64:
		*end = &windows->memory64_end;
		return &windows->memory64;
	default:
		*end = &windows->memory_end;
		return &windows->memory;
	}
}

static void assign(struct pci_device *pci, unsigned index,
		   struct pci_windows *windows)
{
	const struct pci_bar *bar = &pci->bar[index];
	uint64_t size = bar->region.size, *end;
	uint64_t *next = window_of(windows, bar->kind, &end);
	uint64_t base = align_up(*next, size);

	if (base < *next || base >= *end || *end - base < size)
		return;
	*next = base + size;
	pci_config_write(pci, PCI_BAR0 + 4 * index, 4, base);
	if (bar->kind >= PCI_BAR_MEMORY64)
		pci_config_write(pci, PCI_BAR0 + 4 * index + 4, 4, base >> 32);
	pci_config_write(pci, PCI_COMMAND, 2,
			 pci_config_read(pci, PCI_COMMAND, 2) |
				 (bar->kind == PCI_BAR_IO ?
					  PCI_COMMAND_IO :
					  PCI_COMMAND_MEMORY));
}

void pci_bus_assign(struct pci_bus *bus, const struct pci_windows *windows)
{
	struct pci_windows left = *windows;
	unsigned shift, devfn, i;

	LOCKED(&bus->lock);
	/* Largest first, so that alignment leaves no gaps. */
	for (shift = 63; shift >= 2; shift--)
		for (devfn = 0; devfn < 256; devfn++)
			for (i = 0; bus->device[devfn] && i < PCI_BARS; i++) {
				struct pci_device *pci = bus->device[devfn];

				if (pci->bar[i].kind != PCI_BAR_NONE &&
				    pci->bar[i].region.size == BIT(shift))
					assign(pci, i, &left);
			}
}
