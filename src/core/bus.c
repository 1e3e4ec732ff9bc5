/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O port bus and the MMIO bus: lookup, access sizes, locks. */

#include "core/bus.h"

#include <errno.h>

#include "base/checked.h"
#include "core/exit.h"

void bus_init(struct bus *bus, enum bus_kind kind, struct exit_sources *sources)
{
	bus->kind = kind;
	bus->sources = sources;
	pthread_rwlock_init(&bus->lock, NULL);
	list_init(&bus->regions);
}

void bus_fini(struct bus *bus)
{
	pthread_rwlock_destroy(&bus->lock);
}

int bus_add(struct bus *bus, struct bus_region *region)
{
	uint64_t last;

	if (!region->size ||
	    !checked_add(region->base, region->size - 1, &last))
		return -EINVAL;
	if (!region->sizes)
		region->sizes = bus->kind == BUS_IO ? 7 : 15;
	region->source = exit_source(bus->sources, region->name);
	region->kind = bus->kind;
	pthread_rwlock_wrlock(&bus->lock);
	list_add(&bus->regions, &region->link);
	pthread_rwlock_unlock(&bus->lock);
	return 0;
}

void bus_remove(struct bus *bus, struct bus_region *region)
{
	pthread_rwlock_wrlock(&bus->lock);
	list_remove(&region->link);
	pthread_rwlock_unlock(&bus->lock);
}

int bus_move(struct bus *bus, struct bus_region *region, uint64_t base)
{
	uint64_t last;

	if (!checked_add(base, region->size - 1, &last))
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	region->base = base;
	pthread_rwlock_unlock(&bus->lock);
	return 0;
}

/*
 * Finds who answers at address, and how many bytes from there are his or (for
 * nobody) nobody's as far as `size`. The region outlives the lookup: regions
 * belong to devices, and those go only while no vCPU runs.
 */
static struct bus_region *bus_find(struct bus *bus, uint64_t address,
				   uint64_t *offset, uint64_t *room)
{
	struct bus_region *region, *found = NULL;

	pthread_rwlock_rdlock(&bus->lock);
	list_for_each(region, &bus->regions, link) {
		if (address - region->base < region->size) {
			found = region;
			*offset = address - region->base;
			*room = region->size - *offset;
			break;
		}
	}
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

static enum bus_result region_call(struct bus_region *region,
				   struct access *access)
{
	enum bus_result result;

	if (region->lock)
		pthread_mutex_lock(region->lock);
	result = region->handler(region->device, access);
	if (region->lock)
		pthread_mutex_unlock(region->lock);
	return result;
}

/* The read is smaller than the device knows: cut it out of a wider one. */
static enum bus_result region_read_wider(struct bus_region *region,
					 struct access *access)
{
	unsigned wide = access->size;
	struct access outer;
	enum bus_result result;
	uint64_t shift;

	while (!(region->sizes & wide))
		wide *= 2;
	shift = access->offset & (wide - 1);
	if (shift + access->size > wide)
		return BUS_ERROR;
	outer = (struct access){ .offset = access->offset - shift,
				 .size = wide };
	result = region_call(region, &outer);
	access->value = outer.value >> (8 * shift);
	return result;
}

/* One access that lies in one region and is no larger than it may be. */
static enum bus_result region_access(struct bus_region *region,
				     struct access *access)
{
	enum bus_result result;

	if (region->sizes & access->size)
		result = region_call(region, access);
	else if (access->is_write)
		return BUS_ERROR;
	else
		result = region_read_wider(region, access);
	if (result == BUS_HANDLED)
		access->value &= size_mask(access->size);
	return result;
}

static unsigned largest_size(const struct bus_region *region, uint64_t limit)
{
	unsigned size = 8;

	while (size > 1 &&
	       (size > limit || !(region->sizes & size) || size > region->size))
		size /= 2;
	return size;
}

enum bus_result bus_access(struct bus *bus, uint64_t address,
			   struct access *access, unsigned *source)
{
	enum bus_result worst = BUS_HANDLED;
	uint64_t value = 0;
	unsigned done = 0;

	*source = 0;
	while (done < access->size) {
		unsigned left = access->size - done;
		uint64_t offset = 0, room = 0;
		struct bus_region *region =
			bus_find(bus, address + done, &offset, &room);
		struct access part = {
			.offset = offset,
			.value = access->value >> (8 * done),
			.size = 1,
			.is_write = access->is_write,
		};
		enum bus_result result = BUS_UNHANDLED;

		if (region) {
			part.size = left;
			if (left > room || !(region->sizes & left))
				part.size =
					largest_size(region, MIN(left, room));
			/* Three bytes left over and the like go bytewise. */
			if (!is_power_of_two(part.size))
				part.size = 1;
			part.value &= size_mask(part.size);
			*source = region->source;
			result = region_access(region, &part);
		}
		if (result != BUS_HANDLED) {
			part.value = size_mask(part.size);
			worst = MAX(worst, result);
		}
		value |= part.value << (8 * done);
		done += part.size;
	}
	access->offset = address;
	if (!access->is_write)
		access->value = value;
	return worst;
}
