/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Firmware configuration: numbered blobs and named files that firmware asks
 * for, through ports 510h to 51Bh. QEMU's docs/specs/fw_cfg.rst.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/dma.h"

struct vm;

/* Numbers of the items that have no name. */
enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_UUID = 0x02,
	FW_CFG_RAM_SIZE = 0x03, /* u64 */
	FW_CFG_NOGRAPHIC = 0x04, /* u16 */
	FW_CFG_CPUS = 0x05, /* u16 */
	FW_CFG_KERNEL_ADDR = 0x07, /* u32, as all of the kernel's but data */
	FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_INITRD_ADDR = 0x0a,
	FW_CFG_INITRD_SIZE = 0x0b,
	FW_CFG_BOOT_MENU = 0x0e, /* u16 */
	FW_CFG_MAX_CPUS = 0x0f, /* u16 */
	FW_CFG_KERNEL_DATA = 0x11,
	FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13,
	FW_CFG_CMDLINE_SIZE = 0x14,
	FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_ADDR = 0x16,
	FW_CFG_SETUP_SIZE = 0x17,
	FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_DIRECTORY = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
	/* x86's own: 8000h and up */
	FW_CFG_IRQ0_OVERRIDE = 0x8002, /* u32: ISA IRQ 0 is GSI 2 */
};

#define FW_CFG_FILES_MAX 32
#define FW_CFG_KEYS	 (FW_CFG_FILE_FIRST + FW_CFG_FILES_MAX)
#define FW_CFG_LOCAL	 4 /* items from 8000h */
#define FW_CFG_NAME_MAX	 56 /* with its NUL */

struct fw_cfg_item {
	uint8_t *bytes; /* owned */
	uint32_t size;
};

struct fw_cfg {
	pthread_mutex_t lock; /* over everything below */
	struct dma dma;
	struct fw_cfg_item item[FW_CFG_KEYS], local[FW_CFG_LOCAL];
	unsigned file_count;
	char file_name[FW_CFG_FILES_MAX][FW_CFG_NAME_MAX];
	uint16_t key; /* selected */
	uint32_t at; /* the next byte of it */
	uint32_t dma_address_high;
	struct bus_region control, dma_region;
	struct device device;
};

/** The ports, with signature, ID and an empty directory. -errno. */
int fw_cfg_init(struct fw_cfg *fw, struct vm *vm);

/** Copies an item in. Before vCPUs run; -ENOMEM. */
int fw_cfg_add(struct fw_cfg *fw, enum fw_cfg_key key, const void *bytes,
	       size_t size);
int fw_cfg_add_u16(struct fw_cfg *fw, enum fw_cfg_key key, uint16_t value);
int fw_cfg_add_u32(struct fw_cfg *fw, enum fw_cfg_key key, uint32_t value);
int fw_cfg_add_u64(struct fw_cfg *fw, enum fw_cfg_key key, uint64_t value);

/** Takes all items and files away. Before vCPUs run. */
void fw_cfg_clear(struct fw_cfg *fw);

/** Copies a named file in. Before vCPUs run; -ENOSPC when there are 32. */
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes,
		    size_t size);
