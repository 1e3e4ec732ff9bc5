/* SPDX-License-Identifier: BSD-2-Clause */
/* The Q35 host bridge, 00:00.0. */
#pragma once

#include "core/device.h"
#include "pci/pci.h"

#define Q35_ECAM_BASE 0xb0000000ull

struct q35 {
	struct pci_device pci;
	struct device device;
};

/** Host bridge of `bus`, with ECAM on at Q35_ECAM_BASE. -errno. */
int q35_init(struct q35 *bridge, struct pci_bus *bus);
