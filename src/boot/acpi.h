/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables of the board (ACPI 6.4, chapter 5): RSDP, XSDT, FADT, FACS,
 * MADT, MCFG, HPET, DMAR and a DSDT with the PCI root, the devices that say who they
 * are (struct device_resources), the processors and S5.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "boot/e820.h"

struct acpi_board {
	const struct list *devices; /* struct device; may be NULL */
	unsigned vcpu_count;
	uint64_t ram_size;
	uint64_t base; /* where the tables will stand */
	uint64_t facs; /* where the FACS does */
};

/*
 * Writes the tables, which will stand at `base` in guest memory, to bytes
 * (BOOT_ACPI_ROOM of them); the RSDP comes first. Returns their size. The FACS
 * is not among them: see acpi_build_facs.
 */
size_t acpi_build(const struct acpi_board *board, uint8_t *bytes);

/* The 64 bytes for BOOT_FACS, which the guest may write. */
#define ACPI_FACS_SIZE 64
void acpi_build_facs(uint8_t facs[ACPI_FACS_SIZE]);

/* Where INTA (pin 0) to INTD of a slot of bus 0 go: GSI 16 to 23. */
static inline unsigned acpi_pci_gsi(unsigned slot, unsigned pin)
{
	return 16 + ((slot + pin) & 7);
}

/* And to which of the i8259s' inputs, as SeaBIOS and OVMF route them. */
static inline unsigned acpi_pci_irq(unsigned slot, unsigned pin)
{
	return (slot + pin) & 2 ? 11 : 10;
}
