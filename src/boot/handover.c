/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a kernel for firmware: a bzImage in its two parts, or an EFI program in
 * one. UEFI puts both parts together and starts them as a program; for a BIOS
 * there is an option ROM (realmode_rom.S).
 */
#include "boot/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/e820.h"
#include "boot/loader.h"
#include "boot/realmode.h"
#include "core/memory.h"

/* fw_cfg's items: docs/specs/fw_cfg.rst of QEMU. */
#define KEY_KERNEL_DATA	 0x11
#define KEY_INITRD_DATA	 0x12
#define KEY_CMDLINE_DATA 0x15
#define KEY_SETUP_DATA	 0x18

#define KERNEL_ADDRESS	 0x100000u /* code32_start of a bzImage */
/* What a BIOS keeps for itself at the end of memory. */
#define BIOS_TOP (2u << 20)

static int read_part(const char *path, const struct boot_source *source,
		     uint64_t offset, uint64_t size, uint8_t **bytes)
{
	*bytes = malloc(size ? size : 1);
	if (!*bytes)
		return boot_refuse(path, -ENOMEM, "out of memory");
	if (!source_read(source, offset, *bytes, size))
		return boot_refuse(path, -EIO, "cannot be read to its end");
	return 0;
}

static int read_kernel(const struct boot *boot, struct boot_handover *h)
{
	const struct boot_source *kernel = &boot->kernel;
	int error;

	if (kernel->size > INT32_MAX)
		return boot_refuse(boot->kernel_path, -EFBIG,
				   "too large for firmware");
	h->setup_size = boot->has_header ? boot->bzimage.code_offset : 0;
	h->kernel_size = kernel->size - h->setup_size;
	error = read_part(boot->kernel_path, kernel, 0, h->setup_size,
			  &h->setup);
	if (error)
		return error;
	return read_part(boot->kernel_path, kernel, h->setup_size,
			 h->kernel_size, &h->kernel);
}

/* As high as it may be and a BIOS lets it. */
static int read_initrd(const struct boot *boot, struct boot_handover *h)
{
	const struct boot_module *initrd = &boot->module[0];
	uint64_t end = e820_low_end(boot->ram_size), size;

	if (!boot->module_count)
		return 0;
	size = initrd->source.size;
	end = MIN(end - MIN(end, BIOS_TOP),
		  boot->has_header ? boot->bzimage.initrd_addr_max + 1ull :
				     end);
	if (size > end - MIN(end, KERNEL_ADDRESS))
		return boot_refuse(initrd->path, -ENOMEM,
				   "does not fit into %llu MiB of memory (-m)",
				   (unsigned long long)boot->ram_size >> 20);
	h->initrd_address = align_down(end - size, PAGE_SIZE);
	h->initrd_size = size;
	return read_part(initrd->path, &initrd->source, 0, size, &h->initrd);
}

static void make_rom(struct boot_handover *h)
{
	const struct realmode where = {
		.setup = h->setup_address,
		.heap_end = BOOT_REAL_MODE_STACK,
		.cmdline = h->cmdline_address,
		.initrd = h->initrd_address,
		.initrd_size = h->initrd_size,
	};
	const struct realmode_copy copies[REALMODE_COPIES] = {
		{ KEY_SETUP_DATA, h->setup_address, h->setup_size },
		{ KEY_CMDLINE_DATA, h->cmdline_address,
		  strlen(h->cmdline) + 1 },
		{ KEY_KERNEL_DATA, h->kernel_address, h->kernel_size },
		{ KEY_INITRD_DATA, h->initrd_address, h->initrd_size },
	};

	realmode_fill_header(h->setup, h->setup_size, &where);
	_Static_assert(sizeof(h->rom) == REALMODE_ROM_SIZE, "one ROM");
	realmode_build_rom(h->rom, h->setup_address, copies);
	h->rom_size = REALMODE_ROM_SIZE;
}

int boot_hand_over(const struct boot *boot, struct boot_handover *h)
{
	bool is_low;
	int error;

	*h = (struct boot_handover){ .kernel = NULL };
	if (!boot || boot->kind != BOOT_FIRMWARE || !boot->kernel_path)
		return 0;
	is_low = boot->has_header && boot->bzimage.is_low;
	h->setup_address = is_low ? BOOT_SETUP_LOW : BOOT_SETUP;
	h->cmdline_address = is_low ? BOOT_CMDLINE_LOW : BOOT_CMDLINE;
	h->kernel_address = is_low ? BOOT_ZIMAGE : KERNEL_ADDRESS;
	h->cmdline = strdup(boot->cmdline);
	error = h->cmdline ? read_kernel(boot, h) : -ENOMEM;
	if (!error)
		error = read_initrd(boot, h);
	if (!error && boot->has_header)
		make_rom(h);
	return error;
}

void boot_handover_fini(struct boot_handover *h)
{
	free(h->setup);
	free(h->kernel);
	free(h->initrd);
	free(h->cmdline);
	*h = (struct boot_handover){ .kernel = NULL };
}
