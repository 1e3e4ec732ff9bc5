/* SPDX-License-Identifier: BSD-2-Clause */
/* The board's wires, and the front of the machine. */

#include "machine/pc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/vm.h"
#include "machine/pc_internal.h"

static void set_gsi(void *argument, unsigned gsi, bool level)
{
	struct pc *pc = argument;

	ioapic_set(&pc->ioapic, gsi, level);
	if (gsi < 16 && gsi != 2)
		i8259_set(&pc->pic, gsi, level);
}

struct irq_line pc_gsi(struct pc *pc, unsigned gsi)
{
	return (struct irq_line){ .set = set_gsi, .chip = pc, .pin = gsi };
}

/* The timer's line: input 0 of the i8259, input 2 of the IOAPIC. */
static void set_isa_irq0(void *argument, unsigned pin, bool level)
{
	struct pc *pc = argument;

	ioapic_set(&pc->ioapic, 2, level);
	i8259_set(&pc->pic, 0, level);
}

struct irq_line pc_isa_irq(struct pc *pc, unsigned irq)
{
	if (irq == 0)
		return (struct irq_line){ .set = set_isa_irq0, .chip = pc };
	return pc_gsi(pc, irq);
}

int pc_create(struct vm *vm, const struct pc_host *host, struct pc **result)
{
	struct pc *pc = calloc(1, sizeof(*pc));
	int error;

	if (!pc)
		return -ENOMEM;
	/* At once: what was built so far is on the VM's list and in here. */
	*result = pc;
	pc->vm = vm;
	pc->host = *host;
	error = debug_log_open(&pc->debug_log, host->debug_log);
	if (error)
		return error;
	for (const struct pc_device *device = pc_devices; device->name;
	     device++) {
		error = device->create(pc);
		if (error) {
			log_error("%s: %s", device->name, strerror(-error));
			return error;
		}
	}
	return 0;
}

void pc_destroy(struct pc *pc)
{
	if (!pc)
		return;
	debug_log_close(&pc->debug_log);
	free(pc);
}

void pc_power_button(struct pc *pc)
{
	acpi_pm_power_button(&pc->pm);
}

size_t pc_console_receive(struct pc *pc, const uint8_t *bytes, size_t count)
{
	return ns16550_receive(&pc->com1, bytes, count);
}

void pc_console_writable(struct pc *pc)
{
	ns16550_writable(&pc->com1);
}

void pc_console_break(struct pc *pc)
{
	ns16550_receive_break(&pc->com1);
}
