/* SPDX-License-Identifier: BSD-2-Clause */
/* Emits ACPI Machine Language: ACPI 6.4, 20.2. */
#include "boot/aml.h"

#include <string.h>

#include "base/bits.h"
#include "base/log.h"

#define OP_NAME		0x08
#define OP_BYTE		0x0a
#define OP_WORD		0x0b
#define OP_DWORD	0x0c
#define OP_STRING	0x0d
#define OP_QWORD	0x0e
#define OP_SCOPE	0x10
#define OP_BUFFER	0x11
#define OP_PACKAGE	0x12
#define OP_METHOD	0x14
#define OP_DUAL_PREFIX	0x2e
#define OP_MULTI_PREFIX 0x2f
#define OP_EXTENDED	0x5b
#define OP_DEVICE	0x82 /* after OP_EXTENDED */
#define OP_IF		0xa0
#define OP_ELSE		0xa1

void aml_init(struct aml *aml, void *bytes, size_t room)
{
	*aml = (struct aml){ .bytes = bytes, .room = room };
}

void aml_bytes(struct aml *aml, const void *bytes, size_t size)
{
	BUG_ON(size > aml->room - aml->size);
	memcpy(aml->bytes + aml->size, bytes, size);
	aml->size += size;
}

void aml_u8(struct aml *aml, uint8_t value)
{
	aml_bytes(aml, &value, sizeof(value));
}

void aml_u16(struct aml *aml, uint16_t value)
{
	aml_bytes(aml, &value, sizeof(value));
}

void aml_u32(struct aml *aml, uint32_t value)
{
	aml_bytes(aml, &value, sizeof(value));
}

void aml_u64(struct aml *aml, uint64_t value)
{
	aml_bytes(aml, &value, sizeof(value));
}

/* PkgLength, 20.2.4: it counts itself, and is written once it is known. */
void aml_end(struct aml *aml, size_t mark)
{
	size_t body = aml->size - mark;
	uint8_t length[4];
	unsigned size = 1;

	if (body + 1 >= 1u << 6)
		size = body + 2 < 1u << 12 ? 2 : body + 3 < 1u << 20 ? 3 : 4;
	BUG_ON(size > aml->room - aml->size);
	body += size;
	if (size == 1) {
		length[0] = body;
	} else {
		length[0] = (size - 1) << 6 | (body & 15);
		for (unsigned i = 1; i < size; i++)
			length[i] = body >> (8 * i - 4);
	}
	memmove(aml->bytes + mark + size, aml->bytes + mark, aml->size - mark);
	memcpy(aml->bytes + mark, length, size);
	aml->size += size;
}

static const char *next_segment(const char *name, char segment[4])
{
	for (int i = 0; i < 4; i++)
		segment[i] = *name && *name != '.' ? *name++ : '_';
	return *name == '.' ? name + 1 : name;
}

void aml_name_string(struct aml *aml, const char *name)
{
	unsigned segments = 1;
	char segment[4];

	for (; *name == '\\' || *name == '^'; name++)
		aml_u8(aml, *name);
	for (const char *c = name; *c; c++)
		segments += *c == '.';
	if (!*name) {
		aml_u8(aml, 0); /* NullName: the root itself */
		return;
	}
	if (segments == 2) {
		aml_u8(aml, OP_DUAL_PREFIX);
	} else if (segments > 2) {
		aml_u8(aml, OP_MULTI_PREFIX);
		aml_u8(aml, segments);
	}
	while (*name) {
		name = next_segment(name, segment);
		aml_bytes(aml, segment, 4);
	}
}

size_t aml_begin_scope(struct aml *aml, const char *name)
{
	size_t mark;

	aml_u8(aml, OP_SCOPE);
	mark = aml->size;
	aml_name_string(aml, name);
	return mark;
}

size_t aml_begin_device(struct aml *aml, const char *name)
{
	size_t mark;

	aml_u8(aml, OP_EXTENDED);
	aml_u8(aml, OP_DEVICE);
	mark = aml->size;
	aml_name_string(aml, name);
	return mark;
}

size_t aml_begin_method(struct aml *aml, const char *name, unsigned arguments,
			bool is_serialized)
{
	size_t mark;

	aml_u8(aml, OP_METHOD);
	mark = aml->size;
	aml_name_string(aml, name);
	aml_u8(aml, arguments | (is_serialized ? 8 : 0));
	return mark;
}

size_t aml_begin_package(struct aml *aml, unsigned elements)
{
	size_t mark;

	BUG_ON(elements > 255);
	aml_u8(aml, OP_PACKAGE);
	mark = aml->size;
	aml_u8(aml, elements);
	return mark;
}

size_t aml_begin_if(struct aml *aml)
{
	aml_u8(aml, OP_IF);
	return aml->size;
}

size_t aml_begin_else(struct aml *aml)
{
	aml_u8(aml, OP_ELSE);
	return aml->size;
}

struct aml_buffer aml_begin_buffer(struct aml *aml)
{
	struct aml_buffer buffer;

	aml_u8(aml, OP_BUFFER);
	buffer.package = aml->size;
	/* A word whatever the size, so that nothing moves in the end. */
	aml_u8(aml, OP_WORD);
	aml_u16(aml, 0);
	buffer.start = aml->size;
	return buffer;
}

void aml_end_buffer(struct aml *aml, struct aml_buffer buffer)
{
	store_u16(aml->bytes + buffer.start - 2, aml->size - buffer.start);
	aml_end(aml, buffer.package);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		aml_u8(aml, value ? AML_ONE : AML_ZERO);
	} else if (value <= 0xff) {
		aml_u8(aml, OP_BYTE);
		aml_u8(aml, value);
	} else if (value <= 0xffff) {
		aml_u8(aml, OP_WORD);
		aml_u16(aml, value);
	} else if (value <= 0xffffffff) {
		aml_u8(aml, OP_DWORD);
		aml_u32(aml, value);
	} else {
		aml_u8(aml, OP_QWORD);
		aml_u64(aml, value);
	}
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Three letters of five bits and four hex digits, big-endian (ACPI 6.4, 6.1.5
 * on _HID; the EISA specification's compressed form). */
void aml_eisaid(struct aml *aml, const char *id)
{
	uint16_t vendor, product = 0;

	BUG_ON(strlen(id) != 7);
	vendor = (id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@');
	for (int i = 3; i < 7; i++)
		product = product << 4 | hex_digit(id[i]);
	aml_integer(aml, __builtin_bswap16(vendor) |
				 (uint32_t)__builtin_bswap16(product) << 16);
}

void aml_string(struct aml *aml, const char *text)
{
	aml_u8(aml, OP_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

void aml_name(struct aml *aml, const char *name)
{
	aml_u8(aml, OP_NAME);
	aml_name_string(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint64_t value)
{
	aml_name(aml, name);
	aml_integer(aml, value);
}

void aml_name_id(struct aml *aml, const char *name, const char *id)
{
	aml_name(aml, name);
	if (strlen(id) == 7 && memcmp(id, "PNP", 3) == 0)
		aml_eisaid(aml, id);
	else
		aml_string(aml, id);
}

/* --- resource descriptors, 6.4 ------------------------------------------- */

struct aml_buffer aml_begin_resources(struct aml *aml)
{
	return aml_begin_buffer(aml);
}

void aml_end_resources(struct aml *aml, struct aml_buffer buffer)
{
	/* End tag; a checksum of 0 is taken as right (6.4.2.9). */
	aml_u8(aml, 0x79);
	aml_u8(aml, 0);
	aml_end_buffer(aml, buffer);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t size)
{
	aml_u8(aml, 0x47);
	aml_u8(aml, 1); /* decodes 16 bits */
	aml_u16(aml, base);
	aml_u16(aml, base);
	aml_u8(aml, 1); /* alignment */
	aml_u8(aml, size);
}

void aml_fixed_memory(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_u8(aml, 0x86);
	aml_u16(aml, 9);
	aml_u8(aml, 1); /* read-write */
	aml_u32(aml, base);
	aml_u32(aml, size);
}

void aml_irq(struct aml *aml, unsigned gsi)
{
	if (gsi < 16) {
		/* IRQ without flags: edge, active high, exclusive */
		aml_u8(aml, 0x22);
		aml_u16(aml, 1u << gsi);
		return;
	}
	aml_u8(aml, 0x89);
	aml_u16(aml, 6);
	aml_u8(aml, 1 | 1 << 3); /* consumer, level, active high, shared */
	aml_u8(aml, 1);
	aml_u32(aml, gsi);
}

enum window_type { WINDOW_MEMORY, WINDOW_IO, WINDOW_BUS };

#define WINDOW_FIXED	    (BIT(2) | BIT(3)) /* minimum and maximum */
#define WINDOW_READ_WRITE   1
#define WINDOW_ENTIRE_RANGE 3

static void window_head(struct aml *aml, uint8_t tag, uint16_t length,
			enum window_type type, uint8_t flags)
{
	aml_u8(aml, tag);
	aml_u16(aml, length);
	aml_u8(aml, type);
	aml_u8(aml, WINDOW_FIXED);
	aml_u8(aml, flags);
}

static void window16(struct aml *aml, enum window_type type, uint8_t flags,
		     uint16_t first, uint16_t last)
{
	window_head(aml, 0x88, 13, type, flags);
	aml_u16(aml, 0);
	aml_u16(aml, first);
	aml_u16(aml, last);
	aml_u16(aml, 0);
	aml_u16(aml, last - first + 1);
}

void aml_window_bus(struct aml *aml, uint16_t first, uint16_t last)
{
	window16(aml, WINDOW_BUS, 0, first, last);
}

void aml_window_io(struct aml *aml, uint16_t first, uint16_t last)
{
	window16(aml, WINDOW_IO, WINDOW_ENTIRE_RANGE, first, last);
}

void aml_window_memory32(struct aml *aml, uint32_t first, uint32_t last)
{
	window_head(aml, 0x87, 23, WINDOW_MEMORY, WINDOW_READ_WRITE);
	aml_u32(aml, 0);
	aml_u32(aml, first);
	aml_u32(aml, last);
	aml_u32(aml, 0);
	aml_u32(aml, last - first + 1);
}

void aml_window_memory64(struct aml *aml, uint64_t first, uint64_t last)
{
	window_head(aml, 0x8a, 43, WINDOW_MEMORY, WINDOW_READ_WRITE);
	aml_u64(aml, 0);
	aml_u64(aml, first);
	aml_u64(aml, last);
	aml_u64(aml, 0);
	aml_u64(aml, last - first + 1);
}
