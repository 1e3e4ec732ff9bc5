/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The educational PCI device 1234:11e8: a device that does little, but with all
 * that devices do it with: registers, interrupts by pin and by message, DMA.
 * QEMU's docs/specs/edu.rst.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "core/device.h"
#include "pci/pci.h"

#define PCI_EDU_BUFFER 4096

struct pci_edu {
	pthread_mutex_t lock; /* over everything below but pci */
	struct pci_device pci;
	uint32_t alive; /* as it reads: what was written, inverted */
	uint32_t factorial;
	uint32_t status;
	uint32_t interrupts; /* raised and not acknowledged */
	uint64_t source, destination, count, command; /* of the DMA */
	uint8_t buffer[PCI_EDU_BUFFER];
	struct device device;
};

/** At device and function number `devfn` of bus 0. -errno. */
int pci_edu_init(struct pci_edu *edu, struct pci_bus *bus, uint8_t devfn);
