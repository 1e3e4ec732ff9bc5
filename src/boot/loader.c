/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds out what a kernel is, whether it and what goes with it fit, and where
 * everything goes.
 *
 * A bzImage whose payload we can unpack is unpacked on the host, and its ELF
 * kernel entered by the 64-bit protocol (a 32-bit kernel by the 32-bit one) at
 * the address it was linked for: the choice of a random address is made by the
 * code that unpacks a kernel in the guest, which does not run here. Any other
 * bzImage is entered at its own unpacking code, or where its header knows no
 * such entry (a zImage, an old one) at its real-mode setup code. A kernel with a multiboot
 * header is entered by that, any other ELF kernel by PVH where its note says
 * so, else by the 64-bit protocol. Any kernel may come packed with gzip.
 *
 * The unpacked payload of a bzImage is dropped once it is in guest memory; a
 * reset unpacks it again.
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
#include "boot/e820.h"
#include "boot/loader.h"
#include "boot/unpack.h"
#include "core/memory.h"

#define PVH_CMDLINE_MAX 2047 /* Linux's COMMAND_LINE_SIZE, less the NUL */
#define PVH_INITRD_MAX	0x7fffffffu
#define BZIMAGE_ENTRY64 0x200
/* A bzImage of protocol 2.09 does not say how much room it unpacks into. */
#define UNPACKS_BY_FACTOR 8
#define PACKED_FILE_MAX	  (1u << 30)

int boot_refuse(const char *path, int error, const char *format, ...)
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

int boot_unpack(struct boot *boot)
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
		return boot_refuse(boot->kernel_path, error,
				   "its %s payload: %s",
				   payload_kind_name(boot->bzimage.kind),
				   words);
	unpacked.fd = boot->unpacked;
	unpacked.size = boot->bzimage.unpacked_size;
	reason = elf_parse(&unpacked, &boot->elf);
	if (!reason && boot->elf.is_64bit != boot->bzimage.has_64bit_entry)
		reason = boot->elf.is_64bit ? "64-bit, unlike its header" :
					      "32-bit, unlike its header";
	if (reason)
		return boot_refuse(boot->kernel_path, -ENOEXEC,
				   "the kernel in its payload: %s", reason);
	return 0;
}

static int load_unpacked_bzimage(struct boot *boot)
{
	const struct bzimage *image = &boot->bzimage;
	int error = boot_unpack(boot);

	if (error)
		return error;
	boot->is_unpacked_here = true;
	boot->protocol = image->has_64bit_entry ? ENTRY_LINUX64 : ENTRY_LINUX32;
	boot->entry = boot->elf.entry;
	boot->kernel_end = boot->elf.high;
	/* init_size counts from where the kernel is linked to run. */
	if (image->load_address == boot->elf.low)
		boot->kernel_end = MAX(boot->kernel_end,
				       image->load_address + image->init_size);
	snprintf(boot->description, sizeof(boot->description),
		 "bzImage %u.%u, %s unpacked here, %d-bit entry",
		 image->protocol >> 8, image->protocol & 0xff,
		 payload_kind_name(image->kind),
		 image->has_64bit_entry ? 64 : 32);
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
		return boot_refuse(boot->kernel_path, -ENOEXEC,
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

static int load_real_mode(struct boot *boot)
{
	const struct bzimage *image = &boot->bzimage;

	boot->protocol = ENTRY_LINUX16;
	boot->entry = image->is_low ? BOOT_SETUP_LOW : BOOT_SETUP;
	boot->kernel_end =
		BOOT_KERNEL_LOW + image->code_size * UNPACKS_BY_FACTOR;
	snprintf(boot->description, sizeof(boot->description),
		 "%s %u.%u, real-mode entry",
		 image->is_low ? "zImage" : "bzImage", image->protocol >> 8,
		 image->protocol & 0xff);
	return 0;
}

static int load_bzimage(struct boot *boot)
{
	const char *reason = bzimage_parse(&boot->kernel, &boot->bzimage);

	if (reason)
		return boot_refuse(boot->kernel_path, -ENOEXEC, "%s", reason);
	boot->kind = BOOT_BZIMAGE;
	if (boot->bzimage.is_real_mode)
		return load_real_mode(boot);
	if (boot->bzimage.kind != PAYLOAD_UNKNOWN)
		return load_unpacked_bzimage(boot);
	return load_packed_bzimage(boot);
}

static int load_elf(struct boot *boot)
{
	const char *reason = elf_parse(&boot->kernel, &boot->elf);

	if (!reason && !boot->elf.has_pvh_entry && !boot->elf.is_64bit)
		reason = "a 32-bit ELF file with neither a multiboot header "
			 "nor a PVH entry note";
	if (reason)
		return boot_refuse(boot->kernel_path, -ENOEXEC, "%s", reason);
	boot->kind = BOOT_ELF;
	boot->protocol = boot->elf.has_pvh_entry ? ENTRY_PVH : ENTRY_LINUX64;
	boot->entry = boot->elf.has_pvh_entry ? boot->elf.pvh_entry :
						boot->elf.entry;
	boot->kernel_end = boot->elf.high;
	snprintf(boot->description, sizeof(boot->description), "ELF, %s entry",
		 boot->elf.has_pvh_entry ? "PVH" : "64-bit");
	return 0;
}

static int load_multiboot(struct boot *boot)
{
	const char *reason = multiboot_parse(&boot->kernel, &boot->elf);

	if (reason)
		return boot_refuse(boot->kernel_path, -ENOEXEC, "%s", reason);
	boot->kind = BOOT_MULTIBOOT;
	boot->protocol = ENTRY_MULTIBOOT;
	boot->entry = boot->elf.entry;
	boot->kernel_end = boot->elf.high;
	snprintf(boot->description, sizeof(boot->description), "multiboot");
	return 0;
}

/* A file packed as a whole, as boot loaders take it: the unpacked one takes
 * its place. */
static int unpack_file(struct boot *boot)
{
	char words[UNPACK_REASON_MAX];
	uint8_t magic[6], tail[4];
	int error, memfd;

	if (boot->kernel.size > PACKED_FILE_MAX ||
	    !source_read(&boot->kernel, 0, magic, sizeof(magic)) ||
	    payload_kind_of(magic) != PAYLOAD_GZIP)
		return 0;
	/* RFC 1952, 2.3.1: ISIZE ends the file. */
	if (!source_read(&boot->kernel, boot->kernel.size - 4, tail, 4) ||
	    !load_u32(tail) || load_u32(tail) > PACKED_FILE_MAX)
		return boot_refuse(boot->kernel_path, -ENOEXEC,
				   "damaged: packed with gzip, of an "
				   "impossible size");
	error = unpack_payload(&boot->kernel, PAYLOAD_GZIP, load_u32(tail),
			       &memfd, words);
	if (error)
		return boot_refuse(boot->kernel_path, error,
				   "packed with gzip: %s", words);
	close(boot->kernel.fd);
	boot->kernel = (struct boot_source){
		.fd = memfd,
		.size = load_u32(tail),
	};
	return 0;
}

static int refuse_unknown(const struct boot *boot)
{
	const char *reason = multiboot_why_not(&boot->kernel);

	return boot_refuse(boot->kernel_path, -ENOEXEC, "%s",
			   reason ? reason :
				    "neither a Linux bzImage nor an ELF or "
				    "multiboot kernel");
}

static int load_kernel(struct boot *boot)
{
	int error = open_file("kernel", boot->kernel_path, &boot->kernel);

	if (!error)
		error = unpack_file(boot);
	if (error)
		return error;
	if (bzimage_is_likely(&boot->kernel))
		error = load_bzimage(boot);
	else if (multiboot_is_likely(&boot->kernel))
		error = load_multiboot(boot);
	else if (elf_is_likely(&boot->kernel))
		error = load_elf(boot);
	else
		error = refuse_unknown(boot);
	if (error)
		return error;
	/* The low end: kernels run below the PCI hole and, with the 64-bit
	 * protocol, under an identity map of 4 GiB. */
	if (boot->kernel_end > e820_low_end(boot->ram_size))
		return boot_refuse(
			boot->kernel_path, -ENOMEM,
			"needs %llu MiB of memory, the VM has %llu (-m)",
			(unsigned long long)(boot->kernel_end + BIT(20) - 1) >>
				20,
			(unsigned long long)boot->ram_size >> 20);
	return 0;
}

static int refuse_size(const struct boot *boot,
		       const struct boot_module *module)
{
	return boot_refuse(
		module->path, -ENOMEM,
		"%llu MiB do not fit beside the kernel into "
		"%llu MiB of memory (-m)",
		(unsigned long long)(module->source.size + BIT(20) - 1) >> 20,
		(unsigned long long)boot->ram_size >> 20);
}

/* As high as it may be and below the PCI hole: far from where kernels grow. */
static int place_initrd(struct boot *boot, struct boot_module *initrd)
{
	uint64_t last = boot->kind == BOOT_BZIMAGE ?
				boot->bzimage.initrd_addr_max :
				PVH_INITRD_MAX;
	uint64_t end = MIN(e820_low_end(boot->ram_size), last + 1);
	uint64_t size = initrd->source.size;
	uint64_t start = align_up(boot->kernel_end, PAGE_SIZE);

	end = align_down(end, PAGE_SIZE);
	if (start > end || size > end - start)
		return refuse_size(boot, initrd);
	initrd->address = align_down(end - size, PAGE_SIZE);
	return 0;
}

/* One behind the other on page boundaries, right behind the kernel. */
static int place_modules(struct boot *boot)
{
	uint64_t end = e820_low_end(boot->ram_size);
	uint64_t at = align_up(boot->kernel_end, PAGE_SIZE);

	for (unsigned i = 0; i < boot->module_count; i++) {
		struct boot_module *module = &boot->module[i];

		if (at > end || module->source.size > end - at)
			return refuse_size(boot, module);
		module->address = at;
		at = align_up(at + module->source.size, PAGE_SIZE);
	}
	return 0;
}

static int place(struct boot *boot)
{
	if (boot->kind == BOOT_MULTIBOOT)
		return place_modules(boot);
	if (boot->module_count > 1)
		return boot_refuse(boot->kernel_path, -EINVAL,
				   "a Linux kernel has one initrd and no "
				   "modules");
	return boot->module_count ? place_initrd(boot, &boot->module[0]) : 0;
}

static int check_cmdline(const struct boot *boot)
{
	uint64_t max = PVH_CMDLINE_MAX;
	size_t size = strlen(boot->cmdline);

	if (boot->kind == BOOT_BZIMAGE || boot->has_header)
		max = boot->bzimage.cmdline_size;
	/* The modules' strings have to find room, too. */
	if (boot->kind == BOOT_MULTIBOOT)
		max = BOOT_CMDLINE_ROOM / 4;
	max = MIN(max, BOOT_CMDLINE_ROOM - 1);
	if (size > max)
		return boot_refuse("command line", -E2BIG,
				   "%zu bytes long; %s takes %llu", size,
				   boot->kernel_path, (unsigned long long)max);
	return 0;
}

/* A guest that says nothing is no use: a Linux kernel is told its console,
 * unless one is named. Others are told their own path, as GRUB's first did. */
static int make_cmdline(struct boot *boot, const char *words)
{
	const char *first = "console=ttyS0";
	int length;

	if (boot->kind == BOOT_MULTIBOOT)
		first = boot->kernel_path;
	else if (strstr(words, "console=") ||
		 (boot->kind == BOOT_FIRMWARE && !boot->has_header))
		first = "";
	length = asprintf(&boot->cmdline, "%s%s%s", first,
			  *first && *words ? " " : "", words);
	if (length < 0) {
		boot->cmdline = NULL;
		return boot_refuse("boot", -ENOMEM, "out of memory");
	}
	return 0;
}

/* `text` is a path and, behind a comma, the module's arguments. */
static int add_module(struct boot *boot, const char *text, bool has_arguments)
{
	const char *comma = has_arguments ? strchr(text, ',') : NULL;
	size_t length = comma ? (size_t)(comma - text) : strlen(text);
	struct boot_module *module = &boot->module[boot->module_count];

	if (boot->module_count == BOOT_MODULES_MAX)
		return boot_refuse(text, -E2BIG, "more than %d modules",
				   BOOT_MODULES_MAX);
	boot->module_count++;
	module->source.fd = -1;
	module->path = strndup(text, length);
	if (!module->path ||
	    asprintf(&module->string, "%s%s%s", module->path, comma ? " " : "",
		     comma ? comma + 1 : "") < 0) {
		module->string = NULL;
		return boot_refuse("boot", -ENOMEM, "out of memory");
	}
	return open_file(has_arguments ? "module" : "initrd", module->path,
			 &module->source);
}

#define ROM_MAX (16u << 20)

/* A flash chip of whole sectors, with the reset vector at its end. */
static int load_rom(struct boot *boot, const char *path)
{
	int error;

	boot->rom_path = strdup(path);
	if (!boot->rom_path)
		return boot_refuse("boot", -ENOMEM, "out of memory");
	error = open_file("firmware", path, &boot->rom);
	if (error)
		return error;
	if (boot->rom.size > ROM_MAX || !is_aligned(boot->rom.size, PAGE_SIZE))
		return boot_refuse(path, -EINVAL,
				   "%llu bytes long; a ROM has a multiple of "
				   "4 KiB, at most 16 MiB",
				   (unsigned long long)boot->rom.size);
	return 0;
}

/* What firmware is handed; UEFI starts any EFI program. */
static int load_for_firmware(struct boot *boot,
			     const struct boot_config *config)
{
	const char *reason = NULL;
	uint8_t magic[2];
	int error;

	if (config->module_count)
		return boot_refuse(config->kernel, -EINVAL,
				   "firmware is handed a kernel and an "
				   "initrd, no modules");
	boot->kernel_path = strdup(config->kernel);
	if (!boot->kernel_path)
		return boot_refuse("boot", -ENOMEM, "out of memory");
	error = open_file("kernel", boot->kernel_path, &boot->kernel);
	if (!error && config->initrd)
		error = add_module(boot, config->initrd, false);
	if (error)
		return error;
	boot->has_header = bzimage_is_likely(&boot->kernel);
	if (boot->has_header)
		reason = bzimage_parse(&boot->kernel, &boot->bzimage);
	else if (!source_read(&boot->kernel, 0, magic, 2) ||
		 memcmp(magic, "MZ", 2) != 0)
		reason = "neither a Linux bzImage nor an EFI program, which "
			 "are what firmware can boot";
	if (reason)
		return boot_refuse(boot->kernel_path, -ENOEXEC, "%s", reason);
	error = make_cmdline(boot, config->cmdline);
	return error ? error : check_cmdline(boot);
}

static int load_firmware(struct boot *boot, const struct boot_config *config)
{
	int error = config->firmware ? load_rom(boot, config->firmware) : 0;

	boot->kind = BOOT_FIRMWARE;
	boot->protocol = ENTRY_RESET;
	snprintf(boot->description, sizeof(boot->description), "firmware");
	if (!error && config->kernel)
		error = load_for_firmware(boot, config);
	return error;
}

uint64_t boot_rom_size(const struct boot *boot)
{
	return boot && boot->kind == BOOT_FIRMWARE ? boot->rom.size : 0;
}

static int load_all(struct boot *boot, const struct boot_config *config)
{
	int error = 0;

	if (config->firmware || config->has_firmware)
		return load_firmware(boot, config);

	boot->kernel_path = strdup(config->kernel);
	if (!boot->kernel_path)
		return boot_refuse("boot", -ENOMEM, "out of memory");
	/* The cheap checks before the unpacking. */
	if (config->initrd)
		error = add_module(boot, config->initrd, false);
	for (unsigned i = 0; i < config->module_count && !error; i++)
		error = add_module(boot, config->modules[i], true);
	if (!error)
		error = load_kernel(boot);
	if (!error)
		error = make_cmdline(boot, config->cmdline);
	if (!error)
		error = check_cmdline(boot);
	if (!error)
		error = place(boot);
	return error;
}

int boot_load(const struct boot_config *config, struct boot **out)
{
	struct boot *boot = calloc(1, sizeof(*boot));
	int error;

	if (!boot)
		return boot_refuse("boot", -ENOMEM, "out of memory");
	boot->kernel.fd = boot->rom.fd = boot->unpacked = -1;
	boot->ram_size = config->ram_size;
	boot->has_acpi = !config->no_acpi;
	error = load_all(boot, config);
	if (error) {
		boot_destroy(boot);
		return error;
	}
	*out = boot;
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
	for (unsigned i = 0; i < boot->module_count; i++) {
		if (boot->module[i].source.fd >= 0)
			close(boot->module[i].source.fd);
		free(boot->module[i].path);
		free(boot->module[i].string);
	}
	if (boot->kernel.fd >= 0)
		close(boot->kernel.fd);
	if (boot->rom.fd >= 0)
		close(boot->rom.fd);
	if (boot->unpacked >= 0)
		close(boot->unpacked);
	free(boot->rom_path);
	free(boot->kernel_path);
	free(boot->cmdline);
	free(boot);
}
