/* SPDX-License-Identifier: BSD-2-Clause */
/* ringfence ps, stat and stop: questions to running VMs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/cli.h"
#include "host/control.h"
#include "host/registry.h"

#define POLL_NS	      50000000
#define SLOW_TO_END_S 20

static const struct option_type json_only[] = {
	{ "json", 0, OPTION_FLAG, .help = "for programs" },
	{ 0 },
};

int cli_open_registry(void)
{
	char where[256];
	int folder = registry_open(where, sizeof(where));

	if (folder < 0)
		log_error("%s: %s", where, strerror(-folder));
	return folder;
}

struct listing {
	int folder;
	bool is_json;
	unsigned count;
};

/* A VM that ends while it is asked is none. */
static void list_one(pid_t pid, void *argument)
{
	struct listing *listing = argument;
	struct request request = { .command = "info",
				   .json = listing->is_json };
	cleanup_free char *text = NULL;
	cleanup_file FILE *file = NULL;
	char error[128];
	size_t size;

	file = open_memstream(&text, &size);
	if (!file || control_ask(listing->folder, pid, &request, file, error) ||
	    fflush(file) || !size)
		return;
	text[strcspn(text, "\n")] = 0;
	if (listing->is_json)
		printf("%s%s", listing->count ? ",\n " : "", text);
	else
		printf("%s\n", text);
	listing->count++;
}

static int ps(const struct arguments *arguments)
{
	cleanup_fd int folder = cli_open_registry();
	struct listing listing = { .folder = folder,
				   .is_json = arguments->is_given[0] };
	int error;

	if (folder < 0)
		return STATUS_OUR_ERROR;
	if (listing.is_json)
		printf("[");
	else
		printf("%7s %-20s %-7s %5s %8s %8s\n", "PID", "NAME", "ENGINE",
		       "CPUS", "MEMORY", "TIME");
	error = registry_each(folder, list_one, &listing);
	if (listing.is_json)
		printf("]\n");
	if (error) {
		log_error("list of VMs: %s", strerror(-error));
		return STATUS_OUR_ERROR;
	}
	return 0;
}

const struct command command_ps = {
	.name = "ps",
	.summary = "Lists the running VMs of this user",
	.operands = "",
	.options = json_only,
	.run = ps,
};

pid_t cli_find_vm(int folder, const char *who)
{
	pid_t pid;

	if (folder < 0)
		return -1;
	pid = registry_find(folder, who);
	if (pid > 0)
		return pid;
	log_error("%s: no such VM; `ringfence ps` lists them", who);
	return -1;
}

int cli_ask(int folder, pid_t pid, const struct request *request,
	    const char *who)
{
	char reason[128] = "";
	int error = control_ask(folder, pid, request, stdout, reason);

	if (error == -EREMOTEIO)
		log_error("%s: %s", who, reason);
	else if (error)
		log_error("%s: %s", who,
			  error == -EAGAIN ? "does not answer" :
			  error == -ESRCH  ? "has ended" :
					     strerror(-error));
	return error;
}

static int stat(const struct arguments *arguments)
{
	const char *who = arguments->operand[0];
	struct request request = { .command = "stat",
				   .json = arguments->is_given[0] };
	cleanup_fd int folder = cli_open_registry();
	pid_t pid = cli_find_vm(folder, who);

	if (pid < 0 || cli_ask(folder, pid, &request, who))
		return STATUS_OUR_ERROR;
	return 0;
}

const struct command command_stat = {
	.name = "stat",
	.summary = "Prints the exits of a running VM",
	.operands = "PID|NAME",
	.operands_min = 1,
	.operands_max = 1,
	.options = json_only,
	.run = stat,
};

static const struct option_type stop_options[] = {
	{ "grace", 0, OPTION_NUMBER, "SECONDS", .fallback = "10", .max = 86400,
	  .help = "from the power button to the end by force; 0: at once" },
	{ 0 },
};

bool cli_wait_for_end(int folder, pid_t pid, uint64_t seconds)
{
	const struct timespec nap = { .tv_nsec = POLL_NS };
	time_t end = time(NULL) + seconds;

	while (time(NULL) <= end) {
		int fd = registry_connect(folder, pid);

		if (fd == -ESRCH)
			return true;
		if (fd >= 0)
			close(fd);
		nanosleep(&nap, NULL);
	}
	return false;
}

static int stop(const struct arguments *arguments)
{
	const char *who = arguments->operand[0];
	uint64_t grace = arguments->number[0];
	struct request request = { .command = "stop",
				   .grace_ms = grace * 1000 };
	cleanup_fd int folder = cli_open_registry();
	pid_t pid = cli_find_vm(folder, who);

	if (pid < 0 || cli_ask(folder, pid, &request, who))
		return STATUS_OUR_ERROR;
	if (cli_wait_for_end(folder, pid, grace + SLOW_TO_END_S))
		return 0;
	log_error("%s: process %d has not ended", who, (int)pid);
	return STATUS_OUR_ERROR;
}

const struct command command_stop = {
	.name = "stop",
	.summary = "Ends a running VM: by its power button, then by force",
	.operands = "PID|NAME",
	.operands_min = 1,
	.operands_max = 1,
	.options = stop_options,
	.run = stop,
};
