/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded queue of bytes. */
#include "host/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"

int ring_init(struct ring *ring, size_t size)
{
	BUG_ON(!is_power_of_two(size));
	*ring = (struct ring){ .bytes = malloc(size), .size = size };
	return ring->bytes ? 0 : -ENOMEM;
}

void ring_fini(struct ring *ring)
{
	free(ring->bytes);
	*ring = (struct ring){ 0 };
}

size_t ring_put(struct ring *ring, const uint8_t *bytes, size_t count)
{
	size_t at = ring->head & (ring->size - 1), first;

	count = MIN(count, ring_room(ring));
	first = MIN(count, ring->size - at);
	memcpy(ring->bytes + at, bytes, first);
	memcpy(ring->bytes, bytes + first, count - first);
	ring->head += count;
	return count;
}

size_t ring_peek(const struct ring *ring, uint8_t *bytes, size_t count)
{
	size_t at = ring->tail & (ring->size - 1), first;

	count = MIN(count, ring_used(ring));
	first = MIN(count, ring->size - at);
	memcpy(bytes, ring->bytes + at, first);
	memcpy(bytes + first, ring->bytes, count - first);
	return count;
}

void ring_drop(struct ring *ring, size_t count)
{
	BUG_ON(count > ring_used(ring));
	ring->tail += count;
}
