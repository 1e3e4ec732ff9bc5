/* SPDX-License-Identifier: BSD-2-Clause */
/* ringfence restore: goes on from a state file. */
#include <string.h>

#include "cli/cli.h"
#include "cli/start.h"
#include "core/vm.h"
#include "machine/machine.h"

enum {
	RESTORE_KERNEL,
	RESTORE_PFLASH,
	RESTORE_INITRD,
	RESTORE_APPEND,
	RESTORE_MEMORY,
	RESTORE_CPUS,
	RESTORE_CPU,
	RESTORE_START, /* what run has, too */
};

static const struct option_type options[] = {
	[RESTORE_KERNEL] = { "kernel", 'k', OPTION_FILE, "FILE",
			     .help = "what a reset by the guest boots; without "
				     "it a reset ends the VM" },
	[RESTORE_PFLASH] = { "pflash", 0, OPTION_LIST, "FILE[,readonly]",
			     .help = "as for run: the file as it was when the "
				     "machine was saved; without one, what the "
				     "guest writes to the chip is kept only in "
				     "a saved state" },
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
	[RESTORE_START] = START_OPTIONS,
	{ 0 },
};

static int restore(const struct arguments *arguments)
{
	const char *const *text = arguments->text;
	struct machine_config config = {
		.restore = arguments->operand[0],
		.flash = arguments->list[RESTORE_PFLASH].item,
		.flash_count = arguments->list[RESTORE_PFLASH].count,
		.kernel = text[RESTORE_KERNEL],
		.initrd = text[RESTORE_INITRD],
		.append = text[RESTORE_APPEND],
		.ram_size = arguments->number[RESTORE_MEMORY],
		.vcpus = arguments->number[RESTORE_CPUS],
		.cpu = text[RESTORE_CPU],
	};

	if (start_lists_letters(arguments, RESTORE_START))
		return 0;
	return start_machine(&config, arguments, RESTORE_START);
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
