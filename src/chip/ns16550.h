/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial port: National's PC16550D, as COM1 has it. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"

struct vm;

#define NS16550_FIFO  16
#define NS16550_PORTS 8

/** Whom a port talks to and where it sits. Copied by ns16550_init. */
struct ns16550_config {
	const char *name; /* "com1": of the device and in the ledger */
	const char *acpi_name; /* "COM1" */
	uint32_t uid; /* of PNP0501, from 1 */
	uint16_t port; /* 3f8h */
	int gsi; /* for the DSDT; `irq` is the wire */
	struct irq_line irq;
	/*
	 * Takes as many of the bytes as it can without waiting and returns how
	 * many. What it refuses stays in the transmitter until
	 * ns16550_writable. Called with the device lock held, any thread; must
	 * not call back. NULL: everything is taken and forgotten.
	 */
	size_t (*write)(void *backend, const uint8_t *bytes, size_t count);
	/*
	 * There is room again for what ns16550_receive refused. Called with
	 * the device lock held, so it must only leave a note. May be NULL.
	 */
	void (*receive_ready)(void *backend);
	void *backend;
};

struct ns16550 {
	pthread_mutex_t lock; /* over everything below */
	struct ns16550_config config;
	struct bus_region region;
	struct device device;
	struct device_resources resources;

	uint8_t ier, lcr, mcr, msr, scr, fcr;
	uint8_t lsr_errors; /* OE PE FE BI, cleared by reading LSR */
	uint16_t divisor;
	bool thre_pending; /* the THRE interrupt, until IIR says so or THR is
			    * written */
	bool timeout_pending; /* character timeout */
	bool receive_refused; /* receive_ready is owed */
	bool irq; /* level on the line */

	uint8_t rx[NS16550_FIFO], rx_errors[NS16550_FIFO];
	uint32_t rx_count;
	uint8_t tx[NS16550_FIFO];
	uint32_t tx_count;
	struct timer timeout;

	uint64_t tx_lost; /* bytes written while THRE was low and no room */
	struct log_limit tx_lost_limit;
};

/**
 * Puts the port on the bus and into the VM. 0 or -errno of bus_add.
 */
int ns16550_init(struct ns16550 *uart, struct vm *vm,
		 const struct ns16550_config *config);

/**
 * Bytes from the line. Returns how many fitted, from none to all; receive_ready
 * follows when the guest has made room for more. Any thread.
 */
size_t ns16550_receive(struct ns16550 *uart, const uint8_t *bytes,
		       size_t count);

/** A break condition on the line. Lost when the FIFO is full. Any thread. */
void ns16550_receive_break(struct ns16550 *uart);

/** The back end that refused bytes takes some again. Any thread. */
void ns16550_writable(struct ns16550 *uart);
