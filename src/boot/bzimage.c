/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parses the header of a bzImage (Documentation/arch/x86/boot.rst), every
 * field checked against the file's size before it is believed.
 */
#include "boot/bzimage.h"

#include <string.h>

#include "base/bits.h"
#include "base/checked.h"

/* Offsets in the file. */
#define SETUP_SECTS	    0x1f1
#define SYSSIZE		    0x1f4
#define BOOT_FLAG	    0x1fe
#define JUMP		    0x200
#define HEADER		    0x202
#define VERSION		    0x206
#define LOADFLAGS	    0x211
#define INITRD_ADDR_MAX	    0x22c
#define XLOADFLAGS	    0x236
#define CMDLINE_SIZE	    0x238
#define PAYLOAD_OFFSET	    0x248
#define PAYLOAD_LENGTH	    0x24c
#define PREF_ADDRESS	    0x258
#define INIT_SIZE	    0x260

#define LOADED_HIGH	    BIT(0)
#define XLF_KERNEL_64	    BIT(0)

#define PROTOCOL_OLDEST	    0x200
#define PROTOCOL_INITRD_MAX 0x203
#define PROTOCOL_SYSSIZE    0x204
#define PROTOCOL_32BIT	    0x206 /* cmdline_size; Linux 2.6.22 */
#define PROTOCOL_PAYLOAD    0x208
#define PROTOCOL_PREF	    0x20a
#define PROTOCOL_XLOAD	    0x20c

/* What images that do not say it may have (boot.rst, "Memory Layout"). */
#define INITRD_ADDR_OLD	  0x37ffffff
#define CMDLINE_SIZE_OLD  255
#define ZIMAGE_ADDRESS	  0x10000
#define ZIMAGE_SIZE_MAX	  0x80000

#define UNPACKED_SIZE_MAX (1u << 30)

static const struct {
	const char *name;
	uint8_t magic[6], size;
} kinds[] = {
	[PAYLOAD_UNKNOWN] = { "unknown", { 0 }, 0 },
	[PAYLOAD_GZIP] = { "gzip", { 0x1f, 0x8b }, 2 },
	[PAYLOAD_XZ] = { "xz", { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6 },
	[PAYLOAD_ZSTD] = { "zstd", { 0x28, 0xb5, 0x2f, 0xfd }, 4 },
	[PAYLOAD_LZ4] = { "lz4", { 0x02, 0x21, 0x4c, 0x18 }, 4 },
	[PAYLOAD_LZMA] = { "lzma", { 0x5d, 0, 0 }, 3 },
	[PAYLOAD_BZIP2] = { "bzip2", { 'B', 'Z', 'h' }, 3 },
};

enum payload_kind payload_kind_of(const uint8_t magic[6])
{
	for (unsigned i = PAYLOAD_GZIP; i < ARRAY_SIZE(kinds); i++)
		if (memcmp(magic, kinds[i].magic, kinds[i].size) == 0)
			return i;
	return PAYLOAD_UNKNOWN;
}

const char *payload_kind_name(enum payload_kind kind)
{
	return kinds[kind].name;
}

bool bzimage_is_likely(const struct boot_source *source)
{
	uint8_t head[BZIMAGE_HEADER_END];

	/* A file cut off within the header is recognized by its MZ stub. */
	if (!source_read(source, 0, head, sizeof(head)))
		return source_read(source, 0, head, 2) &&
		       memcmp(head, "MZ", 2) == 0;
	return load_u16(head + BOOT_FLAG) == 0xaa55 &&
	       memcmp(head + HEADER, "HdrS", 4) == 0;
}

/* What later protocols added has the value the specification gives for images
 * that lack it. */
static void parse_fields(const uint8_t *head, struct bzimage *image)
{
	image->initrd_addr_max = INITRD_ADDR_OLD;
	if (image->protocol >= PROTOCOL_INITRD_MAX)
		image->initrd_addr_max = load_u32(head + INITRD_ADDR_MAX);
	image->cmdline_size = CMDLINE_SIZE_OLD;
	if (image->protocol >= PROTOCOL_32BIT)
		image->cmdline_size = load_u32(head + CMDLINE_SIZE);
	image->load_address = image->is_low ? ZIMAGE_ADDRESS : 0x100000;
	if (image->protocol >= PROTOCOL_PREF) {
		image->load_address = load_u64(head + PREF_ADDRESS);
		image->init_size = load_u32(head + INIT_SIZE);
	}
	image->has_64bit_entry = image->protocol >= PROTOCOL_XLOAD &&
				 (load_u16(head + XLOADFLAGS) & XLF_KERNEL_64);
}

static const char *parse_payload(const struct boot_source *source,
				 const uint8_t *head, struct bzimage *image)
{
	uint32_t offset = load_u32(head + PAYLOAD_OFFSET);
	uint32_t size = load_u32(head + PAYLOAD_LENGTH);
	uint8_t magic[6], tail[4];

	if (image->protocol < PROTOCOL_PAYLOAD || size == 0)
		return NULL;
	if (!range_inside(offset, size, image->code_size) || size < 10)
		return "damaged: its payload lies outside the file";
	image->payload_offset = image->code_offset + offset;
	image->payload_size = size;
	if (!source_read(source, image->payload_offset, magic, sizeof(magic)) ||
	    !source_read(source, image->payload_offset + size - 4, tail, 4))
		return "cannot be read to its end";
	image->kind = payload_kind_of(magic);
	image->unpacked_size = load_u32(tail);
	if (image->kind != PAYLOAD_UNKNOWN &&
	    (image->unpacked_size < 64 ||
	     image->unpacked_size > UNPACKED_SIZE_MAX))
		return "damaged: its payload claims an impossible size";
	return NULL;
}

/*
 * A bzImage is an EFI program, too, and may carry a signature behind its code
 * (PE Format, "Optional Header Data Directories", certificate table). One that
 * is cut off does not stop it from booting, but tells of a file cut off.
 */
static bool has_whole_signature(const struct boot_source *source)
{
	uint8_t offset[4], optional[152];
	uint32_t at;

	if (!source_read(source, 0x3c, offset, 4))
		return false;
	at = load_u32(offset);
	if (!source_read(source, (uint64_t)at + 24, optional,
			 sizeof(optional)) ||
	    load_u16(optional) != 0x20b)
		return true;
	return range_inside(load_u32(optional + 144), load_u32(optional + 148),
			    source->size);
}

const char *bzimage_parse(const struct boot_source *source,
			  struct bzimage *image)
{
	uint8_t head[BZIMAGE_HEADER_END];
	uint64_t setup_sects, code_size;

	memset(image, 0, sizeof(*image));
	if (!source_read(source, 0, head, sizeof(head)))
		return "truncated within the boot header";
	if (load_u16(head + BOOT_FLAG) != 0xaa55 ||
	    memcmp(head + HEADER, "HdrS", 4) != 0)
		return "no Linux boot header";
	image->protocol = load_u16(head + VERSION);
	if (image->protocol < PROTOCOL_OLDEST)
		return "boot protocol older than 2.00 (Linux 1.3.73)";
	image->is_low = !(head[LOADFLAGS] & LOADED_HIGH);
	image->is_real_mode = image->is_low || image->protocol < PROTOCOL_32BIT;

	image->header_size = HEADER + head[JUMP + 1] - BZIMAGE_HEADER_START;
	if (HEADER + head[JUMP + 1] < INIT_SIZE + 4 &&
	    image->protocol >= PROTOCOL_PREF)
		return "damaged: its boot header ends too early";
	image->header_size = MIN(image->header_size, sizeof(image->header));
	memcpy(image->header, head + BZIMAGE_HEADER_START, image->header_size);

	setup_sects = head[SETUP_SECTS] ? head[SETUP_SECTS] : 4;
	image->code_offset = (setup_sects + 1) * 512;
	if (image->code_offset >= source->size)
		return "truncated: nothing behind its setup code";
	/* Before protocol 2.04 its upper half was something else. */
	code_size = (image->protocol < PROTOCOL_SYSSIZE ?
			     load_u16(head + SYSSIZE) :
			     load_u32(head + SYSSIZE)) *
		    16ull;
	image->code_size = source->size - image->code_offset;
	/* Signed kernels are longer; the count is rounded up to paragraphs. */
	if (code_size && image->code_size + 15 < code_size)
		return "truncated: shorter than its header says";
	if (!has_whole_signature(source))
		return "truncated: its signature is cut off";
	parse_fields(head, image);
	if (image->is_low && image->code_size > ZIMAGE_SIZE_MAX)
		return "damaged: loaded low, and too large for that";
	if (image->is_real_mode)
		return NULL;
	return parse_payload(source, head, image);
}
