/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens the flash chips' files, and moves what they hold to guest memory. */

#include "machine/flash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "chip/pflash.h"
#include "core/memory.h"

/* True, and the suffix cut off, where the text ends in ",readonly". */
static bool take_readonly(char *text)
{
	static const char *const suffix[] = { ",readonly", ",readonly=on",
					      ",ro" };

	for (unsigned i = 0; i < ARRAY_SIZE(suffix); i++) {
		size_t size = strlen(text), length = strlen(suffix[i]);

		if (size <= length ||
		    strcmp(text + size - length, suffix[i]) != 0)
			continue;
		text[size - length] = 0;
		return true;
	}
	return false;
}

static int open_one(struct flash_set *set, const char *text, uint64_t room)
{
	struct flash_file *file = &set->file[set->count];
	char *path = strdup(text);
	int error;

	if (!path)
		return -ENOMEM;
	set->path[set->count] = path;
	file->fd = -1;
	set->count++;
	error = flash_file_open(file, path, take_readonly(path));
	if (error)
		return error;
	if (!file->size || !is_aligned(file->size, PFLASH_BLOCK)) {
		log_error("pflash %s: %llu bytes long; a chip has a multiple "
			  "of 4 KiB",
			  path, (unsigned long long)file->size);
		return -EINVAL;
	}
	if (file->size > room) {
		log_error("pflash %s: %llu KiB; all chips and the ROM have 16 "
			  "MiB together",
			  path, (unsigned long long)file->size >> 10);
		return -EINVAL;
	}
	return 0;
}

int flash_set_open(struct flash_set *set, const char *const *text,
		   unsigned count, uint64_t rom_size)
{
	if (count > PC_FLASH_MAX) {
		log_error("pflash: %u chips; a machine has at most %d", count,
			  PC_FLASH_MAX);
		return -EINVAL;
	}
	for (unsigned i = 0; i < count; i++) {
		uint64_t taken = rom_size + flash_set_size(set);
		int error = open_one(set, text[i], PFLASH_SIZE_MAX - taken);

		if (error)
			return error;
	}
	return 0;
}

void flash_set_empty(struct flash_set *set, const uint64_t size[PC_FLASH_MAX],
		     const bool is_readonly[PC_FLASH_MAX])
{
	for (unsigned i = 0; i < PC_FLASH_MAX && size[i]; i++)
		set->file[set->count++] = (struct flash_file){
			.fd = -1,
			.size = size[i],
			.is_readonly = is_readonly[i],
		};
}

void flash_set_describe(struct flash_set *set, struct pc_host *host)
{
	for (unsigned i = 0; i < set->count; i++)
		host->flash[i] = (struct pc_flash){
			.size = set->file[i].size,
			.is_readonly = set->file[i].is_readonly,
			.write = flash_file_write,
			.argument = &set->file[i],
		};
}

uint64_t flash_set_size(const struct flash_set *set)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < set->count; i++)
		size += set->file[i].size;
	return size;
}

int flash_set_load(const struct flash_set *set, struct memory *memory,
		   uint64_t offset)
{
	for (unsigned i = 0; i < set->count; i++) {
		int error =
			flash_file_read(&set->file[i], memory->host + offset);

		if (error)
			return error;
		memory_mark_dirty(memory, offset, set->file[i].size);
		offset += set->file[i].size;
	}
	return 0;
}

int flash_set_check(const struct flash_set *set, const struct memory *memory,
		    uint64_t offset)
{
	for (unsigned i = 0; i < set->count; i++) {
		const struct flash_file *file = &set->file[i];
		cleanup_free uint8_t *bytes = NULL;
		int error;

		if (file->fd < 0)
			return 0; /* nor has any other chip a file */
		bytes = malloc(file->size);
		error = bytes ? flash_file_read(file, bytes) : -ENOMEM;
		if (error)
			return error;
		if (memcmp(bytes, memory->host + offset, file->size) != 0) {
			log_error("pflash %s: not what the chip held when the "
				  "machine was saved",
				  file->path);
			return -EINVAL;
		}
		offset += file->size;
	}
	return 0;
}

void flash_set_close(struct flash_set *set)
{
	for (unsigned i = 0; i < set->count; i++) {
		flash_file_close(&set->file[i]);
		free(set->path[i]);
	}
	*set = (struct flash_set){ .count = 0 };
}
