/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which VMs this user runs: a folder of control sockets, PID.sock, and of
 * names, symbolic links NAME.name that point to them. The folder is
 * $XDG_RUNTIME_DIR/ringfence, or /tmp/ringfence-UID where there is no such
 * variable; only its owner may enter it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Opens the folder, creating it. A descriptor, or -errno; where != NULL gets
 * its path for messages. */
int registry_open(char *where, size_t room);

/* Letters, digits, '.', '_' and '-', at most 64, not only digits (which would
 * be a process) and no leading '.'. */
bool registry_name_is_valid(const char *name);

/* A listening socket of this process, close-on-exec and non-blocking, or
 * -errno. */
int registry_listen(int folder);

/*
 * Gives this process the name. -EEXIST when a running VM has it, whose process
 * is then *holder; a dead one's is taken over.
 */
int registry_take_name(int folder, const char *name, pid_t *holder);

/* Takes away our socket, and our name if any. */
void registry_leave(int folder, const char *name);

/* Connects to a VM; entries of dead ones are cleaned away. A descriptor or
 * -errno: -ESRCH when there is none. */
int registry_connect(int folder, pid_t pid);

/* `who` is a process number or a name: the process, or -ESRCH. */
pid_t registry_find(int folder, const char *who);

/* Calls fn for every process that has a socket, in ascending order. */
int registry_each(int folder, void (*fn)(pid_t pid, void *argument),
		  void *argument);
