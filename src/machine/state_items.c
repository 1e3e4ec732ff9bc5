/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_cfg's items in a state file. A section is a piece of one item, of up to a
 * MiB: key (2), zero (2), the item's size (4), where the piece begins (4), the
 * file's name (56, zeroes where it has none), then the bytes. All items are
 * there, in the order of their keys, so that the files' numbers stay as well.
 */
#include "machine/state_items.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "chip/fw_cfg.h"
#include "core/vm.h"

#define LAYOUT	   1
#define HEAD	   68
#define PIECE_MAX  (1u << 20)
#define KEYS_LOCAL 0x8000u

static struct fw_cfg *find_fw_cfg(struct vm *vm)
{
	struct device *device;

	list_for_each(device, &vm->devices, link)
		if (strcmp(device->name, "fw_cfg") == 0)
			return device->self;
	return NULL;
}

static const struct fw_cfg_item *item_of(const struct fw_cfg *fw, unsigned key)
{
	if (key >= KEYS_LOCAL)
		return &fw->local[key - KEYS_LOCAL];
	return &fw->item[key];
}

static bool has_kernel(const struct fw_cfg *fw)
{
	return fw->item[FW_CFG_KERNEL_DATA].size;
}

/* --- saving --------------------------------------------------------------- */

static void save_item(struct state_file_writer *file, const struct fw_cfg *fw,
		      unsigned key, uint8_t *buffer)
{
	const struct fw_cfg_item *item = item_of(fw, key);
	uint32_t at = 0;

	/* The directory is made from the others. */
	if (!item->bytes || key == FW_CFG_DIRECTORY)
		return;
	do {
		uint32_t size = MIN(item->size - at, PIECE_MAX);

		memset(buffer, 0, HEAD);
		store_u16(buffer, key);
		store_u32(buffer + 4, item->size);
		store_u32(buffer + 8, at);
		if (key >= FW_CFG_FILE_FIRST && key < FW_CFG_KEYS)
			memcpy(buffer + 12,
			       fw->file_name[key - FW_CFG_FILE_FIRST],
			       FW_CFG_NAME_MAX);
		memcpy(buffer + HEAD, item->bytes + at, size);
		state_file_add(file, STATE_ITEMS_SECTION, LAYOUT, buffer,
			       HEAD + size);
		at += size;
	} while (at < item->size);
}

void state_items_save(struct state_file_writer *file, struct vm *vm)
{
	cleanup_free uint8_t *buffer = NULL;
	struct fw_cfg *fw = find_fw_cfg(vm);

	if (!fw || !has_kernel(fw))
		return;
	buffer = malloc(HEAD + PIECE_MAX);
	if (!buffer) {
		file->error = file->error ? file->error : -ENOMEM;
		return;
	}
	LOCKED(&fw->lock);
	for (unsigned key = 0; key < FW_CFG_KEYS; key++)
		save_item(file, fw, key, buffer);
	for (unsigned i = 0; i < FW_CFG_LOCAL; i++)
		save_item(file, fw, KEYS_LOCAL + i, buffer);
}

/* --- loading -------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int
refuse(struct state_items *items, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(items->why, sizeof(items->why), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int begin(struct state_items *items, struct vm *vm)
{
	items->fw = find_fw_cfg(vm);
	if (!items->fw)
		return refuse(items, "of another machine: it has firmware");
	items->has_begun = true;
	items->is_named = has_kernel(items->fw);
	if (!items->is_named)
		fw_cfg_clear(items->fw);
	return 0;
}

static bool is_possible(unsigned key)
{
	if (key >= KEYS_LOCAL)
		return key - KEYS_LOCAL < FW_CFG_LOCAL;
	return key < FW_CFG_KEYS && key != FW_CFG_DIRECTORY;
}

/* What the user named must be what firmware was handed, byte by byte. */
static int check(struct state_items *items)
{
	static const struct {
		enum fw_cfg_key key;
		const char *name;
	} named[] = {
		{ FW_CFG_SETUP_DATA, "kernel" },
		{ FW_CFG_KERNEL_DATA, "kernel" },
		{ FW_CFG_INITRD_DATA, "initrd" },
		{ FW_CFG_CMDLINE_DATA, "command line" },
	};
	const struct fw_cfg_item *item = item_of(items->fw, items->key);

	for (unsigned i = 0; i < ARRAY_SIZE(named); i++)
		if (named[i].key == items->key &&
		    (item->size != items->size ||
		     memcmp(item->bytes, items->bytes, items->size)))
			return refuse(items,
				      "its firmware was handed another %s",
				      named[i].name);
	return 0;
}

static int end_item(struct state_items *items, const char *name)
{
	cleanup_free uint8_t *bytes = take_pointer(&items->bytes);

	if (!name[0] || items->key >= KEYS_LOCAL)
		return fw_cfg_add(items->fw, items->key, bytes, items->size);
	if (items->key != FW_CFG_FILE_FIRST + items->fw->file_count)
		return refuse(items, "fw_cfg: a file out of place");
	return fw_cfg_add_file(items->fw, name, bytes, items->size);
}

int state_items_load(struct state_items *items, struct vm *vm,
		     const struct state_section *section)
{
	char name[FW_CFG_NAME_MAX];
	uint32_t size, at, left;
	unsigned key;
	int error = 0;

	if (section->version != LAYOUT || section->size < HEAD)
		return refuse(items, "fw_cfg: a layout that is not known");
	if (!items->has_begun)
		error = begin(items, vm);
	if (error)
		return error;
	key = load_u16(section->bytes);
	size = load_u32(section->bytes + 4);
	at = load_u32(section->bytes + 8);
	left = (uint32_t)section->size - HEAD;
	memcpy(name, section->bytes + 12, sizeof(name));
	if (!is_possible(key) || load_u16(section->bytes + 2) ||
	    name[sizeof(name) - 1] ||
	    (name[0] != 0) != (key >= FW_CFG_FILE_FIRST && key < KEYS_LOCAL))
		return refuse(items, "fw_cfg: an item that there is not");
	if (!at && !items->bytes) {
		items->key = key;
		items->size = size;
		items->at = 0;
		items->bytes = malloc(size ? size : 1);
		if (!items->bytes)
			return -ENOMEM;
	}
	if (!items->bytes || items->key != key || items->size != size ||
	    items->at != at || left > size - at || (!left && size))
		return refuse(items, "fw_cfg: a piece out of place");
	memcpy(items->bytes + at, section->bytes + HEAD, left);
	items->at += left;
	if (items->at < items->size)
		return 0;
	if (!items->is_named)
		return end_item(items, name);
	error = check(items);
	free(take_pointer(&items->bytes));
	return error;
}

int state_items_finish(struct state_items *items)
{
	return items->bytes ? refuse(items, "fw_cfg: an item is cut off") : 0;
}

void state_items_fini(struct state_items *items)
{
	free(items->bytes);
	items->bytes = NULL;
}
