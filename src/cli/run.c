/* SPDX-License-Identifier: BSD-2-Clause */
/* ringfence run: builds a machine, runs it, passes on how it ended. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/start.h"
#include "cli/suboption.h"
#include "core/vm.h"
#include "machine/machine.h" /* and its x86/cpu_model.h */

/* What leaves room for PCI below the 40 address bits that guests are told. */
#define RAM_MAX (512ull << 30)

enum {
	RUN_FIRMWARE,
	RUN_PFLASH,
	RUN_KERNEL,
	RUN_INITRD,
	RUN_MODULE,
	RUN_APPEND,
	RUN_MEMORY,
	RUN_CPUS,
	RUN_CPU,
	RUN_MACHINE,
	RUN_START, /* what restore has, too */
};

static const struct option_type options[] = {
	[RUN_FIRMWARE] = { "firmware", 0, OPTION_FILE, "FILE",
			   .help = "a ROM that boots the machine, such as "
				   "SeaBIOS's bios-256k.bin or OVMF; it is "
				   "handed the kernel, if there is one" },
	[RUN_PFLASH] = { "pflash", 0, OPTION_LIST, "FILE[,readonly]",
			 .help = "a flash chip that keeps what the guest "
				 "writes in this file; the first ends at 4 GiB "
				 "or below the firmware's ROM, the second "
				 "(OVMF's variables) below that" },
	[RUN_KERNEL] = { "kernel", 'k', OPTION_FILE, "FILE",
			 .help = "a Linux bzImage, an ELF image with a PVH "
				 "entry (vmlinux), or a multiboot kernel; any "
				 "of these may be packed with gzip" },
	[RUN_INITRD] = { "initrd", 'i', OPTION_FILE, "FILE",
			 .help = "the initial RAM disk; a multiboot kernel's "
				 "first module" },
	[RUN_MODULE] = { "module", 0, OPTION_LIST, "FILE[,WORDS]",
			 .help = "a module for a multiboot kernel, and its "
				 "arguments; may be given many times" },
	[RUN_APPEND] = { "append", 'a', OPTION_TEXT, "WORDS",
			 .help = "the kernel's command line; console=ttyS0 is "
				 "put before it unless it names a console" },
	[RUN_MEMORY] = { "memory", 'm', OPTION_SIZE, "SIZE", .fallback = "512M",
			 .max = RAM_MAX, .min = 1 << 20,
			 .help = "guest memory, with a suffix K, M, G or T" },
	[RUN_CPUS] = { "cpus", 'c', OPTION_NUMBER, "N", .fallback = "1",
		       .min = 1, .max = VM_VCPUS_MAX,
		       .help = "virtual processors, 1 to 32" },
	[RUN_CPU] = { "cpu", 0, OPTION_TEXT, "MODEL",
		      .help = "the processor the guest sees; help lists "
			      "them" },
	[RUN_MACHINE] = { "machine", 0, OPTION_TEXT, "KEY,KEY=off",
			  .words = "acpi=off hpet=off testdev iommu",
			  .help = "what the board has: acpi=off and hpet=off "
				  "leave out the tables and the timer; testdev "
				  "adds the devices that bare-metal test "
				  "programs use, iommu a VT-d unit" },
	[RUN_START] = START_OPTIONS,
	{ 0 },
};

static int list_cpu_models(void)
{
	for (const struct cpu_model *model = cpu_models; model->name; model++)
		printf("%-16s %s\n", model->name, model->help);
	return 0;
}

static int parse_machine(const char *text, struct machine_config *config)
{
	const struct {
		const char *name;
		bool *value;
		bool is_absence;
	} keys[] = {
		{ "acpi", &config->no_acpi, true },
		{ "hpet", &config->no_hpet, true },
		{ "testdev", &config->has_testdev, false },
		{ "iommu", &config->has_iommu, false },
	};
	struct suboptions parts;
	bool is_on;

	if (!text)
		return 0;
	if (suboptions_parse("--machine", text, &parts))
		return -EINVAL;
	/* The first may be bare, too. */
	for (int i = parts.first ? -1 : 0; i < 0 || parts.option[i].name; i++) {
		const char *name = i < 0 ? parts.first : parts.option[i].name;
		const char *value = i < 0 ? "" : parts.option[i].value;
		unsigned k = 0;

		while (k < ARRAY_SIZE(keys) && strcmp(keys[k].name, name) != 0)
			k++;
		if (k == ARRAY_SIZE(keys)) {
			log_error("--machine: no key %s; there are acpi, hpet, "
				  "testdev and iommu",
				  name);
			return -EINVAL;
		}
		is_on = !*value || strcmp(value, "on") == 0;
		if (!is_on && strcmp(value, "off") != 0) {
			log_error("--machine %s=%s: on or off", name, value);
			return -EINVAL;
		}
		*keys[k].value = is_on != keys[k].is_absence;
	}
	return 0;
}

static int run(const struct arguments *arguments)
{
	const char *const *text = arguments->text;
	const uint64_t *number = arguments->number;
	struct machine_config config = {
		.cpu = text[RUN_CPU],
		.firmware = text[RUN_FIRMWARE],
		.kernel = text[RUN_KERNEL],
		.initrd = text[RUN_INITRD],
		.flash = arguments->list[RUN_PFLASH].item,
		.flash_count = arguments->list[RUN_PFLASH].count,
		.modules = arguments->list[RUN_MODULE].item,
		.module_count = arguments->list[RUN_MODULE].count,
		.append = text[RUN_APPEND],
		.ram_size = number[RUN_MEMORY],
		.vcpus = number[RUN_CPUS],
	};

	if (config.cpu && strcmp(config.cpu, "help") == 0)
		return list_cpu_models();
	if (start_lists_letters(arguments, RUN_START))
		return 0;
	if (!config.kernel && !config.firmware && !config.flash_count) {
		log_error("run: which kernel? --kernel FILE");
		return STATUS_OUR_ERROR;
	}
	if (parse_machine(text[RUN_MACHINE], &config))
		return STATUS_OUR_ERROR;
	return start_machine(&config, arguments, RUN_START);
}

const struct command command_run = {
	.name = "run",
	.summary = "Boots a kernel in a virtual machine",
	.operands = "",
	.options = options,
	.text = "On a terminal, Ctrl-a x ends the VM, and Ctrl-a h lists the "
		"other keys.\n"
		"The status is 0 when the guest powers off, what it wrote to "
		"its exit port,\n"
		"125 for an error of ours, 128+n when signal n ended the VM.\n",
	.run = run,
};
