/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the stub's files: the connection, and the debugger's commands. */
#pragma once

#include "core/vm.h"
#include "debug/gdb.h"
#include "debug/rsp.h"
#include "host/loop.h"

#define GDB_BREAKPOINTS_MAX 64

/* What Z packets call them. */
enum gdb_point_type {
	POINT_SOFTWARE,
	POINT_HARDWARE,
	POINT_WRITE,
	POINT_READ,
	POINT_ACCESS,
	POINT_TYPES
};

struct gdb_point {
	enum gdb_point_type type;
	uint64_t address;
	uint8_t size;
};

struct gdb {
	struct vm *vm;
	struct loop *loop;
	char *path; /* of a unix socket, to be removed */
	int listener, fd; /* fd -1: nobody is connected */
	struct loop_watch listen_watch, watch;

	struct rsp_parser parser;
	struct rsp_reply reply;
	char *out; /* what the socket has not taken yet */
	size_t out_size, out_sent;
	bool no_ack;
	bool wants_close; /* once all is sent */

	bool is_stopped; /* we hold the VM */
	bool is_awaited; /* the debugger waits for a stop */
	bool says_swbreak, says_hwbreak; /* the debugger knows these reasons */
	unsigned current; /* the vCPU of g, m and the like */
	char *description;
	size_t description_size;
	struct gdb_point point[GDB_BREAKPOINTS_MAX];
	unsigned point_count;
};

/* gdb_command.c: acts on parser.data; the reply is in gdb->reply. */
enum gdb_next { GDB_REPLY, GDB_SILENT, GDB_DETACH, GDB_KILL };
enum gdb_next gdb_command(struct gdb *gdb);

/* Builds the reply for why the VM stands; `signal` when nothing trapped. */
void gdb_stop_reply(struct gdb *gdb, unsigned signal);

/* gdb.c */
void gdb_pause(struct gdb *gdb);
/* Everything as if no debugger had been there, running. */
void gdb_release(struct gdb *gdb);
/* The vCPUs that are not held. */
void gdb_resume(struct gdb *gdb);
