/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI fixed hardware as the ICH9 lays it out: PM1, PM timer, GPE0. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

/* Where the FADT says that the blocks are. */
#define ACPI_PM_BASE	 0x600
#define ACPI_PM_SIZE	 0x80
#define ACPI_PM1_EVENT	 (ACPI_PM_BASE + 0x00) /* 4 bytes */
#define ACPI_PM1_CONTROL (ACPI_PM_BASE + 0x04) /* 2 bytes */
#define ACPI_PM_TIMER	 (ACPI_PM_BASE + 0x08) /* 4 bytes */
#define ACPI_GPE0	 (ACPI_PM_BASE + 0x20) /* 16 bytes */
#define ACPI_GPE0_SIZE	 16
#define ACPI_PM_TIMER_HZ 3579545ull

/* What \_S5 of the DSDT holds. */
#define ACPI_PM_SLP_TYP_S5 5

/** Copied by acpi_pm_init. */
struct acpi_pm_config {
	struct irq_line sci; /* level, active high */
	/* Soft-off was entered. Comes with the device lock held. */
	void (*power_off)(void *argument);
	void *argument;
	bool is_32bit; /* the timer; FADT flag TMR_VAL_EXT must agree */
};

struct acpi_pm {
	pthread_mutex_t lock; /* over everything below */
	struct acpi_pm_config config;
	uint16_t pm1_status, pm1_enable, pm1_control;
	uint64_t gpe_status, gpe_enable;
	uint32_t smi_enable;
	uint64_t timer_wraps; /* of its highest bit, seen so far */
	struct clock *clock;
	struct timer timer; /* the next change of that bit */
	struct bus_region region;
	struct device device;
};

/** The blocks at ACPI_PM_BASE. -errno of bus_add. */
int acpi_pm_init(struct acpi_pm *pm, struct vm *vm,
		 const struct acpi_pm_config *config);

/** The user pressed the power button. Any thread. */
void acpi_pm_power_button(struct acpi_pm *pm);

/** Raises general-purpose event `bit` of GPE0, 0 to 63. Any thread. */
void acpi_pm_gpe(struct acpi_pm *pm, unsigned bit);
