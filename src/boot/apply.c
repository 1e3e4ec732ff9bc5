/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes to guest memory what loader.c found, the tables, and the vCPUs' first
 * states: at the start and after each reset.
 */
#include "boot/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "boot/acpi.h"
#include "boot/e820.h"
#include "boot/loader.h"
#include "boot/mptable.h"
#include "boot/params.h"
#include "boot/realmode.h"
#include "core/engine.h"
#include "core/vm.h"
#include "x86/cpuid.h"

static int apply_segments(struct boot *boot, const struct boot_source *from,
			  struct memory *memory)
{
	for (unsigned i = 0; i < boot->elf.segment_count; i++) {
		const struct elf_segment *s = &boot->elf.segment[i];
		int error = source_load(from, s->offset, memory, s->address,
					s->file_size);

		/* Fresh memory is zero: touching it would only cost. */
		if (!error && boot->was_applied)
			error = memory_fill(memory, s->address + s->file_size,
					    0, s->memory_size - s->file_size);
		if (error)
			return error;
	}
	return 0;
}

/* The image, wherever its headers want it. */
static int apply_kernel(struct boot *boot, struct memory *memory)
{
	struct boot_source unpacked = { .size = boot->bzimage.unpacked_size };
	int error;

	if (boot->kind != BOOT_BZIMAGE)
		return apply_segments(boot, &boot->kernel, memory);
	if (!boot->is_unpacked_here)
		return source_load(&boot->kernel, boot->bzimage.code_offset,
				   memory, boot->bzimage.load_address,
				   boot->bzimage.code_size);
	error = boot_unpack(boot);
	if (error)
		return error;
	unpacked.fd = boot->unpacked;
	error = apply_segments(boot, &unpacked, memory);
	close(take_fd(&boot->unpacked));
	return error;
}

static int apply_acpi(struct vm *vm)
{
	cleanup_free uint8_t *tables = malloc(BOOT_ACPI_ROOM);
	const struct acpi_board board = {
		.devices = &vm->devices,
		.vcpu_count = vm->vcpu_count,
		.ram_size = vm->memory.ram_size,
		.base = BOOT_ACPI,
		.facs = BOOT_FACS,
	};
	uint8_t facs[ACPI_FACS_SIZE];
	int error;

	if (!tables)
		return -ENOMEM;
	error = memory_load(&vm->memory, BOOT_ACPI, tables,
			    acpi_build(&board, tables));
	acpi_build_facs(facs);
	if (!error)
		error = memory_write(&vm->memory, BOOT_FACS, facs,
				     sizeof(facs));
	return error;
}

static int apply_mptable(struct vm *vm)
{
	const struct cpuid_leaf *leaf =
		vm->cpuid ? cpuid_find(vm->cpuid, 1, 0) : NULL;
	const struct mptable_board board = {
		.vcpu_count = vm->vcpu_count,
		.signature = leaf ? leaf->eax : 0,
		.features = leaf ? leaf->edx : 0,
		.base = BOOT_MPTABLE,
	};
	uint8_t bytes[MPTABLE_ROOM];

	return memory_write(&vm->memory, BOOT_MPTABLE, bytes,
			    mptable_build(&board, bytes));
}

/*
 * The BIOS data area: base memory in KiB (413h), the EBDA's segment (40eh); and
 * the EBDA's size in KiB. Guests that look find them.
 */
static int apply_bios_data(struct memory *memory)
{
	const uint16_t ebda_segment = BOOT_EBDA >> 4, base = BOOT_EBDA >> 10;
	int error = memory_write(memory, 0x40e, &ebda_segment, 2);

	if (!error)
		error = memory_write(memory, 0x413, &base, 2);
	return error ? error : memory_write(memory, BOOT_EBDA, "\1", 1);
}

static int apply_multiboot(struct boot *boot, struct memory *memory,
			   const struct e820_map *map)
{
	struct multiboot_module module[BOOT_MODULES_MAX];
	const struct multiboot_params params = {
		.map = map,
		.ram_size = boot->ram_size,
		.cmdline = boot->cmdline,
		.module_count = boot->module_count,
		.module = module,
	};

	for (unsigned i = 0; i < boot->module_count; i++)
		module[i] = (struct multiboot_module){
			.address = boot->module[i].address,
			.size = boot->module[i].source.size,
			.string = boot->module[i].string,
		};
	return multiboot_write_info(memory, &params);
}

/* Setup code, command line, and the services that the code will ask for. */
static int apply_real_mode(struct boot *boot, struct memory *memory,
			   const struct e820_map *map)
{
	const struct bzimage *image = &boot->bzimage;
	const struct realmode where = {
		.setup = boot->entry,
		.heap_end = BOOT_REAL_MODE_STACK,
		.cmdline = image->is_low ? BOOT_CMDLINE_LOW : BOOT_CMDLINE,
		.initrd = boot->module_count ? boot->module[0].address : 0,
		.initrd_size =
			boot->module_count ? boot->module[0].source.size : 0,
	};
	cleanup_free uint8_t *setup = malloc(image->code_offset);
	int error;

	if (!setup)
		return -ENOMEM;
	if (!source_read(&boot->kernel, 0, setup, image->code_offset))
		return -EIO;
	realmode_fill_header(setup, image->code_offset, &where);
	error = memory_write(memory, where.setup, setup, image->code_offset);
	if (!error)
		error = memory_write(memory, where.cmdline, boot->cmdline,
				     strlen(boot->cmdline) + 1);
	return error ? error : realmode_write_bios(memory, map);
}

static int apply_params(struct boot *boot, struct memory *memory)
{
	struct e820_map map;
	struct boot_params params = {
		.map = &map,
		.header = boot->kind == BOOT_BZIMAGE ? &boot->bzimage : NULL,
		.has_acpi = boot->has_acpi,
	};
	int error;

	if (boot->module_count) {
		params.initrd = boot->module[0].address;
		params.initrd_size = boot->module[0].source.size;
	}
	e820_build(&map, boot->ram_size);
	if (boot->kind == BOOT_MULTIBOOT)
		return apply_multiboot(boot, memory, &map);
	if (boot->protocol == ENTRY_LINUX16)
		return apply_real_mode(boot, memory, &map);
	error = memory_write(memory, BOOT_CMDLINE, boot->cmdline,
			     strlen(boot->cmdline) + 1);
	if (error)
		return error;
	if (boot->protocol == ENTRY_PVH)
		return params_write_start_info(memory, &params);
	return params_write_zero_page(memory, &params);
}

/* Of physical addresses, CPUID 80000008h:EAX[7:0]; 36 where it is silent. */
static unsigned address_bits(const struct vm *vm)
{
	const struct cpuid_leaf *leaf =
		vm->cpuid ? cpuid_find(vm->cpuid, 0x80000008, 0) : NULL;

	return leaf && (leaf->eax & 0xff) >= 36 ? leaf->eax & 0xff : 36;
}

/* The others wait for a SIPI, as after reset, but for what firmware does. */
static int apply_states(struct boot *boot, struct vm *vm)
{
	/* Too large for a stack that others may have made small. */
	struct cpu_state *state =
		aligned_alloc(_Alignof(struct cpu_state), sizeof(*state));
	int error = state ? 0 : -ENOMEM;

	for (unsigned i = 0; i < vm->vcpu_count && !error; i++) {
		cpu_state_reset(state, i == 0);
		if (boot->protocol != ENTRY_RESET) {
			if (i == 0)
				entry_state(state, boot->protocol, boot->entry);
			entry_set_mtrrs(&state->msr, address_bits(vm));
		}
		error = vm->engine_ops->set_state(vm->vcpus[i], state);
	}
	free(state);
	return error;
}

static int apply_modules(struct boot *boot, struct memory *memory)
{
	for (unsigned i = 0; i < boot->module_count; i++) {
		const struct boot_module *m = &boot->module[i];
		int error = source_load(&m->source, 0, memory, m->address,
					m->source.size);

		if (error)
			return boot_refuse(m->path, error,
					   "cannot be read to its end");
	}
	return 0;
}

/* The ROM, ending where the reset vector's 16 bytes do. */
static int apply_firmware(struct boot *boot, struct vm *vm)
{
	uint64_t size = boot->rom.size;
	cleanup_free uint8_t *rom = size ? malloc(size) : NULL;
	int error = 0;

	if (size && !rom)
		return boot_refuse("boot", -ENOMEM, "out of memory");
	if (size && !source_read(&boot->rom, 0, rom, size))
		return boot_refuse(boot->rom_path, -EIO,
				   "cannot be read to its end");
	if (size)
		error = memory_load(&vm->memory, MEMORY_HOLE_END - size, rom,
				    size);
	if (!error)
		error = apply_states(boot, vm);
	if (error)
		return boot_refuse("boot", error,
				   "the ROM and the vCPUs' first state: %s",
				   strerror(-error));
	return 0;
}

int boot_apply(struct boot *boot, struct vm *vm)
{
	int error;

	if (boot->kind == BOOT_FIRMWARE)
		return apply_firmware(boot, vm);
	error = apply_kernel(boot, &vm->memory);

	if (error == -EIO || error == -EFAULT)
		return boot_refuse(boot->kernel_path, error,
				   error == -EIO ? "cannot be read to its end" :
						   "does not fit into RAM");
	if (!error)
		error = apply_modules(boot, &vm->memory);
	if (error)
		return error;
	boot->was_applied = true;
	error = boot->has_acpi ? apply_acpi(vm) : apply_mptable(vm);
	if (!error)
		error = apply_bios_data(&vm->memory);
	if (!error)
		error = apply_params(boot, &vm->memory);
	if (!error)
		error = boot->protocol == ENTRY_LINUX16 ?
				0 :
				entry_write(&vm->memory, boot->protocol);
	if (error)
		return boot_refuse("boot", error, "write to guest memory: %s",
				   strerror(-error));
	error = apply_states(boot, vm);
	if (error)
		return boot_refuse("boot", error,
				   "first state of the vCPUs: %s",
				   strerror(-error));
	return 0;
}
