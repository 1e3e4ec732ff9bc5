/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A gdb stub: serves one debugger at a time over a socket, on the event loop's
 * thread. While a debugger looks the whole VM stands still. One that goes away,
 * in whatever way, leaves the VM running without a trace.
 */
#pragma once

#include <stdbool.h>

struct gdb;
struct loop;
struct vm;

/*
 * Listens at `where`: "[tcp:]PORT" on the loopback address (0: any free port,
 * which is logged) or "unix:PATH". is_waiting: the VM stands, and the first
 * debugger lets it go. -errno, logged.
 */
int gdb_create(struct vm *vm, struct loop *loop, const char *where,
	       bool is_waiting, struct gdb **gdb);
/* Says goodbye to the debugger. NULL is fine. */
void gdb_destroy(struct gdb *gdb);

/* vm->notify was called: a vCPU may have come upon something. Loop's thread. */
void gdb_notified(struct gdb *gdb);

/* The VM stands still for a debugger: nobody else may let it go on. */
bool gdb_holds(const struct gdb *gdb); /* NULL: no */
