/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel images that somebody else made: the parsers of bzImage,
 * ELF and multiboot. The
 * first byte chooses a header to start from, so that noise gets past the magic
 * numbers; the rest is laid over it.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/log.h"
#include "boot/bzimage.h"
#include "boot/elf.h"
#include "boot/multiboot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_bzimage(uint8_t *bytes)
{
	bytes[0x1f1] = 1;
	store_u16(bytes + 0x1fe, 0xaa55);
	bytes[0x201] = 0x6a;
	memcpy(bytes + 0x202, "HdrS", 4);
	store_u16(bytes + 0x206, 0x20f);
	bytes[0x211] = 1;
}

static void make_elf(uint8_t *bytes)
{
	Elf64_Ehdr elf = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64,
					ELFDATA2LSB },
			   .e_type = ET_EXEC,
			   .e_machine = EM_X86_64,
			   .e_phoff = sizeof(elf),
			   .e_phnum = 3,
			   .e_phentsize = sizeof(Elf64_Phdr) };

	memcpy(bytes, &elf, sizeof(elf));
}

/* With addresses of its own: noise overlays all but magic and checksum. */
static void make_multiboot(uint8_t *bytes, uint32_t flags)
{
	store_u32(bytes, 0x1badb002);
	store_u32(bytes + 4, flags);
	store_u32(bytes + 8, -(0x1badb002 + flags));
}

/* What the parsers promise of what they accept. */
static void check_segments(const struct boot_source *source,
			   const struct elf_image *image)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segment[i];

		BUG_ON(!range_inside(s->offset, s->file_size, source->size));
		BUG_ON(s->file_size > s->memory_size);
		BUG_ON(s->address < 0x100000);
		BUG_ON(s->address + s->memory_size > image->high);
	}
}

static void check_elf(const struct boot_source *source)
{
	struct elf_image image;

	if (!elf_parse(source, &image))
		check_segments(source, &image);
	if (!multiboot_parse(source, &image)) {
		BUG_ON(image.high > BIT(32));
		check_segments(source, &image);
	}
}

static void check_bzimage(const struct boot_source *source)
{
	struct bzimage image;

	if (bzimage_parse(source, &image))
		return;
	BUG_ON(!range_inside(image.code_offset, image.code_size, source->size));
	BUG_ON(!range_inside(image.payload_offset, image.payload_size,
			     source->size));
	BUG_ON(image.header_size > sizeof(image.header));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t overlay_at[] = {
		0, 0x1f1, 0x230, 64, 0, 0x10c, 64
	};
	struct boot_source source = { .fd = -1 };
	unsigned kind;
	uint8_t *bytes;

	if (size < 2)
		return 0;
	kind = data[0] % ARRAY_SIZE(overlay_at);
	source.size = overlay_at[kind] + size - 1;
	if (kind)
		source.size = MAX(source.size, 0x600);
	bytes = calloc(1, source.size);
	if (!bytes)
		return 0;
	if (kind == 1 || kind == 2)
		make_bzimage(bytes);
	else if (kind == 5)
		make_multiboot(bytes + 0x100, 0x10003);
	else if (kind)
		make_elf(bytes);
	if (kind == 6)
		make_multiboot(bytes + 0x500, 3);
	memcpy(bytes + overlay_at[kind], data + 1, size - 1);
	source.bytes = bytes;
	(void)elf_is_likely(&source);
	(void)bzimage_is_likely(&source);
	check_elf(&source);
	check_bzimage(&source);
	free(bytes);
	return 0;
}
