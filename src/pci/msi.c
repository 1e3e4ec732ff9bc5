/* SPDX-License-Identifier: BSD-2-Clause */
/* A PCI device's interrupts: INTx, MSI, MSI-X. PCI 3.0, 2.2.6, 6.8. */
#include "pci/pci.h"

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/vm.h"

/* MSI with 64-bit address and per-vector masking, 6.8.1. */
enum {
	MSI_CONTROL = 2,
	MSI_ADDRESS = 4,
	MSI_DATA = 12,
	MSI_MASK = 16,
	MSI_PENDING = 20,
	MSI_SIZE = 24,
};

#define MSI_ENABLE   BIT(0)
#define MSI_64BIT    BIT(7)
#define MSI_MASKABLE BIT(8)

/* 6.8.2. */
enum {
	MSIX_CONTROL = 2,
	MSIX_TABLE = 4,
	MSIX_PBA = 8,
	MSIX_SIZE = 12,
};

#define MSIX_ENABLE   BIT(15)
#define MSIX_MASK_ALL BIT(14)
#define MSIX_MASKED   BIT(0) /* of an entry */

/* Both in one BAR: up to 128 entries of 16 bytes, then the pending bits. */
#define MSIX_BAR_SIZE	0x1000
#define MSIX_PBA_OFFSET 0x800

static uint16_t control_of(const struct pci_device *pci, unsigned capability)
{
	return load_u16(pci->config + capability + MSI_CONTROL);
}

static bool msi_is_on(const struct pci_device *pci)
{
	return pci->msi && (control_of(pci, pci->msi) & MSI_ENABLE);
}

static bool msix_is_on(const struct pci_device *pci)
{
	return pci->msix && (control_of(pci, pci->msix) & MSIX_ENABLE);
}

/* A message is a write by the device: not without bus mastering. */
static bool send(struct pci_device *pci, uint64_t address, uint32_t data)
{
	struct msi msi = {
		.requester = pci->dma.requester,
		.address = address,
		.data = data,
	};

	if (!pci->dma.is_enabled)
		return false;
	msi_send(pci->bus->vm, &msi);
	return true;
}

/* --- MSI ------------------------------------------------------------------- */

void pci_msi_init(struct pci_device *pci)
{
	unsigned at = pci_capability_add(pci, PCI_CAPABILITY_MSI, MSI_SIZE);

	pci_config_set(pci, at + MSI_CONTROL, 2, MSI_64BIT | MSI_MASKABLE,
		       MSI_ENABLE);
	pci_config_set(pci, at + MSI_ADDRESS, 4, 0, 0xfffffffc);
	pci_config_set(pci, at + MSI_ADDRESS + 4, 4, 0, ~0u);
	pci_config_set(pci, at + MSI_DATA, 2, 0, 0xffff);
	pci_config_set(pci, at + MSI_MASK, 4, 0, 1);
	pci->msi = at;
}

static void msi_send_or_pend(struct pci_device *pci)
{
	uint8_t *msi = pci->config + pci->msi;

	msi[MSI_PENDING] |= 1;
	if ((msi[MSI_MASK] & 1) ||
	    !send(pci, load_u64(msi + MSI_ADDRESS), load_u16(msi + MSI_DATA)))
		return;
	msi[MSI_PENDING] &= ~1;
}

bool pci_msi_send(struct pci_device *pci)
{
	LOCKED(&pci->lock);
	if (!msi_is_on(pci))
		return false;
	msi_send_or_pend(pci);
	return true;
}

/* --- MSI-X ----------------------------------------------------------------- */

static void msix_send_or_pend(struct pci_device *pci, unsigned vector)
{
	const struct pci_msix_entry *entry = &pci->msix_entry[vector];
	uint32_t *pending = &pci->msix_pending[vector / 32];
	uint32_t bit = 1u << vector % 32;

	*pending |= bit;
	if ((control_of(pci, pci->msix) & MSIX_MASK_ALL) ||
	    (entry->control & MSIX_MASKED))
		return;
	if (send(pci, (uint64_t)entry->address_high << 32 | entry->address_low,
		 entry->data))
		*pending &= ~bit;
}

static void msix_send_pending(struct pci_device *pci)
{
	unsigned i;

	for (i = 0; msix_is_on(pci) && i < pci->msix_count; i++)
		if (pci->msix_pending[i / 32] & 1u << i % 32)
			msix_send_or_pend(pci, i);
}

bool pci_msix_is_enabled(struct pci_device *pci)
{
	LOCKED(&pci->lock);
	return msix_is_on(pci);
}

bool pci_msix_send(struct pci_device *pci, unsigned vector)
{
	LOCKED(&pci->lock);
	if (!msix_is_on(pci))
		return false;
	if (vector < pci->msix_count)
		msix_send_or_pend(pci, vector);
	return true;
}

static uint32_t *table_field(struct pci_device *pci, uint64_t offset)
{
	struct pci_msix_entry *entry = &pci->msix_entry[offset / 16];

	if (offset / 16 >= pci->msix_count)
		return NULL;
	switch (offset & 0xc) {
	case 0x0:
		return &entry->address_low;
	case 0x4:
		return &entry->address_high;
	case 0x8:
		return &entry->data;
	default:
		return &entry->control;
	}
}

static uint32_t table_read(struct pci_device *pci, uint64_t offset)
{
	const uint32_t *field;

	if (offset >= MSIX_PBA_OFFSET) {
		uint64_t word = (offset - MSIX_PBA_OFFSET) / 4;

		return word < PCI_MSIX_MAX / 32 ? pci->msix_pending[word] : 0;
	}
	field = table_field(pci, offset);
	return field ? *field : 0;
}

static void table_write(struct pci_device *pci, uint64_t offset, uint32_t value)
{
	uint32_t *field;

	if (offset >= MSIX_PBA_OFFSET)
		return;
	field = table_field(pci, offset);
	if (!field)
		return;
	*field = value;
	if ((offset & 0xc) == 0xc)
		*field &= MSIX_MASKED;
}

/* Under pci->lock; 4 or 8 bytes, aligned (6.8.2). */
static enum bus_result on_table(void *device, struct access *access)
{
	struct pci_device *pci = device;
	uint64_t value = 0;
	unsigned i;

	if (!is_aligned(access->offset, access->size))
		return BUS_ERROR;
	for (i = 0; i < access->size; i += 4) {
		if (access->is_write)
			table_write(pci, access->offset + i,
				    access->value >> 8 * i);
		else
			value |= (uint64_t)table_read(pci, access->offset + i)
				 << 8 * i;
	}
	if (access->is_write)
		msix_send_pending(pci);
	else
		access->value = value;
	return BUS_HANDLED;
}

void pci_msix_init(struct pci_device *pci, unsigned bar, unsigned count)
{
	unsigned at = pci_capability_add(pci, PCI_CAPABILITY_MSIX, MSIX_SIZE);
	unsigned i;

	BUG_ON(!count || count > PCI_MSIX_MAX);
	pci_config_set(pci, at + MSIX_CONTROL, 2, count - 1,
		       MSIX_ENABLE | MSIX_MASK_ALL);
	pci_config_set(pci, at + MSIX_TABLE, 4, bar, 0);
	pci_config_set(pci, at + MSIX_PBA, 4, MSIX_PBA_OFFSET | bar, 0);
	pci_bar_init(pci, bar, PCI_BAR_MEMORY, MSIX_BAR_SIZE, on_table, pci,
		     &pci->lock, 4 | 8);
	for (i = 0; i < count; i++)
		pci->msix_entry[i].control = MSIX_MASKED;
	pci->msix_count = count;
	pci->msix = at;
}

/* --- INTx ------------------------------------------------------------------ */

void pci_intx_init(struct pci_device *pci)
{
	pci_config_set(pci, PCI_INTERRUPT_PIN, 1, 1, 0);
}

/* Lines are shared: one is high while any device asserts it. */
static void drive_intx(struct pci_device *pci, bool level)
{
	struct pci_bus *bus = pci->bus;
	unsigned line = pci_intx_line(pci->devfn >> 3, 0);
	uint16_t *count = &bus->intx_count[line];

	if (pci->intx_is_out == level)
		return;
	pci->intx_is_out = level;
	LOCKED(&bus->intx_lock);
	*count += level ? 1 : -1;
	irq_set(&bus->intx[line], *count != 0);
}

/* With MSI or MSI-X on the pin is silent (6.8.3.3). */
void pci_interrupts_update(struct pci_device *pci)
{
	uint16_t command = load_u16(pci->config + PCI_COMMAND);
	bool is_silent = (command & PCI_COMMAND_NO_INTX) || msi_is_on(pci) ||
			 msix_is_on(pci);

	pci->config[PCI_STATUS] &= ~PCI_STATUS_INTX;
	if (pci->intx)
		pci->config[PCI_STATUS] |= PCI_STATUS_INTX;
	drive_intx(pci, pci->intx && !is_silent);
	if (msi_is_on(pci) && (pci->config[pci->msi + MSI_PENDING] & 1))
		msi_send_or_pend(pci);
	msix_send_pending(pci);
}

void pci_intx_set(struct pci_device *pci, bool level)
{
	LOCKED(&pci->lock);
	pci->intx = level;
	pci_interrupts_update(pci);
}
