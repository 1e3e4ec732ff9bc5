/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What firmware finds out about the board: bytes in the clock's memory, whose
 * places are the PC/AT's and, above 2Fh, what Bochs and QEMU made of them; and
 * fw_cfg's items and files (QEMU's docs/specs/fw_cfg.rst).
 */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "boot/acpi.h"
#include "boot/acpi_loader.h"
#include "boot/e820.h"
#include "boot/handover.h"
#include "core/vm.h"
#include "machine/pc_internal.h"

/* --- the clock's memory ---------------------------------------------------- */

#define CMOS_EQUIPMENT	 0x14 /* bit 1: coprocessor */
#define CMOS_BASE	 0x15 /* KiB below 640 KiB, 2 bytes */
#define CMOS_EXTENDED	 0x17 /* KiB above 1 MiB, up to 65535 */
#define CMOS_SUM_START	 0x10
#define CMOS_SUM_END	 0x2d
#define CMOS_SUM	 0x2e /* of these, high byte first */
#define CMOS_EXTENDED2	 0x30 /* as 17h, found out by the power-on test */
#define CMOS_ABOVE_16MIB 0x34 /* in 64 KiB, up to 4 GiB */
#define CMOS_BOOT_THIRD	 0x38 /* third boot device in 7:4 */
#define CMOS_BOOT_ORDER	 0x3d /* first device in 3:0, second in 7:4 */
#define CMOS_ABOVE_4GIB	 0x5b /* in 64 KiB, 3 bytes */
#define CMOS_LAST_CPU	 0x5f /* processors but the first */

#define BOOT_FLOPPY	 1u
#define BOOT_DISK	 2u
#define BOOT_CD		 3u

static void set_bytes(struct pc *pc, uint8_t index, unsigned count,
		      uint64_t value)
{
	for (unsigned i = 0; i < count; i++)
		mc146818_set(&pc->rtc, index + i, value >> 8 * i);
}

void pc_fill_cmos(struct pc *pc)
{
	const uint64_t ram = pc->vm->memory.ram_size;
	const uint64_t low = e820_low_end(ram);
	const uint64_t extended = MIN((low - BIT(20)) >> 10, 0xffff);
	unsigned sum = 0;

	set_bytes(pc, CMOS_EQUIPMENT, 1, BIT(1));
	set_bytes(pc, CMOS_BASE, 2, 640);
	set_bytes(pc, CMOS_EXTENDED, 2, extended);
	set_bytes(pc, CMOS_EXTENDED2, 2, extended);
	if (low > 16 << 20)
		set_bytes(pc, CMOS_ABOVE_16MIB, 2,
			  MIN((low - (16 << 20)) >> 16, 0xffff));
	set_bytes(pc, CMOS_ABOVE_4GIB, 3, (ram - low) >> 16);
	set_bytes(pc, CMOS_LAST_CPU, 1, pc->vm->vcpu_count - 1);
	set_bytes(pc, CMOS_BOOT_ORDER, 1, BOOT_CD << 4 | BOOT_DISK);
	set_bytes(pc, CMOS_BOOT_THIRD, 1, BOOT_FLOPPY << 4);
	for (unsigned i = CMOS_SUM_START; i <= CMOS_SUM_END; i++)
		sum += pc->rtc.byte[i];
	set_bytes(pc, CMOS_SUM, 1, sum >> 8);
	set_bytes(pc, CMOS_SUM + 1, 1, sum);
}

/* --- what firmware does ------------------------------------------------------ */

#define ELCR	   0x4d0
#define PIRQA_ROUT 0x60
#define PIRQE_ROUT 0x68

static void write_config(struct pc *pc, uint8_t devfn, unsigned offset,
			 uint32_t value)
{
	struct pci_device *pci = pc->pci.device[devfn];

	LOCKED(&pc->pci.lock);
	pci_config_write(pci, offset, 1, value);
}

static void write_port(struct pc *pc, uint16_t port, uint8_t value)
{
	struct access access = { .size = 1, .is_write = true, .value = value };
	unsigned source;

	bus_access(&pc->vm->io, port, &access, &source);
}

void pc_do_firmware_work(struct pc *pc)
{
	const uint64_t window64 = board_window64_base(pc->vm->memory.ram_size);
	const struct pci_windows windows = {
		.io = 0xc000,
		.io_end = 0x10000,
		.memory = BOARD_ECAM_BASE + BOARD_ECAM_SIZE,
		.memory_end = 0xfec00000,
		.memory64 = window64,
		.memory64_end = window64 + BOARD_WINDOW64_SIZE,
	};
	uint16_t levels = 0;

	pci_bus_assign(&pc->pci, &windows);
	for (unsigned i = 0; i < PCI_INTX_LINES; i++) {
		unsigned irq = acpi_pci_irq(i, 0);

		write_config(pc, pc->lpc.pci.devfn,
			     i < 4 ? PIRQA_ROUT + i : PIRQE_ROUT + i - 4, irq);
		levels |= BIT(irq);
	}
	write_port(pc, ELCR, levels);
	write_port(pc, ELCR + 1, levels >> 8);
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		struct pci_device *pci = pc->pci.device[devfn];
		unsigned pin = pci ? pci_config_get(pci, PCI_INTERRUPT_PIN, 1) :
				     0;

		if (pin)
			write_config(pc, devfn, PCI_INTERRUPT_LINE,
				     acpi_pci_irq(devfn >> 3, pin - 1));
	}
}

/* --- fw_cfg ---------------------------------------------------------------- */

/* RAM alone: what else there is in the map is firmware's to know. */
static int add_e820(struct pc *pc)
{
	const uint64_t ram = pc->vm->memory.ram_size;
	const uint64_t low = e820_low_end(ram);
	struct __attribute__((packed)) {
		uint64_t base, size;
		uint32_t type;
	} range[2] = {
		{ 0, low, E820_RAM },
		{ MEMORY_HOLE_END, ram - low, E820_RAM },
	};

	return fw_cfg_add_file(&pc->fw_cfg, "etc/e820", range,
			       sizeof(range[0]) * (ram > low ? 2 : 1));
}

static int add_acpi(struct pc *pc)
{
	struct fw_cfg *fw = &pc->fw_cfg;
	const struct acpi_board board = {
		.devices = &pc->vm->devices,
		.vcpu_count = pc->vm->vcpu_count,
		.ram_size = pc->vm->memory.ram_size,
	};
	struct acpi_files files;
	int error;

	if (pc->host.no_acpi)
		return 0;
	error = acpi_files_build(&board, &files);
	if (error)
		return error;
	error = fw_cfg_add_file(fw, ACPI_FILE_TABLES, files.tables,
				files.tables_size);
	if (!error)
		error = fw_cfg_add_file(fw, ACPI_FILE_RSDP, files.rsdp,
					files.rsdp_size);
	if (!error)
		error = fw_cfg_add_file(fw, ACPI_FILE_LOADER, files.loader,
					files.loader_size);
	acpi_files_fini(&files);
	return error;
}

#define OPTION_ROM "linuxboot.bin"

static int add_part(struct fw_cfg *fw, enum fw_cfg_key size_key,
		    enum fw_cfg_key data_key, const void *bytes, uint32_t size)
{
	int error = fw_cfg_add_u32(fw, size_key, size);

	return error ? error :
		       fw_cfg_add(fw, data_key, bytes ? bytes : "", size);
}

/* What firmware boots first, and a BIOS by an option ROM. */
static int add_kernel(struct fw_cfg *fw, const struct boot_handover *h)
{
	const struct {
		enum fw_cfg_key key;
		uint32_t value;
	} addresses[] = {
		{ FW_CFG_SETUP_ADDR, h->setup_address },
		{ FW_CFG_KERNEL_ADDR, h->kernel_address },
		{ FW_CFG_INITRD_ADDR, h->initrd_address },
		{ FW_CFG_CMDLINE_ADDR, h->cmdline_address },
	};
	int error = add_part(fw, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, h->setup,
			     h->setup_size);

	if (!error)
		error = add_part(fw, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA,
				 h->kernel, h->kernel_size);
	if (!error)
		error = add_part(fw, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA,
				 h->initrd, h->initrd_size);
	if (!error)
		error = add_part(fw, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA,
				 h->cmdline, strlen(h->cmdline) + 1);
	for (unsigned i = 0; i < ARRAY_SIZE(addresses) && !error; i++)
		error = fw_cfg_add_u32(fw, addresses[i].key,
				       addresses[i].value);
	if (!error && h->rom_size)
		error = fw_cfg_add_file(fw, "genroms/" OPTION_ROM, h->rom,
					h->rom_size);
	return error;
}

static int add_boot(struct pc *pc)
{
	static const char order[] = "/rom@genroms/" OPTION_ROM;
	struct fw_cfg *fw = &pc->fw_cfg;
	struct boot_handover h;
	int error = boot_hand_over(pc->host.boot, &h);

	if (!error && h.kernel)
		error = add_kernel(fw, &h);
	if (!error && h.rom_size)
		error = fw_cfg_add_file(fw, "bootorder", order, sizeof(order));
	else if (!error)
		error = fw_cfg_add_file(fw, "bootorder", "", 1);
	boot_handover_fini(&h);
	return error;
}

int pc_fill_fw_cfg(struct pc *pc)
{
	/* No second try after a minute when nothing boots. */
	static const uint8_t never[4] = { 0xff, 0xff, 0xff, 0xff };
	struct fw_cfg *fw = &pc->fw_cfg;
	const struct vm *vm = pc->vm;
	int error;

	error = fw_cfg_add_u64(fw, FW_CFG_RAM_SIZE, vm->memory.ram_size);
	if (!error)
		error = fw_cfg_add_u16(fw, FW_CFG_NOGRAPHIC, 1);
	if (!error)
		error = fw_cfg_add_u16(fw, FW_CFG_CPUS, vm->vcpu_count);
	if (!error)
		error = fw_cfg_add_u16(fw, FW_CFG_MAX_CPUS, vm->vcpu_count);
	if (!error)
		error = fw_cfg_add_u32(fw, FW_CFG_IRQ0_OVERRIDE, 1);
	if (!error)
		error = add_e820(pc);
	if (!error)
		error = add_boot(pc);
	if (!error)
		error = fw_cfg_add_file(fw, "etc/boot-fail-wait", never,
					sizeof(never));
	return error ? error : add_acpi(pc);
}
