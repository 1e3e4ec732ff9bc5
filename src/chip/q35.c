/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host bridge 8086:29c0 of the Q35 chipset. Intel 3 Series Express Chipset
 * Family data sheet (316966), chapter 5.
 *
 * PCIEXBAR works. PAM and SMRAM can be written and read back and have no
 * effect: C0000h to FFFFFh is always RAM here, and there is no SMM.
 */
#include "chip/q35.h"

#include <string.h>

#include "core/state.h"
#include "core/vm.h"

#define PCIEXBAR	0x60
#define PCIEXBAR_ENABLE BIT(0)
#define PCIEXBAR_LENGTH BITS(2, 1) /* 0: 256 MiB, 1: 128, 2: 64 */
#define PCIEXBAR_BASE	BITS(35, 28)
#define PAM0		0x90
#define PAM_COUNT	7
#define LAC		0x97
#define SMRAM		0x9d
#define ESMRAMC		0x9e

/*
 * Whatever the length says, 256 MiB are decoded: there is only bus 0, and what
 * the other buses would take reads as ones either way.
 */
static void on_config_written(void *device, unsigned offset, unsigned size)
{
	struct q35 *bridge = device;
	uint64_t value = pci_config_get(&bridge->pci, PCIEXBAR, 4) |
			 (uint64_t)pci_config_get(&bridge->pci, PCIEXBAR + 4, 4)
				 << 32;

	if (offset + size <= PCIEXBAR || offset >= PCIEXBAR + 8)
		return;
	pci_bus_move_ecam(bridge->pci.bus, value & PCIEXBAR_ENABLE ?
						   value & PCIEXBAR_BASE :
						   PCI_UNMAPPED);
}

static void on_reset(void *device)
{
	struct q35 *bridge = device;

	pci_device_reset(&bridge->pci);
	on_config_written(bridge, PCIEXBAR, 8);
}

static int on_restored(void *device)
{
	on_config_written(device, PCIEXBAR, 8);
	return 0;
}

static const struct state_field fields[] = {
	{ .name = "pci",
	  .kind = STATE_STRUCT,
	  .offset = offsetof(struct q35, pci),
	  .size = sizeof(struct pci_device),
	  .count = 1,
	  .since = 1,
	  .table = &pci_device_state },
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "q35",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int q35_init(struct q35 *bridge, struct pci_bus *bus)
{
	const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x29c0,
		.class_code = 0x060000,
		.revision = 2,
	};
	unsigned i;
	int error;

	memset(bridge, 0, sizeof(*bridge));
	pci_device_init(&bridge->pci, "q35", &id);
	bridge->pci.config_written = on_config_written;
	bridge->pci.device = bridge;
	/* Firmware would switch ECAM on; a directly booted kernel has none. */
	pci_config_set(
		&bridge->pci, PCIEXBAR, 4, Q35_ECAM_BASE | PCIEXBAR_ENABLE,
		(uint32_t)PCIEXBAR_BASE | PCIEXBAR_LENGTH | PCIEXBAR_ENABLE);
	pci_config_set(&bridge->pci, PCIEXBAR + 4, 4, 0, PCIEXBAR_BASE >> 32);
	for (i = 0; i < PAM_COUNT; i++)
		pci_config_set(&bridge->pci, PAM0 + i, 1, 0, 0x33);
	pci_config_set(&bridge->pci, LAC, 1, 0, 0x83);
	pci_config_set(&bridge->pci, SMRAM, 1, 0x02, 0x78);
	pci_config_set(&bridge->pci, ESMRAMC, 1, 0x38, 0x07);
	bridge->device = (struct device){
		.name = "q35",
		.ops = &ops,
		.self = bridge,
	};
	error = pci_device_add(bus, &bridge->pci, PCI_DEVFN(0, 0));
	if (error)
		return error;
	device_add(bus->vm, &bridge->device);
	on_config_written(bridge, PCIEXBAR, 8);
	return 0;
}
