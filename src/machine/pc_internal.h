/* SPDX-License-Identifier: BSD-2-Clause */
/* What the board's two files share: the chips, and the wires between them. */
#pragma once

#include "chip/acpi_pm.h"
#include "chip/debugexit.h"
#include "chip/debugport.h"
#include "chip/fpu_error.h"
#include "chip/fw_cfg.h"
#include "chip/hpet.h"
#include "chip/i8042.h"
#include "chip/i8254.h"
#include "chip/i8259.h"
#include "chip/ich9_lpc.h"
#include "chip/ioapic.h"
#include "chip/lapic.h"
#include "chip/paravirt.h"
#include "chip/mc146818.h"
#include "chip/ns16550.h"
#include "chip/pam.h"
#include "chip/pci_edu.h"
#include "chip/pci_testdev.h"
#include "chip/pflash.h"
#include "chip/q35.h"
#include "chip/reset_control.h"
#include "chip/testdev.h"
#include "chip/vtd.h"
#include "machine/debug_log.h"
#include "machine/pc.h"
#include "pci/pci.h"

struct pc {
	struct vm *vm;
	struct pc_host host;
	struct debug_log debug_log; /* of the debug port */

	struct paravirt paravirt;
	struct i8259 pic;
	struct ioapic ioapic;
	struct i8254 pit;
	struct acpi_pm pm;
	struct i8042 keyboard;
	struct reset_control reset_control;
	struct pci_bus pci;
	struct pflash flash[PC_FLASH_MAX];
	struct pam pam;
	struct q35 q35;
	struct ich9_lpc lpc;
	struct mc146818 rtc;
	struct fpu_error fpu_error;
	struct hpet hpet;
	struct ns16550 com1;
	struct debugport debugport;
	struct debugexit debugexit;
	struct fw_cfg fw_cfg;
	struct testdev testdev;
	struct pci_testdev pci_testdev;
	struct pci_edu pci_edu;
	struct vtd vtd;
	struct device firmware_work; /* what firmware would do after RESET# */
};

/* One entry of THE list: what is on the board, in the order of reset. */
struct pc_device {
	const char *name;
	int (*create)(struct pc *pc); /* 0 or -errno */
};

/* Ends with name NULL. */
extern const struct pc_device pc_devices[];

/* What firmware asks for: CMOS and fw_cfg (firmware.c). 0 or -errno. */
int pc_fill_fw_cfg(struct pc *pc);
void pc_fill_cmos(struct pc *pc);

/* Of a board without firmware: PCI's addresses and interrupts. After RESET#. */
void pc_do_firmware_work(struct pc *pc);

/*
 * Interrupt wire `gsi`: the IOAPIC's input, and below 16 the i8259's too. ISA
 * interrupt 0 is GSI 2, as the MADT says.
 */
struct irq_line pc_gsi(struct pc *pc, unsigned gsi);
struct irq_line pc_isa_irq(struct pc *pc, unsigned irq);
