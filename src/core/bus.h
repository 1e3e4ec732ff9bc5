/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O port bus and the MMIO bus: from an address to the device's handler.
 *
 * The bus checks bounds and enforces access sizes, so that a handler sees only
 * aligned-or-not accesses of a size it declared, relative to its region. It
 * takes the region's lock around the handler. Regions may come, go and move
 * while vCPUs run.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* One access as a device sees it. On a read the handler fills in `value`. */
struct access {
	uint64_t offset; /* from the start of the region */
	uint64_t value; /* zero-extended; bytes above size are ignored */
	uint8_t size; /* 1, 2, 4 or 8 */
	bool is_write;
};

enum bus_result {
	BUS_HANDLED,
	BUS_UNHANDLED, /* nobody there: reads are all ones, writes are lost */
	BUS_ERROR, /* the device refuses: as unhandled, and counted */
};

typedef enum bus_result bus_handler(void *device, struct access *access);

enum bus_kind { BUS_IO, BUS_MMIO, BUS_KINDS };

/*
 * Owned by the device, usually embedded in it; the fields above the line are
 * filled in before bus_add and left alone after.
 */
struct bus_region {
	const char *name; /* of the device, as the ledger shows it */
	uint64_t base, size;
	/*
	 * Access sizes the handler takes, OR of 1, 2, 4, 8; 0 means 1|2|4 on
	 * the port bus and 1|2|4|8 on the MMIO bus. A larger access is split
	 * into ascending parts; a smaller read is cut out of an aligned wider
	 * one; a smaller write is BUS_ERROR.
	 */
	uint8_t sizes;
	bus_handler *handler;
	void *device;
	pthread_mutex_t *lock; /* held around the handler; NULL: it has none */
	/* ---- */
	unsigned source; /* the ledger's number of `name` */
	enum bus_kind kind;
	struct list link;
};

struct bus {
	enum bus_kind kind;
	pthread_rwlock_t lock;
	struct list regions; /* in order of addition: the first match wins */
	struct exit_sources *sources;
};

void bus_init(struct bus *bus, enum bus_kind kind,
	      struct exit_sources *sources);
void bus_fini(struct bus *bus);

/*
 * Where two regions overlap (a guest may program BARs so), the one added first
 * answers. -EINVAL for an empty or wrapping region. Not from inside a handler
 * of the same bus, except bus_move and bus_remove, which wait for nobody.
 */
int bus_add(struct bus *bus, struct bus_region *region);
void bus_remove(struct bus *bus, struct bus_region *region);
int bus_move(struct bus *bus, struct bus_region *region, uint64_t base);

/*
 * Performs the access at `address` (access->offset is overwritten). Reads that
 * nobody answers give all ones. *source names who answered, 0 for nobody.
 */
enum bus_result bus_access(struct bus *bus, uint64_t address,
			   struct access *access, unsigned *source);
