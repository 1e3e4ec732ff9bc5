/* SPDX-License-Identifier: BSD-2-Clause */
/* A PCI device's config space: header, BARs, capabilities. PCI 3.0, chapter 6. */
#include "pci/pci.h"

#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/vm.h"

#define CAPABILITIES_START 0x40

#define BAR_IO		   BIT(0)
#define BAR_64BIT	   BIT(2)
#define BAR_PREFETCH	   BIT(3)

#define COMMAND_WRITABLE                                            \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | \
	 PCI_COMMAND_NO_INTX | BIT(6) | BIT(8))
/* Parity, aborts and system errors: set by nobody here. */
#define STATUS_CLEARABLE 0xf900

static uint32_t get(const struct pci_device *pci, unsigned offset,
		    unsigned size)
{
	uint32_t value = 0;

	memcpy(&value, pci->config + offset, size);
	return value;
}

static void set(struct pci_device *pci, unsigned offset, unsigned size,
		uint32_t value, uint32_t writable)
{
	BUG_ON(!range_inside(offset, size, PCI_CONFIG_SIZE));
	memcpy(pci->config + offset, &value, size);
	memcpy(pci->writable + offset, &writable, size);
}

void pci_config_set(struct pci_device *pci, unsigned offset, unsigned size,
		    uint32_t value, uint32_t writable)
{
	LOCKED(&pci->lock);
	set(pci, offset, size, value, writable);
}

uint32_t pci_config_get(struct pci_device *pci, unsigned offset, unsigned size)
{
	LOCKED(&pci->lock);
	BUG_ON(!range_inside(offset, size, PCI_CONFIG_SIZE));
	return get(pci, offset, size);
}

void pci_device_init(struct pci_device *pci, const char *name,
		     const struct pci_id *id)
{
	memset(pci, 0, sizeof(*pci));
	pthread_mutex_init(&pci->lock, NULL);
	pci->name = name;
	pci->capabilities_end = CAPABILITIES_START;
	set(pci, PCI_VENDOR, 2, id->vendor, 0);
	set(pci, PCI_DEVICE, 2, id->device, 0);
	set(pci, PCI_COMMAND, 2, 0, COMMAND_WRITABLE);
	set(pci, PCI_REVISION, 1, id->revision, 0);
	set(pci, PCI_CLASS, 1, id->class_code, 0);
	set(pci, PCI_CLASS + 1, 2, id->class_code >> 8, 0);
	set(pci, 0x0c, 1, 0, 0xff); /* cache line size */
	set(pci, PCI_SUBSYSTEM_VENDOR, 2, id->subsystem_vendor, 0);
	set(pci, PCI_SUBSYSTEM, 2, id->subsystem, 0);
	set(pci, PCI_INTERRUPT_LINE, 1, 0, 0xff);
	store_u16(pci->clearable + PCI_STATUS, STATUS_CLEARABLE);
}

unsigned pci_capability_add(struct pci_device *pci, uint8_t id, unsigned size)
{
	unsigned offset = pci->capabilities_end;
	uint8_t previous = pci->config[PCI_CAPABILITIES];

	LOCKED(&pci->lock);
	BUG_ON(!range_inside(offset, size, PCI_CONFIG_SIZE));
	pci->capabilities_end = align_up(offset + size, 4);
	/* The newest comes first in the list. */
	set(pci, offset, 2, id | previous << 8, 0);
	pci->config[PCI_CAPABILITIES] = offset;
	pci->config[PCI_STATUS] |= PCI_STATUS_CAPABILITY;
	return offset;
}

/* --- base address registers, 6.2.5 ----------------------------------------- */

void pci_bar_init(struct pci_device *pci, unsigned index,
		  enum pci_bar_kind kind, uint64_t size, bus_handler *handler,
		  void *device, pthread_mutex_t *lock, uint8_t sizes)
{
	struct pci_bar *bar = &pci->bar[index];
	unsigned offset = PCI_BAR0 + 4 * index;
	bool is_64bit = kind >= PCI_BAR_MEMORY64;
	uint32_t type = 0;

	BUG_ON(index + is_64bit >= PCI_BARS || !is_power_of_two(size) ||
	       size < (kind == PCI_BAR_IO ? 4 : 16));
	bar->kind = kind;
	bar->region = (struct bus_region){
		.name = pci->name,
		.base = PCI_UNMAPPED,
		.size = size,
		.sizes = sizes,
		.handler = handler,
		.device = device,
		.lock = lock,
	};
	if (kind == PCI_BAR_IO)
		type = BAR_IO;
	if (is_64bit)
		type = BAR_64BIT;
	if (kind == PCI_BAR_PREFETCH64)
		type |= BAR_PREFETCH;
	LOCKED(&pci->lock);
	set(pci, offset, 4, type, ~(size - 1));
	if (is_64bit)
		set(pci, offset + 4, 4, 0, ~(size - 1) >> 32);
}

#define ROM_ENABLE   BIT(0)
#define ROM_SIZE_MIN 0x800u
#define ROM_SIZE_MAX (16u << 20)

static enum bus_result on_rom(void *device, struct access *access)
{
	const struct pci_device *pci = device;

	if (access->is_write)
		return BUS_UNHANDLED;
	memcpy(&access->value, pci->rom_bytes + access->offset, access->size);
	return BUS_HANDLED;
}

void pci_rom_init(struct pci_device *pci, const uint8_t *bytes, uint32_t size)
{
	BUG_ON(!is_power_of_two(size) || size < ROM_SIZE_MIN ||
	       size > ROM_SIZE_MAX);
	pci->rom_bytes = bytes;
	pci->rom = (struct bus_region){
		.name = pci->name,
		.base = PCI_UNMAPPED,
		.size = size,
		.handler = on_rom,
		.device = pci,
	};
	LOCKED(&pci->lock);
	set(pci, PCI_ROM, 4, 0, ~(size - 1) | ROM_ENABLE);
}

/* Decoded when both the BAR and the command register say so. */
static uint64_t rom_address(const struct pci_device *pci)
{
	uint32_t value = get(pci, PCI_ROM, 4);
	uint64_t address = value & ~(uint32_t)(pci->rom.size - 1);

	if (!(value & ROM_ENABLE) || !address ||
	    !(get(pci, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY))
		return PCI_UNMAPPED;
	return address;
}

/* Where the guest wants it, PCI_UNMAPPED where it does not or cannot. */
static uint64_t bar_address(const struct pci_device *pci, unsigned index)
{
	const struct pci_bar *bar = &pci->bar[index];
	uint64_t address = get(pci, PCI_BAR0 + 4 * index, 4);
	uint64_t limit = bar->kind == PCI_BAR_IO ? BIT(16) : BIT(32);
	uint16_t enable = bar->kind == PCI_BAR_IO ? PCI_COMMAND_IO :
						    PCI_COMMAND_MEMORY;

	if (bar->kind >= PCI_BAR_MEMORY64) {
		address |= (uint64_t)get(pci, PCI_BAR0 + 4 * index + 4, 4)
			   << 32;
		limit = BIT(52);
	}
	address &= ~(bar->region.size - 1);
	/* Address 0 is what a BAR holds that nobody has programmed. */
	if (!(get(pci, PCI_COMMAND, 2) & enable) || !address ||
	    !range_inside(address, bar->region.size, limit))
		return PCI_UNMAPPED;
	return address;
}

static void update_bars(struct pci_device *pci)
{
	struct vm *vm = pci->bus->vm;
	unsigned i;

	if (pci->rom.size && rom_address(pci) != pci->rom.base)
		bus_move(&vm->mmio, &pci->rom, rom_address(pci));
	for (i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &pci->bar[i];
		uint64_t address;

		if (bar->kind == PCI_BAR_NONE)
			continue;
		address = bar_address(pci, i);
		if (address != bar->region.base)
			bus_move(bar->kind == PCI_BAR_IO ? &vm->io : &vm->mmio,
				 &bar->region, address);
	}
}

/* --- accesses -------------------------------------------------------------- */

/* Everything that follows from config space. Lock held. */
static void update(struct pci_device *pci)
{
	__atomic_store_n(&pci->dma.is_enabled,
			 !!(get(pci, PCI_COMMAND, 2) & PCI_COMMAND_MASTER),
			 __ATOMIC_RELEASE);
	update_bars(pci);
	pci_interrupts_update(pci);
}

uint32_t pci_config_read(struct pci_device *pci, unsigned offset, unsigned size)
{
	LOCKED(&pci->lock);
	return get(pci, offset, size);
}

void pci_config_write(struct pci_device *pci, unsigned offset, unsigned size,
		      uint32_t value)
{
	unsigned i;

	pthread_mutex_lock(&pci->lock);
	for (i = 0; i < size; i++) {
		uint8_t byte = value >> 8 * i, old = pci->config[offset + i];
		uint8_t writable = pci->writable[offset + i];

		old &= ~(byte & pci->clearable[offset + i]);
		pci->config[offset + i] = (old & ~writable) | (byte & writable);
	}
	update(pci);
	pthread_mutex_unlock(&pci->lock);
	if (pci->config_written)
		pci->config_written(pci->device, offset, size);
}

void pci_device_reset(struct pci_device *pci)
{
	unsigned i;

	LOCKED(&pci->lock);
	memcpy(pci->config, pci->initial, sizeof(pci->config));
	pci->intx = false;
	memset(pci->msix_pending, 0, sizeof(pci->msix_pending));
	for (i = 0; i < pci->msix_count; i++)
		pci->msix_entry[i] = (struct pci_msix_entry){ .control = 1 };
	update(pci);
}

static int on_restored(void *instance)
{
	struct pci_device *pci = instance;

	LOCKED(&pci->lock);
	update(pci);
	return 0;
}

static const struct state_field entry_fields[] = {
	STATE_FIELD(struct pci_msix_entry, address_low, STATE_UINT, 1),
	STATE_FIELD(struct pci_msix_entry, address_high, STATE_UINT, 1),
	STATE_FIELD(struct pci_msix_entry, data, STATE_UINT, 1),
	STATE_FIELD(struct pci_msix_entry, control, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table entry_state = {
	.name = "msix-entry",
	.version = 1,
	.field = entry_fields,
};

static const struct state_field fields[] = {
	STATE_FIELD(struct pci_device, config, STATE_BYTES, 1),
	STATE_FIELD(struct pci_device, intx, STATE_BOOL, 1),
	STATE_NESTED_ARRAY(struct pci_device, msix_entry, entry_state, 1),
	STATE_ARRAY(struct pci_device, msix_pending, STATE_UINT, 1),
	{ .name = NULL },
};

const struct state_table pci_device_state = {
	.name = "pci-device",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};
