/* SPDX-License-Identifier: BSD-2-Clause */
/* What run and restore have in common: options, and a machine's life. */
#pragma once

#include "cli/option.h"

struct machine_config;

/* Their options' places, behind a command's own. */
enum start_option {
	START_ENGINE,
	START_NAME,
	START_CONSOLE,
	START_DEBUG_LOG,
	START_DUMP,
	START_SINGLE_STEP,
	START_SYMBOLS,
	START_GDB,
	START_GDB_WAIT,
	START_NO_REBOOT,
	START_GRACE,
	START_STAT,
	START_JSON,
	START_STAT_FILE,
	START_OPTION_COUNT,
};

/*
 * Rows of a table of options in that order: [RUN_START] = START_OPTIONS.
 * The formatter takes them for a block of code.
 */
/* clang-format off */
#define START_OPTIONS                                                         \
	{ "engine", 'e', OPTION_TEXT, "ENGINE",                               \
	  .words = "auto kvm interp bt", .fallback = "auto",                  \
	  .help = "what runs the guest's instructions: auto, kvm, "           \
		  "interp or bt; its own options follow as ,key=value" },     \
	{ "name", 'n', OPTION_TEXT, "NAME",                                   \
	  .help = "what stat, ps and stop know the VM by; its process "       \
		  "number if not given" },                                    \
	{ "console", 0, OPTION_TEXT, "WHERE",                                 \
	  .words = "stdio file: none", .fallback = "stdio",                   \
	  .help = "the serial port's other end: stdio, file:PATH or "         \
		  "none" },                                                   \
	{ "debug-log", 0, OPTION_FILE, "FILE",                                \
	  .help = "where what is written to the debug port (402h) "           \
		  "goes; standard error if not given" },                      \
	{ "dump", 'd', OPTION_TEXT, "LETTERS",                                \
	  .help = "print what happens as it happens, by letter; help "        \
		  "lists them; ,file=PATH and ,limit=SIZE may follow" },      \
	{ "single-step", 0, OPTION_FLAG,                                      \
	  .help = "one instruction at a time, each printed: --dump s" },      \
	{ "symbols", 0, OPTION_FILE, "FILE",                                  \
	  .help = "names for dumps: the guest kernel's vmlinux, "             \
		  "System.map or kallsyms" },                                 \
	{ "gdb", 0, OPTION_TEXT, "WHERE", .words = "tcp: unix:",              \
	  .help = "let a debugger connect: a port of 127.0.0.1, or "          \
		  "unix:PATH" },                                              \
	{ "gdb-wait", 0, OPTION_FLAG,                                         \
	  .help = "stand still until it says to go on" },                     \
	{ "no-reboot", 0, OPTION_FLAG,                                        \
	  .help = "a reset by the guest ends the VM" },                       \
	{ "grace", 0, OPTION_NUMBER, "SECONDS", .fallback = "10", .max = 86400, \
	  .help = "from the power button, which SIGTERM presses, to "         \
		  "the end by force" },                                       \
	{ "stat", 's', OPTION_FLAG,                                           \
	  .help = "at the end, print the exits to standard error" },          \
	{ "json", 0, OPTION_FLAG,                                             \
	  .help = "the same, as JSON" },                                      \
	{ "stat-file", 0, OPTION_FILE, "FILE",                                \
	  .help = "print them there" }

/* clang-format on */

/* --dump help: prints the letters, and that was all. */
bool start_lists_letters(const struct arguments *arguments, unsigned first);

/*
 * Takes these options, whose first is at index `first`, into *config, checks
 * them, builds the machine and runs it to its end. Returns the process's exit
 * status; what is wrong has been logged.
 */
int start_machine(struct machine_config *config,
		  const struct arguments *arguments, unsigned first);
