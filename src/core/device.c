/* SPDX-License-Identifier: BSD-2-Clause */
/* The VM's list of devices, and the verbs for all of them. */

#include "core/device.h"

#include "core/vm.h"

void device_add(struct vm *vm, struct device *device)
{
	list_add(&vm->devices, &device->link);
}

void devices_reset(struct vm *vm)
{
	struct device *device;

	list_for_each(device, &vm->devices, link)
		if (device->ops->reset)
			device->ops->reset(device->self);
}

void devices_start(struct vm *vm)
{
	struct device *device;

	list_for_each(device, &vm->devices, link)
		if (device->ops->start)
			device->ops->start(device->self);
}

void devices_stop(struct vm *vm)
{
	struct device *device;

	list_for_each(device, &vm->devices, link)
		if (device->ops->stop)
			device->ops->stop(device->self);
}

void devices_destroy(struct vm *vm)
{
	while (!list_is_empty(&vm->devices)) {
		struct device *device =
			container_of(vm->devices.prev, struct device, link);

		/* First: destroy may free the memory the link lies in. */
		list_remove(&device->link);
		if (device->ops->destroy)
			device->ops->destroy(device->self);
	}
}
