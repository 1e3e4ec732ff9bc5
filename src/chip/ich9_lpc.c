/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LPC bridge 8086:2918 of the ICH9: what a guest finds out about the board
 * from its config space. Intel ICH9 data sheet (316972), 13.1.
 *
 * The board is wired as after its firmware: PMBASE and RCBA stand where
 * doc/memory-map.md has them and cannot be moved. The PIRQ routing registers
 * can be written and read back; INTx goes to the IOAPIC's inputs 16 to 23 and
 * not to the 8259 pair, whatever they say.
 */
#include "chip/ich9_lpc.h"

#include <string.h>

#include "chip/acpi_pm.h"
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
#define RCBA_BASE     0xfed1c000
#define RCBA_ENABLE   BIT(0)

static void on_reset(void *device)
{
	struct ich9_lpc *bridge = device;

	pci_device_reset(&bridge->pci);
}

static const struct state_field fields[] = {
	{ .name = "pci",
	  .kind = STATE_STRUCT,
	  .offset = offsetof(struct ich9_lpc, pci),
	  .size = sizeof(struct pci_device),
	  .count = 1,
	  .since = 1,
	  .table = &pci_device_state },
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "ich9-lpc",
	.version = 1,
	.field = fields,
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

int ich9_lpc_init(struct ich9_lpc *bridge, struct pci_bus *bus)
{
	const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x2918,
		.class_code = 0x060100,
		.revision = 2,
	};
	int error;

	memset(bridge, 0, sizeof(*bridge));
	pci_device_init(&bridge->pci, "ich9-lpc", &id);
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
