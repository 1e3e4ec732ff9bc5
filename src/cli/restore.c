/* SPDX-License-Identifier: BSD-2-Clause */
/* ringfence restore: goes on from a state file. */
#include <string.h>

#include "cli/cli.h"
#include "cli/start.h"
#include "core/vm.h"
#include "machine/machine.h"

enum {
	RESTORE_ENGINE,
	RESTORE_NAME,
	RESTORE_CONSOLE,
	RESTORE_DEBUG_LOG,
	RESTORE_KERNEL,
	RESTORE_INITRD,
	RESTORE_APPEND,
	RESTORE_MEMORY,
	RESTORE_CPUS,
	RESTORE_CPU,
	RESTORE_GDB,
	RESTORE_GDB_WAIT,
	RESTORE_NO_REBOOT,
	RESTORE_GRACE,
	RESTORE_STAT,
	RESTORE_JSON,
	RESTORE_STAT_FILE,
};

static const struct option_type options[] = {
	[RESTORE_ENGINE] = { "engine", 'e', OPTION_TEXT, "ENGINE",
			     .words = "auto kvm interp", .fallback = "auto",
			     .help = "what runs the guest's instructions; it "
				     "need not be what ran them before" },
	[RESTORE_NAME] = { "name", 'n', OPTION_TEXT, "NAME",
			   .help = "what stat, ps and stop know the VM by" },
	[RESTORE_CONSOLE] = { "console", 0, OPTION_TEXT, "WHERE",
			      .words = "stdio file: none", .fallback = "stdio",
			      .help = "the serial port's other end: stdio, "
				      "file:PATH or none" },
	[RESTORE_DEBUG_LOG] = { "debug-log", 0, OPTION_FILE, "FILE",
				.help = "where what is written to the debug "
					"port (402h) goes" },
	[RESTORE_KERNEL] = { "kernel", 'k', OPTION_FILE, "FILE",
			     .help = "what a reset by the guest boots; without "
				     "it a reset ends the VM" },
	[RESTORE_INITRD] = { "initrd", 'i', OPTION_FILE, "FILE",
			     .help = "the initial RAM disk of that" },
	[RESTORE_APPEND] = { "append", 'a', OPTION_TEXT, "WORDS",
			     .help = "the kernel's command line of that" },
	[RESTORE_MEMORY] = { "memory", 'm', OPTION_SIZE, "SIZE", .min = 1 << 20,
			     .max = ~0ull,
			     .help = "refuse a state with memory of another "
				     "size" },
	[RESTORE_CPUS] = { "cpus", 'c', OPTION_NUMBER, "N", .min = 1,
			   .max = VM_VCPUS_MAX,
			   .help = "refuse a state with another number of "
				   "processors" },
	[RESTORE_CPU] = { "cpu", 0, OPTION_TEXT, "MODEL",
			  .help = "refuse a state of another processor" },
	[RESTORE_GDB] = { "gdb", 0, OPTION_TEXT, "WHERE", .words = "tcp: unix:",
			  .help = "let a debugger connect: a port of 127.0.0.1, "
				  "or unix:PATH" },
	[RESTORE_GDB_WAIT] = { "gdb-wait", 0, OPTION_FLAG,
			       .help = "stand still until it says to go on" },
	[RESTORE_NO_REBOOT] = { "no-reboot", 0, OPTION_FLAG,
				.help = "a reset by the guest ends the VM" },
	[RESTORE_GRACE] = { "grace", 0, OPTION_NUMBER, "SECONDS",
			    .fallback = "10", .max = 86400,
			    .help = "from the power button, which SIGTERM "
				    "presses, to the end by force" },
	[RESTORE_STAT] = { "stat", 's', OPTION_FLAG,
			   .help = "at the end, print the exits since here to "
				   "standard error" },
	[RESTORE_JSON] = { "json", 0, OPTION_FLAG,
			   .help = "the same, as JSON" },
	[RESTORE_STAT_FILE] = { "stat-file", 0, OPTION_FILE, "FILE",
				.help = "print them there" },
	{ 0 },
};

static int restore(const struct arguments *arguments)
{
	const char *const *text = arguments->text;
	const uint64_t *number = arguments->number;
	struct machine_config config = {
		.restore = arguments->operand[0],
		.name = text[RESTORE_NAME],
		.console = text[RESTORE_CONSOLE],
		.debug_log = text[RESTORE_DEBUG_LOG],
		.kernel = text[RESTORE_KERNEL],
		.initrd = text[RESTORE_INITRD],
		.append = text[RESTORE_APPEND],
		.ram_size = number[RESTORE_MEMORY],
		.vcpus = number[RESTORE_CPUS],
		.cpu = text[RESTORE_CPU],
		.gdb = text[RESTORE_GDB],
		.gdb_wait = arguments->is_given[RESTORE_GDB_WAIT],
		.no_reboot = arguments->is_given[RESTORE_NO_REBOOT],
		.grace_ms = number[RESTORE_GRACE] * 1000,
		.stat = arguments->is_given[RESTORE_STAT] ||
			arguments->is_given[RESTORE_STAT_FILE],
		.stat_json = arguments->is_given[RESTORE_JSON],
		.stat_file = text[RESTORE_STAT_FILE],
	};

	return start_machine(&config, text[RESTORE_ENGINE]);
}

const struct command command_restore = {
	.name = "restore",
	.summary = "Goes on with a VM that save wrote to a file",
	.operands = "FILE",
	.operands_min = 1,
	.operands_max = 1,
	.options = options,
	.text = "Memory, processors and their model are the state's. The exit "
		"status is as for run.\n",
	.run = restore,
};
