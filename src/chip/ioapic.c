/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O APIC. Intel 82093AA data sheet (290566), with the EOI register of
 * version 20h (ICH9 data sheet, 13.5.1).
 */
#include "chip/ioapic.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

#define OFFSET_SELECT	 0x00
#define OFFSET_WINDOW	 0x10
#define OFFSET_EOI	 0x40
#define REGION_SIZE	 0x1000

#define REG_ID		 0x00
#define REG_VERSION	 0x01
#define REG_ARBITRATION	 0x02
#define REG_TABLE	 0x10

#define ID_SHIFT	 24
#define VERSION		 (0x20u | (IOAPIC_PINS - 1) << 16)

#define ENTRY_VECTOR	 BITS(7, 0)
#define ENTRY_LOGICAL	 BIT(11)
#define ENTRY_REMOTE_IRR BIT(14)
#define ENTRY_LEVEL	 BIT(15)
#define ENTRY_MASKED	 BIT(16)
#define ENTRY_READ_ONLY	 (BIT(12) | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE	 (BITS(63, 48) | (BITS(16, 0) & ~ENTRY_READ_ONLY))

/* Bits 55:48 are the extended destination (ICH9 data sheet, 13.5.7), which are
 * bits 11:4 of the address: for whom interrupts are remapped. */
static struct msi message(uint64_t entry)
{
	struct msi msi = {
		.requester = MSI_FROM_IOAPIC,
		.address = MSI_ADDRESS_BASE | bits_get(entry, 63, 48) << 4,
		.data = entry & BITS(10, 0),
	};

	if (entry & ENTRY_LOGICAL)
		msi.address |= MSI_ADDRESS_LOGICAL;
	if (entry & ENTRY_LEVEL)
		msi.data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
	return msi;
}

static void send(struct ioapic *ioapic, uint64_t entry)
{
	struct msi msi = message(entry);

	msi_send(ioapic->vm, &msi);
}

/* Local APICs in the kernel must know whose EOIs we want to hear of. */
static void tell_route(struct ioapic *ioapic, unsigned pin)
{
	const struct apic_ops *ops = ioapic->vm->apic_ops;
	struct msi msi = message(ioapic->entry[pin]);

	if (ops && ops->route_changed && !(ioapic->entry[pin] & ENTRY_MASKED))
		ops->route_changed(ioapic->vm, pin, &msi);
}

static uint32_t asserted(const struct ioapic *ioapic)
{
	return ioapic->lines | ioapic->pci;
}

/*
 * Level: one message per remote IRR, which the EOI takes away. Only fixed and
 * lowest priority have an EOI.
 */
static void service_level(struct ioapic *ioapic, unsigned pin)
{
	uint64_t *entry = &ioapic->entry[pin];

	if (!(*entry & ENTRY_LEVEL) || !(asserted(ioapic) & BIT(pin)) ||
	    (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		return;
	if (bits_get(*entry, 10, 8) <= APIC_LOWEST)
		*entry |= ENTRY_REMOTE_IRR;
	send(ioapic, *entry);
}

/* `from` is one of the two that drive the inputs; lock held. */
static void drive(struct ioapic *ioapic, uint32_t *from, unsigned pin,
		  bool level)
{
	bool was = asserted(ioapic) & BIT(pin);

	*from &= ~BIT(pin);
	*from |= (uint32_t)level << pin;
	if (was || !(asserted(ioapic) & BIT(pin)))
		return;
	if (ioapic->entry[pin] & ENTRY_LEVEL)
		service_level(ioapic, pin);
	else if (!(ioapic->entry[pin] & ENTRY_MASKED))
		/* An edge that meets the mask is lost (3.2.4, bit 16). */
		send(ioapic, ioapic->entry[pin]);
}

void ioapic_set(void *chip, unsigned pin, bool level)
{
	struct ioapic *ioapic = chip;

	if (pin >= IOAPIC_PINS)
		return;
	LOCKED(&ioapic->lock);
	drive(ioapic, &ioapic->lines, pin, level);
}

void ioapic_set_pci(struct ioapic *ioapic, unsigned pin, bool level)
{
	if (pin >= IOAPIC_PINS)
		return;
	LOCKED(&ioapic->lock);
	drive(ioapic, &ioapic->pci, pin, level);
}

static void end_of_interrupt(struct ioapic *ioapic, uint8_t vector)
{
	unsigned pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if ((*entry & ENTRY_VECTOR) != vector ||
		    !(*entry & ENTRY_REMOTE_IRR))
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		service_level(ioapic, pin);
	}
}

static void on_eoi(void *chip, uint8_t vector)
{
	struct ioapic *ioapic = chip;

	LOCKED(&ioapic->lock);
	end_of_interrupt(ioapic, vector);
}

static void write_entry(struct ioapic *ioapic, unsigned pin, unsigned shift,
			uint32_t value)
{
	uint64_t *entry = &ioapic->entry[pin];
	uint64_t mask = ENTRY_WRITABLE & (0xffffffffull << shift);

	*entry = (*entry & ~mask) | (((uint64_t)value << shift) & mask);
	/* Making it edge and level again is how old drivers drop remote IRR. */
	if (!(*entry & ENTRY_LEVEL))
		*entry &= ~ENTRY_REMOTE_IRR;
	tell_route(ioapic, pin);
	service_level(ioapic, pin);
}

static uint32_t window_read(struct ioapic *ioapic)
{
	unsigned index = ioapic->select - REG_TABLE;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (uint32_t)ioapic->id << ID_SHIFT;
	case REG_VERSION:
		return VERSION;
	default:
		break;
	}
	if (ioapic->select < REG_TABLE || index / 2 >= IOAPIC_PINS)
		return ~0u;
	return ioapic->entry[index / 2] >> 32 * (index & 1);
}

static void window_write(struct ioapic *ioapic, uint32_t value)
{
	unsigned index = ioapic->select - REG_TABLE;

	if (ioapic->select == REG_ID)
		ioapic->id = value >> ID_SHIFT & 0xf;
	else if (ioapic->select >= REG_TABLE && index / 2 < IOAPIC_PINS)
		write_entry(ioapic, index / 2, 32 * (index & 1), value);
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct ioapic *ioapic = device;

	if (access->is_write) {
		if (access->offset == OFFSET_SELECT)
			ioapic->select = access->value;
		else if (access->offset == OFFSET_WINDOW)
			window_write(ioapic, access->value);
		else if (access->offset == OFFSET_EOI)
			end_of_interrupt(ioapic, access->value);
	} else if (access->offset == OFFSET_SELECT) {
		access->value = ioapic->select;
	} else if (access->offset == OFFSET_WINDOW) {
		access->value = window_read(ioapic);
	} else {
		access->value = 0;
	}
	return BUS_HANDLED;
}

static void on_reset(void *device)
{
	struct ioapic *ioapic = device;
	unsigned pin;

	LOCKED(&ioapic->lock);
	ioapic->id = ioapic->select = 0;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
}

/* Whoever keeps the routes (kvm) learns of them as if they were written. */
static int on_restored(void *device)
{
	struct ioapic *ioapic = device;
	unsigned pin;

	LOCKED(&ioapic->lock);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		tell_route(ioapic, pin);
	return 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct ioapic, id, STATE_UINT, 1),
	STATE_FIELD(struct ioapic, select, STATE_UINT, 1),
	STATE_ARRAY(struct ioapic, entry, STATE_UINT, 1),
	STATE_FIELD(struct ioapic, lines, STATE_UINT, 1),
	STATE_FIELD(struct ioapic, pci, STATE_UINT, 2),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "ioapic",
	.version = 2,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

static const struct eoi_ops eoi_ops = {
	.eoi = on_eoi,
};

int ioapic_init(struct ioapic *ioapic, struct vm *vm)
{
	memset(ioapic, 0, sizeof(*ioapic));
	pthread_mutex_init(&ioapic->lock, NULL);
	ioapic->vm = vm;
	ioapic->device = (struct device){
		.name = "ioapic",
		.ops = &ops,
		.self = ioapic,
	};
	ioapic->region = (struct bus_region){
		.name = "ioapic",
		.base = IOAPIC_BASE,
		.size = REGION_SIZE,
		.sizes = 4,
		.handler = on_access,
		.device = ioapic,
		.lock = &ioapic->lock,
	};
	on_reset(ioapic);
	vm->eoi_ops = &eoi_ops;
	vm->eoi = ioapic;
	device_add(vm, &ioapic->device);
	return bus_add(&vm->mmio, &ioapic->region);
}
