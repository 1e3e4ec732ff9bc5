/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC test device. What test programs rely on is what QEMU's pc-testdev and
 * isa-debug-exit do:
 *
 *   E0h-E3h	 four bytes that read back as written, in any access size
 *   E4h-E7h	 a page's address: whoever maps it drops the mapping
 *   E8h-EBh	 the same four bytes, one at a time
 *   F4h-F7h	 writing v ends the VM with status (v << 1) | 1
 *   2000h-2017h the interrupt line of that number goes to the byte's level
 *   FF000000h	 64 KiB that read back as written, reached by MMIO exits
 */
#include "chip/testdev.h"

#include <string.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "core/state.h"
#include "core/vm.h"

static enum bus_result copy(uint8_t *bytes, struct access *access)
{
	if (access->is_write)
		memcpy(bytes + access->offset, &access->value, access->size);
	else
		memcpy(&access->value, bytes + access->offset, access->size);
	return BUS_HANDLED;
}

static enum bus_result on_echo(void *device, struct access *access)
{
	struct testdev *test = device;

	return copy(test->echo, access);
}

/* We map nothing by pages of our own: there is nothing to drop. */
static enum bus_result on_flush(void *device, struct access *access)
{
	if (!access->is_write)
		access->value = 0;
	return BUS_HANDLED;
}

static enum bus_result on_exit_port(void *device, struct access *access)
{
	struct testdev *test = device;

	if (access->is_write)
		test->config.exit(test->config.argument,
				  (int)(access->value << 1 | 1) & 0xff);
	else
		access->value = 0;
	return BUS_HANDLED;
}

static enum bus_result on_line(void *device, struct access *access)
{
	struct testdev *test = device;

	if (!access->is_write)
		return BUS_UNHANDLED;
	irq_set(&test->config.line[access->offset], access->value != 0);
	return BUS_HANDLED;
}

static enum bus_result on_iomem(void *device, struct access *access)
{
	struct testdev *test = device;

	return copy(test->iomem, access);
}

static void on_reset(void *device)
{
	struct testdev *test = device;

	LOCKED(&test->lock);
	memset(test->echo, 0, sizeof(test->echo));
}

static const struct state_field fields[] = {
	STATE_FIELD(struct testdev, echo, STATE_BYTES, 1),
	STATE_FIELD(struct testdev, iomem, STATE_BYTES, 1),
	{ .name = NULL },
};

static const struct state_table state = {
	.name = "testdev",
	.version = 1,
	.field = fields,
};

static const struct device_ops ops = {
	.reset = on_reset,
	.state = &state,
};

int testdev_init(struct testdev *test, struct vm *vm,
		 const struct testdev_config *config)
{
	static const struct {
		uint64_t base, size;
		uint8_t sizes;
		bus_handler *handler;
	} regions[6] = {
		{ 0xe0, 4, 1 | 2 | 4, on_echo },
		{ 0xe4, 4, 4, on_flush },
		{ 0xe8, 4, 1, on_echo },
		{ 0xf4, 4, 1 | 2 | 4, on_exit_port },
		{ 0x2000, TESTDEV_LINES, 1, on_line },
		{ TESTDEV_IOMEM, TESTDEV_IOMEM_SIZE, 1 | 2 | 4 | 8, on_iomem },
	};
	int error = 0;

	memset(test, 0, sizeof(*test));
	pthread_mutex_init(&test->lock, NULL);
	test->config = *config;
	test->device = (struct device){
		.name = "testdev",
		.ops = &ops,
		.self = test,
	};
	device_add(vm, &test->device);
	for (unsigned i = 0; i < ARRAY_SIZE(regions) && !error; i++) {
		struct bus *bus = regions[i].base == TESTDEV_IOMEM ? &vm->mmio :
								     &vm->io;

		test->region[i] = (struct bus_region){
			.name = "testdev",
			.base = regions[i].base,
			.size = regions[i].size,
			.sizes = regions[i].sizes,
			.handler = regions[i].handler,
			.device = test,
			.lock = &test->lock,
		};
		error = bus_add(bus, &test->region[i]);
	}
	return error;
}
