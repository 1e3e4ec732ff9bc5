/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VT-d unit: what a device reaches through tables built by hand, which
 * messages arrive and as what, faults with their reasons, the queue.
 */
#include "board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "chip/vtd.h"
#include "core/dma.h"
#include "core/state.h"

#define RAM    (4u << 20)
#define DEVFN  0x10u
#define ROOT   0x10000u
#define CTX    0x11000u
#define LEVEL3 0x12000u
#define LEVEL2 0x13000u
#define LEVEL1 0x14000u
#define IRT    0x15000u
#define QUEUE  0x16000u
#define STATUS 0x17000u

#define TE     BIT(31)
#define SRTP   BIT(30)
#define QIE    BIT(26)
#define IRE    BIT(25)
#define SIRTP  BIT(24)
#define CFI    BIT(23)

struct fixture {
	struct board *board;
	struct vtd vtd;
	struct dma dma;
	uint8_t *ram;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->board = board_create();
	assert_int_equal(
		memory_init(&f->board->vm.memory, &f->board->vm, RAM, 0), 0);
	f->ram = f->board->vm.memory.host;
	assert_int_equal(vtd_init(&f->vtd, &f->board->vm), 0);
	f->dma = (struct dma){ .vm = &f->board->vm,
			       .requester = DEVFN,
			       .is_enabled = true };
	vtd_attach(&f->vtd, &f->dma);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	board_destroy(f->board);
	free(f);
	return 0;
}

static void put(struct fixture *f, unsigned offset, uint32_t value)
{
	board_write(f->board, VTD_BASE + offset, 4, value);
}

static uint32_t get(struct fixture *f, unsigned offset)
{
	return (uint32_t)board_read(f->board, VTD_BASE + offset, 4);
}

/* Device 02.0's 39 bits: 0 is page 0x1000, read and write; 1000h is page
 * 0x2000, to be read; 200000h is 2 MiB at 200000h. */
static void translate(struct fixture *f)
{
	store_u64(f->ram + ROOT, CTX | 1);
	store_u64(f->ram + CTX + 16 * DEVFN, LEVEL3 | 1);
	store_u64(f->ram + CTX + 16 * DEVFN + 8, 1 | 7 << 8);
	store_u64(f->ram + LEVEL3, LEVEL2 | 3);
	store_u64(f->ram + LEVEL2, LEVEL1 | 3);
	store_u64(f->ram + LEVEL2 + 8, 0x200000 | 0x83);
	store_u64(f->ram + LEVEL1, 0x1000 | 3);
	store_u64(f->ram + LEVEL1 + 8, 0x2000 | 1);
	board_write(f->board, VTD_BASE + 0x20, 8, ROOT);
	put(f, 0x18, SRTP);
	put(f, 0x18, TE);
}

/* Of the one fault that is recorded, which is cleared. */
static unsigned fault(struct fixture *f)
{
	uint32_t high = get(f, 0x22c), low = get(f, 0x228);

	if (!(high & BIT(31)))
		return 0;
	assert_true(get(f, 0x34) & 2);
	assert_int_equal(low & 0xffff, DEVFN);
	put(f, 0x22c, BIT(31));
	assert_false(get(f, 0x34) & 2);
	return high & 0xff;
}

static void test_registers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0), 0x10);
	/* 39 and 48 bits, 2 MiB and 1 GiB; queue, remapping, pass-through. */
	assert_int_equal(board_read(f->board, VTD_BASE + 8, 8) >> 8 & 0x1f, 6);
	assert_int_equal(board_read(f->board, VTD_BASE + 8, 8) >> 34 & 3, 3);
	assert_int_equal(get(f, 0x10) & 0x4b, 0x4b);
	assert_int_equal(get(f, 0x38), BIT(31));
	put(f, 0, ~0u);
	put(f, 0x1c, ~0u);
	assert_int_equal(get(f, 0), 0x10);
	assert_int_equal(get(f, 0x1c), 0);
	put(f, 0x20, ~0u);
	assert_int_equal(get(f, 0x20), 0xfffff000);
	/* Invalidations by register are done at once. */
	put(f, 0x2c, BIT(31) | BIT(29));
	assert_int_equal(get(f, 0x2c) & ~0x60000000u, BIT(27));
	put(f, 0x10c, BIT(31) | BIT(28));
	assert_int_equal(get(f, 0x10c) & ~0x30000000u, BIT(25));
	put(f, 0x18, TE | SRTP | CFI);
	assert_int_equal(get(f, 0x1c), TE | SRTP | CFI);
	put(f, 0x18, 0);
	assert_int_equal(get(f, 0x1c), SRTP);
	devices_reset(&f->board->vm);
	assert_int_equal(get(f, 0x1c), 0);
	assert_int_equal(get(f, 0x20), 0);
	assert_int_equal(get(f, 0x300), 0);
}

static void test_dma(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[0x2000];

	memset(f->ram + 0x1000, 0x11, 0x1000);
	memset(f->ram + 0x2000, 0x22, 0x1000);
	assert_int_equal(dma_read(&f->dma, 0x1000, bytes, 1), 0);
	assert_int_equal(bytes[0], 0x11); /* not yet */
	translate(f);
	assert_int_equal(dma_read(&f->dma, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(bytes[0xfff], 0x11);
	assert_int_equal(bytes[0x1000], 0x22);
	assert_int_equal(dma_write(&f->dma, 4, "\x44", 1), 0);
	assert_int_equal(f->ram[0x1004], 0x44);
	assert_int_equal(dma_write(&f->dma, 0x212345, "\x55", 1), 0);
	assert_int_equal(f->ram[0x212345], 0x55);
	assert_int_equal(fault(f), 0);
	/* All or nothing: the second page may not be written. */
	assert_int_equal(dma_write(&f->dma, 0xfff, "\x66\x66", 2), -EFAULT);
	assert_int_equal(f->ram[0x1fff], 0x11);
	assert_int_equal(get(f, 0x220), 0x1000);
	assert_false(get(f, 0x22c) & BIT(30));
	assert_int_equal(fault(f), 5);
	assert_int_equal(dma_read(&f->dma, 0x2000, bytes, 1), -EFAULT);
	assert_true(get(f, 0x22c) & BIT(30));
	assert_int_equal(fault(f), 6);
	assert_int_equal(dma_read(&f->dma, 1ull << 39, bytes, 1), -EFAULT);
	assert_int_equal(fault(f), 4);
	/* Nothing is cached. */
	store_u64(f->ram + LEVEL1, 0x2000 | 3);
	assert_int_equal(dma_read(&f->dma, 0, bytes, 1), 0);
	assert_int_equal(bytes[0], 0x22);
	/* 512 GiB pages there are none; tables outside of memory. */
	store_u64(f->ram + CTX + 16 * DEVFN + 8, 2);
	store_u64(f->ram + LEVEL3, LEVEL3 | 0x83);
	assert_int_equal(dma_read(&f->dma, 0, bytes, 1), -EFAULT);
	assert_int_equal(fault(f), 0xc);
	store_u64(f->ram + LEVEL3, 0x80000000 | 3);
	assert_int_equal(dma_read(&f->dma, 0, bytes, 1), -EFAULT);
	assert_int_equal(fault(f), 7);
}

static void test_contexts(void **state)
{
	struct fixture *f = *state;
	uint8_t *context = f->ram + CTX + 16 * DEVFN;
	uint8_t byte;

	f->ram[0x3000] = 0x77;
	translate(f);
	store_u64(context, LEVEL3 | 1 | 2 << 2); /* pass through */
	assert_int_equal(dma_read(&f->dma, 0x3000, &byte, 1), 0);
	assert_int_equal(byte, 0x77);
	store_u64(context, LEVEL3 | 1 | 1 << 2); /* device TLBs: not here */
	assert_int_equal(dma_read(&f->dma, 0, &byte, 1), -EFAULT);
	assert_int_equal(fault(f), 3);
	store_u64(context, LEVEL3 | 1);
	store_u64(context + 8, 3); /* 57 bits */
	assert_int_equal(dma_read(&f->dma, 0, &byte, 1), -EFAULT);
	assert_int_equal(fault(f), 3);
	store_u64(context, LEVEL3);
	assert_int_equal(dma_read(&f->dma, 0, &byte, 1), -EFAULT);
	assert_int_equal(fault(f), 2);
	store_u64(f->ram + ROOT, CTX);
	assert_int_equal(dma_read(&f->dma, 0, &byte, 1), -EFAULT);
	assert_int_equal(fault(f), 1);
	store_u64(f->ram + ROOT, 0x70000000 | 1);
	assert_int_equal(dma_read(&f->dma, 0, &byte, 1), -EFAULT);
	assert_int_equal(fault(f), 9);
	/* FPD: no record. */
	store_u64(f->ram + ROOT, CTX | 1);
	store_u64(context, LEVEL3 | 3 | 1 << 2);
	assert_int_equal(dma_read(&f->dma, 0, &byte, 1), -EFAULT);
	assert_int_equal(fault(f), 0);
}

static void test_fault_events(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	translate(f);
	put(f, 0x40, 0xfee01000);
	put(f, 0x3c, 0x51);
	assert_int_equal(dma_read(&f->dma, 0x5000, &byte, 1), -EFAULT);
	assert_int_equal(f->board->msi_count, 0);
	assert_int_equal(get(f, 0x38), BIT(31) | BIT(30));
	put(f, 0x38, 0); /* unmasked: now it comes */
	assert_int_equal(f->board->msi_count, 1);
	assert_int_equal(f->board->msi[0].data, 0x51);
	assert_int_equal(f->board->msi[0].address, 0xfee01000);
	/* The second has no record left, and nothing new to say. */
	assert_int_equal(dma_read(&f->dma, 0x6000, &byte, 1), -EFAULT);
	assert_int_equal(f->board->msi_count, 1);
	assert_int_equal(get(f, 0x34), 3);
	assert_int_equal(get(f, 0x220), 0x5000);
	assert_int_equal(fault(f), 6);
	put(f, 0x34, 1);
	assert_int_equal(get(f, 0x34), 0);
	assert_int_equal(dma_read(&f->dma, 0x6000, &byte, 1), -EFAULT);
	assert_int_equal(f->board->msi_count, 2);
}

/* Remappable format: index 5, no subhandle. */
#define HANDLE(index) (0xfee00010ull | (uint64_t)(index) << 5)

static void message(struct fixture *f, uint32_t requester, uint64_t address,
		    uint32_t data)
{
	const struct msi msi = { requester, address, data };

	msi_send(&f->board->vm, &msi);
}

static void test_interrupts(void **state)
{
	struct fixture *f = *state;
	const struct msi *got = f->board->msi;

	store_u64(f->ram + IRT + 16 * 5,
		  1 | BIT(2) | BIT(4) | 1 << 5 | 0x61 << 16 | 3ull << 40);
	store_u64(f->ram + IRT + 16 * 5 + 8, DEVFN | 1 << 18);
	board_write(f->board, VTD_BASE + 0xb8, 8, IRT | 3); /* 16 entries */
	put(f, 0x18, SIRTP);
	message(f, DEVFN, 0xfee00000, 0x41);
	assert_int_equal(f->board->msi_count, 1);
	put(f, 0x18, IRE);
	message(f, DEVFN, HANDLE(5), 0);
	assert_int_equal(f->board->msi_count, 2);
	/* Logical, level, lowest priority, vector 61h, to 3. */
	assert_int_equal(got[1].address, 0xfee03004);
	assert_int_equal(got[1].data, 0xc161);
	message(f, DEVFN, HANDLE(3) | BIT(3), 2); /* 3 and subhandle 2 */
	assert_int_equal(f->board->msi_count, 3);
	assert_int_equal(got[2].data, 0xc161);
	message(f, 0xffff, HANDLE(5), 0x99); /* the IOAPIC's */
	assert_int_equal(f->board->msi_count, 4);
	assert_int_equal(fault(f), 0);
	/* The old format, and with CFI. */
	message(f, DEVFN, 0xfee00000, 0x41);
	assert_int_equal(f->board->msi_count, 4);
	assert_int_equal(fault(f), 0x25);
	put(f, 0x18, IRE | CFI);
	message(f, DEVFN, 0xfee00000, 0x41);
	assert_int_equal(f->board->msi_count, 5);
	/* Another's entry; no entry; past the table; reserved bits. */
	store_u64(f->ram + IRT + 16 * 5 + 8, (DEVFN + 8) | 1 << 18);
	message(f, DEVFN, HANDLE(5), 0);
	assert_int_equal(fault(f), 0x26);
	message(f, DEVFN, HANDLE(6), 0);
	assert_int_equal(fault(f), 0x22);
	message(f, DEVFN, HANDLE(16), 0);
	assert_int_equal(fault(f), 0x21);
	message(f, DEVFN, HANDLE(5) | 4, 0); /* index 8005h */
	assert_int_equal(fault(f), 0x21);
	store_u64(f->ram + IRT + 16 * 5, 1 | BIT(15));
	message(f, DEVFN, HANDLE(5), 0);
	assert_int_equal(fault(f), 0x24);
	assert_int_equal(f->board->msi_count, 5);
	/* Function numbers may be left out of the comparison. */
	store_u64(f->ram + IRT + 16 * 5, 1 | 0x62 << 16);
	store_u64(f->ram + IRT + 16 * 5 + 8, (DEVFN + 7) | 3 << 16 | 1 << 18);
	message(f, DEVFN, HANDLE(5), 0);
	assert_int_equal(f->board->msi_count, 6);
}

static void test_queue(void **state)
{
	struct fixture *f = *state;
	uint8_t *at = f->ram + QUEUE;

	board_write(f->board, VTD_BASE + 0x90, 8, QUEUE);
	put(f, 0x18, QIE);
	store_u64(at, 1 | 1 << 4); /* contexts, all */
	store_u64(at + 16, 2 | 1 << 4);
	store_u64(at + 32, 4);
	store_u64(at + 48, 5 | BIT(5) | 0xabcdull << 32);
	store_u64(at + 56, STATUS);
	put(f, 0x88, 64);
	assert_int_equal(get(f, 0x80), 64);
	assert_int_equal(load_u32(f->ram + STATUS), 0xabcd);
	/* With an interrupt. */
	put(f, 0xa8, 0xfee00000);
	put(f, 0xa4, 0x71);
	put(f, 0xa0, 0);
	store_u64(at + 64, 5 | BIT(4));
	put(f, 0x88, 80);
	assert_int_equal(f->board->msi_count, 1);
	assert_int_equal(f->board->msi[0].data, 0x71);
	assert_int_equal(get(f, 0x9c), 1);
	put(f, 0x9c, 1);
	assert_int_equal(get(f, 0x9c), 0);
	/* One that there is not stops it, until it is mended. */
	store_u64(at + 80, 0xf);
	store_u64(at + 96, 5 | BIT(5) | 1ull << 32);
	store_u64(at + 104, STATUS);
	put(f, 0x88, 112);
	assert_int_equal(get(f, 0x80), 80);
	assert_int_equal(get(f, 0x34), BIT(4));
	put(f, 0x34, BIT(4));
	assert_int_equal(get(f, 0x34), BIT(4));
	store_u64(at + 80, 4);
	put(f, 0x34, BIT(4));
	assert_int_equal(get(f, 0x34), 0);
	assert_int_equal(get(f, 0x80), 112);
	assert_int_equal(load_u32(f->ram + STATUS), 1);
	/* It wraps; a tail past the end is wrong. */
	store_u64(at + 4080, 4);
	for (unsigned i = 112; i < 4080; i += 16)
		store_u64(at + i, 4);
	put(f, 0x88, 0);
	assert_int_equal(get(f, 0x80), 0);
	put(f, 0x88, 0x1000);
	assert_int_equal(get(f, 0x34), BIT(4));
}

static void test_state(void **state)
{
	struct fixture *f = *state, *other;
	const struct state_table *table = f->vtd.device.ops->state;
	struct state_writer writer = { 0 };
	struct state_reader reader = { 0 };
	uint8_t byte;
	void *second;

	assert_int_equal(setup(&second), 0);
	other = second;
	translate(f);
	memcpy(other->ram, f->ram, 0x20000);
	other->ram[0x2000] = 0x39;
	state_write(&writer, table, &f->vtd);
	reader.bytes = writer.bytes;
	reader.size = writer.size;
	state_read(&reader, table, table->version, &other->vtd);
	assert_false(reader.has_failed);
	assert_int_equal(dma_read(&other->dma, 0x1000, &byte, 1), 0);
	assert_int_equal(byte, 0x39);
	free(writer.bytes);
	teardown(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_registers),  TEST(test_dma),
		TEST(test_contexts),   TEST(test_fault_events),
		TEST(test_interrupts), TEST(test_queue),
		TEST(test_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
