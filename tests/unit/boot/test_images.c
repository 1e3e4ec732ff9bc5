/* SPDX-License-Identifier: BSD-2-Clause */
/* The parsers of bzImage and ELF: what they find, and what they refuse. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <string.h>

#include "base/bits.h"
#include "boot/bzimage.h"
#include "boot/elf.h"

#define FILE_SIZE 0x4000

static uint8_t bytes[FILE_SIZE];

static struct boot_source whole(void)
{
	return (struct boot_source){ .fd = -1,
				     .bytes = bytes,
				     .size = FILE_SIZE };
}

/* Protocol 2.15, one setup sector, a gzip payload. */
static void make_bzimage(void)
{
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, "MZ", 2);
	bytes[0x1f1] = 1;
	store_u32(bytes + 0x1f4, (FILE_SIZE - 0x400) / 16);
	store_u16(bytes + 0x1fe, 0xaa55);
	bytes[0x201] = 0x6a;
	memcpy(bytes + 0x202, "HdrS", 4);
	store_u16(bytes + 0x206, 0x20f);
	bytes[0x211] = 1;
	store_u32(bytes + 0x22c, 0x7fffffff);
	store_u16(bytes + 0x236, 1);
	store_u32(bytes + 0x238, 2047);
	store_u32(bytes + 0x248, 0x100);
	store_u32(bytes + 0x24c, 0x1000);
	store_u64(bytes + 0x258, 0x1000000);
	store_u32(bytes + 0x260, 0x2000000);
	memcpy(bytes + 0x400 + 0x100, "\x1f\x8b", 2);
	store_u32(bytes + 0x400 + 0x100 + 0x1000 - 4, 0x123456);
}

static void test_bzimage(void **state)
{
	struct boot_source source = whole();
	struct bzimage image;

	make_bzimage();
	assert_true(bzimage_is_likely(&source));
	assert_null(bzimage_parse(&source, &image));
	assert_int_equal(image.protocol, 0x20f);
	assert_int_equal(image.kind, PAYLOAD_GZIP);
	assert_int_equal(image.payload_offset, 0x500);
	assert_int_equal(image.payload_size, 0x1000);
	assert_int_equal(image.unpacked_size, 0x123456);
	assert_int_equal(image.load_address, 0x1000000);
	assert_int_equal(image.init_size, 0x2000000);
	assert_int_equal(image.cmdline_size, 2047);
	assert_int_equal(image.header_size, 0x26c - 0x1f1);
	assert_true(image.has_64bit_entry);
}

/* What older protocols lack has the value that they imply. */
static void test_real_mode_images(void **state)
{
	struct boot_source source = whole();
	struct bzimage image;

	make_bzimage();
	store_u16(bytes + 0x206, 0x205);
	assert_null(bzimage_parse(&source, &image));
	assert_true(image.is_real_mode);
	assert_false(image.is_low || image.has_64bit_entry);
	assert_int_equal(image.cmdline_size, 255);
	assert_int_equal(image.initrd_addr_max, 0x7fffffff);
	assert_int_equal(image.load_address, 0x100000);

	make_bzimage();
	bytes[0x211] = 0;
	store_u16(bytes + 0x206, 0x200);
	store_u16(bytes + 0x1f6, 0xffff); /* not of the size yet */
	assert_null(bzimage_parse(&source, &image));
	assert_true(image.is_real_mode && image.is_low);
	assert_int_equal(image.initrd_addr_max, 0x37ffffff);
	assert_int_equal(image.load_address, 0x10000);
}

static void assert_bzimage_refused(const char *why)
{
	struct boot_source source = whole();
	struct bzimage image;
	const char *reason = bzimage_parse(&source, &image);

	assert_non_null(reason);
	if (!strstr(reason, why))
		fail_msg("\"%s\" does not say \"%s\"", reason, why);
}

static void test_bad_bzimages(void **state)
{
	make_bzimage();
	store_u32(bytes + 0x248, 0xfffffff0);
	assert_bzimage_refused("outside");

	make_bzimage();
	store_u32(bytes + 0x24c, 0xffffffff);
	assert_bzimage_refused("outside");

	make_bzimage();
	store_u32(bytes + 0x1f4, FILE_SIZE / 16);
	assert_bzimage_refused("truncated");

	make_bzimage();
	bytes[0x1f1] = 255;
	assert_bzimage_refused("truncated");

	make_bzimage();
	bytes[0x201] = 0x10;
	assert_bzimage_refused("header ends");

	make_bzimage();
	store_u16(bytes + 0x206, 0x1ff);
	assert_bzimage_refused("older");

	make_bzimage();
	memcpy(bytes + 0x202, "hDRs", 4);
	assert_bzimage_refused("no Linux");

	make_bzimage();
	store_u32(bytes + 0x400 + 0x100 + 0x1000 - 4, 0xffffffff);
	assert_bzimage_refused("impossible size");
}

static void test_every_truncation_of_a_bzimage(void **state)
{
	struct bzimage image;

	make_bzimage();
	for (unsigned size = 0; size < FILE_SIZE - 15; size++) {
		struct boot_source source = whole();

		source.size = size;
		assert_non_null(bzimage_parse(&source, &image));
	}
}

static void test_unknown_payload(void **state)
{
	struct boot_source source = whole();
	struct bzimage image;

	make_bzimage();
	memcpy(bytes + 0x500, "\x89LZO", 4);
	assert_null(bzimage_parse(&source, &image));
	assert_int_equal(image.kind, PAYLOAD_UNKNOWN);
}

static Elf64_Ehdr *elf = (void *)bytes;
static Elf64_Phdr *ph = (void *)(bytes + 64);

static void make_elf(void)
{
	memset(bytes, 0, sizeof(bytes));
	memcpy(elf->e_ident, ELFMAG, 4);
	elf->e_ident[EI_CLASS] = ELFCLASS64;
	elf->e_ident[EI_DATA] = ELFDATA2LSB;
	elf->e_type = ET_EXEC;
	elf->e_machine = EM_X86_64;
	elf->e_entry = 0x1000000;
	elf->e_phoff = 64;
	elf->e_phnum = 3;
	elf->e_phentsize = sizeof(Elf64_Phdr);
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_offset = 0x1000,
			      .p_paddr = 0x1000000,
			      .p_filesz = 0x1000,
			      .p_memsz = 0x1000 };
	ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_offset = 0x2000,
			      .p_paddr = 0x1200000,
			      .p_filesz = 0x1000,
			      .p_memsz = 0x5000 };
	ph[2] = (Elf64_Phdr){ .p_type = PT_NOTE,
			      .p_offset = 0x3000,
			      .p_filesz = 40,
			      .p_align = 4 };
	/* Somebody else's note first. */
	store_u32(bytes + 0x3000, 4);
	store_u32(bytes + 0x3004, 3);
	store_u32(bytes + 0x3008, 18);
	memcpy(bytes + 0x300c, "GNU", 4);
	store_u32(bytes + 0x3014, 4);
	store_u32(bytes + 0x3018, 4);
	store_u32(bytes + 0x301c, 18);
	memcpy(bytes + 0x3020, "Xen", 4);
	store_u32(bytes + 0x3024, 0x1000850);
}

static void test_elf(void **state)
{
	struct boot_source source = whole();
	struct elf_image image;

	make_elf();
	assert_true(elf_is_likely(&source));
	assert_null(elf_parse(&source, &image));
	assert_true(image.is_64bit);
	assert_true(image.has_pvh_entry);
	assert_int_equal(image.pvh_entry, 0x1000850);
	assert_int_equal(image.entry, 0x1000000);
	assert_int_equal(image.segment_count, 2);
	assert_int_equal(image.low, 0x1000000);
	assert_int_equal(image.high, 0x1205000);
}

static void assert_elf_refused(const char *why)
{
	struct boot_source source = whole();
	struct elf_image image;
	const char *reason = elf_parse(&source, &image);

	assert_non_null(reason);
	if (!strstr(reason, why))
		fail_msg("\"%s\" does not say \"%s\"", reason, why);
}

static void test_bad_elfs(void **state)
{
	make_elf();
	elf->e_machine = EM_AARCH64;
	assert_elf_refused("another processor");

	make_elf();
	elf->e_type = ET_REL;
	assert_elf_refused("not an executable");

	make_elf();
	elf->e_phoff = ~0ull - 8;
	assert_elf_refused("truncated");

	make_elf();
	elf->e_phnum = 0xffff;
	assert_elf_refused("too many");

	make_elf();
	elf->e_phentsize = 8;
	assert_elf_refused("without program headers");

	make_elf();
	ph[0].p_offset = ~0ull - 0x800;
	assert_elf_refused("truncated");

	make_elf();
	ph[0].p_memsz = 0x800;
	assert_elf_refused("more bytes than memory");

	make_elf();
	ph[0].p_paddr = ~0ull - 0x800;
	assert_elf_refused("impossible");

	make_elf();
	ph[0].p_paddr = 0x1000;
	assert_elf_refused("below 1 MiB");

	make_elf();
	ph[1].p_paddr = 0x1000800;
	assert_elf_refused("overlap");

	make_elf();
	store_u32(bytes + 0x3024, 0x100);
	assert_elf_refused("entry point");

	make_elf();
	ph[2].p_offset = ~0ull;
	assert_elf_refused("note");
}

/* Sizes in notes that lead out of it end the search, nothing else. */
static void test_bad_notes(void **state)
{
	static const uint32_t sizes[] = { 0xffffffff, 0x80000000, 0xfffffff0,
					  41 };
	struct elf_image image;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int field = 0; field < 2; field++) {
			struct boot_source source = whole();

			make_elf();
			store_u32(bytes + 0x3000 + 4 * field, sizes[i]);
			assert_null(elf_parse(&source, &image));
			assert_false(image.has_pvh_entry);
		}
	}
}

static void test_every_truncation_of_an_elf(void **state)
{
	struct elf_image image;

	make_elf();
	for (unsigned size = 0; size < 0x3028; size++) {
		struct boot_source source = whole();

		source.size = size;
		assert_non_null(elf_parse(&source, &image));
	}
}

static void test_elf32(void **state)
{
	struct boot_source source = whole();
	struct elf_image image;
	Elf32_Ehdr *e32 = (void *)bytes;
	Elf32_Phdr *p32 = (void *)(bytes + sizeof(*e32));

	memset(bytes, 0, sizeof(bytes));
	memcpy(e32->e_ident, ELFMAG, 4);
	e32->e_ident[EI_CLASS] = ELFCLASS32;
	e32->e_ident[EI_DATA] = ELFDATA2LSB;
	e32->e_type = ET_EXEC;
	e32->e_machine = EM_386;
	e32->e_entry = 0x100000;
	e32->e_phoff = sizeof(*e32);
	e32->e_phnum = 1;
	e32->e_phentsize = sizeof(*p32);
	*p32 = (Elf32_Phdr){ .p_type = PT_LOAD,
			     .p_offset = 0x1000,
			     .p_paddr = 0x100000,
			     .p_filesz = 0x1000,
			     .p_memsz = 0x2000 };
	assert_null(elf_parse(&source, &image));
	assert_false(image.is_64bit);
	assert_false(image.has_pvh_entry);
	assert_int_equal(image.high, 0x102000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_real_mode_images),
		cmocka_unit_test(test_bad_bzimages),
		cmocka_unit_test(test_every_truncation_of_a_bzimage),
		cmocka_unit_test(test_unknown_payload),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_bad_elfs),
		cmocka_unit_test(test_bad_notes),
		cmocka_unit_test(test_every_truncation_of_an_elf),
		cmocka_unit_test(test_elf32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
