/* SPDX-License-Identifier: BSD-2-Clause */
/* link: -lz */
/*
 * Loading: a made-up kernel lands where its headers say, twice the same after
 * a reset, and everything that cannot work is refused with a reason.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bits.h"
#include "boot/boot.h"
#include "boot/e820.h"
#include "boot/handover.h"
#include "core/vm.h"
#include "x86/cpuid.h"

#define RAM	    (64ull << 20)
#define KERNEL	    0x1000000ull
#define CODE_SIZE   0x3000
#define BSS_SIZE    0x2000
#define IMAGE_SIZE  0x8000
#define INITRD_SIZE 5000

static struct cpu_state seen;
static unsigned times_set;

static int fake_set_state(struct vcpu *vcpu, const struct cpu_state *state)
{
	/* Every processor's memory types are the same. */
	assert_int_equal(state->msr.mtrr_def_type, 0xc06);
	assert_int_equal(state->msr.mtrr_fixed[0], 0x0606060606060606);
	assert_int_equal(state->msr.mtrr_fixed[2], 0);
	assert_int_equal(state->msr.mtrr_physical[0][0], 0xb0000000);
	assert_int_equal(state->msr.mtrr_physical[0][1], 0xfff0000800);
	assert_int_equal(state->msr.mtrr_physical[1][0], 0xc0000000);
	assert_int_equal(state->msr.mtrr_physical[1][1], 0xffc0000800);
	if (vcpu->index) {
		assert_int_equal(state->activity, CPU_WAIT_SIPI);
		return 0;
	}
	seen = *state;
	times_set++;
	return 0;
}

static int fake_create(struct vcpu *vcpu, const struct cpuid_table *cpuid)
{
	return 0;
}

static const struct cpuid_table cpuid = {
	.count = 1,
	.leaf = { { .leaf = 0x80000008, .eax = 0x3028 } },
};

static const struct engine_ops fake = { .name = "fake",
					.vcpu_create = fake_create,
					.set_state = fake_set_state };

struct fixture {
	struct vm vm;
	char folder[64], kernel[96], initrd[96];
	uint8_t elf[0x1000 + CODE_SIZE];
	uint8_t image[IMAGE_SIZE];
	uint8_t initrd_bytes[INITRD_SIZE];
};

static void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	if (size)
		assert_int_equal(fwrite(bytes, size, 1, file), 1);
	fclose(file);
}

static void make_elf(struct fixture *f, bool has_note)
{
	Elf64_Ehdr *elf = (void *)f->elf;
	Elf64_Phdr *ph = (void *)(f->elf + 64);
	uint8_t *note = f->elf + 0x200;

	memset(f->elf, 0, 0x1000);
	memcpy(elf->e_ident, ELFMAG, 4);
	elf->e_ident[EI_CLASS] = ELFCLASS64;
	elf->e_ident[EI_DATA] = ELFDATA2LSB;
	elf->e_type = ET_EXEC;
	elf->e_machine = EM_X86_64;
	elf->e_entry = KERNEL;
	elf->e_phoff = 64;
	elf->e_phnum = has_note ? 2 : 1;
	elf->e_phentsize = sizeof(Elf64_Phdr);
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_offset = 0x1000,
			      .p_paddr = KERNEL,
			      .p_filesz = CODE_SIZE,
			      .p_memsz = CODE_SIZE + BSS_SIZE };
	ph[1] = (Elf64_Phdr){ .p_type = PT_NOTE,
			      .p_offset = 0x200,
			      .p_filesz = 20,
			      .p_align = 4 };
	store_u32(note, 4);
	store_u32(note + 4, 4);
	store_u32(note + 8, 18);
	memcpy(note + 12, "Xen", 4);
	store_u32(note + 16, KERNEL + 0x850);
	for (unsigned i = 0; i < CODE_SIZE; i++)
		f->elf[0x1000 + i] = i * 7 + (i >> 8);
}

/* Packs the ELF file as a bzImage with a gzip payload. */
static void make_bzimage(struct fixture *f)
{
	uint8_t *b = f->image, *payload = b + 0x500;
	z_stream z = { .next_in = f->elf,
		       .avail_in = sizeof(f->elf),
		       .next_out = payload,
		       .avail_out = IMAGE_SIZE - 0x500 };

	make_elf(f, true);
	memset(b, 0, IMAGE_SIZE);
	deflateInit2(&z, 6, Z_DEFLATED, 31, 8, 0);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	memcpy(b, "MZ", 2);
	b[0x1f1] = 1;
	store_u32(b + 0x1f4, (IMAGE_SIZE - 0x400) / 16);
	store_u16(b + 0x1fe, 0xaa55);
	b[0x201] = 0x6a;
	memcpy(b + 0x202, "HdrS", 4);
	store_u16(b + 0x206, 0x20f);
	b[0x211] = 1;
	store_u32(b + 0x22c, 0x2ffffff);
	store_u16(b + 0x236, 1);
	store_u32(b + 0x238, 100);
	store_u32(b + 0x248, 0x100);
	store_u32(b + 0x24c, z.total_out);
	store_u64(b + 0x258, KERNEL);
	store_u32(b + 0x260, 0x800000);
	write_file(f->kernel, b, IMAGE_SIZE);
}

static struct boot *load(struct fixture *f, bool with_initrd,
			 const char *cmdline)
{
	struct boot_config config = {
		.kernel = f->kernel,
		.initrd = with_initrd ? f->initrd : NULL,
		.cmdline = cmdline,
		.ram_size = RAM,
	};
	struct boot *boot = NULL;

	return boot_load(&config, &boot) ? NULL : boot;
}

static const uint8_t *at(struct fixture *f, gpa_t gpa, size_t size)
{
	const uint8_t *bytes = memory_read_begin(&f->vm.memory, gpa, size);

	assert_non_null(bytes);
	return bytes;
}

static void assert_kernel_is_in_place(struct fixture *f)
{
	static const uint8_t zeros[BSS_SIZE];

	assert_memory_equal(at(f, KERNEL, CODE_SIZE), f->elf + 0x1000,
			    CODE_SIZE);
	assert_memory_equal(at(f, KERNEL + CODE_SIZE, BSS_SIZE), zeros,
			    BSS_SIZE);
}

static void test_bzimage(void **state)
{
	struct fixture *f = *state;
	const uint8_t *zero_page;
	struct boot *boot;
	uint32_t initrd;

	make_bzimage(f);
	boot = load(f, true, "console=ttyS0 quiet");
	assert_non_null(boot);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_kernel_is_in_place(f);

	assert_int_equal(seen.rip, KERNEL);
	assert_int_equal(seen.gpr[RSI], BOOT_ZERO_PAGE);
	assert_true(cpu_is_64bit(&seen));
	assert_true(seen.cr0 & CR0_PG);
	assert_false(seen.rflags & RFLAGS_IF);
	/* The identity map holds the entry: PML4, PDPT, PD, a 2 MiB page. */
	assert_int_equal(load_u64(at(f, seen.cr3, 8)) & PAGE_MASK,
			 seen.cr3 + PAGE_SIZE);
	assert_int_equal(load_u64(at(f, seen.cr3 + 2 * PAGE_SIZE + 8 * 8, 8)),
			 KERNEL | 0x83);

	zero_page = at(f, BOOT_ZERO_PAGE, PAGE_SIZE);
	assert_memory_equal(zero_page + 0x202, "HdrS", 4);
	assert_int_equal(zero_page[0x210], 0xff);
	assert_int_equal(zero_page[0x1ef], 0);
	assert_int_equal(load_u64(zero_page + 0x70), BOOT_ACPI);
	assert_string_equal((const char *)at(f, load_u32(zero_page + 0x228),
					     20),
			    "console=ttyS0 quiet");
	assert_in_range(zero_page[0x1e8], 4, 8);
	/* Below initrd_addr_max, above the room the kernel needs. */
	initrd = load_u32(zero_page + 0x218);
	assert_int_equal(load_u32(zero_page + 0x21c), INITRD_SIZE);
	assert_in_range(initrd, KERNEL + 0x800000, 0x3000000 - INITRD_SIZE);
	assert_memory_equal(at(f, initrd, INITRD_SIZE), f->initrd_bytes,
			    INITRD_SIZE);
	assert_memory_equal(at(f, BOOT_ACPI, 8), "RSD PTR ", 8);
	assert_memory_equal(at(f, BOOT_FACS, 4), "FACS", 4);
	boot_destroy(boot);
}

/* A reset restores what the guest has overwritten. */
static void test_again(void **state)
{
	struct fixture *f = *state;
	struct boot *boot;

	make_bzimage(f);
	boot = load(f, true, "");
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	memory_fill(&f->vm.memory, 0x1000, 0xa5, 0x8f000);
	memory_fill(&f->vm.memory, KERNEL, 0xa5, 0x100000);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_int_equal(times_set, 2);
	assert_kernel_is_in_place(f);
	assert_memory_equal(at(f, BOOT_ZERO_PAGE + 0x202, 4), "HdrS", 4);
	assert_memory_equal(at(f, BOOT_CMDLINE, 14), "console=ttyS0", 14);
	boot_destroy(boot);
}

static void test_pvh(void **state)
{
	struct fixture *f = *state;
	const uint8_t *info, *module;
	struct boot *boot;

	make_elf(f, true);
	write_file(f->kernel, f->elf, sizeof(f->elf));
	boot = load(f, true, "hello console=tty0");
	assert_non_null(boot);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_kernel_is_in_place(f);
	assert_int_equal(seen.rip, KERNEL + 0x850);
	assert_false(seen.cr0 & CR0_PG);
	assert_true(seen.cr0 & CR0_PE);
	assert_int_equal(seen.cr4, 0);
	assert_int_equal(seen.segment[SEG_CS].attributes & SEGMENT_L, 0);
	assert_int_not_equal(seen.segment[SEG_CS].attributes & SEGMENT_DB, 0);
	info = at(f, seen.gpr[RBX], 56);
	assert_int_equal(load_u32(info), 0x336ec578);
	assert_int_equal(load_u32(info + 4), 1);
	assert_int_equal(load_u32(info + 12), 1);
	module = at(f, load_u64(info + 16), 32);
	assert_memory_equal(at(f, load_u64(module), INITRD_SIZE),
			    f->initrd_bytes, INITRD_SIZE);
	assert_int_equal(load_u64(module + 8), INITRD_SIZE);
	/* It names a console: none goes before it. */
	assert_string_equal((const char *)at(f, load_u64(info + 24), 19),
			    "hello console=tty0");
	assert_int_equal(load_u64(info + 32), BOOT_ACPI);
	assert_in_range(load_u32(info + 48), 4, 8);
	boot_destroy(boot);
}

static void test_elf_without_a_note(void **state)
{
	struct fixture *f = *state;
	struct boot *boot;

	make_elf(f, false);
	write_file(f->kernel, f->elf, sizeof(f->elf));
	boot = load(f, false, "");
	assert_non_null(boot);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_true(cpu_is_64bit(&seen));
	assert_int_equal(seen.rip, KERNEL);
	assert_memory_equal(at(f, BOOT_ZERO_PAGE + 0x202, 4), "HdrS", 4);
	boot_destroy(boot);
}

/* A payload of a kind we cannot unpack: the image's own code does. */
static void test_unpacks_itself(void **state)
{
	struct fixture *f = *state;
	struct boot *boot;

	make_bzimage(f);
	memcpy(f->image + 0x500, "\x89LZO", 4);
	write_file(f->kernel, f->image, IMAGE_SIZE);
	boot = load(f, false, "");
	assert_non_null(boot);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_int_equal(seen.rip, KERNEL + 0x200);
	assert_true(cpu_is_64bit(&seen));
	assert_memory_equal(at(f, KERNEL, IMAGE_SIZE - 0x400), f->image + 0x400,
			    IMAGE_SIZE - 0x400);
	boot_destroy(boot);

	store_u16(f->image + 0x236, 0);
	write_file(f->kernel, f->image, IMAGE_SIZE);
	boot = load(f, false, "");
	assert_non_null(boot);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_int_equal(seen.rip, KERNEL);
	assert_false(seen.cr0 & CR0_PG);
	assert_int_equal(seen.gpr[RSI], BOOT_ZERO_PAGE);
	boot_destroy(boot);
}

/* The setup code of a zImage, above its kernel. */
static void test_real_mode_entry(void **state)
{
	struct fixture *f = *state;
	const uint8_t *setup, *vector;
	struct boot *boot;

	make_bzimage(f);
	store_u16(f->image + 0x206, 0x202);
	f->image[0x211] = 0;
	write_file(f->kernel, f->image, IMAGE_SIZE);
	boot = load(f, true, "words");
	assert_non_null(boot);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_int_equal(seen.cr0 & CR0_PE, 0);
	assert_int_equal(seen.rip, 0);
	assert_int_equal(seen.segment[SEG_CS].selector, 0x9020);
	assert_int_equal(seen.segment[SEG_CS].base, 0x90200);
	assert_int_equal(seen.segment[SEG_SS].selector, 0x9000);
	assert_int_equal(seen.segment[SEG_DS].base, 0x90000);
	assert_int_equal(seen.gpr[RSP], 0x9000);
	assert_memory_equal(at(f, 0x10000, IMAGE_SIZE - 0x400),
			    f->image + 0x400, IMAGE_SIZE - 0x400);
	setup = at(f, 0x90000, 0x400);
	assert_memory_equal(setup, f->image, 0x1f1);
	assert_int_equal(setup[0x210], 0xff);
	assert_int_equal(setup[0x211], 0x80);
	assert_int_equal(load_u16(setup + 0x224), 0x9000 - 0x200);
	assert_int_equal(load_u32(setup + 0x21c), INITRD_SIZE);
	assert_string_equal(at(f, load_u32(setup + 0x228), 32),
			    "console=ttyS0 words");
	/* Interrupts lead to code in the BIOS's segment. */
	vector = at(f, 0, 0x400);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(load_u16(vector + 4 * i + 2), 0xf000);
		assert_true(load_u16(vector + 4 * i) >= 0xf000);
	}
	assert_true(load_u16(vector + 4 * 0x15) != load_u16(vector));
	boot_destroy(boot);

	/* Before 2.02: the magic number, and an offset. */
	store_u16(f->image + 0x206, 0x201);
	write_file(f->kernel, f->image, IMAGE_SIZE);
	boot = load(f, false, "words");
	assert_non_null(boot);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	setup = at(f, 0x90000, 0x400);
	assert_int_equal(load_u16(setup + 0x20), 0xa33f);
	assert_string_equal(at(f, 0x90000 + load_u16(setup + 0x22), 32),
			    "console=ttyS0 words");
	boot_destroy(boot);
}

/* Packed with gzip as a whole, entered by multiboot, with two modules. */
static void test_multiboot(void **state)
{
	struct fixture *f = *state;
	char with_words[128];
	const char *modules[] = { with_words };
	struct boot_config config = { .kernel = f->kernel,
				      .initrd = f->initrd,
				      .modules = modules,
				      .module_count = 1,
				      .cmdline = "a b",
				      .ram_size = RAM };
	const uint8_t *info, *module;
	struct boot *boot;
	gzFile file;

	make_elf(f, true);
	store_u32(f->elf + 0x400, 0x1badb002);
	store_u32(f->elf + 0x408, -0x1badb002u);
	file = gzopen(f->kernel, "wb");
	assert_int_equal(gzwrite(file, f->elf, sizeof(f->elf)), sizeof(f->elf));
	gzclose(file);
	sprintf(with_words, "%s,c=d e", f->initrd);
	assert_int_equal(boot_load(&config, &boot), 0);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_kernel_is_in_place(f);
	/* By the ELF header's entry, not by the note's. */
	assert_int_equal(seen.rip, KERNEL);
	assert_int_equal(seen.gpr[RAX], 0x2badb002);
	assert_int_equal(seen.cr0 & (CR0_PG | CR0_PE), CR0_PE);
	info = at(f, seen.gpr[RBX], 88);
	assert_int_equal(load_u32(info + 20), 2);
	sprintf(with_words, "%s a b", f->kernel);
	assert_string_equal((const char *)at(f, load_u32(info + 16), 100),
			    with_words);
	module = at(f, load_u32(info + 24), 32);
	sprintf(with_words, "%s c=d e", f->initrd);
	assert_string_equal((const char *)at(f, load_u32(module + 24), 100),
			    with_words);
	for (int i = 0; i < 2; i++) {
		uint32_t start = load_u32(module + 16 * i);

		assert_true(is_aligned(start, 4096));
		assert_int_equal(load_u32(module + 16 * i + 4) - start,
				 INITRD_SIZE);
		assert_memory_equal(at(f, start, INITRD_SIZE), f->initrd_bytes,
				    INITRD_SIZE);
	}
	boot_destroy(boot);
	/* Linux has no modules. */
	make_bzimage(f);
	sprintf(with_words, "%s", f->initrd);
	assert_int_equal(boot_load(&config, &boot), -EINVAL);
}

/* Without ACPI no word of it, and nothing where its tables would stand. */
static void test_no_acpi(void **state)
{
	struct fixture *f = *state;
	struct boot_config config = { .kernel = f->kernel,
				      .cmdline = "",
				      .no_acpi = true,
				      .ram_size = RAM };
	struct boot *boot;

	make_bzimage(f);
	assert_int_equal(boot_load(&config, &boot), 0);
	assert_int_equal(boot_apply(boot, &f->vm), 0);
	assert_int_equal(load_u64(at(f, BOOT_ZERO_PAGE + 0x70, 8)), 0);
	assert_memory_equal(at(f, BOOT_ACPI, 8), "\0\0\0\0\0\0\0\0", 8);
	boot_destroy(boot);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	struct boot_config config = { .kernel = f->kernel,
				      .initrd = f->initrd,
				      .cmdline = "",
				      .ram_size = RAM };
	struct boot *boot;
	char line[102];

	make_bzimage(f);
	config.ram_size = 1 << 20;
	assert_int_equal(boot_load(&config, &boot), -ENOMEM);
	/* Enough for the kernel, not for the initrd as well. */
	config.ram_size = KERNEL + 0x800000;
	assert_int_equal(boot_load(&config, &boot), -ENOMEM);
	config.ram_size = RAM;

	memset(line, 'x', sizeof(line));
	memcpy(line, "console=", 8);
	line[101] = 0;
	assert_null(load(f, false, line));
	line[100] = 0;
	boot = load(f, false, line);
	assert_non_null(boot);
	boot_destroy(boot);

	config.initrd = "/nonexistent";
	assert_int_equal(boot_load(&config, &boot), -ENOENT);
	config.initrd = f->folder;
	assert_int_equal(boot_load(&config, &boot), -EISDIR);
	config.initrd = "/dev/null";
	assert_int_equal(boot_load(&config, &boot), -EINVAL);
	config.initrd = NULL;
	config.kernel = "/nonexistent";
	assert_int_equal(boot_load(&config, &boot), -ENOENT);

	write_file(f->kernel, f->image, 0);
	assert_null(load(f, false, ""));
	write_file(f->kernel, "hello", 5);
	assert_null(load(f, false, ""));
	/* Cut off anywhere */
	for (unsigned size = 1; size < IMAGE_SIZE - 15; size += 997) {
		write_file(f->kernel, f->image, size);
		assert_null(load(f, false, ""));
	}
	/* Damaged in its payload */
	f->image[0x500 + 100] ^= 0xff;
	write_file(f->kernel, f->image, IMAGE_SIZE);
	assert_null(load(f, false, ""));
}

static void test_roms_of_odd_sizes(void **state)
{
	static const struct {
		size_t size;
		int error;
	} cases[] = {
		{ 0, -EINVAL },	      { 1, -EINVAL },
		{ 0x10001, -EINVAL }, { 0x1fff, -EINVAL },
		{ 0x1000, 0 },	      { 0x20000, 0 },
		{ 16 << 20, 0 },      { (16 << 20) + 0x1000, -EINVAL },
	};
	struct fixture *f = *state;
	struct boot_config config = { .firmware = f->kernel, .ram_size = RAM };
	struct boot *boot;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		write_file(f->kernel, "", 0);
		assert_int_equal(truncate(f->kernel, cases[i].size), 0);
		assert_int_equal(boot_load(&config, &boot), cases[i].error);
		if (cases[i].error)
			continue;
		assert_int_equal(boot_rom_size(boot), cases[i].size);
		boot_destroy(boot);
	}
}

/* A ROM of one page, and a kernel that it shall boot. */
static int load_for_firmware(struct fixture *f, bool has_initrd,
			     const char *cmdline, struct boot **boot)
{
	char rom[128];
	const struct boot_config config = {
		.firmware = rom,
		.kernel = f->kernel,
		.initrd = has_initrd ? f->initrd : NULL,
		.cmdline = cmdline,
		.ram_size = RAM,
	};

	sprintf(rom, "%s/rom", f->folder);
	write_file(rom, "", 0);
	assert_int_equal(truncate(rom, PAGE_SIZE), 0);
	return boot_load(&config, boot);
}

static void check_rom(const struct boot_handover *h)
{
	const uint8_t *copy;
	uint8_t sum = 0;
	unsigned at = 0;

	assert_int_equal(h->rom_size, 512);
	assert_int_equal(load_u16(h->rom), 0xaa55);
	assert_int_equal(h->rom[2], 1);
	for (unsigned i = 0; i < h->rom_size; i++)
		sum += h->rom[i];
	assert_int_equal(sum, 0);
	assert_memory_equal(h->rom + load_u16(h->rom + 0x1a), "$PnP", 4);
	/* The copy of the setup code: select 18h and read, 400h to 10000h. */
	while (at + 16 <= h->rom_size &&
	       memcmp(h->rom + at, "\0\x18\0\x0a", 4) != 0)
		at++;
	copy = h->rom + at;
	assert_memory_equal(copy + 4,
			    "\0\0\4\0"
			    "\0\0\0\0\0\1\0\0",
			    12);
	/* The initrd's. */
	assert_memory_equal(copy + 48,
			    "\0\x12\0\x0a"
			    "\0\0\x13\x88",
			    8);
}

static void test_kernel_for_firmware(void **state)
{
	struct fixture *f = *state;
	struct boot_handover h;
	struct boot *boot;

	make_bzimage(f);
	write_file(f->kernel, f->image, IMAGE_SIZE);
	assert_int_equal(load_for_firmware(f, true, "quiet", &boot), 0);
	assert_int_equal(boot_rom_size(boot), PAGE_SIZE);
	assert_int_equal(boot_hand_over(boot, &h), 0);
	assert_int_equal(h.setup_size, 0x400);
	assert_int_equal(h.kernel_size, IMAGE_SIZE - 0x400);
	assert_memory_equal(h.kernel, f->image + 0x400, h.kernel_size);
	assert_int_equal(h.initrd_size, INITRD_SIZE);
	assert_memory_equal(h.initrd, f->initrd_bytes, INITRD_SIZE);
	assert_true(h.initrd_address > h.kernel_address + h.kernel_size);
	assert_true(h.initrd_address + INITRD_SIZE <= RAM);
	assert_string_equal(h.cmdline, "console=ttyS0 quiet");
	/* The setup code is told. */
	assert_int_equal(h.setup[0x210], 0xff);
	assert_int_equal(load_u32(h.setup + 0x218), h.initrd_address);
	assert_int_equal(load_u32(h.setup + 0x21c), INITRD_SIZE);
	assert_int_equal(load_u32(h.setup + 0x228), h.cmdline_address);
	check_rom(&h);
	boot_handover_fini(&h);
	boot_destroy(boot);

	/* An EFI program: in one part, for UEFI only, its words untouched. */
	memset(f->image, 0, IMAGE_SIZE);
	memcpy(f->image, "MZ", 2);
	write_file(f->kernel, f->image, IMAGE_SIZE);
	assert_int_equal(load_for_firmware(f, false, "word", &boot), 0);
	assert_int_equal(boot_hand_over(boot, &h), 0);
	assert_int_equal(h.setup_size, 0);
	assert_int_equal(h.kernel_size, IMAGE_SIZE);
	assert_int_equal(h.rom_size, 0);
	assert_string_equal(h.cmdline, "word");
	boot_handover_fini(&h);
	boot_destroy(boot);

	/* Neither, and none. */
	write_file(f->kernel, "hello", 5);
	assert_int_equal(load_for_firmware(f, false, "", &boot), -ENOEXEC);
	assert_int_equal(boot_hand_over(NULL, &h), 0);
	assert_null(h.kernel);
	boot_handover_fini(&h);
}

/* Between the start and a reset somebody cuts the file off. */
static void test_file_shrinks(void **state)
{
	struct fixture *f = *state;
	struct boot *boot;

	make_elf(f, true);
	write_file(f->kernel, f->elf, sizeof(f->elf));
	boot = load(f, true, "");
	assert_non_null(boot);
	assert_int_equal(truncate(f->kernel, 0x1800), 0);
	assert_int_equal(boot_apply(boot, &f->vm), -EIO);
	boot_destroy(boot);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	strcpy(f->folder, "/tmp/ringfence-boot-XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	sprintf(f->kernel, "%s/kernel", f->folder);
	sprintf(f->initrd, "%s/initrd", f->folder);
	for (int i = 0; i < INITRD_SIZE; i++)
		f->initrd_bytes[i] = i * 13;
	write_file(f->initrd, f->initrd_bytes, INITRD_SIZE);
	times_set = 0;
	if (vm_init(&f->vm, "test", &fake) ||
	    memory_init(&f->vm.memory, &f->vm, RAM, 0))
		return -1;
	f->vm.cpuid = &cpuid;
	return vm_add_vcpu(&f->vm) || vm_add_vcpu(&f->vm);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vm_fini(&f->vm);
	unlink(f->kernel);
	unlink(f->initrd);
	rmdir(f->folder);
	free(f);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bzimage),
		TEST(test_again),
		TEST(test_pvh),
		TEST(test_elf_without_a_note),
		TEST(test_unpacks_itself),
		TEST(test_real_mode_entry),
		TEST(test_multiboot),
		TEST(test_no_acpi),
		TEST(test_refusals),
		TEST(test_roms_of_odd_sizes),
		TEST(test_kernel_for_firmware),
		TEST(test_file_shrinks),
	};
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	for (int i = 0; i < 4; i++)
		*strrchr(self, '/') = 0;
	setenv("RINGFENCE_LIBEXEC", self, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
