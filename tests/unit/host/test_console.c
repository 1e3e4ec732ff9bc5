/* SPDX-License-Identifier: BSD-2-Clause */
/* link: -lutil */
/*
 * The console on a terminal, a pipe, a file, a full disk and nothing. The test
 * puts its own descriptors 0 and 1 in place and takes them away again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "host/console.h"
#include "host/loop.h"

struct fixture {
	struct loop *loop;
	struct console *console;
	int old[2];
	char received[4096];
	size_t count, room; /* what the guest took, and will take */
	int commands, writable, error;
	enum console_command command;
	unsigned columns;
	struct loop_call stop;
	int rounds;
};

static size_t on_receive(void *argument, const uint8_t *bytes, size_t count)
{
	struct fixture *f = argument;

	if (count > f->room)
		count = f->room;
	memcpy(f->received + f->count, bytes, count);
	f->count += count;
	f->room -= count;
	f->received[f->count] = 0;
	return count;
}

static void on_room(void *argument)
{
	((struct fixture *)argument)->writable++;
}

static void on_command(void *argument, enum console_command command)
{
	struct fixture *f = argument;

	f->command = command;
	f->commands++;
}

static void on_resized(void *argument, unsigned columns, unsigned rows)
{
	((struct fixture *)argument)->columns = columns;
}

static void on_failed(void *argument, int error)
{
	((struct fixture *)argument)->error = error;
}

/* Some rounds of the loop: enough for anything that is ready. */
static void on_stop(void *argument)
{
	struct fixture *f = argument;

	if (--f->rounds > 0)
		loop_call_now(&f->stop);
	else
		loop_quit(f->loop);
}

static void turn(struct fixture *f)
{
	f->rounds = 40;
	loop_call_now(&f->stop);
	assert_int_equal(loop_run(f->loop), 0);
}

/* What is typed reaches a terminal's reader by way of a kernel thread. */
static void turn_until(struct fixture *f, const int *what, int value)
{
	for (int i = 0; i < 200 && *what != value; i++) {
		usleep(10000);
		turn(f);
	}
	assert_int_equal(*what, value);
}

static void open_console(struct fixture *f, const char *spec, int in, int out)
{
	const struct console_events events = { on_receive, on_room,
					       on_command, on_resized,
					       on_failed,  f };

	for (int i = 0; i < 2; i++)
		f->old[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
	dup2(in, 0);
	dup2(out, 1);
	f->room = sizeof(f->received) - 1;
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(loop_call_init(f->loop, &f->stop, on_stop, f), 0);
	assert_int_equal(console_create(f->loop, spec, &events, &f->console),
			 0);
}

static int close_console(struct fixture *f)
{
	int error = console_destroy(f->console);

	loop_call_fini(f->loop, &f->stop);
	loop_destroy(f->loop);
	for (int i = 0; i < 2; i++) {
		dup2(f->old[i], i);
		close(f->old[i]);
	}
	return error;
}

static size_t say(struct fixture *f, const char *text)
{
	return console_write(f->console, (const uint8_t *)text, strlen(text));
}

static void test_pipes(void **state)
{
	struct fixture f = { 0 };
	int in[2], out[2];
	char text[16] = "";

	assert_int_equal(pipe(in) | pipe(out), 0);
	open_console(&f, "stdio", in[0], out[1]);
	assert_int_equal(write(in[1], "abc\1x", 5), 5);
	say(&f, "hello");
	turn(&f);
	/* No commands from a pipe: it may hold anything. */
	assert_string_equal(f.received, "abc\1x");
	assert_int_equal(f.commands, 0);
	assert_int_equal(read(out[0], text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	/* The flags that others share are as they were. */
	assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
	/* The end of input ends nothing. */
	close(in[1]);
	turn(&f);
	say(&f, "!");
	assert_int_equal(close_console(&f), 0);
	assert_int_equal(read(out[0], text, sizeof(text)), 1);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

/* A guest that takes little is given more only when it says so. */
static void test_slow_guest(void **state)
{
	struct fixture f = { 0 };
	int in[2];

	assert_int_equal(pipe(in), 0);
	open_console(&f, "stdio", in[0], 1);
	f.room = 3;
	assert_int_equal(write(in[1], "abcdef", 6), 6);
	turn(&f);
	assert_string_equal(f.received, "abc");
	f.room = 10;
	turn(&f);
	assert_string_equal(f.received, "abc");
	console_receive_ready(f.console);
	turn(&f);
	assert_string_equal(f.received, "abcdef");
	assert_int_equal(close_console(&f), 0);
	close(in[0]);
	close(in[1]);
}

static void test_input_from_a_file(void **state)
{
	struct fixture f = { 0 };
	FILE *file = tmpfile();

	fputs("0123456789", file);
	rewind(file);
	open_console(&f, "stdio", fileno(file), 1);
	f.room = 4;
	turn(&f);
	assert_string_equal(f.received, "0123");
	f.room = 100;
	console_receive_ready(f.console);
	turn(&f);
	assert_string_equal(f.received, "0123456789");
	assert_int_equal(close_console(&f), 0);
	fclose(file);
}

/* Nobody reads: the ring fills, writers are held off, nothing is lost. */
static void test_nobody_reads(void **state)
{
	struct fixture f = { 0 };
	static uint8_t bytes[1000], got[1000];
	size_t sent = 0, taken = 1, seen = 0;
	uint8_t next = 0;
	int out[2];

	assert_int_equal(pipe(out), 0);
	open_console(&f, "stdio", 0, out[1]);
	while (taken) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = sent + i;
		taken = console_write(f.console, bytes, sizeof(bytes));
		sent += taken;
		if (taken < sizeof(bytes))
			turn(&f);
	}
	assert_in_range(sent, 100000, 400000);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	while (seen < sent) {
		ssize_t n = read(out[0], got, sizeof(got));

		if (n < 0)
			turn(&f);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], next++);
		seen += n < 0 ? 0 : n;
	}
	assert_true(f.writable > 0);
	assert_int_equal(close_console(&f), 0);
	close(out[0]);
	close(out[1]);
}

static void test_full_disk(void **state)
{
	struct fixture f = { 0 };
	int full = open("/dev/full", O_WRONLY);

	assert_true(full >= 0);
	open_console(&f, "stdio", 0, full);
	say(&f, "lost");
	turn(&f);
	assert_int_equal(f.error, ENOSPC);
	/* The guest is not held off by what cannot get better. */
	assert_int_equal(say(&f, "more"), 4);
	assert_int_equal(close_console(&f), -ENOSPC);
	close(full);
}

static void test_closed_pipe(void **state)
{
	struct fixture f = { 0 };
	int out[2];

	assert_int_equal(pipe(out), 0);
	open_console(&f, "stdio", 0, out[1]);
	close(out[0]);
	say(&f, "x");
	assert_int_equal(close_console(&f), -EPIPE);
	close(out[1]);
}

static void test_file_and_none(void **state)
{
	char path[] = "/tmp/ringfence-console-XXXXXX", spec[64], text[32];
	struct fixture f = { 0 };
	FILE *file;

	close(mkstemp(path));
	snprintf(spec, sizeof(spec), "file:%s", path);
	for (int i = 0; i < 2; i++) {
		open_console(&f, spec, 0, 1);
		say(&f, "line\n");
		assert_int_equal(close_console(&f), 0);
	}
	file = fopen(path, "r");
	assert_int_equal(fread(text, 1, sizeof(text), file), 10);
	fclose(file);
	unlink(path);
	open_console(&f, "none", 0, 1);
	assert_int_equal(say(&f, "nothing"), 7);
	assert_int_equal(close_console(&f), 0);
}

static void test_bad_specs(void **state)
{
	static const char *const bad[] = { "",	  "file:", "file",
					   "pty", "Stdio", "file:/nowhere/x" };
	const struct console_events events = { 0 };
	struct console *console;
	struct loop *loop;

	assert_int_equal(loop_create(&loop), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(console_create(loop, bad[i], &events, &console) <
			    0);
	loop_destroy(loop);
}

static bool is_raw(int fd)
{
	struct termios now;

	assert_int_equal(tcgetattr(fd, &now), 0);
	return !(now.c_lflag & (ICANON | ECHO | ISIG));
}

static void test_terminal(void **state)
{
	struct winsize size = { .ws_col = 99, .ws_row = 33 };
	struct termios before = { 0 }, after = { 0 };
	struct fixture f = { 0 };
	int master, slave;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	tcgetattr(slave, &before);
	open_console(&f, "stdio", slave, slave);
	assert_true(is_raw(slave));
	assert_int_equal(f.columns, 99);
	/* Ctrl-c is the guest's; Ctrl-a x is ours. */
	assert_int_equal(write(master, "a\3b", 3), 3);
	for (int i = 0; i < 200 && f.count < 3; i++) {
		usleep(10000);
		turn(&f);
	}
	assert_string_equal(f.received, "a\3b");
	/* Commands work on a guest that takes nothing. */
	f.room = 0;
	for (int i = 0; i < 3000; i++)
		assert_int_equal(write(master, "z", 1), 1);
	turn(&f);
	assert_int_equal(write(master, "\1x", 2), 2);
	turn_until(&f, &f.commands, 1);
	assert_int_equal(f.command, CONSOLE_QUIT);
	size.ws_col = 120;
	ioctl(master, TIOCSWINSZ, &size);
	raise(SIGWINCH);
	turn(&f);
	assert_int_equal(f.columns, 120);
	assert_false(fcntl(slave, F_GETFL) & O_NONBLOCK);
	assert_int_equal(close_console(&f), 0);
	tcgetattr(slave, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	close(master);
	close(slave);
}

/* In a child, because each way out ends the process. */
static void leave_by(void (*leave)(void), bool by_signal)
{
	struct termios before = { 0 }, after = { 0 };
	struct fixture f = { 0 };
	int master, slave, status;
	pid_t pid;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	tcgetattr(slave, &before);
	pid = fork();
	if (pid == 0) {
		/* cmocka catches these; we want what a program has. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		open_console(&f, "stdio", slave, slave);
		if (!is_raw(slave))
			_exit(9);
		leave();
		_exit(9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(!!WIFSIGNALED(status), by_signal);
	if (!by_signal)
		assert_int_equal(WEXITSTATUS(status), 3);
	tcgetattr(slave, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	close(master);
	close(slave);
}

static void by_exit(void)
{
	exit(3);
}

static void by_fault(void)
{
	raise(SIGSEGV);
}

static void test_every_way_out(void **state)
{
	leave_by(by_exit, false);
	leave_by(abort, true);
	leave_by(by_fault, true);
}

/* Polls, since the change is made on the child's loop. */
static bool becomes_raw(int fd, bool wanted)
{
	for (int i = 0; i < 300 && is_raw(fd) != wanted; i++)
		usleep(10000);
	return is_raw(fd) == wanted;
}

/* A stop gives the terminal back, going on takes it again. */
static void test_stop_and_continue(void **state)
{
	struct fixture f = { 0 };
	int master, slave, status;
	pid_t pid;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	pid = fork();
	if (pid == 0) {
		open_console(&f, "stdio", slave, slave);
		loop_run(f.loop);
		_exit(9);
	}
	assert_true(becomes_raw(slave, true));
	kill(pid, SIGTSTP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_false(is_raw(slave));
	kill(pid, SIGCONT);
	assert_true(becomes_raw(slave, true));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(master);
	close(slave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_slow_guest),
		cmocka_unit_test(test_input_from_a_file),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_closed_pipe),
		cmocka_unit_test(test_file_and_none),
		cmocka_unit_test(test_bad_specs),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_every_way_out),
		cmocka_unit_test(test_stop_and_continue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
