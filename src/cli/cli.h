/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: every command, and what several of them use. */
#pragma once

#include <stdio.h>

#include "cli/option.h"

#define STATUS_OUR_ERROR 125

/* THE table; ends with name NULL. */
extern const struct command *const cli_commands[];

extern const struct command command_run, command_doctor, command_ps,
	command_stat, command_stop, command_help, command_completion;

/* NULL when there is none of that name; then the error has been said. */
const struct command *cli_find(const char *name);

/* Help on everything, or on one command. */
void cli_print_overview(FILE *file);
void cli_print_help(FILE *file, const struct command *command);

/* Bash completion, for `source <(ringfence completion)`. */
void cli_print_completion(FILE *file);

/* Returns the process's exit status. */
int cli_main(int argc, char **argv);
