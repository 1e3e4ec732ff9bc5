/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both ends of a control socket (host/request.h has the protocol). The serving
 * end runs on the loop, answers this user only, and is bounded: eight peers, a
 * line each; who comes ninth takes the place of who has been there longest.
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "host/request.h"

struct control_server;
struct loop;

/* On the loop's thread: prints the answer, or returns why there is none. */
typedef const char *control_handler(void *argument,
				    const struct request *request, FILE *reply);

/*
 * Enters this process into the registry and serves. name NULL: known by its
 * process number only. -EEXIST (logged) when the name is taken; other failures
 * are the host's, for the caller to weigh and to log.
 */
int control_serve(struct loop *loop, const char *name, control_handler *handle,
		  void *argument, struct control_server **server);
void control_server_destroy(struct control_server *server); /* NULL is fine */

/*
 * Asks process `pid` and copies the answer to `to`. 0, or -errno; -EREMOTEIO
 * when the answer was an error, which `error` then holds. Blocks, a few
 * seconds at most; for as long as it takes for save.
 */
int control_ask(int folder, pid_t pid, const struct request *request, FILE *to,
		char error[128]);
