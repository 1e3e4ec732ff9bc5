/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests, the registry, and the control socket with peers good and bad. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/control.h"
#include "host/loop.h"
#include "host/registry.h"

static void test_requests(void **state)
{
	struct request request;
	char line[REQUEST_LINE_MAX];

	assert_null(request_parse("{\"command\":\"stat\"}", &request));
	assert_string_equal(request.command, "stat");
	assert_false(request.json);
	assert_null(request_parse(" { \"json\" : true , \"x\": 5,"
				  "\"grace_ms\":30000, \"command\": \"stop\" "
				  "}\r",
				  &request));
	assert_true(request.json);
	assert_int_equal(request.grace_ms, 30000);
	/* What we print we understand. */
	request_format(&request, line, sizeof(line));
	memset(&request, 0, sizeof(request));
	assert_null(request_parse(line, &request));
	assert_string_equal(request.command, "stop");
	assert_int_equal(request.grace_ms, 30000);
}

static void test_longest_file(void **state)
{
	struct request request = { .command = "save", .stop = true }, again;
	char line[REQUEST_LINE_MAX];

	memset(request.file, '"', sizeof(request.file) - 1);
	assert_true(request_format(&request, line, sizeof(line)) > 0);
	assert_null(request_parse(line, &again));
	assert_string_equal(again.file, request.file);
	assert_true(again.stop);
}

static void test_bad_requests(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"}",
		"{}",
		"stat",
		"{\"command\"}",
		"{\"command\":}",
		"{\"command\":stat}",
		"{\"command\":\"stat\"",
		"{\"command\":\"stat\"}x",
		"{\"command\":\"stat\",}",
		"{\"command\":7}",
		"{\"command\":\"a name that is much too long\"}",
		"{\"command\":\"a\\u0041\"}",
		"{\"command\":\"stat\",\"json\":1}",
		"{\"command\":\"stat\",\"grace_ms\":-1}",
		"{\"command\":\"stat\",\"grace_ms\":99999999999999999999}",
		"{\"command\":\"stat\",\"json\":{}}",
		"{\"json\":true}",
		"{\"command\":\"s\\",
		"{\"a key that is very, very much longer than any is\":1}",
	};
	struct request request;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(request_parse(bad[i], &request));
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "web-1", "x.y_z", "1a" };
	static const char *const bad[] = { "",	  "17",	 ".",	     "..", ".a",
					   "a/b", "a b", "\xc3\xa9", "a\n" };
	char longest[66];

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(registry_name_is_valid(good[i]));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(registry_name_is_valid(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[65] = 0;
	assert_false(registry_name_is_valid(longest));
	longest[64] = 0;
	assert_true(registry_name_is_valid(longest));
}

static void test_folder(void **state)
{
	char where[256];
	struct stat st;
	int folder = registry_open(where, sizeof(where));

	assert_true(folder >= 0);
	assert_int_equal(fstat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	close(folder);
	/* Others could have put anything there. */
	assert_int_equal(chmod(where, 0755), 0);
	folder = registry_open(where, sizeof(where));
	if (folder >= 0) {
		/* The one in /tmp took its place. */
		assert_memory_equal(where, "/tmp/ringfence-", 15);
		close(folder);
	}
	chmod(*state, 0700);
}

struct server {
	struct loop *loop;
	struct control_server *control;
	struct loop_call quit;
	pthread_t thread;
	int requests;
};

static const char *handle(void *argument, const struct request *request,
			  FILE *reply)
{
	struct server *server = argument;

	server->requests++;
	if (strcmp(request->command, "big") == 0) {
		for (int i = 0; i < 100000; i++)
			fprintf(reply, "%09d\n", i);
		return NULL;
	}
	if (strcmp(request->command, "stat") != 0)
		return "no \"such\" command";
	fprintf(reply, "json %d\n", request->json);
	return NULL;
}

static void on_quit(void *argument)
{
	loop_quit(((struct server *)argument)->loop);
}

static void *serve(void *argument)
{
	struct server *server = argument;

	loop_run(server->loop);
	return NULL;
}

static void start(struct server *server, const char *name)
{
	*server = (struct server){ 0 };
	assert_int_equal(loop_create(&server->loop), 0);
	assert_int_equal(loop_call_init(server->loop, &server->quit, on_quit,
					server),
			 0);
	assert_int_equal(control_serve(server->loop, name, handle, server,
				       &server->control),
			 0);
	pthread_create(&server->thread, NULL, serve, server);
}

static void stop(struct server *server)
{
	loop_call_now(&server->quit);
	pthread_join(server->thread, NULL);
	control_server_destroy(server->control);
	loop_call_fini(server->loop, &server->quit);
	loop_destroy(server->loop);
}

static int ask(int folder, const char *command, bool json, char *text,
	       size_t room, char error[128])
{
	struct request request = { .json = json };
	FILE *file = fmemopen(text, room, "w");
	int result;

	strcpy(request.command, command);
	result = control_ask(folder, getpid(), &request, file, error);
	fclose(file);
	return result;
}

static void test_ask(void **state)
{
	static char text[2000000];
	struct server server;
	char error[128];
	int folder = registry_open(NULL, 0);

	start(&server, "alpha");
	assert_int_equal(registry_find(folder, "alpha"), getpid());
	assert_int_equal(registry_find(folder, "beta"), -ESRCH);
	assert_int_equal(ask(folder, "stat", true, text, 100, error), 0);
	assert_string_equal(text, "json 1\n");
	assert_int_equal(ask(folder, "dance", true, text, 100, error),
			 -EREMOTEIO);
	assert_non_null(strstr(error, "such"));
	assert_int_equal(ask(folder, "big", true, text, sizeof(text), error),
			 0);
	assert_int_equal(strlen(text), 1000000);
	stop(&server);
	assert_int_equal(registry_find(folder, "alpha"), -ESRCH);
	assert_int_equal(ask(folder, "stat", true, text, 100, error), -ESRCH);
	close(folder);
}

/* Peers that say nothing, too much, or leave: the others do not notice. */
static void test_hostile_peers(void **state)
{
	struct server server;
	char noise[2000], text[100], error[128];
	int folder = registry_open(NULL, 0), silent[30];

	memset(noise, 'x', sizeof(noise));
	start(&server, NULL);
	for (int i = 0; i < 30; i++) {
		silent[i] = registry_connect(folder, getpid());
		assert_true(silent[i] >= 0);
		if (i % 3 == 1)
			send(silent[i], noise, sizeof(noise), MSG_NOSIGNAL);
		if (i % 3 == 2)
			send(silent[i], "{\"command\"", 10, MSG_NOSIGNAL);
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(folder, "stat", false, text, 100, error),
				 0);
	for (int i = 0; i < 30; i++)
		close(silent[i]);
	assert_int_equal(ask(folder, "stat", false, text, 100, error), 0);
	stop(&server);
	close(folder);
}

static void count(pid_t pid, void *argument)
{
	++*(int *)argument;
}

/* What a killed VM leaves is cleaned away by who finds it. */
static void test_stale(void **state)
{
	int folder = registry_open(NULL, 0), ready[2], n = 0;
	struct server server;
	pid_t holder, pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		start(&server, "gamma");
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(registry_find(folder, "gamma"), pid);
	assert_int_equal(registry_take_name(folder, "gamma", &holder), -EEXIST);
	assert_int_equal(holder, pid);
	registry_each(folder, count, &n);
	assert_int_equal(n, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(registry_find(folder, "gamma"), -ESRCH);
	assert_int_equal(registry_take_name(folder, "gamma", &holder), 0);
	n = 0;
	registry_each(folder, count, &n);
	assert_int_equal(n, 0);
	registry_leave(folder, "gamma");
	close(folder);
	close(ready[0]);
	close(ready[1]);
}

static int setup(void **state)
{
	/* Longer than a socket's path may be. */
	static char folder[256] =
		"/tmp/ringfence-test-XXXXXX/"
		"a-folder-whose-name-is-rather-long-so-that-the-path-of-a-"
		"socket-in-it-is-longer-than-the-hundred-and-eight-bytes";

	folder[26] = 0;
	if (!mkdtemp(folder))
		return -1;
	folder[26] = '/';
	if (mkdir(folder, 0700))
		return -1;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	strcat(folder, "/ringfence");
	*state = folder;
	return 0;
}

static int teardown(void **state)
{
	char *folder = *state;

	rmdir(folder);
	*strrchr(folder, '/') = 0;
	rmdir(folder);
	*strrchr(folder, '/') = 0;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_longest_file),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_hostile_peers),
		cmocka_unit_test(test_stale),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
