/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: every command, and what several of them use. */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "cli/option.h"

struct request;

#define STATUS_OUR_ERROR 125

/* THE table; ends with name NULL. */
extern const struct command *const cli_commands[];

extern const struct command command_run, command_doctor, command_ps,
	command_stat, command_stop, command_save, command_restore, command_help,
	command_completion;

/* NULL when there is none of that name; then the error has been said. */
const struct command *cli_find(const char *name);

/* Help on everything, or on one command. */
void cli_print_overview(FILE *file);
void cli_print_help(FILE *file, const struct command *command);

/* Bash completion, for `source <(ringfence completion)`. */
void cli_print_completion(FILE *file);

/* Where running VMs are entered; -errno, which has been said. */
int cli_open_registry(void);
/* The VM of that name or number, or -1 when the error has been said. */
pid_t cli_find_vm(int folder, const char *who);
/* Asks it and prints the answer; -errno, which has been said. */
int cli_ask(int folder, pid_t pid, const struct request *request,
	    const char *who);
/* Until nobody answers any more; false: somebody still does. */
bool cli_wait_for_end(int folder, pid_t pid, uint64_t seconds);

/* Returns the process's exit status. */
int cli_main(int argc, char **argv);
