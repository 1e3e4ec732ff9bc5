/* SPDX-License-Identifier: BSD-2-Clause */
/* From options to a machine, and from there to the process's exit status. */

#include "cli/start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/suboption.h"
#include "core/trace.h"
#include "host/registry.h"
#include "machine/machine.h"

#define DUMP_LIMIT (256ull << 20)

/* "auto" and its like; keys belong to an engine that was named. */
static int parse_engine(const char *text, struct suboptions *engine)
{
	if (suboptions_parse("--engine", text, engine))
		return -EINVAL;
	if (!engine->first) {
		log_error("--engine %s: which engine? auto, kvm, interp or bt",
			  text);
		return -EINVAL;
	}
	return 0;
}

bool start_lists_letters(const struct arguments *arguments, unsigned first)
{
	const char *text = arguments->text[first + START_DUMP];

	if (!text || strcmp(text, "help") != 0)
		return false;
	for (unsigned i = 0; i < TRACE_KIND_COUNT; i++)
		printf("%c  %s\n", trace_kind_infos[i].letter,
		       trace_kind_infos[i].help);
	return true;
}

/* "ei,file=PATH,limit=SIZE"; the parts stay the config's. */
static int parse_dump(const char *text, struct suboptions *dump,
		      struct machine_config *config)
{
	const struct machine_option *option = dump->option;
	char wrong;

	config->trace_limit = DUMP_LIMIT;
	if (!text)
		return 0;
	if (suboptions_parse("--dump", text, dump))
		return -EINVAL;
	if (!dump->first || !*dump->first ||
	    !trace_kinds_parse(dump->first, &config->trace_kinds, &wrong)) {
		if (dump->first && *dump->first)
			log_error("--dump: no letter %c; `--dump help` lists "
				  "them",
				  wrong);
		else
			log_error("--dump %s: of what? `--dump help` lists "
				  "the letters",
				  text);
		return -EINVAL;
	}
	for (; option->name; option++) {
		if (strcmp(option->name, "file") == 0 && *option->value) {
			config->trace_file = option->value;
		} else if (strcmp(option->name, "limit") == 0) {
			if (size_parse(option->value, &config->trace_limit))
				continue;
			log_error("--dump: limit=%s: not a size such as 64M",
				  option->value);
			return -EINVAL;
		} else {
			log_error("--dump: no key %s; there are file=PATH and "
				  "limit=SIZE",
				  option->name);
			return -EINVAL;
		}
	}
	return 0;
}

static void take_options(struct machine_config *config,
			 const struct arguments *arguments, unsigned first)
{
	const char *const *text = arguments->text + first;
	const bool *is_given = arguments->is_given + first;

	config->name = text[START_NAME];
	config->console = text[START_CONSOLE];
	config->debug_log = text[START_DEBUG_LOG];
	config->symbols = text[START_SYMBOLS];
	config->gdb = text[START_GDB];
	config->gdb_wait = is_given[START_GDB_WAIT];
	config->no_reboot = is_given[START_NO_REBOOT];
	config->grace_ms = arguments->number[first + START_GRACE] * 1000;
	config->stat = is_given[START_STAT] || is_given[START_STAT_FILE];
	config->stat_json = is_given[START_JSON];
	config->stat_file = text[START_STAT_FILE];
	if (is_given[START_SINGLE_STEP])
		config->trace_kinds |= (uint32_t)BIT(TRACE_STEP);
}

int start_machine(struct machine_config *config,
		  const struct arguments *arguments, unsigned first)
{
	const char *const *text = arguments->text + first;
	struct suboptions engine, dump;
	struct machine *machine;
	int status;

	if (parse_dump(text[START_DUMP], &dump, config))
		return STATUS_OUR_ERROR;
	take_options(config, arguments, first);
	if (config->name && !registry_name_is_valid(config->name)) {
		log_error("--name %s: letters, digits, '.', '_' and '-', at "
			  "most 64, and not digits only",
			  config->name);
		return STATUS_OUR_ERROR;
	}
	if (parse_engine(text[START_ENGINE], &engine))
		return STATUS_OUR_ERROR;
	config->engine = engine.first;
	config->engine_options = engine.option;
	if (machine_create(config, &machine))
		return STATUS_OUR_ERROR;
	status = machine_run(machine);
	machine_destroy(machine);
	return status;
}
