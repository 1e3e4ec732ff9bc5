/* SPDX-License-Identifier: BSD-2-Clause */
/* Help and bash completion, printed from the table. */
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"

#define COLUMN 26
#define WIDTH  79

/* "  -m, --memory SIZE"; returns how long it is. */
static int print_option_name(FILE *file, const struct option_type *option)
{
	int n = option->letter ? fprintf(file, "  -%c, ", option->letter) :
				 fprintf(file, "      ");

	n += fprintf(file, "--%s", option->name);
	if (option->kind != OPTION_FLAG)
		n += fprintf(file, " %s", option->value);
	return n;
}

/* Words from column `at` on, later lines indented to COLUMN. */
static void print_wrapped(FILE *file, const char *text, int at)
{
	while (*text) {
		int length = strcspn(text, " ");

		if (at + 1 + length > WIDTH) {
			fprintf(file, "\n%*s", COLUMN, "");
			at = COLUMN;
		} else if (at > COLUMN) {
			fputc(' ', file);
			at++;
		}
		fprintf(file, "%.*s", length, text);
		at += length;
		text += length;
		text += strspn(text, " ");
	}
}

static void print_option(FILE *file, const struct option_type *option)
{
	int n = print_option_name(file, option);
	char text[400];

	if (n >= COLUMN - 1) {
		fputc('\n', file);
		n = 0;
	}
	fprintf(file, "%*s", COLUMN - n, "");
	snprintf(text, sizeof(text), "%s%s%s%s", option->help,
		 option->fallback ? " (default: " : "",
		 option->fallback ? option->fallback : "",
		 option->fallback ? ")" : "");
	print_wrapped(file, text, COLUMN);
	fputc('\n', file);
}

void cli_print_help(FILE *file, const struct command *command)
{
	const struct option_type *option = command->options;

	fprintf(file, "usage: ringfence %s%s%s%s\n\n%s.\n", command->name,
		option->name ? " [OPTION...]" : "",
		*command->operands ? " " : "", command->operands,
		command->summary);
	if (option->name)
		fprintf(file, "\n");
	for (; option->name; option++)
		print_option(file, option);
	if (command->text)
		fprintf(file, "\n%s", command->text);
}

void cli_print_overview(FILE *file)
{
	fprintf(file, "usage: ringfence COMMAND [OPTION...]\n\n"
		      "Runs virtual machines, with or without hardware "
		      "virtualization.\n\n");
	for (unsigned i = 0; cli_commands[i]; i++)
		fprintf(file, "  %-12s %s\n", cli_commands[i]->name,
			cli_commands[i]->summary);
	fprintf(file, "\n`ringfence help COMMAND` lists its options; "
		      "`ringfence --version` names the version.\n");
}

static int help_run(const struct arguments *arguments)
{
	const struct command *command;

	if (!arguments->operand_count) {
		cli_print_overview(stdout);
		return 0;
	}
	command = cli_find(arguments->operand[0]);
	if (!command)
		return STATUS_OUR_ERROR;
	cli_print_help(stdout, command);
	return 0;
}

static const struct option_type no_options[] = { { 0 } };

const struct command command_help = {
	.name = "help",
	.summary = "Explains a command and lists its options",
	.operands = "[COMMAND]",
	.operands_max = 1,
	.options = no_options,
	.run = help_run,
};

/* --- completion ----------------------------------------------------------- */

static void print_option_words(FILE *file, const struct command *command)
{
	for (const struct option_type *o = command->options; o->name; o++) {
		fprintf(file, " --%s", o->name);
		if (o->letter)
			fprintf(file, " -%c", o->letter);
	}
}

/* What may follow an option that takes a value. */
static void print_value_case(FILE *file, const struct command *command,
			     const struct option_type *option)
{
	if (option->kind == OPTION_FLAG)
		return;
	fprintf(file, "\t%s:--%s", command->name, option->name);
	if (option->letter)
		fprintf(file, "|%s:-%c", command->name, option->letter);
	if (option->kind == OPTION_FILE || option->kind == OPTION_LIST)
		fprintf(file, ") COMPREPLY=($(compgen -f -- \"$word\")) ;;\n");
	else if (option->words)
		fprintf(file,
			") COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;;\n",
			option->words);
	else
		fprintf(file, ") ;;\n");
}

static void print_operands(FILE *file, const struct command *command)
{
	if (strstr(command->operands, "PID"))
		fprintf(file,
			"\t%s:*) COMPREPLY=($(compgen -W \"$(ringfence ps "
			"2>/dev/null | awk 'NR > 1 { print $2 }')\" -- "
			"\"$word\")) ;;\n",
			command->name);
	else if (strstr(command->operands, "COMMAND"))
		fprintf(file,
			"\t%s:*) COMPREPLY=($(compgen -W \"$commands\" -- "
			"\"$word\")) ;;\n",
			command->name);
}

void cli_print_completion(FILE *file)
{
	fprintf(file, "# bash completion for ringfence\n"
		      "_ringfence()\n{\n"
		      "\tlocal word=$2 previous=$3 command=${COMP_WORDS[1]}\n"
		      "\tlocal commands='");
	for (unsigned i = 0; cli_commands[i]; i++)
		fprintf(file, "%s%s", i ? " " : "", cli_commands[i]->name);
	fprintf(file, "'\n"
		      "\tCOMPREPLY=()\n"
		      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
		      "\t\tCOMPREPLY=($(compgen -W \"$commands --version "
		      "--help\" -- \"$word\"))\n"
		      "\t\treturn\n"
		      "\tfi\n"
		      "\tif [[ $word == -* ]]; then\n"
		      "\t\tcase $command in\n");
	for (unsigned i = 0; cli_commands[i]; i++) {
		fprintf(file, "\t\t%s) COMPREPLY=($(compgen -W '--help",
			cli_commands[i]->name);
		print_option_words(file, cli_commands[i]);
		fprintf(file, "' -- \"$word\")) ;;\n");
	}
	fprintf(file, "\t\tesac\n\t\treturn\n\tfi\n"
		      "\tcase $command:$previous in\n");
	for (unsigned i = 0; cli_commands[i]; i++)
		for (const struct option_type *o = cli_commands[i]->options;
		     o->name; o++)
			print_value_case(file, cli_commands[i], o);
	for (unsigned i = 0; cli_commands[i]; i++)
		print_operands(file, cli_commands[i]);
	fprintf(file, "\tesac\n}\n"
		      "complete -o filenames -F _ringfence ringfence\n");
}

static int completion_run(const struct arguments *arguments)
{
	cli_print_completion(stdout);
	return 0;
}

const struct command command_completion = {
	.name = "completion",
	.summary = "Prints completion for bash: source <(ringfence completion)",
	.operands = "",
	.options = no_options,
	.run = completion_run,
};
