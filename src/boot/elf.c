/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses ELF kernels, every number checked before it is used. */
#include "boot/elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"

#define HEADERS_MAX	 128
#define NOTES_SIZE_MAX	 (1u << 20)
#define PHYSICAL_MAX	 BIT(46)
#define LOWEST_ADDRESS	 0x100000
#define XEN_PHYS32_ENTRY 18

/* A program header of either class. */
struct program_header {
	uint32_t type;
	uint64_t offset, paddr, vaddr, file_size, memory_size, align;
};

bool elf_is_likely(const struct boot_source *source)
{
	uint8_t magic[4];

	return source_read(source, 0, magic, 4) &&
	       memcmp(magic, ELFMAG, 4) == 0;
}

static void read_program_header(const void *raw, bool is_64bit,
				struct program_header *out)
{
	Elf64_Phdr p64;
	Elf32_Phdr p32;

	if (is_64bit) {
		memcpy(&p64, raw, sizeof(p64));
		*out = (struct program_header){ p64.p_type,   p64.p_offset,
						p64.p_paddr,  p64.p_vaddr,
						p64.p_filesz, p64.p_memsz,
						p64.p_align };
	} else {
		memcpy(&p32, raw, sizeof(p32));
		*out = (struct program_header){ p32.p_type,   p32.p_offset,
						p32.p_paddr,  p32.p_vaddr,
						p32.p_filesz, p32.p_memsz,
						p32.p_align };
	}
}

/* One note after the other: sizes are the file's and are not to be believed. */
static void scan_notes(const uint8_t *notes, uint64_t size, uint64_t align,
		       struct elf_image *image)
{
	uint64_t at = 0;

	while (size - at >= 12) {
		uint32_t name_size = load_u32(notes + at);
		uint32_t desc_size = load_u32(notes + at + 4);
		uint32_t type = load_u32(notes + at + 8);
		uint64_t desc = at + 12 + align_up(name_size, align);
		uint64_t next = desc + align_up(desc_size, align);

		if (!range_inside(desc, desc_size, size))
			return;
		if (type == XEN_PHYS32_ENTRY && name_size == 4 &&
		    memcmp(notes + at + 12, "Xen", 4) == 0 && desc_size >= 4) {
			image->pvh_entry = load_u32(notes + desc);
			image->has_pvh_entry = true;
		}
		if (next > size)
			return;
		at = next;
	}
}

static const char *parse_notes(const struct boot_source *source,
			       const struct program_header *header,
			       struct elf_image *image)
{
	cleanup_free uint8_t *notes = NULL;

	if (!range_inside(header->offset, header->file_size, source->size))
		return "damaged or truncated: a note lies outside the file";
	if (header->file_size == 0 || header->file_size > NOTES_SIZE_MAX)
		return NULL;
	notes = malloc(header->file_size);
	if (!notes)
		return "out of memory";
	if (!source_read(source, header->offset, notes, header->file_size))
		return "cannot be read to its end";
	scan_notes(notes, header->file_size, header->align == 8 ? 8 : 4, image);
	return NULL;
}

static const char *add_segment(const struct boot_source *source,
			       const struct program_header *header,
			       struct elf_image *image)
{
	struct elf_segment segment = {
		.address = header->paddr,
		.memory_size = header->memory_size,
		.offset = header->offset,
		.file_size = header->file_size,
		.virtual_address = header->vaddr,
	};

	if (segment.memory_size == 0)
		return NULL;
	if (image->segment_count == ELF_SEGMENTS_MAX)
		return "damaged: too many segments";
	if (segment.file_size > segment.memory_size)
		return "damaged: a segment has more bytes than memory";
	if (!range_inside(segment.offset, segment.file_size, source->size))
		return "truncated: a segment lies outside the file";
	if (!range_inside(segment.address, segment.memory_size, PHYSICAL_MAX))
		return "damaged: a segment's address is impossible";
	if (segment.address < LOWEST_ADDRESS)
		return "wants to be loaded below 1 MiB";
	for (unsigned i = 0; i < image->segment_count; i++)
		if (ranges_overlap(segment.address, segment.memory_size,
				   image->segment[i].address,
				   image->segment[i].memory_size))
			return "damaged: its segments overlap";
	image->segment[image->segment_count++] = segment;
	image->low = MIN(image->low, segment.address);
	image->high = MAX(image->high, segment.address + segment.memory_size);
	return NULL;
}

struct header_table {
	uint64_t offset;
	unsigned count, entry_size;
};

static const char *parse_header(const struct boot_source *source,
				struct elf_image *image,
				struct header_table *table)
{
	unsigned char ident[EI_NIDENT];
	Elf64_Ehdr e64;
	Elf32_Ehdr e32;
	unsigned type, machine;

	if (!source_read(source, 0, ident, sizeof(ident)) ||
	    memcmp(ident, ELFMAG, SELFMAG) != 0)
		return "not an ELF file";
	image->is_64bit = ident[EI_CLASS] == ELFCLASS64;
	if (!image->is_64bit && ident[EI_CLASS] != ELFCLASS32)
		return "damaged: neither 32- nor 64-bit ELF";
	if (ident[EI_DATA] != ELFDATA2LSB)
		return "a big-endian ELF file, not for x86";
	if (image->is_64bit) {
		if (!source_read(source, 0, &e64, sizeof(e64)))
			return "truncated within the ELF header";
		type = e64.e_type, machine = e64.e_machine;
		image->entry = e64.e_entry;
		*table = (struct header_table){ e64.e_phoff, e64.e_phnum,
						e64.e_phentsize };
	} else {
		if (!source_read(source, 0, &e32, sizeof(e32)))
			return "truncated within the ELF header";
		type = e32.e_type, machine = e32.e_machine;
		image->entry = e32.e_entry;
		*table = (struct header_table){ e32.e_phoff, e32.e_phnum,
						e32.e_phentsize };
	}
	/* A 32-bit file may hold a 64-bit kernel's code, and say so. */
	if (machine != EM_X86_64 && machine != EM_386)
		return "an ELF file for another processor than x86";
	if (type != ET_EXEC)
		return "not an executable ELF file (a kernel is one)";
	return NULL;
}

static bool is_inside_a_segment(const struct elf_image *image, uint64_t address)
{
	for (unsigned i = 0; i < image->segment_count; i++)
		if (address - image->segment[i].address <
		    image->segment[i].memory_size)
			return true;
	return false;
}

static bool entry_to_physical(struct elf_image *image)
{
	if (is_inside_a_segment(image, image->entry))
		return true;
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segment[i];

		if (image->entry - s->virtual_address < s->memory_size) {
			image->entry += s->address - s->virtual_address;
			return true;
		}
	}
	return false;
}

static const char *parse_file(const struct boot_source *source,
			      struct elf_image *image)
{
	struct header_table table = { 0 };
	struct program_header header;
	uint8_t raw[sizeof(Elf64_Phdr)];
	const char *reason;
	size_t size;

	memset(image, 0, sizeof(*image));
	image->low = ~0ull;
	reason = parse_header(source, image, &table);
	if (reason)
		return reason;
	size = image->is_64bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (table.count == 0 || table.entry_size != size)
		return "an ELF file without program headers, not a kernel";
	if (table.count > HEADERS_MAX)
		return "damaged: too many program headers";
	if (!range_inside(table.offset, table.count * size, source->size))
		return "truncated: its program headers lie outside the file";
	for (unsigned i = 0; i < table.count && !reason; i++) {
		if (!source_read(source, table.offset + i * size, raw, size))
			return "cannot be read to its end";
		read_program_header(raw, image->is_64bit, &header);
		if (header.type == PT_LOAD)
			reason = add_segment(source, &header, image);
		else if (header.type == PT_NOTE)
			reason = parse_notes(source, &header, image);
	}
	if (reason)
		return reason;
	if (!image->segment_count)
		return "an ELF file with nothing to load";
	return NULL;
}

const char *elf_parse(const struct boot_source *source, struct elf_image *image)
{
	const char *reason = parse_file(source, image);

	if (reason)
		return reason;
	if (!is_inside_a_segment(image, image->has_pvh_entry ?
						image->pvh_entry :
						image->entry))
		return "damaged: its entry point lies outside of what it loads";
	return NULL;
}

const char *elf_parse_virtual(const struct boot_source *source,
			      struct elf_image *image)
{
	const char *reason = parse_file(source, image);

	if (reason)
		return reason;
	image->has_pvh_entry = false;
	if (!entry_to_physical(image))
		return "damaged: its entry point lies outside of what it loads";
	return NULL;
}
