/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports 402h and E9h: each byte written is a byte of somebody's log. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "core/bus.h"

struct vm;

struct debugport {
	pthread_mutex_t lock;
	void (*write)(void *backend, uint8_t byte);
	void *backend;
	struct bus_region region[2];
};

/**
 * `write` comes with the device lock held, on the vCPU's thread, and must not
 * block; NULL: bytes are forgotten. -errno of bus_add.
 */
int debugport_init(struct debugport *port, struct vm *vm,
		   void (*write)(void *backend, uint8_t byte), void *backend);
