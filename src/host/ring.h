/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded queue of bytes. The caller locks. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ring {
	uint8_t *bytes;
	size_t size; /* a power of two */
	size_t head, tail; /* ever growing; head - tail is what it holds */
};

/* 0 or -ENOMEM. */
int ring_init(struct ring *ring, size_t size);
void ring_fini(struct ring *ring);

static inline size_t ring_used(const struct ring *ring)
{
	return ring->head - ring->tail;
}

static inline size_t ring_room(const struct ring *ring)
{
	return ring->size - ring_used(ring);
}

/* Takes what fits; returns how much. */
size_t ring_put(struct ring *ring, const uint8_t *bytes, size_t count);

/* Copies out the oldest bytes without taking them away. */
size_t ring_peek(const struct ring *ring, uint8_t *bytes, size_t count);

/* Takes away the oldest `count`, which it holds. */
void ring_drop(struct ring *ring, size_t count);
