/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user's terminal in raw mode, and back on every way out: the ordinary
 * one, exit(3), a fatal signal, a stop. A process has one, which is why this
 * keeps state of its own.
 */
#pragma once

#include <stdbool.h>

/*
 * Puts fd's terminal into raw mode, unless another process group has it (a
 * background job): then terminal_continued does, later. 0 or -errno; -EBUSY
 * when it is in use already.
 */
int terminal_open(int fd);

/* As before terminal_open. Twice is harmless; async-signal-safe. */
void terminal_restore(void);
void terminal_close(void);

/* Our process group may read from it now. */
bool terminal_is_ours(void);

/* Around a stop (SIGTSTP), and after SIGCONT. On one thread. */
void terminal_stop(void);
void terminal_continued(void);
