/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of a Linux bzImage: Linux's Documentation/arch/x86/boot.rst, "The
 * Real-Mode Kernel Header". Facts only; nothing here touches a VM.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "boot/source.h"

enum payload_kind {
	PAYLOAD_UNKNOWN, /* only the image's own code can unpack it */
	PAYLOAD_GZIP,
	PAYLOAD_XZ,
	PAYLOAD_ZSTD,
	PAYLOAD_LZ4,
	PAYLOAD_LZMA,
	PAYLOAD_BZIP2,
};

#define BZIMAGE_HEADER_START 0x1f1
#define BZIMAGE_HEADER_END   0x290 /* of the zero page's room for it */

struct bzimage {
	uint16_t protocol; /* 0x020f: 2.15 */
	uint8_t header[BZIMAGE_HEADER_END - BZIMAGE_HEADER_START];
	uint32_t header_size; /* bytes of `header` the image has */
	uint32_t cmdline_size; /* longest command line, without the NUL */
	uint32_t initrd_addr_max; /* last byte an initrd may have */
	uint64_t load_address; /* where the protected-mode code wants to be */
	uint32_t init_size; /* room it needs from there */
	bool has_64bit_entry;
	bool is_real_mode; /* no other entry */
	bool is_low; /* a zImage: its code is loaded below its setup code */
	uint64_t code_offset, code_size; /* protected-mode code in the file */
	enum payload_kind kind;
	uint64_t payload_offset, payload_size; /* in the file */
	uint64_t unpacked_size; /* as the payload's last four bytes say */
};

/* NULL, or why this is no bzImage we can use; source may be hostile. */
const char *bzimage_parse(const struct boot_source *source,
			  struct bzimage *image);

/* By its first bytes. */
enum payload_kind payload_kind_of(const uint8_t magic[6]);

/* "gzip"; "unknown" for the unknown. */
const char *payload_kind_name(enum payload_kind kind);

/* True when source begins like a bzImage: then its parse error is the one to
 * report. */
bool bzimage_is_likely(const struct boot_source *source);
