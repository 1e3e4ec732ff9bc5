/* SPDX-License-Identifier: BSD-2-Clause */
/* Symbols from text and from ELF, and files that are neither. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "debug/symbols.h"

/* A file of these bytes, gone from its folder when it has been read. */
static int open_bytes(const void *bytes, size_t size, struct symbols **symbols)
{
	char path[] = "/tmp/test_symbols.XXXXXX";
	int fd = mkstemp(path), error;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	*symbols = NULL;
	error = symbols_open(path, symbols);
	close(fd);
	unlink(path);
	return error;
}

static int open_text(const char *text, struct symbols **symbols)
{
	return open_bytes(text, strlen(text), symbols);
}

#define MAP                                     \
	"0000000000001000 A per_cpu\n"          \
	"ffffffff81000000 T _text\n"            \
	"ffffffff81000000 T second\n"           \
	"ffffffff81800000 T entry_SYSCALL_64\n" \
	"ffffffff81001000 t inner\t[module]\n"

static void test_text(void **unused)
{
	struct cpu_state state = { 0 };
	char text[SYMBOL_TEXT_MAX];
	struct symbols *symbols;
	uint64_t offset;
	gva_t address;

	assert_int_equal(open_text(MAP, &symbols), 0);
	assert_string_equal(symbols_find(symbols, 0xffffffff81000010, &offset),
			    "_text");
	assert_int_equal(offset, 0x10);
	assert_string_equal(symbols_find(symbols, 0xffffffff81001000, &offset),
			    "inner");
	assert_int_equal(offset, 0);
	assert_null(symbols_find(symbols, 0xffffffff80ffffff, &offset));
	assert_null(symbols_find(symbols, 0xffffffffffffffff, &offset));
	assert_null(symbols_find(symbols, 0x1000, &offset));
	assert_true(symbols_look_up(symbols, "second", &address));
	assert_int_equal(address, 0xffffffff81000000);
	assert_false(symbols_look_up(symbols, "per_cpu", &address));

	/* A kernel that moved itself says so with LSTAR. */
	symbol_text(symbols, &state, 0xffffffff81001002, text);
	assert_string_equal(text, "inner+2");
	state.msr.lstar = 0xffffffff81800000 + 0x12000000;
	symbol_text(symbols, &state, 0xffffffff81001002 + 0x12000000, text);
	assert_string_equal(text, "inner+2");
	state.msr.lstar += 8;
	assert_int_equal(symbols_shift(symbols, &state), 0);
	symbol_text(NULL, &state, 0xffffffff81001002, text);
	assert_string_equal(text, "");
	symbols_close(symbols);
}

static void test_refused(void **unused)
{
	struct symbols *symbols;

	log_set_level((enum log_level) - 1);
	assert_int_equal(open_text("", &symbols), -ENOENT);
	assert_int_equal(open_text("no symbols\n", &symbols), -EINVAL);
	assert_int_equal(open_text("ffffffff81000000", &symbols), -EINVAL);
	assert_int_equal(open_text("ffffffff81000000 T", &symbols), -EINVAL);
	/* kallsyms as anybody but root reads it */
	assert_int_equal(open_text("0000000000000000 T _text\n", &symbols),
			 -ENOENT);
	assert_int_equal(symbols_open("/nonexistent", &symbols), -ENOENT);
	assert_int_equal(symbols_open("/", &symbols), -ENOENT);
	symbols_open_kernel("/nonexistent", &symbols);
	assert_null(symbols);
}

/* A file with nothing but a table of one symbol and its name. */
struct elf_file {
	Elf64_Ehdr head;
	Elf64_Shdr section[3];
	Elf64_Sym symbol[2];
	char names[16];
};

static const struct elf_file image = {
	.head = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64 },
		.e_shoff = offsetof(struct elf_file, section),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3,
	},
	.section = {
		[1] = { .sh_type = SHT_SYMTAB,
			.sh_offset = offsetof(struct elf_file, symbol),
			.sh_size = 2 * sizeof(Elf64_Sym),
			.sh_link = 2 },
		[2] = { .sh_type = SHT_STRTAB,
			.sh_offset = offsetof(struct elf_file, names),
			.sh_size = 16 },
	},
	.symbol = { [1] = { .st_name = 1,
			    .st_info = STT_FUNC,
			    .st_shndx = 1,
			    .st_value = 0x100000 } },
	.names = "\0start",
};

static void test_elf(void **unused)
{
	struct symbols *symbols;
	uint64_t offset;

	assert_int_equal(open_bytes(&image, sizeof(image), &symbols), 0);
	assert_string_equal(symbols_find(symbols, 0x100005, &offset), "start");
	assert_int_equal(offset, 5);
	symbols_close(symbols);
}

/* Each byte of every value that matters, and each length: no crash. */
static void test_damaged_elf(void **unused)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct elf_file file = image;
	struct symbols *symbols;

	log_set_level((enum log_level) - 1);
	for (size_t at = 0; at < sizeof(file); at++)
		for (size_t i = 0; i < sizeof(values); i++) {
			file = image;
			((uint8_t *)&file)[at] = values[i];
			open_bytes(&file, sizeof(file), &symbols);
			symbols_close(symbols);
		}
	for (size_t size = 0; size < sizeof(image); size++) {
		if (open_bytes(&image, size, &symbols) == 0)
			symbols_close(symbols);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_damaged_elf),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
