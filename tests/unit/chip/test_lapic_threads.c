/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts from several threads at once: none is lost, no wake-up is missed.
 * Also what ThreadSanitizer looks at.
 */
#include "board.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../scale.h"
#include "chip/ioapic.h"
#include "chip/lapic.h"

#define SENDERS 3
#define LEVEL	0x90

static struct board *board;
static struct ioapic ioapic;
static _Atomic uint64_t asked[256]; /* how often a vector was sent */
static _Atomic uint64_t served[256]; /* `asked` when it was last taken */
static _Atomic bool line;
static uint64_t rounds;

static void write_register(struct vcpu *vcpu, unsigned offset, uint32_t value)
{
	struct access access = {
		.offset = offset, .size = 4, .value = value, .is_write = true
	};

	lapic_ops.access(vcpu, &access);
}

/* Its own vectors, each again only after the last one was taken. */
static void *send_messages(void *argument)
{
	uintptr_t self = (uintptr_t)argument;
	uint64_t i;

	for (i = 0; i < rounds; i++) {
		uint8_t vector = 0x30 + self * 16 + i % 16;
		struct msi msi = { .address = MSI_ADDRESS_BASE,
				   .data = vector };

		while (atomic_load(&served[vector]) !=
		       atomic_load(&asked[vector]))
			sched_yield();
		atomic_fetch_add(&asked[vector], 1);
		msi_send(&board->vm, &msi);
	}
	return NULL;
}

/* A device with a level-triggered line that the handler lowers. */
static void *raise_levels(void *argument)
{
	uint64_t i;

	for (i = 0; i < rounds; i++) {
		while (atomic_load(&line))
			sched_yield();
		atomic_fetch_add(&asked[LEVEL], 1);
		atomic_store(&line, true);
		ioapic_set(&ioapic, 5, true);
	}
	return NULL;
}

static void serve(struct vcpu *vcpu)
{
	int vector = vcpu_take_interrupt(vcpu);

	if (vector < 0)
		return;
	if (vector == LEVEL && atomic_load(&line)) {
		ioapic_set(&ioapic, 5, false);
		atomic_store(&line, false);
	}
	atomic_store(&served[vector], atomic_load(&asked[vector]));
	write_register(vcpu, 0xb0, 0);
}

static bool all_served(void)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < 256; i++) {
		if (atomic_load(&served[i]) != atomic_load(&asked[i]))
			return false;
		sum += atomic_load(&asked[i]);
	}
	return sum == rounds * (SENDERS + 1) && !atomic_load(&line);
}

/* A vCPU that sleeps whenever it has nothing to do. */
static void nothing_is_lost(void **state)
{
	pthread_t thread[SENDERS + 1];
	struct vcpu *vcpu;
	uintptr_t i;

	rounds = test_scale(3000, 100000, 1000000);
	board = board_create_smp(1);
	assert_int_equal(ioapic_init(&ioapic, &board->vm), 0);
	ioapic.entry[5] = 0x8000 | LEVEL;
	vcpu = board->vm.vcpus[0];
	write_register(vcpu, 0xf0, 0x1ff);
	for (i = 0; i < SENDERS; i++)
		pthread_create(&thread[i], NULL, send_messages, (void *)i);
	pthread_create(&thread[i], NULL, raise_levels, NULL);
	while (!all_served()) {
		if (!vcpu_has_interrupt(vcpu))
			vcpu_wait(vcpu, VCPU_INTERRUPT);
		vcpu_take(vcpu, VCPU_INTERRUPT);
		while (vcpu_has_interrupt(vcpu))
			serve(vcpu);
	}
	for (i = 0; i <= SENDERS; i++)
		pthread_join(thread[i], NULL);
	board_destroy(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
