/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The far end of the guest's serial port: the terminal, a file, or nothing.
 *
 * Output goes through a bounded ring, so that the guest's thread never waits
 * for a reader: when the ring is full, console_write takes less, and the
 * serial port holds the guest off by its own flow control. Nothing is lost. A
 * terminal is put in raw mode and restored on every way out of the process.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct console;
struct loop;

/* What the user asked for with Ctrl-a and a letter. */
enum console_command {
	CONSOLE_QUIT, /* Ctrl-a x */
	CONSOLE_POWER_BUTTON, /* Ctrl-a p */
	CONSOLE_BREAK, /* Ctrl-a b */
	CONSOLE_STAT, /* Ctrl-a s: print the ledger */
};

/* Called on the loop's thread. */
struct console_events {
	/* Input for the guest; returns how many bytes it took. */
	size_t (*receive)(void *argument, const uint8_t *bytes, size_t count);
	/* The ring has room again after console_write took less. */
	void (*writable)(void *argument);
	void (*command)(void *argument, enum console_command command);
	/* SIGWINCH, and once at the start. */
	void (*resized)(void *argument, unsigned columns, unsigned rows);
	/* Output cannot be written any more (a full disk, a closed pipe): it
	 * has been said, and what follows is dropped. May be NULL, as the
	 * others. */
	void (*failed)(void *argument, int error);
	void *argument;
};

/*
 * `spec`: "stdio", "file:PATH" (appended to), "none". 0 or -errno; what is
 * wrong has been logged. Restores the terminal in console_destroy, at exit and
 * on fatal signals.
 */
int console_create(struct loop *loop, const char *spec,
		   const struct console_events *events,
		   struct console **console);
/*
 * Writes out what the ring still holds, for as long as its reader takes some
 * each second. 0, or the -errno of output that was lost (and logged). NULL is
 * fine.
 */
int console_destroy(struct console *console);

/* Takes what fits and returns how much. Any thread; does not block. */
size_t console_write(struct console *console, const uint8_t *bytes,
		     size_t count);

/* The guest can take input again after `receive` took less. Any thread. */
void console_receive_ready(struct console *console);
