/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads a kernel: what kind it is, whether it and its initrd fit, and where
 * everything goes.
 *
 * A bzImage whose payload we can unpack is unpacked on the host, and its ELF
 * kernel entered by the 64-bit protocol at the address it was linked for: the
 * choice of a random address is made by the code that unpacks a kernel in the
 * guest, which does not run here. Any other bzImage is entered at its own
 * unpacking code. An ELF kernel is entered by PVH where its note says so, else
 * by the 64-bit protocol.
 *
 * The unpacked kernel is dropped once it is in guest memory; a reset unpacks
 * it again.
 */
#include "boot/boot.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "boot/acpi.h"
#include "boot/bzimage.h"
#include "boot/e820.h"
#include "boot/elf.h"
#include "boot/entry.h"
#include "boot/params.h"
#include "boot/source.h"
#include "boot/unpack.h"
#include "core/engine.h"
#include "core/vm.h"
#include "x86/cpuid.h"

#define PVH_CMDLINE_MAX 2047 /* Linux's COMMAND_LINE_SIZE, less the NUL */
#define PVH_INITRD_MAX	0x7fffffffu
#define BZIMAGE_ENTRY64 0x200
/* A bzImage of protocol 2.09 does not say how much room it unpacks into. */
#define UNPACKS_BY_FACTOR 8

struct boot {
	char *kernel_path, *initrd_path, *cmdline;
	uint64_t ram_size;
	struct boot_source kernel, initrd; /* fd -1: none */

	bool is_bzimage, is_unpacked_here;
	struct bzimage bzimage;
	struct elf_image elf;
	int unpacked; /* memfd, or -1 */
	bool was_applied; /* memory is not all zero any more */

	enum entry_protocol protocol;
	uint64_t entry;
	uint64_t kernel_end; /* its memory is [1 MiB, kernel_end) */
	uint64_t initrd_address;
	char description[80];
};

__attribute__((format(printf, 3, 4))) static int
refuse(const char *path, int error, const char *format, ...)
{
	char reason[UNPACK_REASON_MAX + 64];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	log_error("%s: %s", path, reason);
	return error;
}

static int open_file(const char *what, const char *path,
		     struct boot_source *source)
{
	const char *reason;
	int error = source_open(source, path, &reason);

	if (error)
		log_error("%s %s: %s", what, path,
			  reason ? reason : strerror(-error));
	return error;
}

static struct boot_source payload_of(const struct boot *boot)
{
	return (struct boot_source){
		.fd = boot->kernel.fd,
		.offset = boot->bzimage.payload_offset,
		.size = boot->bzimage.payload_size,
	};
}

/* Unpacks and parses the payload, unless that has been done. */
static int unpack(struct boot *boot)
{
	struct boot_source packed = payload_of(boot), unpacked = { 0 };
	char words[UNPACK_REASON_MAX];
	const char *reason;
	int error;

	if (boot->unpacked >= 0)
		return 0;
	error = unpack_payload(&packed, boot->bzimage.kind,
			       boot->bzimage.unpacked_size, &boot->unpacked,
			       words);
	if (error)
		return refuse(boot->kernel_path, error, "its %s payload: %s",
			      payload_kind_name(boot->bzimage.kind), words);
	unpacked.fd = boot->unpacked;
	unpacked.size = boot->bzimage.unpacked_size;
	reason = elf_parse(&unpacked, &boot->elf);
	if (!reason && !boot->elf.is_64bit)
		reason = "a 32-bit kernel";
	if (reason)
		return refuse(boot->kernel_path, -ENOEXEC,
			      "the kernel in its payload: %s", reason);
	return 0;
}

static int load_unpacked_bzimage(struct boot *boot)
{
	const struct bzimage *image = &boot->bzimage;
	int error = unpack(boot);

	if (error)
		return error;
	boot->is_unpacked_here = true;
	boot->protocol = ENTRY_LINUX64;
	boot->entry = boot->elf.entry;
	boot->kernel_end = boot->elf.high;
	/* init_size counts from where the kernel is linked to run. */
	if (image->load_address == boot->elf.low)
		boot->kernel_end = MAX(boot->kernel_end,
				       image->load_address + image->init_size);
	snprintf(boot->description, sizeof(boot->description),
		 "bzImage %u.%u, %s unpacked here, 64-bit entry",
		 image->protocol >> 8, image->protocol & 0xff,
		 payload_kind_name(image->kind));
	return 0;
}

static int load_packed_bzimage(struct boot *boot)
{
	const struct bzimage *image = &boot->bzimage;
	uint64_t room = MAX(image->init_size, image->code_size);

	if (!image->init_size)
		room = image->code_size * UNPACKS_BY_FACTOR;
	if (!range_inside(image->load_address, room, MEMORY_HOLE_END) ||
	    image->load_address < BOOT_KERNEL_LOW)
		return refuse(boot->kernel_path, -ENOEXEC,
			      "damaged: its load address is impossible");
	boot->protocol = image->has_64bit_entry ? ENTRY_LINUX64 : ENTRY_LINUX32;
	boot->entry = image->load_address;
	if (image->has_64bit_entry)
		boot->entry += BZIMAGE_ENTRY64;
	boot->kernel_end = image->load_address + room;
	snprintf(boot->description, sizeof(boot->description),
		 "bzImage %u.%u, unpacks itself, %d-bit entry",
		 image->protocol >> 8, image->protocol & 0xff,
		 image->has_64bit_entry ? 64 : 32);
	return 0;
}

static int load_bzimage(struct boot *boot)
{
	const char *reason = bzimage_parse(&boot->kernel, &boot->bzimage);

	if (reason)
		return refuse(boot->kernel_path, -ENOEXEC, "%s", reason);
	boot->is_bzimage = true;
	/* A 32-bit kernel's payload cannot be entered in 64-bit mode. */
	if (boot->bzimage.kind != PAYLOAD_UNKNOWN &&
	    boot->bzimage.has_64bit_entry)
		return load_unpacked_bzimage(boot);
	return load_packed_bzimage(boot);
}

static int load_elf(struct boot *boot)
{
	const char *reason = elf_parse(&boot->kernel, &boot->elf);

	if (!reason && !boot->elf.has_pvh_entry && !boot->elf.is_64bit)
		reason = "a 32-bit ELF file without a PVH entry note";
	if (reason)
		return refuse(boot->kernel_path, -ENOEXEC, "%s", reason);
	boot->protocol = boot->elf.has_pvh_entry ? ENTRY_PVH : ENTRY_LINUX64;
	boot->entry = boot->elf.has_pvh_entry ? boot->elf.pvh_entry :
						boot->elf.entry;
	boot->kernel_end = boot->elf.high;
	snprintf(boot->description, sizeof(boot->description), "ELF, %s entry",
		 boot->elf.has_pvh_entry ? "PVH" : "64-bit");
	return 0;
}

static int load_kernel(struct boot *boot)
{
	int error = open_file("kernel", boot->kernel_path, &boot->kernel);

	if (error)
		return error;
	if (elf_is_likely(&boot->kernel))
		error = load_elf(boot);
	else if (bzimage_is_likely(&boot->kernel))
		error = load_bzimage(boot);
	else
		error = refuse(boot->kernel_path, -ENOEXEC,
			       "neither a Linux bzImage nor an ELF kernel");
	if (error)
		return error;
	/* The low end: kernels run below the PCI hole and, with the 64-bit
	 * protocol, under an identity map of 4 GiB. */
	if (boot->kernel_end > e820_low_end(boot->ram_size))
		return refuse(
			boot->kernel_path, -ENOMEM,
			"needs %llu MiB of memory, the VM has %llu (-m)",
			(unsigned long long)(boot->kernel_end + BIT(20) - 1) >>
				20,
			(unsigned long long)boot->ram_size >> 20);
	return 0;
}

/* As high as it may be and below the PCI hole: far from where kernels grow. */
static int place_initrd(struct boot *boot)
{
	uint64_t last = boot->is_bzimage ? boot->bzimage.initrd_addr_max :
					   PVH_INITRD_MAX;
	uint64_t end = MIN(e820_low_end(boot->ram_size), last + 1);
	uint64_t size = boot->initrd.size;
	uint64_t start = align_up(boot->kernel_end, PAGE_SIZE);

	end = align_down(end, PAGE_SIZE);
	if (start > end || size > end - start)
		return refuse(boot->initrd_path, -ENOMEM,
			      "%llu MiB do not fit beside the kernel into "
			      "%llu MiB of memory (-m)",
			      (unsigned long long)(size + BIT(20) - 1) >> 20,
			      (unsigned long long)boot->ram_size >> 20);
	boot->initrd_address = align_down(end - size, PAGE_SIZE);
	return 0;
}

static int check_cmdline(const struct boot *boot)
{
	uint64_t max = boot->is_bzimage ? boot->bzimage.cmdline_size :
					  PVH_CMDLINE_MAX;
	size_t size = strlen(boot->cmdline);

	max = MIN(max, BOOT_CMDLINE_ROOM - 1);
	if (size > max)
		return refuse("command line", -E2BIG,
			      "%zu bytes long; %s takes %llu", size,
			      boot->kernel_path, (unsigned long long)max);
	return 0;
}

int boot_load(const struct boot_config *config, struct boot **out)
{
	struct boot *boot = calloc(1, sizeof(*boot));
	int error = -ENOMEM;

	if (!boot)
		return refuse("boot", error, "out of memory");
	boot->kernel.fd = boot->initrd.fd = boot->unpacked = -1;
	boot->ram_size = config->ram_size;
	boot->kernel_path = strdup(config->kernel);
	boot->cmdline = strdup(config->cmdline);
	if (config->initrd)
		boot->initrd_path = strdup(config->initrd);
	if (!boot->kernel_path || !boot->cmdline ||
	    (config->initrd && !boot->initrd_path)) {
		refuse("boot", error, "out of memory");
		goto fail;
	}
	/* The cheap checks before the unpacking. */
	error = 0;
	if (boot->initrd_path)
		error = open_file("initrd", boot->initrd_path, &boot->initrd);
	if (!error)
		error = load_kernel(boot);
	if (!error)
		error = check_cmdline(boot);
	if (!error && boot->initrd_path)
		error = place_initrd(boot);
	if (error)
		goto fail;
	*out = boot;
	return 0;
fail:
	boot_destroy(boot);
	return error;
}

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

static int apply_kernel(struct boot *boot, struct memory *memory)
{
	struct boot_source unpacked = { .size = boot->bzimage.unpacked_size };
	int error;

	if (!boot->is_bzimage)
		return apply_segments(boot, &boot->kernel, memory);
	if (!boot->is_unpacked_here)
		return source_load(&boot->kernel, boot->bzimage.code_offset,
				   memory, boot->bzimage.load_address,
				   boot->bzimage.code_size);
	error = unpack(boot);
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
	};
	uint8_t facs[ACPI_FACS_SIZE];
	uint16_t ebda_segment = BOOT_EBDA >> 4;
	int error;

	if (!tables)
		return -ENOMEM;
	error = memory_load(&vm->memory, BOOT_ACPI, tables,
			    acpi_build(&board, tables));
	acpi_build_facs(facs);
	if (!error)
		error = memory_write(&vm->memory, BOOT_FACS, facs,
				     sizeof(facs));
	/* The BIOS data area's pointer to the EBDA, and the EBDA's size in
	 * KiB: guests that look find them. */
	if (!error)
		error = memory_write(&vm->memory, 0x40e, &ebda_segment, 2);
	if (!error)
		error = memory_write(&vm->memory, BOOT_EBDA, "\1", 1);
	return error;
}

static int apply_params(struct boot *boot, struct memory *memory)
{
	struct e820_map map;
	struct boot_params params = {
		.map = &map,
		.initrd = boot->initrd_address,
		.initrd_size = boot->initrd_path ? boot->initrd.size : 0,
		.header = boot->is_bzimage ? &boot->bzimage : NULL,
	};
	int error;

	e820_build(&map, boot->ram_size);
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
		if (i == 0)
			entry_state(state, boot->protocol, boot->entry);
		else
			cpu_state_reset(state, false);
		entry_set_mtrrs(&state->msr, address_bits(vm));
		error = vm->engine_ops->set_state(vm->vcpus[i], state);
	}
	free(state);
	return error;
}

int boot_apply(struct boot *boot, struct vm *vm)
{
	int error = apply_kernel(boot, &vm->memory);

	if (error == -EIO || error == -EFAULT)
		return refuse(boot->kernel_path, error,
			      error == -EIO ? "cannot be read to its end" :
					      "does not fit into RAM");
	if (error)
		return error;
	if (boot->initrd_path) {
		error = source_load(&boot->initrd, 0, &vm->memory,
				    boot->initrd_address, boot->initrd.size);
		if (error)
			return refuse(boot->initrd_path, error,
				      "cannot be read to its end");
	}
	boot->was_applied = true;
	error = apply_acpi(vm);
	if (!error)
		error = apply_params(boot, &vm->memory);
	if (!error)
		error = entry_write(&vm->memory, boot->protocol);
	if (error)
		return refuse("boot", error, "write to guest memory: %s",
			      strerror(-error));
	error = apply_states(boot, vm);
	if (error)
		return refuse("boot", error, "first state of the vCPUs: %s",
			      strerror(-error));
	return 0;
}

const char *boot_describe(const struct boot *boot)
{
	return boot->description;
}

void boot_destroy(struct boot *boot)
{
	if (!boot)
		return;
	if (boot->kernel.fd >= 0)
		close(boot->kernel.fd);
	if (boot->initrd.fd >= 0)
		close(boot->initrd.fd);
	if (boot->unpacked >= 0)
		close(boot->unpacked);
	free(boot->kernel_path);
	free(boot->initrd_path);
	free(boot->cmdline);
	free(boot);
}
