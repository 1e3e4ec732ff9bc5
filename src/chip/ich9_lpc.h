/* SPDX-License-Identifier: BSD-2-Clause */
/* The ICH9's LPC bridge, 00:1f.0. */
#pragma once

#include "core/device.h"
#include "pci/pci.h"

struct ich9_lpc {
	struct pci_device pci;
	struct device device;
};

/** LPC bridge of `bus`. The ISA chips behind it are added apart. -errno. */
int ich9_lpc_init(struct ich9_lpc *bridge, struct pci_bus *bus);
