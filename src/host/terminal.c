/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Raw mode (termios(3)) and its end. What may be changed and what must be put
 * back is set once, before `is_raw` is; handlers only read it.
 */
#include "host/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/bits.h"

/* Of the process, as the terminal is. */
static struct {
	int fd;
	struct termios saved, raw;
	_Atomic bool is_open, is_raw;
	bool has_exit_hook;
} terminal = { .fd = -1 };

/* Signals by which a process dies of its own mistakes. */
static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL,  SIGFPE,	SIGABRT,
			     SIGTRAP, SIGSYS, SIGQUIT, SIGXCPU, SIGXFSZ };

void terminal_restore(void)
{
	int error = errno;

	if (atomic_exchange(&terminal.is_raw, false))
		tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
	errno = error;
}

static void on_fatal(int signal)
{
	/* SA_RESETHAND: the same again, by default, ends us. */
	terminal_restore();
	raise(signal);
}

/* Those that somebody else (an engine) handles are left to him. */
static void catch_fatal_signals(void)
{
	struct sigaction ours = { .sa_handler = on_fatal,
				  .sa_flags = SA_RESETHAND | SA_NODEFER |
					      SA_ONSTACK };
	struct sigaction old;

	for (unsigned i = 0; i < ARRAY_SIZE(fatal); i++)
		if (sigaction(fatal[i], NULL, &old) == 0 &&
		    !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
			sigaction(fatal[i], &ours, NULL);
}

bool terminal_is_ours(void)
{
	pid_t group = tcgetpgrp(terminal.fd);

	/* -1: not our controlling terminal; then nobody stops us. */
	return group < 0 || group == getpgrp();
}

/* A background job that changes the terminal would be stopped. */
static int enter_raw(void)
{
	if (!terminal_is_ours())
		return 0;
	if (tcsetattr(terminal.fd, TCSANOW, &terminal.raw) < 0)
		return -errno;
	atomic_store(&terminal.is_raw, true);
	return 0;
}

int terminal_open(int fd)
{
	int error;

	if (atomic_exchange(&terminal.is_open, true))
		return -EBUSY;
	terminal.fd = fd;
	if (tcgetattr(fd, &terminal.saved) < 0) {
		error = -errno;
		atomic_store(&terminal.is_open, false);
		return error;
	}
	terminal.raw = terminal.saved;
	cfmakeraw(&terminal.raw);
	/* What we and other programs print beside the guest stays readable. */
	terminal.raw.c_oflag |= OPOST;
	catch_fatal_signals();
	if (!terminal.has_exit_hook)
		terminal.has_exit_hook = atexit(terminal_restore) == 0;
	error = enter_raw();
	if (error)
		atomic_store(&terminal.is_open, false);
	return error;
}

void terminal_close(void)
{
	terminal_restore();
	atomic_store(&terminal.is_open, false);
}

void terminal_stop(void)
{
	terminal_restore();
	kill(getpid(), SIGSTOP);
}

void terminal_continued(void)
{
	if (atomic_load(&terminal.is_open))
		enter_raw();
}
