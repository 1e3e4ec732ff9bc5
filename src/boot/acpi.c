/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builds the ACPI tables. ACPI 6.4: 5.2 for the tables, 6 for what devices
 * tell; PCI Firmware 3.2 for MCFG and _OSC; IA-PC HPET 1.0a for HPET. The
 * addresses are doc/memory-map.md's.
 */
#include "boot/acpi.h"

#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "boot/dsdt.h"
#include "core/device.h"

#define HEADER_SIZE  36
#define RSDP_SIZE    36

#define PM1_EVENT    0x600
#define PM1_CONTROL  0x604
#define PM_TIMER     0x608
#define GPE0	     0x620
#define GPE0_SIZE    16
#define RESET_PORT   0xcf9
#define RESET_VALUE  0x06
#define SCI	     9

#define IOAPIC_BASE  0xfec00000u
#define LAPIC_BASE   0xfee00000u

#define SPACE_MEMORY 0
#define SPACE_IO     1

static uint8_t checksum(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	while (size--)
		sum += *bytes++;
	return -sum;
}

/* The header of every table (5.2.6); end fills in length and checksum. */
static size_t begin_table(struct aml *aml, const char *signature,
			  uint8_t revision)
{
	size_t start;

	while (!is_aligned(aml->size, 16))
		aml_u8(aml, 0);
	start = aml->size;
	aml_bytes(aml, signature, 4);
	aml_u32(aml, 0);
	aml_u8(aml, revision);
	aml_u8(aml, 0);
	aml_bytes(aml, "RNGFNC", 6);
	aml_bytes(aml, "RINGFNCE", 8);
	aml_u32(aml, 1);
	aml_bytes(aml, "RNGF", 4);
	aml_u32(aml, 1);
	return start;
}

/* Returns the table's guest physical address. */
static uint64_t end_table(struct aml *aml, size_t start)
{
	uint8_t *table = aml->bytes + start;
	size_t size = aml->size - start;

	store_u32(table + 4, size);
	table[9] = checksum(table, size);
	return aml->base + start;
}

/* Generic Address Structure, 5.2.3.2. */
static void put_gas(uint8_t *to, uint8_t space, uint8_t bit_width,
		    uint64_t address)
{
	static const uint8_t access_of_width[] = { [8] = 1, [16] = 2, [32] = 3 };

	to[0] = space;
	to[1] = bit_width;
	to[2] = 0;
	to[3] = bit_width <= 32 ? access_of_width[bit_width] : 0;
	store_u64(to + 4, address);
}

#define FADT_SIZE	       276
#define FADT_WBINVD	       BIT(0)
#define FADT_PROC_C1	       BIT(2)
#define FADT_NO_SLEEP_BUTTON   BIT(5)
#define FADT_NO_FIXED_RTC_WAKE BIT(6)
#define FADT_RESET_REGISTER    BIT(10)
#define FADT_BOOT_LEGACY       BIT(0)
#define FADT_BOOT_8042	       BIT(1)
#define FADT_BOOT_NO_VGA       BIT(2)

/*
 * 5.2.9. No SMI command: the board is in ACPI mode from the start, SCI_EN
 * reads as one. The power button is the fixed one.
 */
static uint64_t build_fadt(struct aml *aml, uint64_t dsdt, uint64_t facs)
{
	uint8_t at[FADT_SIZE] = { 0 }; /* offsets as in table 5-9 */
	size_t start = begin_table(aml, "FACP", 6);

	store_u32(at + 36, facs);
	store_u32(at + 40, dsdt);
	store_u16(at + 46, SCI);
	store_u32(at + 56, PM1_EVENT);
	store_u32(at + 64, PM1_CONTROL);
	store_u32(at + 76, PM_TIMER);
	store_u32(at + 80, GPE0);
	at[88] = 4;
	at[89] = 2;
	at[91] = 4;
	at[92] = GPE0_SIZE;
	/* Latencies past the limits: neither C2 nor C3. */
	store_u16(at + 96, 0xfff);
	store_u16(at + 98, 0xfff);
	at[108] = 0x32; /* where the mc146818 keeps the century */
	store_u16(at + 109,
		  FADT_BOOT_LEGACY | FADT_BOOT_8042 | FADT_BOOT_NO_VGA);
	store_u32(at + 112, FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON |
				    FADT_NO_FIXED_RTC_WAKE |
				    FADT_RESET_REGISTER);
	put_gas(at + 116, SPACE_IO, 8, RESET_PORT);
	at[128] = RESET_VALUE;
	at[131] = 4; /* minor version */
	store_u64(at + 140, dsdt);
	put_gas(at + 148, SPACE_IO, 32, PM1_EVENT);
	put_gas(at + 172, SPACE_IO, 16, PM1_CONTROL);
	put_gas(at + 208, SPACE_IO, 32, PM_TIMER);
	/* Wider than an access: the access size stays undefined. */
	put_gas(at + 220, SPACE_IO, 8 * GPE0_SIZE, GPE0);
	memcpy(at + 268, "RINGFNCE", 8);
	aml_bytes(aml, at + HEADER_SIZE, sizeof(at) - HEADER_SIZE);
	return end_table(aml, start);
}

/* 5.2.12. The override of the SCI: level, active high. */
static uint64_t build_madt(struct aml *aml, unsigned vcpu_count)
{
	static const struct {
		uint8_t irq;
		uint8_t gsi;
		uint16_t flags;
	} overrides[] = { { 0, 2, 0 }, { SCI, SCI, 0xd } };
	size_t start = begin_table(aml, "APIC", 5);

	aml_u32(aml, LAPIC_BASE);
	aml_u32(aml, 1); /* there is a pair of 8259s */
	for (unsigned i = 0; i < vcpu_count; i++) {
		aml_u8(aml, 0);
		aml_u8(aml, 8);
		aml_u8(aml, i); /* processor UID */
		aml_u8(aml, i); /* local APIC id */
		aml_u32(aml, 1); /* enabled */
	}
	aml_u8(aml, 1);
	aml_u8(aml, 12);
	aml_u16(aml, 0); /* IOAPIC id, reserved */
	aml_u32(aml, IOAPIC_BASE);
	aml_u32(aml, 0); /* its first GSI */
	for (unsigned i = 0; i < ARRAY_SIZE(overrides); i++) {
		aml_u8(aml, 2);
		aml_u8(aml, 10);
		aml_u8(aml, 0); /* ISA */
		aml_u8(aml, overrides[i].irq);
		aml_u32(aml, overrides[i].gsi);
		aml_u16(aml, overrides[i].flags);
	}
	/* NMI on LINT1 of every processor */
	aml_u8(aml, 4);
	aml_u8(aml, 6);
	aml_u8(aml, 0xff);
	aml_u16(aml, 0);
	aml_u8(aml, 1);
	return end_table(aml, start);
}

static uint64_t build_mcfg(struct aml *aml)
{
	size_t start = begin_table(aml, "MCFG", 1);

	aml_u64(aml, 0);
	aml_u64(aml, BOARD_ECAM_BASE);
	aml_u16(aml, 0); /* segment */
	aml_u8(aml, 0);
	aml_u8(aml, 255);
	aml_u32(aml, 0);
	return end_table(aml, start);
}

static const struct device_resources *
find_device(const struct acpi_board *board, const char *hid)
{
	const struct device *device;

	if (!board->devices)
		return NULL;
	list_for_each(device, board->devices, link)
		if (device->resources && device->resources->hid &&
		    strcmp(device->resources->hid, hid) == 0)
			return device->resources;
	return NULL;
}

static uint64_t build_hpet(struct aml *aml, const struct device_resources *hpet)
{
	size_t start = begin_table(aml, "HPET", 1);
	uint8_t gas[12];

	/* Intel; legacy replacement; 64-bit counter; three timers; rev 1. */
	aml_u32(aml, 0x8086a201);
	put_gas(gas, SPACE_MEMORY, 64, hpet->mmio[0].base);
	aml_bytes(aml, gas, sizeof(gas));
	aml_u8(aml, 0); /* number */
	aml_u16(aml, 0x80); /* shortest period, in ticks */
	aml_u8(aml, 0);
	return end_table(aml, start);
}

#define VTD_BASE 0xfed90000ull

static bool has_iommu(const struct acpi_board *board)
{
	const struct device *device;

	if (!board->devices)
		return false;
	list_for_each(device, board->devices, link)
		if (strcmp(device->name, "vtd") == 0)
			return true;
	return false;
}

/* VT-d, chapter 8: one unit for all of PCI, and for the IOAPIC, whose messages
 * come from a function that is no device. */
static uint64_t build_dmar(struct aml *aml)
{
	size_t start = begin_table(aml, "DMAR", 1);

	aml_u8(aml, 40 - 1); /* host address width, less one */
	aml_u8(aml, 1); /* interrupts can be remapped */
	aml_bytes(aml, "\0\0\0\0\0\0\0\0\0", 10);
	aml_u16(aml, 0); /* DRHD */
	aml_u16(aml, 16 + 8);
	aml_u8(aml, 1); /* all of the segment's devices */
	aml_u8(aml, 0);
	aml_u16(aml, 0);
	aml_u64(aml, VTD_BASE);
	aml_u8(aml, 3); /* an IOAPIC, of id 0, at ff:00.0 */
	aml_u8(aml, 8);
	aml_u16(aml, 0);
	aml_u8(aml, 0);
	aml_u8(aml, 0xff);
	aml_u16(aml, 0);
	return end_table(aml, start);
}

/* 5.2.5.3. Its own checksum covers 20 bytes, the extended one all of it. */
static void build_rsdp(uint8_t *rsdp, uint64_t xsdt)
{
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "RNGFNC", 6);
	rsdp[15] = 2;
	store_u32(rsdp + 20, RSDP_SIZE);
	store_u64(rsdp + 24, xsdt);
	rsdp[8] = checksum(rsdp, 20);
	rsdp[32] = checksum(rsdp, RSDP_SIZE);
}

void acpi_build_facs(uint8_t facs[ACPI_FACS_SIZE])
{
	memset(facs, 0, ACPI_FACS_SIZE);
	memcpy(facs, "FACS", 4);
	store_u32(facs + 4, ACPI_FACS_SIZE);
	facs[32] = 2;
}

size_t acpi_build(const struct acpi_board *board, uint8_t *bytes)
{
	const struct device_resources *hpet = find_device(board, "PNP0103");
	uint64_t table[5], dsdt, xsdt;
	unsigned count = 0;
	struct aml aml;
	size_t start;

	aml_init(&aml, bytes, BOOT_ACPI_ROOM);
	aml.base = board->base;
	memset(bytes, 0, RSDP_SIZE);
	aml.size = RSDP_SIZE;
	start = begin_table(&aml, "DSDT", 2);
	dsdt_build(&aml, board);
	dsdt = end_table(&aml, start);
	table[count++] = build_fadt(&aml, dsdt, board->facs);
	table[count++] = build_madt(&aml, board->vcpu_count);
	table[count++] = build_mcfg(&aml);
	if (hpet)
		table[count++] = build_hpet(&aml, hpet);
	if (has_iommu(board))
		table[count++] = build_dmar(&aml);
	start = begin_table(&aml, "XSDT", 1);
	aml_bytes(&aml, table, count * sizeof(table[0]));
	xsdt = end_table(&aml, start);
	build_rsdp(bytes, xsdt);
	return aml.size;
}
