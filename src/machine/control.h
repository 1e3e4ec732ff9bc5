/* SPDX-License-Identifier: BSD-2-Clause */
/* What `ringfence stat`, `ps` and `stop` ask of a running machine. */
#pragma once

struct control;
struct machine;

/* Opens the machine's control socket. A host without a place for one is not
 * fatal: it is logged, and *control is NULL. */
int control_create(struct machine *machine, struct control **control);
void control_destroy(struct control *control); /* NULL is fine */
