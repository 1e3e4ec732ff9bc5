/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot: headers found where they may stand, believed only as far as the
 * file bears them out; the information as the specification lays it out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "boot/multiboot.h"
#include "core/vm.h"

#define MAGIC	   0x1badb002u
#define ADDRESSES  BIT(16)
#define IMAGE_SIZE 0x3000
#define LOAD	   0x200000u

struct image {
	uint8_t bytes[IMAGE_SIZE];
	struct elf_image parsed;
};

static void put_header(uint8_t *at, uint32_t flags)
{
	store_u32(at, MAGIC);
	store_u32(at + 4, flags);
	store_u32(at + 8, -(MAGIC + flags));
}

/* A header at `offset` that loads the file from there on. */
static void make_flat(struct image *image, uint32_t offset)
{
	uint8_t *h = image->bytes + offset;

	memset(image, 0, sizeof(*image));
	put_header(h, ADDRESSES | 3);
	store_u32(h + 12, LOAD); /* header_addr */
	store_u32(h + 16, LOAD); /* load_addr */
	store_u32(h + 20, LOAD + 0x1000); /* load_end_addr */
	store_u32(h + 24, LOAD + 0x1800); /* bss_end_addr */
	store_u32(h + 28, LOAD + 0x40); /* entry_addr */
}

static const char *parse(struct image *image)
{
	const struct boot_source source = { .fd = -1,
					    .bytes = image->bytes,
					    .size = IMAGE_SIZE };

	return multiboot_parse(&source, &image->parsed);
}

static void test_addresses_of_the_header(void **state)
{
	struct image image;

	make_flat(&image, 0x100);
	assert_null(parse(&image));
	assert_int_equal(image.parsed.segment_count, 1);
	assert_int_equal(image.parsed.segment[0].address, LOAD);
	assert_int_equal(image.parsed.segment[0].offset, 0x100);
	assert_int_equal(image.parsed.segment[0].file_size, 0x1000);
	assert_int_equal(image.parsed.segment[0].memory_size, 0x1800);
	assert_int_equal(image.parsed.entry, LOAD + 0x40);
	assert_int_equal(image.parsed.high, LOAD + 0x1800);
}

static void test_zero_ends_mean_the_file_and_no_bss(void **state)
{
	struct image image;

	make_flat(&image, 0x100);
	store_u32(image.bytes + 0x100 + 20, 0);
	store_u32(image.bytes + 0x100 + 24, 0);
	assert_null(parse(&image));
	assert_int_equal(image.parsed.segment[0].file_size, IMAGE_SIZE - 0x100);
	assert_int_equal(image.parsed.segment[0].memory_size,
			 IMAGE_SIZE - 0x100);
}

static void test_header_lies_within_8_kib_and_aligned(void **state)
{
	struct image image;
	const struct boot_source source = { .fd = -1,
					    .bytes = image.bytes,
					    .size = IMAGE_SIZE };

	make_flat(&image, 0x1fe0); /* its end is that of the 8 KiB */
	assert_true(multiboot_is_likely(&source));
	make_flat(&image, 0x1fe4);
	assert_false(multiboot_is_likely(&source));
	make_flat(&image, 0x2000);
	assert_false(multiboot_is_likely(&source));
	make_flat(&image, 0x102);
	assert_false(multiboot_is_likely(&source));
	make_flat(&image, 0x100);
	image.bytes[0x108]++; /* the checksum */
	assert_false(multiboot_is_likely(&source));
	assert_non_null(strstr(multiboot_why_not(&source), "checksum"));
	/* Behind one that is none there may be a header. */
	put_header(image.bytes + 0x200, 0);
	assert_true(multiboot_is_likely(&source));
	assert_null(multiboot_why_not(&source));
	make_flat(&image, IMAGE_SIZE - 4);
	assert_null(multiboot_why_not(&source));
}

/* Of a file that ends within its header. */
static void test_short_file(void **state)
{
	struct image image;
	struct boot_source source = { .fd = -1, .bytes = image.bytes };

	make_flat(&image, 0x100);
	for (source.size = 0x10c; source.size < 0x120; source.size++) {
		assert_false(multiboot_is_likely(&source));
		assert_non_null(
			strstr(multiboot_why_not(&source), "truncated"));
	}
	assert_true(multiboot_is_likely(&source));
}

/* Each lie in a header that is otherwise right is found out. */
static void test_lies_are_refused(void **state)
{
	static const struct {
		uint32_t field, value;
		const char *words;
	} lies[] = {
		{ 12, LOAD - 4, "not where it says" },
		{ 12, LOAD + 0x104, "not where it says" },
		{ 16, LOAD + 4, "not where it says" },
		{ 20, LOAD - 1, "ends before it starts" },
		{ 20, LOAD + IMAGE_SIZE, "truncated" },
		{ 20, 0xffffffff, "truncated" },
		{ 24, LOAD + 0xfff, "memory ends" },
		{ 24, 1, "memory ends" },
		{ 28, LOAD - 1, "entry point" },
		{ 28, LOAD + 0x1800, "entry point" },
		{ 28, 0, "entry point" },
		{ 28, 0xffffffff, "entry point" },
		{ 12, 0, "not where it says" },
		{ 12, 0xffffffff, "not where it says" },
		{ 16, 0xffffffff, "not where it says" },
		{ 16, 0, "not where it says" },
		{ 24, LOAD - 1, "memory ends" },
	};
	struct image image;

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		const char *reason;

		make_flat(&image, 0x100);
		store_u32(image.bytes + 0x100 + lies[i].field, lies[i].value);
		reason = parse(&image);
		assert_non_null(reason);
		assert_non_null(strstr(reason, lies[i].words));
	}
	make_flat(&image, 0x100);
	put_header(image.bytes + 0x100, ADDRESSES | 8);
	assert_non_null(strstr(parse(&image), "nobody knows"));
	make_flat(&image, 0x100);
	for (unsigned i = 12; i <= 28; i += 4)
		store_u32(image.bytes + 0x100 + i,
			  load_u32(image.bytes + 0x100 + i) - LOAD + 0x8000);
	assert_non_null(strstr(parse(&image), "below 1 MiB"));
}

static void test_elf_of_either_class(void **state)
{
	struct image image;
	Elf32_Ehdr elf = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32,
					ELFDATA2LSB },
			   .e_type = ET_EXEC,
			   .e_machine = EM_386,
			   .e_entry = LOAD + 8,
			   .e_phoff = sizeof(elf),
			   .e_phnum = 1,
			   .e_phentsize = sizeof(Elf32_Phdr) };
	Elf32_Phdr ph = { .p_type = PT_LOAD,
			  .p_offset = 0x1000,
			  .p_paddr = LOAD,
			  .p_filesz = 0x100,
			  .p_memsz = 0x200 };

	memset(&image, 0, sizeof(image));
	memcpy(image.bytes, &elf, sizeof(elf));
	memcpy(image.bytes + sizeof(elf), &ph, sizeof(ph));
	put_header(image.bytes + 0x1000, 3);
	assert_null(parse(&image));
	assert_int_equal(image.parsed.segment[0].address, LOAD);
	assert_int_equal(image.parsed.entry, LOAD + 8);
	/* A virtual address is where its segment's bytes are. */
	ph.p_vaddr = 0xc0000000 + LOAD;
	elf.e_entry = ph.p_vaddr + 0x1ff;
	memcpy(image.bytes, &elf, sizeof(elf));
	memcpy(image.bytes + sizeof(elf), &ph, sizeof(ph));
	assert_null(parse(&image));
	assert_int_equal(image.parsed.entry, LOAD + 0x1ff);
	elf.e_entry = ph.p_vaddr + 0x200;
	memcpy(image.bytes, &elf, sizeof(elf));
	assert_non_null(parse(&image));
}

static uint32_t word(struct vm *vm, gpa_t gpa)
{
	uint32_t value = 0;

	assert_int_equal(memory_read(&vm->memory, gpa, &value, 4), 0);
	return value;
}

static const char *string(struct vm *vm, gpa_t gpa)
{
	return (const char *)memory_read_begin(&vm->memory, gpa, 64);
}

static void test_information(void **state)
{
	static const struct engine_ops fake = { .name = "fake" };
	static const struct multiboot_module module[2] = {
		{ 0x300000, 0x1234, "one a=b" },
		{ 0x302000, 1, "two" },
	};
	struct e820_map map;
	struct multiboot_params params = {
		.map = &map,
		.ram_size = 64 << 20,
		.cmdline = "kernel word",
		.module_count = 2,
		.module = module,
	};
	const gpa_t info = BOOT_START_INFO;
	struct vm vm;
	uint32_t at;

	assert_int_equal(vm_init(&vm, "test", &fake), 0);
	assert_int_equal(memory_init(&vm.memory, &vm, 64 << 20, 0), 0);
	e820_build(&map, 64 << 20);
	assert_int_equal(multiboot_write_info(&vm.memory, &params), 0);
	assert_int_equal(word(&vm, info), 0x24d);
	assert_int_equal(word(&vm, info + 4), 639);
	assert_int_equal(word(&vm, info + 8), (64 << 10) - 1024);
	assert_string_equal(string(&vm, word(&vm, info + 16)), "kernel word");
	assert_int_equal(word(&vm, info + 20), 2);
	at = word(&vm, info + 24);
	assert_int_equal(word(&vm, at), 0x300000);
	assert_int_equal(word(&vm, at + 4), 0x301234);
	assert_string_equal(string(&vm, word(&vm, at + 8)), "one a=b");
	assert_int_equal(word(&vm, at + 16 + 4), 0x302001);
	/* The map: 24 bytes an entry, the first being low memory. */
	assert_int_equal(word(&vm, info + 44), map.count * 24);
	at = word(&vm, info + 48);
	assert_int_equal(word(&vm, at), 20);
	assert_int_equal(word(&vm, at + 12), BOOT_EBDA);
	assert_int_equal(word(&vm, at + 20), E820_RAM);
	assert_string_equal(string(&vm, word(&vm, info + 64)), "ringfence");
	vm_fini(&vm);
}

static void test_strings_that_do_not_fit(void **state)
{
	static const struct engine_ops fake = { .name = "fake" };
	static char text[BOOT_CMDLINE_ROOM];
	struct e820_map map = { 0 };
	struct multiboot_params params = {
		.map = &map,
		.ram_size = 64 << 20,
		.cmdline = text,
	};
	struct vm vm;

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(vm_init(&vm, "test", &fake), 0);
	assert_int_equal(memory_init(&vm.memory, &vm, 64 << 20, 0), 0);
	assert_int_equal(multiboot_write_info(&vm.memory, &params), -E2BIG);
	vm_fini(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_of_the_header),
		cmocka_unit_test(test_zero_ends_mean_the_file_and_no_bss),
		cmocka_unit_test(test_header_lies_within_8_kib_and_aligned),
		cmocka_unit_test(test_short_file),
		cmocka_unit_test(test_lies_are_refused),
		cmocka_unit_test(test_elf_of_either_class),
		cmocka_unit_test(test_information),
		cmocka_unit_test(test_strings_that_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
