/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt lines, interrupt messages and the contract of the local APICs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"

struct vm;
struct vcpu;
struct apic_state;

/*
 * A wire from a device to an interrupt chip. The device calls irq_set with the
 * level it drives; edge or level is the chip's business. Any thread; the
 * caller may hold its device lock.
 */
struct irq_line {
	void (*set)(void *chip, unsigned pin, bool level);
	void *chip;
	unsigned pin;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->chip, line->pin, level);
}

static inline void irq_pulse(const struct irq_line *line)
{
	irq_set(line, true);
	irq_set(line, false);
}

/* A message-signalled interrupt: SDM 3, 10.11. The IOAPIC sends these too. */
struct msi {
	uint32_t requester; /* bus:device.function, or MSI_FROM_IOAPIC */
	uint64_t address;
	uint32_t data;
};

#define MSI_FROM_IOAPIC		0xffffu

#define MSI_ADDRESS_BASE	0xfee00000ull
#define MSI_ADDRESS_DEST_SHIFT	12
#define MSI_ADDRESS_REDIRECTION BIT(3)
#define MSI_ADDRESS_LOGICAL	BIT(2)
#define MSI_DATA_LEVEL		BIT(15)
#define MSI_DATA_ASSERT		BIT(14)
#define MSI_DATA_DELIVERY_SHIFT 8

enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

/* Through the remapping hook, if any, to the local APICs. Any thread. */
void msi_send(struct vm *vm, const struct msi *msi);

/*
 * The local APICs of a VM: chip/lapic, or KVM's in the kernel. Where kvm
 * implements it, the entries marked (software) are NULL: the kernel does them.
 */
struct apic_ops {
	/* Any thread. */
	void (*deliver)(struct vm *vm, const struct msi *msi);
	/* LINT0 (pin 0: the i8259's INTR) and LINT1 (pin 1: NMI). Any thread */
	void (*set_lint)(struct vcpu *vcpu, unsigned pin, bool level);

	/*
	 * The IOAPIC's redirection entry of `pin` now sends this message
	 * (MSI_DATA_LEVEL set where it is level-triggered): kvm learns from it
	 * whose EOIs the IOAPIC must hear of. For every change of an unmasked
	 * entry; a mask alone needs no call. NULL: not needed. Any thread.
	 */
	void (*route_changed)(struct vm *vm, unsigned pin,
			      const struct msi *msi);

	/*
	 * While the vCPU is parked or has no thread. set_state goes by the
	 * VM's clock, which is set before. 0 or -errno, logged.
	 */
	int (*get_state)(struct vcpu *vcpu, struct apic_state *state);
	int (*set_state)(struct vcpu *vcpu, const struct apic_state *state);

	/* The rest on the vCPU's own thread. (software) */
	bool (*has_interrupt)(struct vcpu *vcpu); /* above the priority */
	int (*acknowledge)(struct vcpu *vcpu); /* vector, or -1 */
	uint8_t (*get_tpr)(struct vcpu *vcpu); /* CR8: bits 7:4 of TPR */
	void (*set_tpr)(struct vcpu *vcpu, uint8_t cr8);
	/* An access to the page that IA32_APIC_BASE names. */
	enum bus_result (*access)(struct vcpu *vcpu, struct access *access);
	/* Base of that page, or ~0 while disabled or in x2APIC mode. */
	uint64_t (*page)(struct vcpu *vcpu);
	bool (*is_enabled)(struct vcpu *vcpu); /* by IA32_APIC_BASE */
	bool (*read_msr)(struct vcpu *vcpu, uint32_t index, uint64_t *value);
	bool (*write_msr)(struct vcpu *vcpu, uint32_t index, uint64_t value);
	/* INIT or reset of the vCPU: SDM 3, 10.4.7. */
	void (*reset)(struct vcpu *vcpu, bool is_init);
};

/* The 8259 pair as the local APIC's ExtINT sees it. */
struct extint_ops {
	bool (*is_pending)(void *pic);
	int (*acknowledge)(void *pic); /* the INTA cycle: a vector */
};

/*
 * The IOAPIC hears of the EOI of a level-triggered vector: from chip/lapic, or
 * from KVM_EXIT_IOAPIC_EOI. Caller holds no lapic lock.
 */
struct eoi_ops {
	void (*eoi)(void *ioapic, uint8_t vector);
};
