/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The flash chip's command machine. Intel's StrataFlash data sheets (28FxxxJ3,
 * order 316577, and P30, 306666) for the commands; the query table is CFI's
 * with Intel's extension. Everything is done when the write that asked for it
 * has completed: nobody ever sees the chip busy, and there is nothing to
 * suspend.
 *
 * Reads of the array are a memory slot whose writes exit. With the first
 * command the slot goes, and every access comes here until the array is read
 * again.
 */
#include "chip/pflash.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/state.h"
#include "core/vm.h"

enum pflash_mode { MODE_ARRAY, MODE_STATUS, MODE_IDENTIFIER, MODE_QUERY };

enum pflash_pending {
	PENDING_COMMAND,
	PENDING_PROGRAM, /* the byte */
	PENDING_ERASE, /* the confirmation */
	PENDING_LOCK, /* which change of the block's lock */
	PENDING_COUNT, /* of bytes in the buffer, less one */
	PENDING_DATA,
	PENDING_CONFIRM, /* of the buffered program */
};

#define STATUS_READY	     BIT(7)
#define STATUS_ERASE_ERROR   BIT(5)
#define STATUS_PROGRAM_ERROR BIT(4)
#define STATUS_LOCKED	     BIT(1)
#define STATUS_SEQUENCE	     (STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR)

#define COMMAND_CONFIRM	     0xd0
#define LOCK_SET	     0x01
#define LOCK_DOWN	     0x2f
#define LOCK_CLEAR	     0xd0

#define MAKER_INTEL	     0x89
#define DEVICE_ID	     0x18

static uint8_t *array(const struct pflash *flash)
{
	return flash->vm->memory.host + flash->config.offset;
}

static bool is_locked(const struct pflash *flash, uint32_t offset)
{
	uint32_t block = offset / PFLASH_BLOCK;

	return flash->locked[block / 8] & BIT(block % 8);
}

/* --- reads ----------------------------------------------------------------- */

/* JESD68.01, and from 31h Intel's extension, version 1.1. */
static uint8_t query(const struct pflash *flash, uint32_t offset)
{
	static const uint8_t table[] = {
		[0x10] = 'Q',
		'R',
		'Y',
		0x01,
		0x00,
		0x31,
		0x00,
		/* VCC 2.7 to 3.6 V; 2^7 us a byte and a buffer, 2^10 ms a
		 * block, at most 2^4 times as long */
		[0x1b] = 0x27,
		0x36,
		0x00,
		0x00,
		0x07,
		0x07,
		0x0a,
		0x00,
		[0x23] = 0x04,
		0x04,
		0x04,
		0x00,
		/* 28h: x8 only; 2Ah: 2^5 bytes of buffer; one region */
		[0x28] = 0x00,
		0x00,
		0x05,
		0x00,
		0x01,
		/* instant locking of single blocks; a lock bit each */
		[0x31] = 'P',
		'R',
		'I',
		'1',
		'1',
		0x20,
		0x00,
		0x00,
		0x00,
		[0x3a] = 0x00,
		0x01,
		0x00,
		0x33,
		0x00,
		0x00,
	};
	uint32_t blocks = flash->config.size / PFLASH_BLOCK;

	switch (offset) {
	case 0x27: /* size, 2^n; a size between two is the next */
		return 64 - __builtin_clzll(flash->config.size - 1);
	case 0x2d:
		return blocks - 1;
	case 0x2e:
		return (blocks - 1) >> 8;
	case 0x2f:
		return (PFLASH_BLOCK >> 8) & 0xff;
	case 0x30:
		return PFLASH_BLOCK >> 16;
	default:
		return offset < sizeof(table) ? table[offset] : 0;
	}
}

static uint8_t identifier(const struct pflash *flash, uint32_t offset)
{
	switch (offset % PFLASH_BLOCK) {
	case 0:
		return MAKER_INTEL;
	case 1:
		return DEVICE_ID;
	case 2:
		return is_locked(flash, offset);
	default:
		return 0;
	}
}

static uint8_t read_byte(const struct pflash *flash, uint32_t offset)
{
	switch (flash->mode) {
	case MODE_STATUS:
		return flash->status;
	case MODE_IDENTIFIER:
		return identifier(flash, offset);
	case MODE_QUERY:
		return query(flash, offset);
	default:
		return array(flash)[offset];
	}
}

/* --- what changes the array ------------------------------------------------ */

/* Bytes of one block become these, if they may and somebody can keep them. */
static void change(struct pflash *flash, uint32_t offset, const uint8_t *bytes,
		   uint32_t size, uint8_t error_bit)
{
	const struct pflash_config *config = &flash->config;

	flash->status |= STATUS_READY;
	if (config->is_readonly || is_locked(flash, offset)) {
		flash->status |= error_bit | STATUS_LOCKED;
		return;
	}
	if (memcmp(array(flash) + offset, bytes, size) == 0)
		return;
	if (config->write &&
	    config->write(config->argument, offset, bytes, size)) {
		flash->status |= error_bit;
		return;
	}
	memcpy(array(flash) + offset, bytes, size);
	/* Its alias below 1 MiB is code's to run, whatever the mode. */
	memory_written(&flash->vm->memory, config->offset + offset, size);
}

/* Programming clears bits, and only erasing sets them. */
static void program(struct pflash *flash, uint32_t offset, uint8_t byte)
{
	byte &= array(flash)[offset];
	change(flash, offset, &byte, 1, STATUS_PROGRAM_ERROR);
}

static void erase(struct pflash *flash, uint32_t offset)
{
	uint8_t blank[PFLASH_BLOCK];

	memset(blank, 0xff, sizeof(blank));
	change(flash, offset - offset % PFLASH_BLOCK, blank, sizeof(blank),
	       STATUS_ERASE_ERROR);
}

static void program_buffer(struct pflash *flash)
{
	uint8_t bytes[PFLASH_BUFFER];
	uint32_t start = flash->buffer_start;

	memcpy(bytes, array(flash) + start, sizeof(bytes));
	for (unsigned i = 0; i < PFLASH_BUFFER; i++)
		if (flash->buffer_mask & BIT(i))
			bytes[i] &= flash->buffer[i];
	change(flash, start, bytes, sizeof(bytes), STATUS_PROGRAM_ERROR);
}

static void change_lock(struct pflash *flash, uint32_t offset, uint8_t how)
{
	uint32_t block = offset / PFLASH_BLOCK;

	flash->status |= STATUS_READY;
	if (how == LOCK_SET || how == LOCK_DOWN)
		flash->locked[block / 8] |= BIT(block % 8);
	else if (how == LOCK_CLEAR)
		flash->locked[block / 8] &= ~BIT(block % 8);
	else
		flash->status |= STATUS_SEQUENCE;
}

/* --- commands -------------------------------------------------------------- */

/*
 * Clearing the status leaves not even "ready", and any operation puts that
 * back: by this zero OVMF tells a flash chip from RAM and ROM, as the chip that
 * it knows has it (QEMU's pflash_cfi01).
 */
static void begin(struct pflash *flash, uint32_t offset, uint8_t command)
{
	static const struct {
		uint8_t command, mode, pending;
	} commands[] = {
		{ 0x10, MODE_STATUS, PENDING_PROGRAM },
		{ 0x40, MODE_STATUS, PENDING_PROGRAM },
		{ 0x20, MODE_STATUS, PENDING_ERASE },
		{ 0x60, MODE_STATUS, PENDING_LOCK },
		{ 0xe8, MODE_STATUS, PENDING_COUNT },
		{ 0x70, MODE_STATUS, PENDING_COMMAND },
		{ 0xb0, MODE_STATUS, PENDING_COMMAND }, /* suspend: no effect */
		{ 0x90, MODE_IDENTIFIER, PENDING_COMMAND },
		{ 0x98, MODE_QUERY, PENDING_COMMAND },
		{ 0xff, MODE_ARRAY, PENDING_COMMAND },
		/* AMD's reset, from who does not know yet what is here. */
		{ 0xf0, MODE_ARRAY, PENDING_COMMAND },
	};

	if (command == 0x50)
		flash->status = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].command != command)
			continue;
		flash->mode = commands[i].mode;
		flash->pending = commands[i].pending;
	}
	/* The buffer is free at once: extended status, read as the status. */
	if (command == 0xe8)
		flash->status |= STATUS_READY;
}

static void fail_sequence(struct pflash *flash)
{
	flash->status |= STATUS_READY | STATUS_SEQUENCE;
	flash->pending = PENDING_COMMAND;
}

static void begin_buffer(struct pflash *flash, uint32_t offset, uint8_t count)
{
	if (count >= PFLASH_BUFFER) {
		fail_sequence(flash);
		return;
	}
	flash->buffer_start = offset - offset % PFLASH_BUFFER;
	flash->buffer_count = flash->buffer_left = count + 1u;
	flash->buffer_mask = 0;
	flash->pending = PENDING_DATA;
}

static void fill_buffer(struct pflash *flash, uint32_t offset, uint8_t byte)
{
	/* The first byte says where, the others stay inside. */
	if (flash->buffer_left == flash->buffer_count)
		flash->buffer_start = offset - offset % PFLASH_BUFFER;
	if (offset - flash->buffer_start >= PFLASH_BUFFER) {
		fail_sequence(flash);
		return;
	}
	flash->buffer[offset - flash->buffer_start] = byte;
	flash->buffer_mask |= BIT(offset - flash->buffer_start);
	if (--flash->buffer_left == 0)
		flash->pending = PENDING_CONFIRM;
}

static void write_byte(struct pflash *flash, uint32_t offset, uint8_t byte)
{
	uint8_t pending = flash->pending;

	if (pending == PENDING_COUNT) {
		begin_buffer(flash, offset, byte);
		return;
	}
	if (pending == PENDING_DATA) {
		fill_buffer(flash, offset, byte);
		return;
	}
	flash->pending = PENDING_COMMAND;
	if (pending == PENDING_COMMAND)
		begin(flash, offset, byte);
	else if (pending == PENDING_PROGRAM)
		program(flash, offset, byte);
	else if (pending == PENDING_LOCK)
		change_lock(flash, offset, byte);
	else if (byte != COMMAND_CONFIRM)
		fail_sequence(flash);
	else if (pending == PENDING_ERASE)
		erase(flash, offset);
	else
		program_buffer(flash);
}

/* The slot is there while reads give the array. */
static void update_slot(struct pflash *flash)
{
	struct memory *memory = &flash->vm->memory;
	const struct pflash_config *config = &flash->config;

	if (flash->mode == MODE_ARRAY && flash->slot < 0) {
		flash->slot = memory_add(memory, config->base, config->size,
					 config->offset, MEMORY_ROMD);
	} else if (flash->mode != MODE_ARRAY && flash->slot >= 0) {
		memory_remove(memory, flash->slot);
		flash->slot = -1;
	}
}

static enum bus_result on_access(void *device, struct access *access)
{
	struct pflash *flash = device;

	if (access->is_write) {
		write_byte(flash, access->offset, access->value);
		update_slot(flash);
	} else {
		access->value = read_byte(flash, access->offset);
	}
	return BUS_HANDLED;
}

/* --- the device ------------------------------------------------------------ */

static void on_reset(void *device)
{
	struct pflash *flash = device;

	LOCKED(&flash->lock);
	flash->mode = MODE_ARRAY;
	flash->pending = PENDING_COMMAND;
	flash->status = STATUS_READY;
	memset(flash->locked, 0, sizeof(flash->locked));
	update_slot(flash);
}

static int on_restored(void *device)
{
	struct pflash *flash = device;

	if (flash->mode > MODE_QUERY || flash->pending > PENDING_CONFIRM ||
	    flash->buffer_count > PFLASH_BUFFER ||
	    flash->buffer_left > flash->buffer_count ||
	    (flash->pending == PENDING_DATA && !flash->buffer_left) ||
	    flash->buffer_start % PFLASH_BUFFER ||
	    !range_inside(flash->buffer_start, PFLASH_BUFFER,
			  flash->config.size))
		return -EINVAL;
	update_slot(flash);
	return 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct pflash, mode, STATE_UINT, 1),
	STATE_FIELD(struct pflash, pending, STATE_UINT, 1),
	STATE_FIELD(struct pflash, status, STATE_UINT, 1),
	STATE_FIELD(struct pflash, locked, STATE_BYTES, 1),
	STATE_FIELD(struct pflash, buffer_start, STATE_UINT, 1),
	STATE_FIELD(struct pflash, buffer_count, STATE_UINT, 1),
	STATE_FIELD(struct pflash, buffer_left, STATE_UINT, 1),
	STATE_FIELD(struct pflash, buffer, STATE_BYTES, 1),
	STATE_FIELD(struct pflash, buffer_mask, STATE_UINT, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "pflash",
	.version = 1,
	.field = fields,
	.restored = on_restored,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int pflash_init(struct pflash *flash, struct vm *vm,
		const struct pflash_config *config)
{
	BUG_ON(!config->size || config->size % PFLASH_BLOCK ||
	       config->size > PFLASH_SIZE_MAX);
	memset(flash, 0, sizeof(*flash));
	pthread_mutex_init(&flash->lock, NULL);
	flash->vm = vm;
	flash->config = *config;
	flash->status = STATUS_READY;
	flash->slot = -1;
	flash->device = (struct device){
		.name = config->name,
		.ops = &ops,
		.self = flash,
	};
	device_add(vm, &flash->device);
	update_slot(flash);
	if (flash->slot < 0)
		return flash->slot;
	flash->region = (struct bus_region){
		.name = config->name,
		.base = config->base,
		.size = config->size,
		.sizes = 1,
		.handler = on_access,
		.device = flash,
		.lock = &flash->lock,
	};
	return bus_add(&vm->mmio, &flash->region);
}
