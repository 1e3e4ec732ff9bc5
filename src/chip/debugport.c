/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The debug ports of Bochs: 402h, which SeaBIOS and OVMF write their log to and
 * know by its answer E9h, and E9h itself. Bochs documentation, "port e9 hack".
 */
#include "chip/debugport.h"

#include <string.h>

#include "base/bits.h"
#include "core/vm.h"

#define READBACK 0xe9

static enum bus_result on_access(void *device, struct access *access)
{
	struct debugport *port = device;

	if (!access->is_write)
		access->value = READBACK;
	else if (port->write)
		port->write(port->backend, access->value);
	return BUS_HANDLED;
}

int debugport_init(struct debugport *port, struct vm *vm,
		   void (*write)(void *backend, uint8_t byte), void *backend)
{
	static const uint16_t ports[2] = { 0x402, 0xe9 };
	int error = 0;
	unsigned i;

	memset(port, 0, sizeof(*port));
	pthread_mutex_init(&port->lock, NULL);
	port->write = write;
	port->backend = backend;
	for (i = 0; i < ARRAY_SIZE(ports) && !error; i++) {
		port->region[i] = (struct bus_region){
			.name = "debugport",
			.base = ports[i],
			.size = 1,
			.sizes = 1,
			.handler = on_access,
			.device = port,
			.lock = &port->lock,
		};
		error = bus_add(&vm->io, &port->region[i]);
	}
	return error;
}
