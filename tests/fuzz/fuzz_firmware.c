/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What firmware works with, against firmware that does anything: fw_cfg and its
 * DMA, flash chips, PAM and SMRAM over RAM and ROM, the test devices, PCI
 * interrupts to the i8259s. Eight bytes of input are one step, an access as a
 * vCPU makes it: to a memory slot, or where there is none to a bus. What a
 * flash chip shows must always be what its file holds, and the ROM what it was.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "chip/fw_cfg.h"
#include "chip/i8259.h"
#include "chip/ich9_lpc.h"
#include "chip/pam.h"
#include "chip/pci_testdev.h"
#include "chip/pflash.h"
#include "chip/q35.h"
#include "chip/testdev.h"
#include "core/state.h"
#include "core/vm.h"
#include "pci/pci.h"

#define RAM	   (2u << 20)
#define ROM_SIZE   0x20000u
#define FLASH_SIZE 0x4000u
#define FLASHES	   2
#define ROM_BASE   (MEMORY_HOLE_END - ROM_SIZE)
#define FLASH_BASE (ROM_BASE - FLASHES * FLASH_SIZE)
#define TEST	   PCI_DEVFN(1, 0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct board {
	struct vm vm;
	struct pam pam;
	struct pflash flash[FLASHES];
	uint8_t kept[FLASHES][FLASH_SIZE];
	struct i8259 pic;
	struct pci_bus pci;
	struct q35 q35;
	struct ich9_lpc lpc;
	struct fw_cfg fw_cfg;
	struct testdev testdev;
	struct pci_testdev pci_testdev;
	bool is_disk_full;
};

static const struct engine_ops engine = { .name = "none" };

static struct board *the_board(void *argument)
{
	return argument;
}

static int keep(struct board *board, unsigned which, uint64_t offset,
		const uint8_t *bytes, size_t size)
{
	BUG_ON(offset > FLASH_SIZE || size > FLASH_SIZE - offset);
	if (board->is_disk_full)
		return -ENOSPC;
	memcpy(board->kept[which] + offset, bytes, size);
	return 0;
}

static int keep0(void *board, uint64_t offset, const uint8_t *bytes,
		 size_t size)
{
	return keep(board, 0, offset, bytes, size);
}

static int keep1(void *board, uint64_t offset, const uint8_t *bytes,
		 size_t size)
{
	return keep(board, 1, offset, bytes, size);
}

static void no_exit(void *argument, int status)
{
}

static void set_pirq(void *argument, unsigned pirq, bool level)
{
	ich9_lpc_set_pirq(&the_board(argument)->lpc, pirq, level);
}

static int create_flash(struct board *board)
{
	int error = 0;

	for (unsigned i = 0; i < FLASHES && !error; i++) {
		const struct pflash_config config = {
			.name = i ? "pflash1" : "pflash0",
			.base = FLASH_BASE + i * FLASH_SIZE,
			.size = FLASH_SIZE,
			.offset = RAM + ROM_SIZE + i * FLASH_SIZE,
			.write = i ? keep1 : keep0,
			.argument = board,
		};

		error = pflash_init(&board->flash[i], &board->vm, &config);
	}
	return error;
}

static int create_pci(struct board *board)
{
	const struct irq_line none = { .set = NULL };
	struct irq_line intx[PCI_INTX_LINES];
	int error;

	for (unsigned i = 0; i < PCI_INTX_LINES; i++)
		intx[i] = (struct irq_line){ set_pirq, board, i };
	error = i8259_init(&board->pic, &board->vm, &none);
	error = error ? error : pci_bus_init(&board->pci, &board->vm, intx);
	error = error ? error :
			q35_init(&board->q35, &board->pci, &board->pam, true);
	error = error ? error :
			ich9_lpc_init(&board->lpc, &board->pci, &board->pic);
	return error ? error :
		       pci_testdev_init(&board->pci_testdev, &board->pci, TEST);
}

static int create_fw_cfg(struct board *board)
{
	struct fw_cfg *fw = &board->fw_cfg;
	uint8_t bytes[300];
	int error = fw_cfg_init(fw, &board->vm);

	memset(bytes, 0x5a, sizeof(bytes));
	error = error ? error : fw_cfg_add_u16(fw, FW_CFG_CPUS, 2);
	error = error ? error : fw_cfg_add_u32(fw, FW_CFG_IRQ0_OVERRIDE, 1);
	for (unsigned i = 0; i < FW_CFG_FILES_MAX && !error; i++)
		error = fw_cfg_add_file(fw, i ? "etc/some" : "etc/first", bytes,
					i * 9);
	return error;
}

static int create(struct board *board)
{
	const struct testdev_config testdev = { .exit = no_exit };
	struct memory *memory = &board->vm.memory;
	int error = vm_init(&board->vm, "fuzz", &engine);

	error = error ? error :
			memory_init(memory, &board->vm, RAM,
				    ROM_SIZE + FLASHES * FLASH_SIZE);
	if (!error &&
	    memory_add(memory, ROM_BASE, ROM_SIZE, RAM, MEMORY_ROM) < 0)
		error = -EINVAL;
	error = error ? error :
			pam_init(&board->pam, &board->vm, RAM, ROM_SIZE);
	error = error ? error : create_flash(board);
	error = error ? error : create_pci(board);
	error = error ? error : create_fw_cfg(board);
	return error ? error :
		       testdev_init(&board->testdev, &board->vm, &testdev);
}

/* --- steps ----------------------------------------------------------------- */

struct step {
	uint8_t op, where, offset, shape;
	uint32_t value;
};

static const uint16_t ports[] = {
	0x510, 0x511, 0x514, 0x518, 0x20,   0x21,   0xa0,
	0xa1,  0x4d0, 0x4d1, 0xe0,  0xe4,   0xe8,   0xf4,
	0xcf8, 0xcfc, 0xcfd, 0xcfe, 0x2000, 0x2010, 0xc000,
};

/* Config space of what is there, by the address register's value. */
static const uint32_t config[] = {
	0x80000060, 0x80000090, 0x80000094, 0x8000009c, 0x8000f860, 0x8000f868,
	0x80000804, 0x80000810, 0x80000814, 0x80000830, 0x8000083c,
};

static const uint64_t places[] = {
	0x1000,
	0x2000,
	0x9fffc,
	0xa0000,
	0xbfffc,
	0xc0000,
	0xcbffe,
	0xe0000,
	0xefffc,
	0xf0000,
	0xffffe,
	0x100000,
	RAM - 4,
	RAM,
	ROM_BASE,
	ROM_BASE - 2,
	FLASH_BASE,
	FLASH_BASE,
	FLASH_BASE + 16,
	FLASH_BASE + 0x1000,
	FLASH_BASE + FLASH_SIZE,
	FLASH_BASE + FLASH_SIZE + 0x2ffe,
	TESTDEV_IOMEM,
	TESTDEV_IOMEM + 0xfffe,
	0xc0000000,
	0xb0000060,
	0xfffffffc,
};

static const uint8_t commands[] = { 0x10, 0x20, 0x40, 0x50, 0x60, 0x70,
				    0x90, 0x98, 0xe8, 0xd0, 0xff, 0x01 };

static void do_bus(struct bus *bus, uint64_t address, const struct step *step,
		   unsigned size)
{
	struct access access = {
		.size = size,
		.is_write = step->shape & 4,
		.value = step->value | (uint64_t)step->value << 32,
	};
	unsigned source;

	bus_access(bus, address, &access, &source);
}

/* A vCPU's access: RAM and ROM by their slot, the rest exits. */
static void do_memory(struct board *board, uint64_t gpa,
		      const struct step *step, unsigned size)
{
	struct memory *memory = &board->vm.memory;
	struct memory_slot slot;
	uint8_t bytes[8] = { 0 };

	store_u32(bytes, step->value);
	if (!memory_find(memory, gpa, &slot)) {
		do_bus(&board->vm.mmio, gpa, step, size);
	} else if (!(step->shape & 4)) {
		/* Across an end there is more than one access. */
		(void)memory_read(memory, gpa, bytes, size);
	} else if (slot.kind == MEMORY_ROMD) {
		do_bus(&board->vm.mmio, gpa, step, size);
	} else {
		(void)memory_write(memory, gpa, bytes, size);
	}
}

/* A descriptor in RAM, and the write that starts it. */
static void do_dma(struct board *board, const struct step *step)
{
	uint64_t to = places[step->where % ARRAY_SIZE(places)] + step->offset;
	uint32_t words[4] = {
		__builtin_bswap32((step->value & 0xffff) << 16 |
				  (step->shape & 0x1e)),
		__builtin_bswap32(step->value >> 16 |
				  (step->shape & 0x80 ? 0xf0000000 : 0)),
		0,
		__builtin_bswap32(to),
	};
	struct step start = { .shape = 4, .value = __builtin_bswap32(0x1000) };

	(void)memory_write(&board->vm.memory, 0x1000, words, sizeof(words));
	do_bus(&board->vm.io, 0x518, &start, 4);
}

static void do_flash(struct board *board, const struct step *step)
{
	uint64_t at = FLASH_BASE + (step->where & 1) * FLASH_SIZE +
		      (step->value & (FLASH_SIZE - 1));
	struct step write = {
		.shape = 4,
		.value = commands[step->offset % ARRAY_SIZE(commands)],
	};

	do_memory(board, at, &write, 1);
	write.value = step->value >> 16;
	for (unsigned i = 0; i < (step->shape & 7); i++)
		do_memory(board, at + i, &write, 1);
}

/* Out and in again: what was saved fits. */
static void do_state(struct board *board, const struct step *step)
{
	const struct {
		const struct state_table *table;
		void *instance;
	} devices[] = {
		{ board->flash[0].device.ops->state, &board->flash[0] },
		{ board->fw_cfg.device.ops->state, &board->fw_cfg },
		{ board->testdev.device.ops->state, &board->testdev },
		{ board->pci_testdev.device.ops->state, &board->pci_testdev },
		{ board->lpc.device.ops->state, &board->lpc },
		{ board->q35.device.ops->state, &board->q35 },
		{ board->pic.device.ops->state, &board->pic },
	};
	unsigned i = step->where % ARRAY_SIZE(devices);
	const struct state_table *table = devices[i].table;
	struct state_writer writer = { 0 };
	struct state_reader reader;

	state_write(&writer, table, devices[i].instance);
	reader = (struct state_reader){ .bytes = writer.bytes,
					.size = writer.size };
	state_read(&reader, table, table->version, devices[i].instance);
	BUG_ON(reader.has_failed);
	free(writer.bytes);
}

static void do_step(struct board *board, const struct step *step)
{
	unsigned size = 1u << (step->shape & 3);
	uint64_t place = places[step->where % ARRAY_SIZE(places)];

	switch (step->op & 7) {
	case 0:
		do_bus(&board->vm.io,
		       ports[step->where % ARRAY_SIZE(ports)] +
			       (step->offset & 3),
		       step, MIN(size, 4));
		break;
	case 1: {
		struct step address = { .shape = 4 };

		address.value = config[step->where % ARRAY_SIZE(config)];
		do_bus(&board->vm.io, 0xcf8, &address, 4);
		do_bus(&board->vm.io, 0xcfc + (step->offset & 3), step, 1);
		break;
	}
	case 2:
	case 3:
		do_memory(board, place + step->offset, step, size);
		break;
	case 4:
		do_dma(board, step);
		break;
	case 5:
		do_flash(board, step);
		break;
	case 6:
		pci_intx_set(&board->pci_testdev.pci, step->offset & 1);
		ich9_lpc_set_pirq(&board->lpc, step->where & 7,
				  step->shape & 4);
		board->is_disk_full = step->offset & 2;
		break;
	default:
		if (step->shape & 1)
			do_state(board, step);
		else
			devices_reset(&board->vm);
		break;
	}
}

static void check(const struct board *board)
{
	const uint8_t *rom = board->vm.memory.host + RAM;

	for (unsigned i = 0; i < ROM_SIZE; i++)
		BUG_ON(rom[i] != 0x99);
	BUG_ON(memcmp(rom + ROM_SIZE, board->kept, sizeof(board->kept)) != 0);
}

static void begin(struct board *board)
{
	uint8_t *rom = board->vm.memory.host + RAM;

	devices_reset(&board->vm);
	memset(rom, 0x99, ROM_SIZE);
	memset(rom + ROM_SIZE, 0xff, sizeof(board->kept));
	memset(board->kept, 0xff, sizeof(board->kept));
	board->is_disk_full = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct board *board;

	if (!board) {
		board = calloc(1, sizeof(*board));
		log_set_level(LOG_ERROR);
		BUG_ON(!board || create(board));
	}
	begin(board);
	for (; size >= 8; data += 8, size -= 8) {
		const struct step step = { data[0], data[1], data[2], data[3],
					   load_u32(data + 4) };

		do_step(board, &step);
	}
	check(board);
	return 0;
}
