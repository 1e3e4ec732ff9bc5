/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's back end.
 *
 * Threads: console_write and console_receive_ready come from anywhere and
 * touch the ring, under the lock, and wake the loop; all else is the loop's.
 *
 * The flags of descriptors 0 and 1 are shared with whoever started us, so they
 * are left alone: terminals and pipes are opened a second time for O_NONBLOCK;
 * what cannot be opened again is asked before each small write.
 */
#include "host/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "host/escape.h"
#include "host/loop.h"
#include "host/ring.h"
#include "host/signals.h"
#include "host/terminal.h"

#define RING_SIZE      (64u << 10)
#define CHUNK	       4096
#define CHUNKS_AT_ONCE 16
#define SHARED_WRITE   64 /* what a terminal that is ready surely takes */
#define INPUT_SIZE     1024
#define LAST_WORDS_MS  1000

/* One direction's descriptor. */
struct port {
	int fd; /* -1: none */
	bool may_block; /* not ours alone: its flags are as they were */
	bool is_polled; /* epoll takes it; a regular file is always ready */
	bool is_watched;
	bool has_ended; /* nothing more to read */
	struct loop_watch watch;
};

struct console {
	struct loop *loop;
	struct console_events events;
	char *name; /* for messages: "standard output" */

	pthread_mutex_t lock; /* over the next five */
	struct ring ring;
	bool flush_is_called; /* the loop knows there is something */
	bool was_short; /* a writer waits for room */
	int error; /* of the first write that failed; output is dropped then */

	struct port in, out;
	struct loop_call flush, receive;
	bool has_flush, has_receive;

	bool is_terminal;
	struct escape escape;
	struct signals signals;
	bool has_signals;
	uint8_t input[INPUT_SIZE]; /* typed, not yet taken by the guest */
	size_t input_count;
};

/* --- output --------------------------------------------------------------- */

static void port_watch(struct console *console, struct port *port)
{
	if (!port->is_watched && loop_add(console->loop, &port->watch) == 0)
		port->is_watched = true;
}

static void port_unwatch(struct console *console, struct port *port)
{
	if (port->is_watched)
		loop_remove(console->loop, &port->watch);
	port->is_watched = false;
}

static bool port_is_ready(const struct port *port, short events)
{
	struct pollfd poller = { .fd = port->fd, .events = events };

	return poll(&poller, 1, 0) > 0;
}

/* As write(2), but never blocks where poll can tell. */
static ssize_t port_write(const struct port *port, const uint8_t *bytes,
			  size_t count)
{
	ssize_t n;

	if (port->may_block && port->is_polled) {
		if (!port_is_ready(port, POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		count = MIN(count, SHARED_WRITE);
	}
	do {
		n = write(port->fd, bytes, count);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Said once; from now on what the guest writes goes nowhere. */
static void output_failed(struct console *console, int error)
{
	pthread_mutex_lock(&console->lock);
	console->error = error;
	ring_drop(&console->ring, ring_used(&console->ring));
	pthread_mutex_unlock(&console->lock);
	port_unwatch(console, &console->out);
	log_error("%s: %s", console->name, strerror(error));
	if (console->events.failed)
		console->events.failed(console->events.argument, error);
}

/* Writes a piece of the ring. Returns how much, 0 when there is nothing, or
 * -errno. */
static ssize_t flush_piece(struct console *console)
{
	uint8_t bytes[CHUNK];
	bool tell = false;
	size_t count;
	ssize_t n;

	pthread_mutex_lock(&console->lock);
	count = ring_peek(&console->ring, bytes, sizeof(bytes));
	if (!count)
		console->flush_is_called = false;
	pthread_mutex_unlock(&console->lock);
	if (!count)
		return 0;
	n = port_write(&console->out, bytes, count);
	if (n < 0)
		return -errno;
	pthread_mutex_lock(&console->lock);
	ring_drop(&console->ring, n);
	if (console->was_short &&
	    ring_room(&console->ring) >= console->ring.size / 2) {
		console->was_short = false;
		tell = true;
	}
	pthread_mutex_unlock(&console->lock);
	if (tell && console->events.writable)
		console->events.writable(console->events.argument);
	return n;
}

static void on_flush(void *argument)
{
	struct console *console = argument;
	ssize_t n = 1;

	for (int i = 0; i < CHUNKS_AT_ONCE && n > 0; i++)
		n = flush_piece(console);
	if (n > 0) {
		/* Others want the loop, too. */
		loop_call_now(&console->flush);
	} else if (n == -EAGAIN) {
		port_watch(console, &console->out);
	} else if (n < 0) {
		output_failed(console, -n);
	} else {
		port_unwatch(console, &console->out);
	}
}

static void on_writable(void *argument, uint32_t events)
{
	on_flush(argument);
}

size_t console_write(struct console *console, const uint8_t *bytes,
		     size_t count)
{
	bool call = false;
	size_t taken = count;

	if (console->out.fd < 0)
		return count;
	pthread_mutex_lock(&console->lock);
	if (!console->error) {
		taken = ring_put(&console->ring, bytes, count);
		if (taken < count)
			console->was_short = true;
		call = !console->flush_is_called;
		console->flush_is_called = true;
	}
	pthread_mutex_unlock(&console->lock);
	if (call)
		loop_call_now(&console->flush);
	return taken;
}

/* --- input ---------------------------------------------------------------- */

static void deliver(struct console *console)
{
	size_t taken;

	if (!console->input_count || !console->events.receive)
		return;
	taken = console->events.receive(console->events.argument,
					console->input, console->input_count);
	console->input_count -= taken;
	memmove(console->input, console->input + taken, console->input_count);
}

static void run_command(struct console *console, char letter)
{
	static const struct {
		char letter;
		enum console_command command;
	} commands[] = { { 'x', CONSOLE_QUIT },
			 { 'p', CONSOLE_POWER_BUTTON },
			 { 'b', CONSOLE_BREAK },
			 { 's', CONSOLE_STAT } };

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].letter == letter && console->events.command)
			console->events.command(console->events.argument,
						commands[i].command);
}

static void show_help(void)
{
	fprintf(stderr, "\n%s", escape_help);
}

/* What is typed beyond a kilobyte that the guest does not take is lost, as on
 * any terminal; commands are not. */
static void type(struct console *console, uint8_t key)
{
	uint8_t byte = 0;
	char command = 0;

	switch (escape_key(&console->escape, key, &byte, &command)) {
	case ESCAPE_BYTE:
		if (console->input_count < INPUT_SIZE)
			console->input[console->input_count++] = byte;
		break;
	case ESCAPE_NOTHING:
		break;
	case ESCAPE_COMMAND:
		if (command == 'h')
			show_help();
		else
			run_command(console, command);
		break;
	case ESCAPE_UNKNOWN:
		show_help();
		break;
	}
}

/* The end of input is not the end of the guest. The descriptor stays open: it
 * may be the terminal that is to be restored. */
static void input_ended(struct console *console)
{
	port_unwatch(console, &console->in);
	console->in.has_ended = true;
}

/* Returns false when there is nothing to read now, or ever again. */
static bool read_some(struct console *console)
{
	uint8_t keys[INPUT_SIZE];
	size_t room = console->is_terminal ? sizeof(keys) :
					     INPUT_SIZE - console->input_count;
	ssize_t n;

	if (!room)
		return false;
	if (console->in.may_block && console->in.is_polled &&
	    !port_is_ready(&console->in, POLLIN))
		return false;
	n = read(console->in.fd, keys, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		input_ended(console);
		return false;
	}
	for (ssize_t i = 0; i < n && console->is_terminal; i++)
		type(console, keys[i]);
	if (!console->is_terminal) {
		memcpy(console->input + console->input_count, keys, n);
		console->input_count += n;
	}
	return true;
}

/* Watch for input while there is room for it; a terminal always, because of
 * the commands. */
static void want_input(struct console *console)
{
	bool is_wanted = console->is_terminal || !console->input_count;

	if (console->in.has_ended || !console->in.is_polled)
		return;
	if (is_wanted)
		port_watch(console, &console->in);
	else
		port_unwatch(console, &console->in);
}

static void on_readable(void *argument, uint32_t events)
{
	struct console *console = argument;

	/* Reading another job's terminal would stop us; SIGCONT tells. */
	if (console->is_terminal && !terminal_is_ours()) {
		port_unwatch(console, &console->in);
		return;
	}
	read_some(console);
	deliver(console);
	want_input(console);
}

/* The guest takes input again; and, for a file, the start. */
static void on_receive_ready(void *argument)
{
	struct console *console = argument;

	deliver(console);
	if (!console->in.is_polled)
		while (!console->in.has_ended && !console->input_count &&
		       read_some(console))
			deliver(console);
	want_input(console);
}

void console_receive_ready(struct console *console)
{
	if (console->has_receive)
		loop_call_now(&console->receive);
}

/* --- the terminal --------------------------------------------------------- */

static void tell_size(struct console *console)
{
	struct winsize size;

	if (console->events.resized && console->out.fd >= 0 &&
	    ioctl(console->out.fd, TIOCGWINSZ, &size) == 0)
		console->events.resized(console->events.argument, size.ws_col,
					size.ws_row);
}

static void on_signal(void *argument, int signal)
{
	struct console *console = argument;

	if (signal == SIGTSTP)
		terminal_stop();
	if (signal != SIGWINCH) {
		terminal_continued();
		want_input(console);
	}
	tell_size(console);
}

static int open_terminal(struct console *console)
{
	static const int wanted[] = { SIGWINCH, SIGTSTP, SIGCONT };
	int error = terminal_open(console->in.fd);

	if (error)
		return error;
	console->is_terminal = true;
	error = signals_init(&console->signals, console->loop, wanted,
			     ARRAY_SIZE(wanted), on_signal, console);
	console->has_signals = !error;
	return error;
}

/* --- opening and closing -------------------------------------------------- */

/* A descriptor of our own for fd's file; *may_block if its flags are shared. */
static int open_again(int fd, int flags, bool *may_block)
{
	struct stat st;
	char path[32];
	int again;

	if (fstat(fd, &st) < 0)
		return -1;
	*may_block = false;
	/* A second description of a file would have an offset of its own. */
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (again >= 0)
			return again;
	}
	*may_block = true;
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* Whether epoll takes it is found by trying. */
static void port_init(struct console *console, struct port *port, int fd,
		      uint32_t events, void (*fn)(void *, uint32_t))
{
	port->fd = fd;
	port->has_ended = fd < 0;
	if (fd < 0)
		return;
	port->watch = (struct loop_watch){
		.fd = fd, .events = events, .fn = fn, .argument = console
	};
	port_watch(console, port);
	port->is_polled = port->is_watched;
	port_unwatch(console, port);
}

static int open_stdio(struct console *console)
{
	int in = open_again(STDIN_FILENO, O_RDONLY, &console->in.may_block);
	int out = open_again(STDOUT_FILENO, O_WRONLY, &console->out.may_block);
	int error = 0;

	console->name = strdup("standard output");
	port_init(console, &console->in, in, EPOLLIN, on_readable);
	port_init(console, &console->out, out, EPOLLOUT, on_writable);
	if (in >= 0 && isatty(in)) {
		error = open_terminal(console);
		if (error)
			log_error("terminal: %s", strerror(-error));
	}
	return error;
}

static int open_output_file(struct console *console, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0) {
		int error = -errno;

		log_error("console %s: %s", path, strerror(-error));
		return error;
	}
	console->name = strdup(path);
	console->out.may_block = true;
	port_init(console, &console->out, fd, EPOLLOUT, on_writable);
	return 0;
}

static int open_spec(struct console *console, const char *spec)
{
	if (strcmp(spec, "stdio") == 0)
		return open_stdio(console);
	if (strncmp(spec, "file:", 5) == 0 && spec[5])
		return open_output_file(console, spec + 5);
	if (strcmp(spec, "none") == 0)
		return 0;
	log_error("console %s: it is one of stdio, file:PATH, none", spec);
	return -EINVAL;
}

static int prepare(struct console *console)
{
	int error = ring_init(&console->ring, RING_SIZE);

	if (!error)
		error = loop_call_init(console->loop, &console->flush, on_flush,
				       console);
	console->has_flush = !error;
	if (!error)
		error = loop_call_init(console->loop, &console->receive,
				       on_receive_ready, console);
	console->has_receive = !error;
	if (error)
		log_error("console: %s", strerror(-error));
	return error;
}

int console_create(struct loop *loop, const char *spec,
		   const struct console_events *events, struct console **result)
{
	struct console *console = calloc(1, sizeof(*console));
	int error;

	if (!console)
		return -ENOMEM;
	console->loop = loop;
	console->events = *events;
	console->in.fd = console->out.fd = -1;
	console->in.has_ended = true;
	pthread_mutex_init(&console->lock, NULL);
	/* A reader that went away is an error of write, not our end. */
	signal(SIGPIPE, SIG_IGN);
	error = prepare(console);
	if (!error)
		error = open_spec(console, spec);
	if (error) {
		console_destroy(console);
		return error;
	}
	tell_size(console);
	loop_call_now(&console->receive);
	*result = console;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

/* Until the ring is empty, or nobody has read anything for a second. */
static void drain(struct console *console)
{
	int64_t end = now_ms() + LAST_WORDS_MS;

	while (!console->error) {
		ssize_t n = flush_piece(console);
		struct pollfd poller = { .fd = console->out.fd,
					 .events = POLLOUT };

		if (n == 0)
			return;
		if (n > 0) {
			end = now_ms() + LAST_WORDS_MS;
			continue;
		}
		if (n != -EAGAIN) {
			output_failed(console, -n);
			return;
		}
		if (now_ms() >= end) {
			log_warning("%s: nobody reads; %zu bytes are lost",
				    console->name, ring_used(&console->ring));
			console->error = EAGAIN;
			return;
		}
		poll(&poller, 1, (int)(end - now_ms()));
	}
}

int console_destroy(struct console *console)
{
	int error;

	if (!console)
		return 0;
	/* No more news for those who are being torn down. */
	console->events = (struct console_events){ 0 };
	if (console->out.fd >= 0)
		drain(console);
	error = -console->error;
	if (console->has_signals)
		signals_fini(&console->signals);
	if (console->is_terminal)
		terminal_close();
	port_unwatch(console, &console->in);
	port_unwatch(console, &console->out);
	if (console->in.fd >= 0)
		close(console->in.fd);
	if (console->out.fd >= 0)
		close(console->out.fd);
	if (console->has_flush)
		loop_call_fini(console->loop, &console->flush);
	if (console->has_receive)
		loop_call_fini(console->loop, &console->receive);
	ring_fini(&console->ring);
	pthread_mutex_destroy(&console->lock);
	free(console->name);
	free(console);
	return error;
}
