/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Emits ACPI Machine Language: ACPI 6.4, chapter 20 (the encoding) and 6.4
 * (resource descriptors). Only what the DSDT needs. Names are NameStrings as
 * ASL writes them: "_SB", "\\_S5", "PCI0"; segments shorter than four
 * characters are padded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing table. Too small a room is our mistake, not a guest's: BUG_ON. */
struct aml {
	uint8_t *bytes;
	size_t size, room;
	uint64_t base; /* where bytes[0] will stand, for tables that point */
};

void aml_init(struct aml *aml, void *bytes, size_t room);
void aml_bytes(struct aml *aml, const void *bytes, size_t size);
void aml_u8(struct aml *aml, uint8_t value);
void aml_u16(struct aml *aml, uint16_t value);
void aml_u32(struct aml *aml, uint32_t value);
void aml_u64(struct aml *aml, uint64_t value);

/*
 * Objects with a PkgLength: begin returns a mark that end takes. They nest.
 *
 *	mark = aml_begin_device(aml, "PCI0");
 *	...
 *	aml_end(aml, mark);
 */
size_t aml_begin_scope(struct aml *aml, const char *name);
size_t aml_begin_device(struct aml *aml, const char *name);
size_t aml_begin_method(struct aml *aml, const char *name, unsigned arguments,
			bool is_serialized);
size_t aml_begin_package(struct aml *aml, unsigned elements);
size_t aml_begin_if(struct aml *aml);
size_t aml_begin_else(struct aml *aml);
void aml_end(struct aml *aml, size_t mark);

/* A Buffer: its size is filled in at the end. */
struct aml_buffer {
	size_t package, start;
};
struct aml_buffer aml_begin_buffer(struct aml *aml);
void aml_end_buffer(struct aml *aml, struct aml_buffer buffer);

void aml_name_string(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
void aml_eisaid(struct aml *aml, const char *id); /* "PNP0A08" */
void aml_string(struct aml *aml, const char *text);

/* Name (name, value) */
void aml_name(struct aml *aml, const char *name);
void aml_name_integer(struct aml *aml, const char *name, uint64_t value);
/* _HID and the like: EISA form for PNPxxxx, a string otherwise. */
void aml_name_id(struct aml *aml, const char *name, const char *id);

/* Resource descriptors; inside a resource template. */
struct aml_buffer aml_begin_resources(struct aml *aml);
void aml_end_resources(struct aml *aml, struct aml_buffer buffer);
void aml_io(struct aml *aml, uint16_t base, uint8_t size);
void aml_fixed_memory(struct aml *aml, uint32_t base, uint32_t size);
void aml_irq(struct aml *aml, unsigned gsi);

/* Ranges a bridge passes on, ends included (ACPI 6.4, 6.4.3.5). */
void aml_window_bus(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_io(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_memory32(struct aml *aml, uint32_t first, uint32_t last);
void aml_window_memory64(struct aml *aml, uint64_t first, uint64_t last);

/* Opcodes that methods use by number. */
enum aml_op {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_ARG1 = 0x69,
	AML_ARG2 = 0x6a,
	AML_ARG3 = 0x6b,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_LNOT = 0x92,
	AML_LEQUAL = 0x93,
	AML_RETURN = 0xa4,
};
