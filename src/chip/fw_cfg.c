/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Firmware configuration. QEMU's docs/specs/fw_cfg.rst: a selector (510h), a
 * data port that gives the selected item byte by byte (511h), and a DMA
 * interface (514h to 51Bh, big-endian) that copies to memory what a descriptor
 * there asks for. Items are read-only; past an item's end zeros are read.
 */
#include "chip/fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/state.h"
#include "core/vm.h"

#define PORT_CONTROL   0x510 /* selector, and data behind its low byte */
#define PORT_DMA       0x514
#define DMA_SIGNATURE  0x51454d5520434647ull /* "QEMU CFG" */

#define KEY_LOCAL      BIT(15)
#define KEY_WRITE      BIT(14) /* without effect since writes went away */

#define ID_TRADITIONAL BIT(0)
#define ID_DMA	       BIT(1)

#define DMA_ERROR      BIT(0)
#define DMA_READ       BIT(1)
#define DMA_SKIP       BIT(2)
#define DMA_SELECT     BIT(3)
#define DMA_WRITE      BIT(4)

/* The descriptor in guest memory. */
struct dma_command {
	uint32_t control, length;
	uint64_t address;
};

static struct fw_cfg_item *find_item(struct fw_cfg *fw, uint16_t key)
{
	unsigned index = key & ~(KEY_LOCAL | KEY_WRITE);

	if (key & KEY_LOCAL)
		return index < FW_CFG_LOCAL ? &fw->local[index] : NULL;
	return index < FW_CFG_KEYS ? &fw->item[index] : NULL;
}

static void select_item(struct fw_cfg *fw, uint16_t key)
{
	fw->key = key;
	fw->at = 0;
}

/* What is left of the selected item. */
static uint32_t left(struct fw_cfg *fw, const uint8_t **bytes)
{
	const struct fw_cfg_item *item = find_item(fw, fw->key);

	if (!item || fw->at >= item->size)
		return 0;
	*bytes = item->bytes + fw->at;
	return item->size - fw->at;
}

static uint8_t next_byte(struct fw_cfg *fw)
{
	const uint8_t *bytes;

	if (!left(fw, &bytes))
		return 0;
	fw->at++;
	return *bytes;
}

/* --- DMA ------------------------------------------------------------------- */

static int copy_out(struct fw_cfg *fw, dma_addr_t address, uint32_t length)
{
	static const uint8_t zeros[PAGE_SIZE];
	const uint8_t *bytes = NULL;
	uint32_t n = MIN(left(fw, &bytes), length);
	int error = n ? dma_write(&fw->dma, address, bytes, n) : 0;

	if (error)
		return error;
	fw->at += n;
	/* A page at a time: memory ends before a length that lies. */
	for (uint32_t done = n; done < length && !error; done += n) {
		n = MIN(length - done, sizeof(zeros));
		error = dma_write(&fw->dma, address + done, zeros, n);
	}
	return error;
}

static uint32_t do_command(struct fw_cfg *fw, const struct dma_command *command)
{
	uint32_t control = be32toh(command->control);
	uint32_t length = be32toh(command->length);
	uint64_t address = be64toh(command->address);
	const uint8_t *bytes;

	if (control & DMA_SELECT)
		select_item(fw, control >> 16);
	if (control & DMA_READ)
		return copy_out(fw, address, length) ? DMA_ERROR : 0;
	if (control & DMA_WRITE) /* nothing here may be written */
		return DMA_ERROR;
	if (control & DMA_SKIP)
		fw->at += MIN(left(fw, &bytes), length);
	return 0;
}

static void run_dma(struct fw_cfg *fw, dma_addr_t at)
{
	struct dma_command command;
	uint32_t result;

	if (dma_read(&fw->dma, at, &command, sizeof(command)))
		return;
	result = htobe32(do_command(fw, &command));
	/* A descriptor that cannot be written was read from ROM: its owner
	 * does not hear of the end, as with any device. */
	(void)dma_write(&fw->dma, at, &result, sizeof(result));
}

static enum bus_result on_dma(void *device, struct access *access)
{
	struct fw_cfg *fw = device;
	uint64_t bytes = htobe64(DMA_SIGNATURE);
	uint32_t value;

	if (!access->is_write) {
		memcpy(&access->value, (uint8_t *)&bytes + access->offset,
		       access->size);
		return BUS_HANDLED;
	}
	value = be32toh((uint32_t)access->value);
	if (access->size == 4 && access->offset == 0) {
		fw->dma_address_high = value;
	} else if (access->size == 4 && access->offset == 4) {
		uint64_t address = (uint64_t)fw->dma_address_high << 32 | value;

		fw->dma_address_high = 0;
		run_dma(fw, address);
	} else {
		return BUS_ERROR;
	}
	return BUS_HANDLED;
}

/* --- selector and data ----------------------------------------------------- */

static enum bus_result on_control(void *device, struct access *access)
{
	struct fw_cfg *fw = device;

	if (access->is_write) {
		if (access->offset == 0 && access->size == 2)
			select_item(fw, access->value);
		return BUS_HANDLED;
	}
	access->value = access->offset == 1 ? next_byte(fw) : 0;
	return BUS_HANDLED;
}

/* --- items ----------------------------------------------------------------- */

int fw_cfg_add(struct fw_cfg *fw, enum fw_cfg_key key, const void *bytes,
	       size_t size)
{
	struct fw_cfg_item *item = find_item(fw, key);
	uint8_t *copy = malloc(size ? size : 1);

	BUG_ON(!item || size > UINT32_MAX);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, size);
	free(item->bytes);
	*item = (struct fw_cfg_item){ copy, size };
	return 0;
}

int fw_cfg_add_u16(struct fw_cfg *fw, enum fw_cfg_key key, uint16_t value)
{
	value = htole16(value);
	return fw_cfg_add(fw, key, &value, sizeof(value));
}

int fw_cfg_add_u32(struct fw_cfg *fw, enum fw_cfg_key key, uint32_t value)
{
	value = htole32(value);
	return fw_cfg_add(fw, key, &value, sizeof(value));
}

int fw_cfg_add_u64(struct fw_cfg *fw, enum fw_cfg_key key, uint64_t value)
{
	value = htole64(value);
	return fw_cfg_add(fw, key, &value, sizeof(value));
}

/* The directory: a count, then 64 bytes a file, all big-endian. */
static int update_directory(struct fw_cfg *fw)
{
	struct __attribute__((packed)) {
		uint32_t count;
		struct {
			uint32_t size;
			uint16_t key, reserved;
			char name[FW_CFG_NAME_MAX];
		} file[FW_CFG_FILES_MAX];
	} directory = { .count = htobe32(fw->file_count) };

	for (unsigned i = 0; i < fw->file_count; i++) {
		uint16_t key = FW_CFG_FILE_FIRST + i;

		directory.file[i].size = htobe32(fw->item[key].size);
		directory.file[i].key = htobe16(key);
		memcpy(directory.file[i].name, fw->file_name[i],
		       FW_CFG_NAME_MAX);
	}
	return fw_cfg_add(fw, FW_CFG_DIRECTORY, &directory,
			  sizeof(directory.count) +
				  fw->file_count * sizeof(directory.file[0]));
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes,
		    size_t size)
{
	int error;

	BUG_ON(strlen(name) >= FW_CFG_NAME_MAX);
	if (fw->file_count == FW_CFG_FILES_MAX)
		return -ENOSPC;
	error = fw_cfg_add(fw, FW_CFG_FILE_FIRST + fw->file_count, bytes, size);
	if (error)
		return error;
	strcpy(fw->file_name[fw->file_count++], name);
	return update_directory(fw);
}

/* --- the device ------------------------------------------------------------ */

static void on_reset(void *device)
{
	struct fw_cfg *fw = device;

	LOCKED(&fw->lock);
	select_item(fw, FW_CFG_SIGNATURE);
	fw->dma_address_high = 0;
}

void fw_cfg_clear(struct fw_cfg *fw)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fw->item); i++)
		free(fw->item[i].bytes);
	for (unsigned i = 0; i < ARRAY_SIZE(fw->local); i++)
		free(fw->local[i].bytes);
	memset(fw->item, 0, sizeof(fw->item));
	memset(fw->local, 0, sizeof(fw->local));
	fw->file_count = 0;
}

static void on_destroy(void *device)
{
	fw_cfg_clear(device);
}

static const struct state_field fields[] = {
	STATE_FIELD(struct fw_cfg, key, STATE_UINT, 1),
	STATE_FIELD(struct fw_cfg, at, STATE_UINT, 1),
	STATE_FIELD(struct fw_cfg, dma_address_high, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "fw_cfg",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.destroy = on_destroy,
	.state = &state,
};

int fw_cfg_init(struct fw_cfg *fw, struct vm *vm)
{
	struct bus_region region = {
		.name = "fw_cfg",
		.device = fw,
		.lock = &fw->lock,
	};
	int error;

	memset(fw, 0, sizeof(*fw));
	pthread_mutex_init(&fw->lock, NULL);
	fw->dma.vm = vm;
	fw->dma.is_enabled = true;
	fw->device = (struct device){
		.name = "fw_cfg",
		.ops = &ops,
		.self = fw,
	};
	device_add(vm, &fw->device);
	fw->control = region;
	fw->control.base = PORT_CONTROL;
	fw->control.size = 2;
	fw->control.sizes = 1 | 2;
	fw->control.handler = on_control;
	fw->dma_region = region;
	fw->dma_region.base = PORT_DMA;
	fw->dma_region.size = 8;
	fw->dma_region.sizes = 1 | 2 | 4;
	fw->dma_region.handler = on_dma;
	error = bus_add(&vm->io, &fw->control);
	if (!error)
		error = bus_add(&vm->io, &fw->dma_region);
	if (!error)
		error = fw_cfg_add(fw, FW_CFG_SIGNATURE, "QEMU", 4);
	if (!error)
		error = fw_cfg_add_u32(fw, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
	return error ? error : update_directory(fw);
}
