/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host bridge 8086:29c0 of the Q35 chipset. Intel 3 Series Express Chipset
 * Family data sheet (316966), chapter 5.
 *
 * PCIEXBAR, PAM (chip/pam.h) and SMRAM's D_OPEN and D_LCK work. There is no
 * SMM that would make use of the rest of SMRAM.
 */
#include "chip/q35.h"

#include <string.h>

#include "base/checked.h"
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

#define SMRAM_OPEN	BIT(6)
#define SMRAM_LOCK	BIT(4)
#define SMRAM_INITIAL	0x02 /* compatible SMRAM at A0000h */
#define SMRAM_WRITABLE	0x78 /* D_OPEN, D_CLS, D_LCK, G_SMRAME */
#define SMRAM_UNLOCKED	0x20 /* what D_LCK leaves: D_CLS */

/* PAM0 has F0000h in its upper half, the others two segments each. */
static unsigned pam_mode(struct q35 *bridge, unsigned segment)
{
	unsigned index = segment == PAM_SEGMENTS - 1 ? 0 : 1 + segment / 2;
	bool is_high = index == 0 || segment % 2;
	unsigned value = pci_config_get(&bridge->pci, PAM0 + index, 1);

	return (is_high ? value >> 4 : value) & (PAM_READ | PAM_WRITE);
}

static void update_pam(struct q35 *bridge)
{
	for (unsigned i = 0; bridge->pam && i < PAM_SEGMENTS; i++)
		pam_set(bridge->pam, i, pam_mode(bridge, i));
}

/* Once D_LCK is set D_OPEN is clear, and neither changes until RESET#. */
static void update_smram(struct q35 *bridge)
{
	uint8_t value = pci_config_get(&bridge->pci, SMRAM, 1);

	if (value & SMRAM_LOCK) {
		value &= ~SMRAM_OPEN;
		pci_config_set(&bridge->pci, SMRAM, 1, value, SMRAM_UNLOCKED);
	}
	if (bridge->pam)
		pam_open_smram(bridge->pam, value & SMRAM_OPEN);
}

/*
 * Whatever the length says, 256 MiB are decoded: there is only bus 0, and what
 * the other buses would take reads as ones either way.
 */
static void update_ecam(struct q35 *bridge)
{
	uint64_t value = pci_config_get(&bridge->pci, PCIEXBAR, 4) |
			 (uint64_t)pci_config_get(&bridge->pci, PCIEXBAR + 4, 4)
				 << 32;

	pci_bus_move_ecam(bridge->pci.bus, value & PCIEXBAR_ENABLE ?
						   value & PCIEXBAR_BASE :
						   PCI_UNMAPPED);
}

static void update(struct q35 *bridge)
{
	update_ecam(bridge);
	update_pam(bridge);
	update_smram(bridge);
}

static void on_config_written(void *device, unsigned offset, unsigned size)
{
	struct q35 *bridge = device;

	if (ranges_overlap(offset, size, PCIEXBAR, 8))
		update_ecam(bridge);
	if (ranges_overlap(offset, size, PAM0, PAM_COUNT))
		update_pam(bridge);
	if (ranges_overlap(offset, size, SMRAM, 1))
		update_smram(bridge);
}

static void on_reset(void *device)
{
	struct q35 *bridge = device;

	pci_device_reset(&bridge->pci);
	pci_config_set(&bridge->pci, SMRAM, 1, SMRAM_INITIAL, SMRAM_WRITABLE);
	update(bridge);
}

static int on_restored(void *device)
{
	update(device);
	return 0;
}

static const struct state_field fields[] = {
	STATE_NESTED(struct q35, pci, pci_device_state, 1),
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

int q35_init(struct q35 *bridge, struct pci_bus *bus, struct pam *pam,
	     bool has_firmware)
{
	const struct pci_id id = {
		.vendor = 0x8086,
		.device = 0x29c0,
		.class_code = 0x060000,
		/* By this pair firmware knows a board with fw_cfg. */
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 2,
	};
	unsigned i;
	int error;

	memset(bridge, 0, sizeof(*bridge));
	pci_device_init(&bridge->pci, "q35", &id);
	bridge->pci.config_written = on_config_written;
	bridge->pci.device = bridge;
	bridge->pam = pam;
	/* Firmware would switch ECAM on; a directly booted kernel has none. */
	pci_config_set(&bridge->pci, PCIEXBAR, 4,
		       has_firmware ? 0 : Q35_ECAM_BASE | PCIEXBAR_ENABLE,
		       (uint32_t)PCIEXBAR_BASE | PCIEXBAR_LENGTH |
			       PCIEXBAR_ENABLE);
	pci_config_set(&bridge->pci, PCIEXBAR + 4, 4, 0, PCIEXBAR_BASE >> 32);
	for (i = 0; i < PAM_COUNT; i++)
		pci_config_set(&bridge->pci, PAM0 + i, 1,
			       has_firmware ? 0 :
			       i	    ? 0x33 :
					      0x30,
			       i ? 0x33 : 0x30);
	pci_config_set(&bridge->pci, LAC, 1, 0, 0x83);
	pci_config_set(&bridge->pci, SMRAM, 1, SMRAM_INITIAL, SMRAM_WRITABLE);
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
	update(bridge);
	return 0;
}
