/* SPDX-License-Identifier: BSD-2-Clause */
/* The Q35 host bridge, 00:00.0. */
#pragma once

#include "chip/pam.h"
#include "core/device.h"
#include "pci/pci.h"

#define Q35_ECAM_BASE 0xb0000000ull

struct q35 {
	struct pci_device pci;
	struct pam *pam; /* NULL: the registers have no effect */
	struct device device;
};

/**
 * Host bridge of `bus`. Firmware finds its registers as after RESET#: no ECAM,
 * ROM below 1 MiB; without firmware it is as firmware would leave it, with ECAM
 * at Q35_ECAM_BASE. pam may be NULL. -errno.
 */
int q35_init(struct q35 *bridge, struct pci_bus *bus, struct pam *pam,
	     bool has_firmware);
