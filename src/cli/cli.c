/* SPDX-License-Identifier: BSD-2-Clause */
/* From argv to a command, and its exit status. */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

#define VERSION "0.1.0"

const struct command *const cli_commands[] = {
	&command_run,	     &command_doctor,
	&command_ps,	     &command_stat,
	&command_stop,	     &command_save,
	&command_restore,    &command_help,
	&command_completion, NULL,
};

static const char *command_name(const void *from, unsigned i)
{
	return cli_commands[i] ? cli_commands[i]->name : NULL;
}

const struct command *cli_find(const char *name)
{
	const char *nearest;

	for (unsigned i = 0; cli_commands[i]; i++)
		if (strcmp(cli_commands[i]->name, name) == 0)
			return cli_commands[i];
	nearest = nearest_word(name, command_name, NULL);
	if (nearest)
		log_error("no command '%s'; did you mean '%s'?", name, nearest);
	else
		log_error("no command '%s'; `ringfence help` lists them", name);
	return NULL;
}

static int run_command(int argc, char **argv)
{
	const struct command *command = cli_find(argv[0]);
	struct arguments arguments;

	if (!command ||
	    arguments_parse(command, argc - 1, argv + 1, &arguments))
		return STATUS_OUR_ERROR;
	if (arguments.wants_help) {
		cli_print_help(stdout, command);
		return 0;
	}
	return command->run(&arguments);
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2) {
		cli_print_overview(stderr);
		return STATUS_OUR_ERROR;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("ringfence " VERSION "\n");
		return 0;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		cli_print_overview(stdout);
		return 0;
	}
	if (argv[1][0] == '-') {
		log_error("%s: a command comes first; `ringfence help` lists "
			  "them",
			  argv[1]);
		return STATUS_OUR_ERROR;
	}
	return run_command(argc - 1, argv + 1);
}

int cli_main(int argc, char **argv)
{
	int status = dispatch(argc, argv);

	/* What was printed must have arrived, too. */
	errno = 0;
	if (fflush(stdout) || ferror(stdout)) {
		log_error("standard output: %s",
			  errno ? strerror(errno) : "write error");
		return STATUS_OUR_ERROR;
	}
	return status;
}
