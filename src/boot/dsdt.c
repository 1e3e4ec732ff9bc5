/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The namespace: \_SB with the PCI root (PCI Firmware 3.2, 4), devices from
 * their own description, processors; \_S5. doc/memory-map.md has the
 * addresses.
 */
#include "boot/dsdt.h"

#include <stdio.h>

#include "base/bits.h"
#include "base/log.h"
#include "core/device.h"

#define PCI_SLOTS	   32
#define PCI_WINDOW_FIRST   0xc0000000u
#define PCI_WINDOW_LAST	   0xfebfffffu
#define SLEEP_TYPE_S5	   5

#define OSC_PCIE_STRUCTURE 0x10 /* all that _OSC leaves to the OS */

static void add_uid(struct aml *aml, uint32_t uid)
{
	aml_name_integer(aml, "_UID", uid);
}

static void add_windows(struct aml *aml, uint64_t ram_size)
{
	uint64_t base = board_window64_base(ram_size);
	struct aml_buffer buffer;

	aml_name(aml, "_CRS");
	buffer = aml_begin_resources(aml);
	aml_window_bus(aml, 0, 255);
	aml_io(aml, 0xcf8, 8);
	aml_window_io(aml, 0, 0xcf7);
	aml_window_io(aml, 0xd00, 0xffff);
	aml_window_memory32(aml, PCI_WINDOW_FIRST, PCI_WINDOW_LAST);
	aml_window_memory64(aml, base, base + BOARD_WINDOW64_SIZE - 1);
	aml_end_resources(aml, buffer);
}

/* Every pin of every slot is wired: 6.2.13. */
static void add_routes(struct aml *aml, const char *name,
		       unsigned (*gsi)(unsigned slot, unsigned pin))
{
	size_t package, route;

	aml_name(aml, name);
	package = aml_begin_package(aml, (PCI_SLOTS - 1) * 4);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			route = aml_begin_package(aml, 4);
			aml_integer(aml, slot << 16 | 0xffff);
			aml_integer(aml, pin);
			aml_integer(aml, 0);
			aml_integer(aml, gsi(slot, pin));
			aml_end(aml, route);
		}
	}
	aml_end(aml, package);
}

/*
 * To the IOAPIC, or where the system has said by _PIC (5.8.1) that it uses the
 * i8259s, to these, as firmware has set the LPC bridge's PIRQ registers.
 */
static void add_interrupt_routes(struct aml *aml)
{
	size_t method, branch;

	add_routes(aml, "PRTA", acpi_pci_gsi);
	add_routes(aml, "PRTP", acpi_pci_irq);
	method = aml_begin_method(aml, "_PRT", 0, false);
	branch = aml_begin_if(aml);
	aml_name_string(aml, "PICM");
	aml_u8(aml, AML_RETURN);
	aml_name_string(aml, "PRTA");
	aml_end(aml, branch);
	aml_u8(aml, AML_RETURN);
	aml_name_string(aml, "PRTP");
	aml_end(aml, method);
}

static void add_interrupt_model(struct aml *aml)
{
	size_t method;

	aml_name_integer(aml, "PICM", 0);
	method = aml_begin_method(aml, "\\_PIC", 1, false);
	aml_u8(aml, AML_STORE);
	aml_u8(aml, AML_ARG0);
	aml_name_string(aml, "PICM");
	aml_end(aml, method);
}

static void add_field(struct aml *aml, unsigned offset, const char *name)
{
	aml_u8(aml, AML_CREATE_DWORD_FIELD);
	aml_u8(aml, AML_ARG3);
	aml_integer(aml, offset);
	aml_name_string(aml, name);
}

/* name = name op value */
static void add_update(struct aml *aml, enum aml_op op, const char *name,
		       uint32_t value)
{
	aml_u8(aml, op);
	aml_name_string(aml, name);
	aml_integer(aml, value);
	aml_name_string(aml, name);
}

/*
 * _OSC, PCI Firmware 3.2, 4.5.1: for the PCI host bridge's UUID grant the PCIe
 * capability structures and nothing that the board has not; bits of the first
 * dword say what was wrong with the call.
 */
static void add_osc(struct aml *aml)
{
	static const uint8_t uuid[16] = { 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f,
					  0x1c, 0x40, 0x96, 0x57, 0x74, 0x41,
					  0xc0, 0x3d, 0xd7, 0x66 };
	size_t method = aml_begin_method(aml, "_OSC", 4, true);
	struct aml_buffer buffer;
	size_t branch, inner;

	add_field(aml, 0, "CDW1");
	branch = aml_begin_if(aml);
	aml_u8(aml, AML_LEQUAL);
	aml_u8(aml, AML_ARG0);
	buffer = aml_begin_buffer(aml);
	aml_bytes(aml, uuid, sizeof(uuid));
	aml_end_buffer(aml, buffer);
	add_field(aml, 8, "CDW3");
	inner = aml_begin_if(aml);
	aml_u8(aml, AML_LNOT);
	aml_u8(aml, AML_LEQUAL);
	aml_u8(aml, AML_ARG1);
	aml_integer(aml, 1);
	add_update(aml, AML_OR, "CDW1", 0x08); /* unknown revision */
	aml_end(aml, inner);
	add_update(aml, AML_AND, "CDW3", OSC_PCIE_STRUCTURE);
	aml_end(aml, branch);
	branch = aml_begin_else(aml);
	add_update(aml, AML_OR, "CDW1", 0x04); /* unknown UUID */
	aml_end(aml, branch);
	aml_u8(aml, AML_RETURN);
	aml_u8(aml, AML_ARG3);
	aml_end(aml, method);
}

/* One device from its own description. */
static void add_device(struct aml *aml, const struct device_resources *r)
{
	size_t device = aml_begin_device(aml, r->acpi_name);
	struct aml_buffer buffer;

	aml_name_id(aml, "_HID", r->hid);
	add_uid(aml, r->uid);
	aml_name(aml, "_CRS");
	buffer = aml_begin_resources(aml);
	for (int i = 0; i < DEVICE_RANGES_MAX && r->port[i].size; i++)
		aml_io(aml, r->port[i].base, r->port[i].size);
	for (int i = 0; i < DEVICE_RANGES_MAX && r->mmio[i].size; i++)
		aml_fixed_memory(aml, r->mmio[i].base, r->mmio[i].size);
	for (int i = 0; i < DEVICE_IRQS_MAX && r->irq[i] >= 0; i++)
		aml_irq(aml, r->irq[i]);
	aml_end_resources(aml, buffer);
	aml_end(aml, device);
}

static bool is_in_dsdt(const struct device *device)
{
	return device->resources && device->resources->hid &&
	       device->resources->acpi_name;
}

static bool has_memory(const struct device *device)
{
	return device->resources->mmio[0].size != 0;
}

/* Devices with ports only sit behind the LPC bridge, the others on the board. */
static void add_devices(struct aml *aml, const struct acpi_board *board,
			bool with_memory)
{
	const struct device *device;

	if (!board->devices)
		return;
	list_for_each(device, board->devices, link)
		if (is_in_dsdt(device) && has_memory(device) == with_memory)
			add_device(aml, device->resources);
}

static void add_pci_root(struct aml *aml, const struct acpi_board *board)
{
	size_t root = aml_begin_device(aml, "PCI0");
	size_t bridge;

	aml_name_id(aml, "_HID", "PNP0A08");
	aml_name_id(aml, "_CID", "PNP0A03");
	add_uid(aml, 0);
	aml_name_integer(aml, "_SEG", 0);
	aml_name_integer(aml, "_BBN", 0);
	add_windows(aml, board->ram_size);
	add_interrupt_routes(aml);
	add_osc(aml);
	bridge = aml_begin_device(aml, "ISA");
	aml_name_integer(aml, "_ADR", 0x1f0000);
	add_devices(aml, board, false);
	aml_end(aml, bridge);
	aml_end(aml, root);
}

/* What nobody else's _CRS claims: ECAM (PCI Firmware 3.2, 4.1.2 wants it
 * here), the root complex block, power management, ELCR. */
static void add_board_resources(struct aml *aml)
{
	size_t device = aml_begin_device(aml, "MBRD");
	struct aml_buffer buffer;

	aml_name_id(aml, "_HID", "PNP0C02");
	add_uid(aml, 0);
	aml_name(aml, "_CRS");
	buffer = aml_begin_resources(aml);
	aml_fixed_memory(aml, BOARD_ECAM_BASE, BOARD_ECAM_SIZE);
	aml_fixed_memory(aml, 0xfed1c000, 0x4000);
	aml_io(aml, 0x600, 0x80);
	aml_io(aml, 0x4d0, 2);
	aml_end_resources(aml, buffer);
	aml_end(aml, device);
}

/* 8.4: devices for the processors of the MADT, found by their UID. */
static void add_processors(struct aml *aml, unsigned count)
{
	char name[5];

	for (unsigned i = 0; i < count; i++) {
		size_t device;

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		device = aml_begin_device(aml, name);
		aml_name_id(aml, "_HID", "ACPI0007");
		add_uid(aml, i);
		aml_end(aml, device);
	}
}

static void add_power_off(struct aml *aml)
{
	size_t package;

	aml_name(aml, "\\_S5");
	package = aml_begin_package(aml, 4);
	aml_integer(aml, SLEEP_TYPE_S5);
	aml_integer(aml, SLEEP_TYPE_S5);
	aml_integer(aml, 0);
	aml_integer(aml, 0);
	aml_end(aml, package);
}

void dsdt_build(struct aml *aml, const struct acpi_board *board)
{
	size_t scope;

	add_interrupt_model(aml);
	scope = aml_begin_scope(aml, "\\_SB");
	add_pci_root(aml, board);
	add_board_resources(aml);
	add_devices(aml, board, true);
	add_processors(aml, board->vcpu_count);
	aml_end(aml, scope);
	add_power_off(aml);
}
