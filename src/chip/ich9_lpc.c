/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LPC bridge 8086:2918 of the ICH9: what a guest finds out about the board
 * from its config space. Intel ICH9 data sheet (316972), 13.1.
 *
 * The board is wired as after its firmware: PMBASE and RCBA stand where
 * doc/memory-map.md has them and cannot be moved. INTx always goes to the
 * IOAPIC's inputs 16 to 23, and where the PIRQ routing registers (13.1.17 and
 * 13.1.23) say so to an ISA-compatible interrupt too: an input of the 8259 pair
 * and the IOAPIC's of the same number.
 */
#include "chip/ich9_lpc.h"

#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "chip/acpi_pm.h"
#include "chip/i8259.h"
#include "chip/ioapic.h"
#include "core/state.h"
#include "core/vm.h"

#define PMBASE	      0x40
#define ACPI_CNTL     0x44
#define GPIOBASE      0x48
#define PIRQA_ROUT    0x60
#define SERIRQ_CNTL   0x64
#define PIRQE_ROUT    0x68
#define LPC_IO_DECODE 0x80
#define LPC_ENABLE    0x82
#define GEN_PMCON     0xa0
#define RCBA	      0xf0

#define BASE_IS_PORTS BIT(0)
#define ACPI_ENABLE   BIT(7) /* SCI on IRQ 9: bits 2:0 are 0 */
#define PIRQ_DISABLED 0x80
#define PIRQ_WRITABLE 0x8f
#define PIRQ_IRQ      0x0f
/* 0, 1, 2, 8 and 13 are reserved. */
#define PIRQ_POSSIBLE 0xdef8
#define RCBA_BASE     0xfed1c000
#define RCBA_ENABLE   BIT(0)

/* ISA interrupts that some PIRQ drives high. Lock held. */
static uint16_t wanted(const struct ich9_lpc *bridge)
{
	uint16_t irqs = 0;

	for (unsigned i = 0; i < PCI_INTX_LINES; i++)
		if (bridge->pirq & BIT(i) &&
		    !(bridge->route[i] & PIRQ_DISABLED))
			irqs |= BIT(bridge->route[i] & PIRQ_IRQ);
	return irqs & PIRQ_POSSIBLE;
}

/* Lock held. */
static void update(struct ich9_lpc *bridge)
{
	uint16_t now = wanted(bridge), changed = now ^ bridge->driven;

	bridge->driven = now;
	for (unsigned irq = 0; irq < 16 && bridge->pic; irq++)
		if (changed & BIT(irq)) {
			i8259_set_pci(bridge->pic, irq, now & BIT(irq));
			if (bridge->ioapic)
				ioapic_set_pci(bridge->ioapic, irq,
					       now & BIT(irq));
		}
}

void ich9_lpc_set_pirq(struct ich9_lpc *bridge, unsigned pirq, bool level)
{
	uint8_t bit = BIT(pirq % PCI_INTX_LINES);

	LOCKED(&bridge->lock);
	bridge->pirq = level ? bridge->pirq | bit : bridge->pirq & ~bit;
	update(bridge);
}

/* The registers are copied first: the device's lock comes before ours. */
static void take_routes(struct ich9_lpc *bridge)
{
	uint32_t low = pci_config_get(&bridge->pci, PIRQA_ROUT, 4);
	uint32_t high = pci_config_get(&bridge->pci, PIRQE_ROUT, 4);

	LOCKED(&bridge->lock);
	store_u32(bridge->route, low);
	store_u32(bridge->route + 4, high);
	update(bridge);
}

static void on_config_written(void *device, unsigned offset, unsigned size)
{
	if (ranges_overlap(offset, size, PIRQA_ROUT, 4) ||
	    ranges_overlap(offset, size, PIRQE_ROUT, 4))
		take_routes(device);
}

static void on_reset(void *device)
{
	struct ich9_lpc *bridge = device;

	pci_device_reset(&bridge->pci);
	take_routes(bridge);
}

/* The levels come with the devices that drive them, the i8259 has its own. */
static int on_restored(void *device)
{
	struct ich9_lpc *bridge = device;

	take_routes(bridge);
	return 0;
}

static const struct state_field fields[] = {
	STATE_NESTED(struct ich9_lpc, pci, pci_device_state, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "ich9-lpc",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

static void init_config(struct pci_device *pci)
{
	static const struct {
		uint8_t offset, size;
		uint32_t value, writable;
	} registers[] = {
		{ PMBASE, 4, ACPI_PM_BASE | BASE_IS_PORTS, 0 },
		{ ACPI_CNTL, 1, ACPI_ENABLE, 0 },
		{ GPIOBASE, 4, BASE_IS_PORTS, 0 },
		{ SERIRQ_CNTL, 1, 0x10, 0xff },
		{ LPC_IO_DECODE, 2, 0, 0x1377 },
		{ LPC_ENABLE, 2, 0, 0x3f0f },
		{ GEN_PMCON, 2, 0, 0 },
		{ RCBA, 4, RCBA_BASE | RCBA_ENABLE, 0 },
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(registers); i++)
		pci_config_set(pci, registers[i].offset, registers[i].size,
			       registers[i].value, registers[i].writable);
	for (i = 0; i < 4; i++) {
		pci_config_set(pci, PIRQA_ROUT + i, 1, PIRQ_DISABLED,
			       PIRQ_WRITABLE);
		pci_config_set(pci, PIRQE_ROUT + i, 1, PIRQ_DISABLED,
			       PIRQ_WRITABLE);
	}
}

int ich9_lpc_init(struct ich9_lpc *bridge, struct pci_bus *bus,
		  struct i8259 *pic)
{
	const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x2918,
		.class_code = 0x060100,
		.revision = 2,
	};
	int error;

	memset(bridge, 0, sizeof(*bridge));
	pthread_mutex_init(&bridge->lock, NULL);
	bridge->pic = pic;
	memset(bridge->route, PIRQ_DISABLED, sizeof(bridge->route));
	pci_device_init(&bridge->pci, "ich9-lpc", &id);
	bridge->pci.config_written = on_config_written;
	bridge->pci.device = bridge;
	init_config(&bridge->pci);
	bridge->device = (struct device){
		.name = "ich9-lpc",
		.ops = &ops,
		.self = bridge,
	};
	error = pci_device_add(bus, &bridge->pci, PCI_DEVFN(0x1f, 0));
	if (error)
		return error;
	device_add(bus->vm, &bridge->device);
	return 0;
}
