/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VT-d unit against a guest that writes anything to its registers and its
 * tables, and devices that use them. Eight bytes of input are one step. Nothing
 * may crash, hang or overrun, and no device may reach what is no RAM.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "chip/vtd.h"
#include "core/dma.h"
#include "core/vm.h"

#define RAM 0x40000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void deliver(struct vm *vm, const struct msi *msi)
{
	BUG_ON((msi->address & ~0xfffffull) != MSI_ADDRESS_BASE);
}

static const struct engine_ops engine = { .name = "none" };
static const struct apic_ops apic = { .deliver = deliver };

struct board {
	struct vm vm;
	struct vtd vtd;
	struct dma dma;
};

static void access_register(struct board *board, uint16_t offset, uint8_t size,
			    bool is_write, uint64_t value)
{
	struct access access = { .value = value,
				 .size = size,
				 .is_write = is_write };
	unsigned source;

	bus_access(&board->vm.mmio, VTD_BASE + (offset & 0x2ff), &access,
		   &source);
}

/* Values that lead somewhere: addresses in RAM with flags, and bits alone. */
static uint64_t make_value(const uint8_t *step)
{
	uint64_t low = load_u16(step + 4), high = load_u16(step + 6);

	if (step[1] & 0x80)
		return low << 48 | high << 16 | low;
	return (high * 0x1000 % (2 * RAM)) | (low & 0xfff);
}

static void do_step(struct board *board, const uint8_t *step)
{
	static const uint16_t offsets[] = {
		0x18, 0x20, 0x24,  0x28,  0x2c,	 0x34,	0x38,  0x3c,
		0x40, 0x80, 0x88,  0x90,  0x9c,	 0xa0,	0xa4,  0xa8,
		0xb8, 0xbc, 0x100, 0x108, 0x10c, 0x220, 0x228, 0x22c,
	};
	uint64_t value = make_value(step);
	uint8_t bytes[0x1800] = { 0 };
	struct msi msi = { .requester = load_u16(step + 2),
			   .address = MSI_ADDRESS_BASE | (value & 0xffffc),
			   .data = load_u16(step + 6) };

	switch (step[0] % 8) {
	case 0:
		access_register(board, offsets[step[1] % ARRAY_SIZE(offsets)],
				step[2] & 1 ? 8 : 4, true, value);
		break;
	case 1: /* switches on */
		access_register(board, 0x18, 4, true,
				load_u32(step + 4) | (step[1] & 1u) << 31);
		break;
	case 2:
		access_register(board, load_u16(step + 2), step[1] & 1 ? 8 : 4,
				step[1] & 2, value);
		break;
	case 3:
	case 4:
	case 5: /* a table's entry */
		store_u64(board->vm.memory.host +
				  (load_u16(step + 2) * 8u) % RAM,
			  value);
		break;
	case 6:
		board->dma.requester = step[1] & 3;
		if (step[1] & 4)
			dma_write(&board->dma, value, bytes,
				  step[2] * 0x10 + 1);
		else
			dma_read(&board->dma, value, bytes, step[2] * 0x10 + 1);
		break;
	default:
		msi_send(&board->vm, &msi);
		break;
	}
}

static struct board *board_create(void)
{
	struct board *board = calloc(1, sizeof(*board));

	BUG_ON(!board);
	log_set_level(LOG_ERROR);
	BUG_ON(vm_init(&board->vm, "fuzz", &engine));
	board->vm.apic_ops = &apic;
	BUG_ON(memory_init(&board->vm.memory, &board->vm, RAM, 0));
	BUG_ON(vtd_init(&board->vtd, &board->vm));
	board->dma = (struct dma){ .vm = &board->vm, .is_enabled = true };
	vtd_attach(&board->vtd, &board->dma);
	return board;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* One for all: a VM measures its clock. */
	static struct board *board;

	if (!board)
		board = board_create();
	memset(board->vm.memory.host, 0, RAM);
	devices_reset(&board->vm);
	for (size_t at = 0; at + 8 <= size; at += 8)
		do_step(board, data + at);
	return 0;
}
