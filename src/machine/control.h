/* SPDX-License-Identifier: BSD-2-Clause */
/* What `ringfence stat`, `ps` and `stop` ask of a running machine. */
#pragma once

struct control_server;
struct machine;

/*
 * Serves the machine's control socket (host/control.h). -EEXIST, logged: the
 * name is taken by another VM. A host with no place for a socket is only a
 * warning, and *server stays NULL.
 */
int control_create(struct machine *machine, struct control_server **server);
