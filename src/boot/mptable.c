/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the MP configuration table: MP 1.4, 4.1 to 4.3. */
#include "boot/mptable.h"

#include <string.h>

#include "base/bits.h"
#include "boot/acpi.h"
#include "boot/aml.h"

#define POINTER_SIZE   16
#define HEADER_SIZE    44
#define CHECKSUM       7 /* in the header */
#define ENTRY_COUNT    34

#define LAPIC_BASE     0xfee00000u
#define IOAPIC_BASE    0xfec00000u
#define LAPIC_VERSION  0x14
#define IOAPIC_VERSION 0x20

#define CPU_ENABLED    BIT(0)
#define CPU_BOOTSTRAP  BIT(1)

enum entry { PROCESSOR, BUS, IOAPIC, INTERRUPT, LOCAL_INTERRUPT };
enum interrupt { INT, NMI, SMI, EXTINT };
enum { BUS_PCI = 0, BUS_ISA = 1 };

#define ALL_LAPICS    0xff
#define PCI_SLOTS     32
#define ISA_IRQS      16
#define IRQ_TIMER     0
#define IRQ_CASCADE   2
#define TIMER_INPUT   2

#define IOAPIC_ID     0
#define POLARITY_LIKE 0 /* as the bus has it */

static uint8_t checksum(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	while (size--)
		sum += *bytes++;
	return -sum;
}

struct table {
	struct aml out;
	unsigned entries;
};

static void add_processor(struct table *table,
			  const struct mptable_board *board, unsigned id)
{
	table->entries++;
	aml_u8(&table->out, PROCESSOR);
	aml_u8(&table->out, id);
	aml_u8(&table->out, LAPIC_VERSION);
	aml_u8(&table->out, CPU_ENABLED | (id ? 0 : CPU_BOOTSTRAP));
	aml_u32(&table->out, board->signature);
	aml_u32(&table->out, board->features);
	aml_u64(&table->out, 0);
}

static void add_bus(struct table *table, uint8_t id, const char name[6])
{
	table->entries++;
	aml_u8(&table->out, BUS);
	aml_u8(&table->out, id);
	aml_bytes(&table->out, name, 6);
}

static void add_ioapic(struct table *table)
{
	table->entries++;
	aml_u8(&table->out, IOAPIC);
	aml_u8(&table->out, IOAPIC_ID);
	aml_u8(&table->out, IOAPIC_VERSION);
	aml_u8(&table->out, 1); /* enabled */
	aml_u32(&table->out, IOAPIC_BASE);
}

/* Of either kind: to an input of the IOAPIC, or of local APICs. */
static void add_interrupt(struct table *table, enum entry entry,
			  enum interrupt kind, uint8_t bus, uint8_t irq,
			  uint8_t to, uint8_t input)
{
	table->entries++;
	aml_u8(&table->out, entry);
	aml_u8(&table->out, kind);
	aml_u16(&table->out, POLARITY_LIKE);
	aml_u8(&table->out, bus);
	aml_u8(&table->out, irq);
	aml_u8(&table->out, to);
	aml_u8(&table->out, input);
}

static void add_interrupts(struct table *table)
{
	for (unsigned irq = 0; irq < ISA_IRQS; irq++)
		if (irq != IRQ_CASCADE)
			add_interrupt(table, INTERRUPT, INT, BUS_ISA, irq,
				      IOAPIC_ID,
				      irq == IRQ_TIMER ? TIMER_INPUT : irq);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++)
		for (unsigned pin = 0; pin < 4; pin++)
			add_interrupt(table, INTERRUPT, INT, BUS_PCI,
				      slot << 2 | pin, IOAPIC_ID,
				      acpi_pci_gsi(slot, pin));
	add_interrupt(table, LOCAL_INTERRUPT, EXTINT, BUS_ISA, 0, 0, 0);
	add_interrupt(table, LOCAL_INTERRUPT, NMI, BUS_ISA, 0, ALL_LAPICS, 1);
}

static void put_pointer(uint8_t *bytes, uint32_t table)
{
	memset(bytes, 0, POINTER_SIZE);
	memcpy(bytes, "_MP_", 4);
	store_u32(bytes + 4, table);
	bytes[8] = 1; /* in 16 bytes */
	bytes[9] = 4; /* 1.4 */
	bytes[10] = checksum(bytes, POINTER_SIZE);
}

static void put_header(uint8_t *bytes, size_t size, unsigned entries)
{
	memset(bytes, 0, HEADER_SIZE);
	memcpy(bytes, "PCMP", 4);
	store_u16(bytes + 4, size);
	bytes[6] = 4;
	memcpy(bytes + 8, "RNGFENCERINGFENCE   ", 20); /* maker, product */
	store_u16(bytes + ENTRY_COUNT, entries);
	store_u32(bytes + 36, LAPIC_BASE);
	bytes[CHECKSUM] = checksum(bytes, size);
}

size_t mptable_build(const struct mptable_board *board, uint8_t *bytes)
{
	struct table table = { .entries = 0 };

	aml_init(&table.out, bytes, MPTABLE_ROOM);
	table.out.size = POINTER_SIZE + HEADER_SIZE;
	for (unsigned i = 0; i < board->vcpu_count; i++)
		add_processor(&table, board, i);
	add_bus(&table, BUS_PCI, "PCI   ");
	add_bus(&table, BUS_ISA, "ISA   ");
	add_ioapic(&table);
	add_interrupts(&table);
	put_header(bytes + POINTER_SIZE, table.out.size - POINTER_SIZE,
		   table.entries);
	put_pointer(bytes, board->base + POINTER_SIZE);
	return table.out.size;
}
