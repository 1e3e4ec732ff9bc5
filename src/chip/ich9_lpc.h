/* SPDX-License-Identifier: BSD-2-Clause */
/* The ICH9's LPC bridge, 00:1f.0. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "core/device.h"
#include "pci/pci.h"

struct i8259;
struct ioapic;

struct ich9_lpc {
	struct pci_device pci;
	struct i8259 *pic; /* NULL: PIRQs go nowhere */
	struct ioapic *ioapic; /* the same, or NULL; set before it is used */
	pthread_mutex_t lock; /* over everything below */
	uint8_t route[PCI_INTX_LINES]; /* PIRQA_ROUT to PIRQH_ROUT */
	uint8_t pirq; /* levels of PIRQA to PIRQH */
	uint16_t driven; /* ISA interrupts that we drive high */
	struct device device;
};

/**
 * LPC bridge of `bus`. The ISA chips behind it are added apart; `pic` gets what
 * the PIRQ routing registers send there. -errno.
 */
int ich9_lpc_init(struct ich9_lpc *bridge, struct pci_bus *bus,
		  struct i8259 *pic);

/** Level of PIRQA (0) to PIRQH (7). Any thread. */
void ich9_lpc_set_pirq(struct ich9_lpc *bridge, unsigned pirq, bool level);
