/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The educational device, as QEMU's docs/specs/edu.rst has it. Whatever it is
 * asked to do is done when the write that asks for it completes.
 */
#include "chip/pci_edu.h"

#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "core/state.h"
#include "core/vm.h"

#define WINDOW		 0x100000 /* BAR 0 */

#define REG_IDENTITY	 0x00
#define REG_ALIVE	 0x04
#define REG_FACTORIAL	 0x08
#define REG_STATUS	 0x20
#define REG_INTERRUPTS	 0x24
#define REG_RAISE	 0x60
#define REG_ACKNOWLEDGE	 0x64
#define REG_DMA		 0x80 /* from here on 64 bits each */

#define IDENTITY	 0x010000edu /* version 1.0 */
#define STATUS_INTERRUPT BIT(7) /* when a factorial is done */
#define RAISED_FACTORIAL BIT(0)
#define RAISED_DMA	 BIT(8)

#define DMA_START	 BIT(0)
#define DMA_TO_MEMORY	 BIT(1)
#define DMA_INTERRUPT	 BIT(2)
#define DMA_COMMANDS	 (DMA_START | DMA_TO_MEMORY | DMA_INTERRUPT)
#define BUFFER		 0x40000ull /* where DMA finds it */
#define ADDRESS_BITS	 28 /* that the device drives */

static void raise_interrupt(struct pci_edu *edu, uint32_t bits)
{
	edu->interrupts |= bits;
	if (edu->interrupts && !pci_msi_send(&edu->pci))
		pci_intx_set(&edu->pci, true);
}

static void acknowledge(struct pci_edu *edu, uint32_t bits)
{
	edu->interrupts &= ~bits;
	if (!edu->interrupts)
		pci_intx_set(&edu->pci, false);
}

static void compute_factorial(struct pci_edu *edu, uint32_t n)
{
	uint32_t product = 1;

	/* From 34 on it has 32 factors of two. */
	for (uint32_t i = 2; i <= n && product; i++)
		product *= i;
	edu->factorial = product;
	if (edu->status & STATUS_INTERRUPT)
		raise_interrupt(edu, RAISED_FACTORIAL);
}

static void run_dma(struct pci_edu *edu)
{
	bool to_memory = edu->command & DMA_TO_MEMORY;
	uint64_t inside = to_memory ? edu->source : edu->destination;
	dma_addr_t outside = (to_memory ? edu->destination : edu->source) &
			     (BIT(ADDRESS_BITS) - 1);

	if (inside >= BUFFER &&
	    range_inside(inside - BUFFER, edu->count, PCI_EDU_BUFFER)) {
		uint8_t *bytes = edu->buffer + (inside - BUFFER);

		/* Where the bus refuses it nothing moves. */
		if (to_memory)
			dma_write(&edu->pci.dma, outside, bytes, edu->count);
		else
			dma_read(&edu->pci.dma, outside, bytes, edu->count);
	}
	edu->command &= ~DMA_START;
	if (edu->command & DMA_INTERRUPT)
		raise_interrupt(edu, RAISED_DMA);
}

static uint64_t *dma_register(struct pci_edu *edu, uint32_t offset)
{
	uint64_t *const registers[] = { &edu->source, &edu->destination,
					&edu->count, &edu->command };
	uint32_t index = (offset - REG_DMA) / 8;

	return offset >= REG_DMA && index < ARRAY_SIZE(registers) ?
		       registers[index] :
		       NULL;
}

static void write_dma(struct pci_edu *edu, const struct access *access)
{
	uint64_t *to = dma_register(edu, access->offset);

	if (!to)
		return;
	if (access->size == 8)
		*to = access->value;
	else if (access->offset % 8)
		*to = (uint32_t)*to | access->value << 32;
	else
		*to = (*to & ~0xffffffffull) | (uint32_t)access->value;
	if (to != &edu->command)
		return;
	edu->command &= DMA_COMMANDS;
	if (edu->command & DMA_START)
		run_dma(edu);
}

static void write_register(struct pci_edu *edu, const struct access *access)
{
	uint32_t value = (uint32_t)access->value;

	switch (access->offset) {
	case REG_ALIVE:
		edu->alive = ~value;
		break;
	case REG_FACTORIAL:
		compute_factorial(edu, value);
		break;
	case REG_STATUS:
		edu->status = value & STATUS_INTERRUPT;
		break;
	case REG_RAISE:
		raise_interrupt(edu, value);
		break;
	case REG_ACKNOWLEDGE:
		acknowledge(edu, value);
		break;
	default:
		write_dma(edu, access);
		break;
	}
}

static uint64_t read_register(struct pci_edu *edu, const struct access *access)
{
	const uint64_t *from = dma_register(edu, access->offset);

	if (from)
		return access->offset % 8 ? *from >> 32 : *from;
	switch (access->offset) {
	case REG_IDENTITY:
		return IDENTITY;
	case REG_ALIVE:
		return edu->alive;
	case REG_FACTORIAL:
		return edu->factorial;
	case REG_STATUS:
		return edu->status;
	case REG_INTERRUPTS:
		return edu->interrupts;
	default:
		return ~0ull;
	}
}

/* Below 80h registers have 32 bits, and that is how they are accessed. */
static enum bus_result on_access(void *device, struct access *access)
{
	struct pci_edu *edu = device;
	bool is_possible = access->offset % access->size == 0 &&
			   (access->size == 4 || access->offset >= REG_DMA);

	if (access->is_write && is_possible)
		write_register(edu, access);
	else if (!access->is_write)
		access->value = is_possible ? read_register(edu, access) :
					      ~0ull;
	return BUS_HANDLED;
}

static void on_reset(void *device)
{
	struct pci_edu *edu = device;

	pci_device_reset(&edu->pci);
	pthread_mutex_lock(&edu->lock);
	edu->alive = edu->factorial = edu->status = edu->interrupts = 0;
	edu->source = edu->destination = edu->count = edu->command = 0;
	memset(edu->buffer, 0, sizeof(edu->buffer));
	pthread_mutex_unlock(&edu->lock);
}

static const struct state_field fields[] = {
	STATE_NESTED(struct pci_edu, pci, pci_device_state, 1),
	STATE_FIELD(struct pci_edu, alive, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, factorial, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, status, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, interrupts, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, source, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, destination, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, count, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, command, STATE_UINT, 1),
	STATE_FIELD(struct pci_edu, buffer, STATE_BYTES, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "pci-edu",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int pci_edu_init(struct pci_edu *edu, struct pci_bus *bus, uint8_t devfn)
{
	const struct pci_id id = {
		.vendor = 0x1234,
		.device = 0x11e8,
		.revision = 0x10,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.class_code = 0x00ff00, /* of no class */
	};
	int error;

	memset(edu, 0, sizeof(*edu));
	pthread_mutex_init(&edu->lock, NULL);
	pci_device_init(&edu->pci, "edu", &id);
	pci_bar_init(&edu->pci, 0, PCI_BAR_MEMORY, WINDOW, on_access, edu,
		     &edu->lock, 4 | 8);
	pci_intx_init(&edu->pci);
	pci_msi_init(&edu->pci);
	edu->device = (struct device){
		.name = "edu",
		.ops = &ops,
		.self = edu,
	};
	error = pci_device_add(bus, &edu->pci, devfn);
	if (error)
		return error;
	device_add(bus->vm, &edu->device);
	return 0;
}
