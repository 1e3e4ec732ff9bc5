/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI test device 1b36:0005 that bare-metal test programs time accesses
 * with. QEMU's docs/specs/pci-testdev.rst.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "core/device.h"
#include "pci/pci.h"

/* A BAR with its header and the test that runs there. */
struct pci_testdev_bar {
	uint8_t test; /* selected; from PCI_TESTDEV_TESTS on: none */
	uint32_t count; /* of its writes */
};

struct pci_testdev {
	pthread_mutex_t lock; /* over everything below but pci */
	struct pci_device pci;
	struct pci_testdev_bar bar[2]; /* BAR 0 memory, BAR 1 ports */
	struct device device;
};

#define PCI_TESTDEV_TESTS 3

/** At device and function number `devfn` of bus 0. -errno. */
int pci_testdev_init(struct pci_testdev *test, struct pci_bus *bus,
		     uint8_t devfn);
