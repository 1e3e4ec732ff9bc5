/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Symbol tables: ELF's (System V ABI, chapter 4), and lines of an address, a
 * letter for the kind and a name. The files are the user's, and are taken to be
 * of any content.
 */

#include "debug/symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"

/* Below are offsets of per-CPU variables, not addresses. */
#define ADDRESS_MIN (1ull << 20)
/* Farther from the nearest symbol is no part of it. */
#define OFFSET_MAX (1ull << 20)
/* Of a table or a file of text. */
#define BYTES_MAX (128ull << 20)

struct symbol {
	uint64_t address;
	uint32_t name; /* in text */
	uint32_t order; /* of the file: of two, the first */
};

struct symbols {
	struct symbol *list; /* by address */
	size_t count, room;
	char *text; /* BYTES, then a zero */
	uint64_t syscall_entry; /* 0: not named */
};

/* --- reading -------------------------------------------------------------- */

/* All of [offset, offset + size) with a zero behind it, or NULL. */
static char *read_part(int fd, uint64_t offset, uint64_t size)
{
	char *bytes;
	uint64_t done = 0;

	if (size > BYTES_MAX || offset > INT64_MAX - BYTES_MAX)
		return NULL;
	bytes = malloc(size + 1);
	while (bytes && done < size) {
		ssize_t n = pread(fd, bytes + done, size - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(bytes);
			return NULL;
		}
		done += (uint64_t)n;
	}
	if (bytes)
		bytes[size] = 0;
	return bytes;
}

/* /proc files have no size: to the end. */
static char *read_text(int fd, uint64_t *size)
{
	uint64_t room = 1 << 16;
	char *bytes = malloc(room + 1);

	*size = 0;
	while (bytes) {
		ssize_t n =
			pread(fd, bytes + *size, room - *size, (off_t)*size);
		char *larger;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*size += (uint64_t)n;
		if (*size < room)
			continue;
		if (room >= BYTES_MAX)
			break;
		larger = realloc(bytes, 2 * room + 1);
		if (!larger)
			break;
		bytes = larger;
		room *= 2;
	}
	if (bytes)
		bytes[*size] = 0;
	return bytes;
}

static bool add(struct symbols *symbols, uint64_t address, uint32_t name)
{
	struct symbol *list = symbols->list;

	if (address < ADDRESS_MIN || !symbols->text[name])
		return true;
	if (symbols->count == symbols->room) {
		size_t room = symbols->room ? 2 * symbols->room : 4096;

		list = realloc(list, room * sizeof(*list));
		if (!list)
			return false;
		symbols->list = list;
		symbols->room = room;
	}
	list[symbols->count] = (struct symbol){
		.address = address,
		.name = name,
		.order = (uint32_t)symbols->count,
	};
	symbols->count++;
	return true;
}

/* "ffffffff81000000 T _text" and perhaps "\t[module]". */
static int add_lines(struct symbols *symbols)
{
	char *line = symbols->text, *end, *at;

	for (; *line; line = end) {
		uint64_t address = strtoull(line, &at, 16);

		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = 0;
		if (at == line || at[0] != ' ' || !at[1] || at[2] != ' ')
			return -EINVAL;
		if (at[1] == 'a' || at[1] == 'A')
			continue;
		line = at + 3;
		line[strcspn(line, " \t")] = 0;
		if (!add(symbols, address, (uint32_t)(line - symbols->text)))
			return -ENOMEM;
	}
	return 0;
}

static int add_table(struct symbols *symbols, const Elf64_Sym *table,
		     uint64_t count, uint64_t text_size)
{
	for (uint64_t i = 0; i < count; i++) {
		unsigned type = ELF64_ST_TYPE(table[i].st_info);

		if (table[i].st_shndx == SHN_UNDEF ||
		    table[i].st_shndx == SHN_ABS ||
		    table[i].st_name >= text_size || type == STT_SECTION ||
		    type == STT_FILE)
			continue;
		if (!add(symbols, table[i].st_value, table[i].st_name))
			return -ENOMEM;
	}
	return 0;
}

static int read_elf(struct symbols *symbols, int fd, const Elf64_Ehdr *head)
{
	cleanup_free Elf64_Shdr *sections = NULL;
	cleanup_free Elf64_Sym *table = NULL;
	const Elf64_Shdr *names;
	unsigned i = 0;

	if (head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_shentsize != sizeof(*sections))
		return -EINVAL;
	sections = (void *)read_part(fd, head->e_shoff,
				     head->e_shnum * sizeof(*sections));
	while (sections && i < head->e_shnum &&
	       sections[i].sh_type != SHT_SYMTAB)
		i++;
	if (!sections || i == head->e_shnum ||
	    sections[i].sh_link >= head->e_shnum)
		return -ENOENT;
	names = &sections[sections[i].sh_link];
	table = (void *)read_part(fd, sections[i].sh_offset,
				  sections[i].sh_size);
	symbols->text = read_part(fd, names->sh_offset, names->sh_size);
	if (!table || !symbols->text)
		return -EINVAL;
	return add_table(symbols, table, sections[i].sh_size / sizeof(*table),
			 names->sh_size);
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* is_kernel: nothing but an ELF file with a table will do. */
static int read_file(struct symbols *symbols, int fd, bool is_kernel)
{
	cleanup_free Elf64_Ehdr *head = (void *)read_part(fd, 0, sizeof(*head));
	uint64_t size;
	int error;

	if (head && memcmp(head->e_ident, ELFMAG, SELFMAG) == 0) {
		error = read_elf(symbols, fd, head);
	} else if (is_kernel) {
		return -EINVAL;
	} else {
		symbols->text = read_text(fd, &size);
		error = symbols->text ? add_lines(symbols) : -ENOMEM;
	}
	if (error)
		return error;
	if (!symbols->count)
		return -ENOENT;
	qsort(symbols->list, symbols->count, sizeof(*symbols->list),
	      by_address);
	if (!symbols_look_up(symbols, "entry_SYSCALL_64",
			     &symbols->syscall_entry))
		symbols->syscall_entry = 0;
	return 0;
}

static int open_file(const char *path, bool is_kernel, struct symbols **result)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct symbols *symbols;
	int error;

	if (fd < 0)
		return -errno;
	symbols = calloc(1, sizeof(*symbols));
	if (!symbols)
		return -ENOMEM;
	error = read_file(symbols, fd, is_kernel);
	if (error)
		symbols_close(symbols);
	else
		*result = symbols;
	return error;
}

int symbols_open(const char *path, struct symbols **symbols)
{
	int error = open_file(path, false, symbols);

	if (error == -EINVAL)
		log_error("--symbols %s: neither a vmlinux nor lines as in "
			  "System.map and kallsyms",
			  path);
	else if (error == -ENOENT && access(path, F_OK) == 0)
		log_error("--symbols %s: it names nothing; a stripped "
			  "vmlinux, or a kallsyms that was not read by root",
			  path);
	else if (error)
		log_error("--symbols %s: %s", path, strerror(-error));
	return error;
}

void symbols_open_kernel(const char *path, struct symbols **symbols)
{
	*symbols = NULL;
	open_file(path, true, symbols);
}

void symbols_close(struct symbols *symbols)
{
	if (!symbols)
		return;
	free(symbols->list);
	free(symbols->text);
	free(symbols);
}

/* --- asking --------------------------------------------------------------- */

const char *symbols_find(const struct symbols *symbols, gva_t address,
			 uint64_t *offset)
{
	size_t low = 0, high = symbols->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->list[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || address - symbols->list[low - 1].address > OFFSET_MAX)
		return NULL;
	address -= symbols->list[low - 1].address;
	/* Of several at one address, the file's first. */
	while (low > 1 &&
	       symbols->list[low - 2].address == symbols->list[low - 1].address)
		low--;
	*offset = address;
	return symbols->text + symbols->list[low - 1].name;
}

bool symbols_look_up(const struct symbols *symbols, const char *name,
		     gva_t *address)
{
	for (size_t i = 0; i < symbols->count; i++)
		if (strcmp(symbols->text + symbols->list[i].name, name) == 0) {
			*address = symbols->list[i].address;
			return true;
		}
	return false;
}

uint64_t symbols_shift(const struct symbols *symbols,
		       const struct cpu_state *state)
{
	uint64_t shift = state->msr.lstar - symbols->syscall_entry;

	/* Where Linux moves itself to is aligned to more than a page. */
	if (!symbols->syscall_entry || !state->msr.lstar || shift & ~PAGE_MASK)
		return 0;
	return shift;
}

void symbol_text(const struct symbols *symbols, const struct cpu_state *state,
		 gva_t address, char text[SYMBOL_TEXT_MAX])
{
	const char *name = NULL;
	uint64_t offset;

	text[0] = 0;
	if (symbols)
		name = symbols_find(symbols,
				    address - symbols_shift(symbols, state),
				    &offset);
	if (name && offset)
		snprintf(text, SYMBOL_TEXT_MAX, "%.70s+%" PRIx64, name, offset);
	else if (name)
		snprintf(text, SYMBOL_TEXT_MAX, "%.70s", name);
}
