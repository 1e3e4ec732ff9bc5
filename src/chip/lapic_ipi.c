/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts between local APICs: who a message is for, what it does there,
 * and the interrupt command register. SDM 3, 10.6, 10.11, 10.12.9, 10.12.10.
 *
 * A sender holds no lapic's lock; the receivers' are taken one after another.
 */
#include "chip/lapic_internal.h"

#include "core/vm.h"

#define ICR_LOGICAL	    BIT(11)
#define ICR_ASSERT	    BIT(14)
#define ICR_LEVEL	    BIT(15)
#define ICR_SHORTHAND_SHIFT 18

#define BROADCAST_8	    0xffu
#define BROADCAST_32	    0xffffffffu
#define DFR_CLUSTER	    0

enum shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

struct message {
	enum apic_delivery delivery;
	uint8_t vector;
	bool is_level, is_assert;
	bool is_logical;
	enum shorthand shorthand;
	uint32_t destination;
	struct lapic *sender; /* NULL: a device */
};

static bool matches_logical(const struct lapic *lapic, uint32_t destination)
{
	uint32_t ldr = lapic->ldr;
	uint8_t mda = destination, id;

	if (destination == BROADCAST_32)
		return true;
	if (lapic_is_x2apic(lapic))
		return ldr >> 16 == destination >> 16 &&
		       (ldr & destination & 0xffff);
	if (destination > BROADCAST_8)
		return false;
	if (mda == BROADCAST_8)
		return true;
	id = ldr >> 24;
	if (lapic->dfr >> 28 != DFR_CLUSTER)
		return id & mda;
	return id >> 4 == mda >> 4 && (id & mda & 0xf);
}

static bool matches(const struct lapic *lapic, const struct message *message)
{
	if (!lapic_is_enabled(lapic))
		return false;
	switch (message->shorthand) {
	case TO_SELF:
		return lapic == message->sender;
	case TO_ALL:
		return true;
	case TO_OTHERS:
		return lapic != message->sender;
	default:
		break;
	}
	if (message->is_logical)
		return matches_logical(lapic, message->destination);
	/* No APIC here has an ID above 254: FFh is a broadcast for all. */
	return message->destination == BROADCAST_8 ||
	       message->destination == BROADCAST_32 ||
	       message->destination == lapic->vcpu->apic_id;
}

static void receive(struct lapic *lapic, const struct message *message)
{
	struct vcpu *vcpu = lapic->vcpu;

	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		lapic_accept(lapic, message->vector, message->is_level);
		break;
	case APIC_NMI:
		vcpu_nmi(vcpu);
		break;
	case APIC_INIT:
		/* Level de-assert only synchronized ancient bus IDs. */
		if (!message->is_level || message->is_assert)
			vcpu_request(vcpu, VCPU_INIT);
		break;
	case APIC_STARTUP:
		atomic_store(&vcpu->sipi_vector, message->vector);
		vcpu_request(vcpu, VCPU_SIPI);
		break;
	case APIC_EXTINT:
		lapic->extint_message = true;
		break;
	default: /* SMI: there is no SMM to enter; 3 is reserved */
		break;
	}
	lapic_update(lapic);
}

static bool receive_if_matching(struct lapic *lapic,
				const struct message *message)
{
	bool does_match;

	pthread_mutex_lock(&lapic->lock);
	does_match = matches(lapic, message);
	if (does_match)
		receive(lapic, message);
	pthread_mutex_unlock(&lapic->lock);
	return does_match;
}

/* Priority for arbitration; above 255 where it takes no part. */
static uint32_t arbitration(struct lapic *lapic, const struct message *message)
{
	uint32_t priority = 256;

	pthread_mutex_lock(&lapic->lock);
	if (matches(lapic, message) && (lapic->svr & SVR_ENABLED))
		priority = lapic_priority(lapic);
	pthread_mutex_unlock(&lapic->lock);
	return priority;
}

/* 10.6.2.4: to the one with the lowest priority; ties take turns. */
static void send_lowest(struct vm *vm, const struct message *message)
{
	struct lapic *first = vm->vcpus[0]->apic, *best = NULL;
	uint32_t turn = atomic_fetch_add(&first->lowest_turn, 1);
	uint32_t lowest = 256;
	unsigned i;

	for (i = 0; i < vm->vcpu_count; i++) {
		unsigned index = (turn + i) % vm->vcpu_count;
		struct lapic *lapic = vm->vcpus[index]->apic;
		uint32_t priority = arbitration(lapic, message);

		if (priority < lowest) {
			lowest = priority;
			best = lapic;
		}
	}
	if (best)
		receive_if_matching(best, message);
}

static void send(struct vm *vm, const struct message *message)
{
	unsigned i;

	if (!vm->vcpu_count)
		return;
	if (message->delivery == APIC_LOWEST) {
		send_lowest(vm, message);
		return;
	}
	for (i = 0; i < vm->vcpu_count; i++)
		receive_if_matching(vm->vcpus[i]->apic, message);
}

/* From a device or the IOAPIC: the formats of 10.11.1 and 10.11.2. */
void lapic_deliver(struct vm *vm, const struct msi *msi)
{
	struct message message = {
		.delivery = bits_get(msi->data, 10, 8),
		.vector = msi->data,
		.is_level = msi->data & MSI_DATA_LEVEL,
		.is_assert = msi->data & MSI_DATA_ASSERT,
		.is_logical = msi->address & MSI_ADDRESS_LOGICAL,
		.destination =
			bits_get(msi->address, 19, MSI_ADDRESS_DEST_SHIFT),
	};

	/* The redirection hint asks for one of the set (10.11.1). */
	if ((msi->address & MSI_ADDRESS_REDIRECTION) && message.is_logical &&
	    message.delivery == APIC_FIXED)
		message.delivery = APIC_LOWEST;
	send(vm, &message);
}

void lapic_send_ipi(struct lapic *lapic, uint32_t low, uint32_t destination)
{
	struct message message = {
		.delivery = bits_get(low, 10, 8),
		.vector = low,
		.is_assert = low & ICR_ASSERT,
		.is_logical = low & ICR_LOGICAL,
		.shorthand = bits_get(low, 19, ICR_SHORTHAND_SHIFT),
		.destination = destination,
		.sender = lapic,
	};

	/* Only INIT knows a level here; everything else is edge (10.6.1). */
	message.is_level = message.delivery == APIC_INIT && (low & ICR_LEVEL);
	send(lapic->vcpu->vm, &message);
}
