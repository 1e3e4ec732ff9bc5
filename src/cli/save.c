/* SPDX-License-Identifier: BSD-2-Clause */
/* ringfence save: asks a running VM to write its state to a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/cli.h"
#include "host/request.h"

#define SLOW_TO_END_S 60

enum { SAVE_STOP };

static const struct option_type options[] = {
	[SAVE_STOP] = { "stop", 0, OPTION_FLAG,
			.help = "end the VM once its state is on the disk" },
	{ 0 },
};

/* The VM has a current folder of its own. False: it has been said. */
static bool make_absolute(const char *path, char result[REQUEST_FILE_MAX])
{
	cleanup_free char *folder = NULL;
	size_t size;

	for (const char *at = path; *at; at++)
		if ((unsigned char)*at < ' ') {
			log_error(
				"save: a file's name with control characters");
			return false;
		}
	if (*path == '/') {
		size = snprintf(result, REQUEST_FILE_MAX, "%s", path);
	} else {
		folder = getcwd(NULL, 0);
		if (!folder || !*path) {
			log_error("save: %s: %s", path,
				  *path ? strerror(errno) : "no file's name");
			return false;
		}
		size = snprintf(result, REQUEST_FILE_MAX, "%s/%s", folder,
				path);
	}
	if (size < REQUEST_FILE_MAX)
		return true;
	log_error("save: the file's name is too long");
	return false;
}

static int save(const struct arguments *arguments)
{
	const char *who = arguments->operand[0];
	struct request request = { .command = "save",
				   .stop = arguments->is_given[SAVE_STOP] };
	cleanup_fd int folder = cli_open_registry();
	pid_t pid = cli_find_vm(folder, who);

	if (pid < 0 || !make_absolute(arguments->operand[1], request.file))
		return STATUS_OUR_ERROR;
	if (cli_ask(folder, pid, &request, who)) {
		log_error("%s: not saved; the VM goes on, if it is there",
			  arguments->operand[1]);
		return STATUS_OUR_ERROR;
	}
	if (request.stop && !cli_wait_for_end(folder, pid, SLOW_TO_END_S)) {
		log_error("%s: saved, but process %d has not ended", who,
			  (int)pid);
		return STATUS_OUR_ERROR;
	}
	return 0;
}

const struct command command_save = {
	.name = "save",
	.summary = "Writes the state of a running VM to a file",
	.operands = "PID|NAME FILE",
	.operands_min = 2,
	.operands_max = 2,
	.options = options,
	.text = "The VM stands still meanwhile and then goes on. The file "
		"takes its place when it\n"
		"is whole; until then what was there stays. Interrupted, the "
		"command no longer\n"
		"waits; the VM writes the file all the same.\n",
	.run = save,
};
