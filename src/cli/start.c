/* SPDX-License-Identifier: BSD-2-Clause */
/* From a machine's description to the process's exit status. */

#include "cli/start.h"

#include <errno.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/suboption.h"
#include "host/registry.h"
#include "machine/machine.h"

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

int start_machine(struct machine_config *config, const char *engine)
{
	struct suboptions parts;
	struct machine *machine;
	int status;

	if (config->name && !registry_name_is_valid(config->name)) {
		log_error("--name %s: letters, digits, '.', '_' and '-', at "
			  "most 64, and not digits only",
			  config->name);
		return STATUS_OUR_ERROR;
	}
	if (parse_engine(engine, &parts))
		return STATUS_OUR_ERROR;
	config->engine = parts.first;
	config->engine_options = parts.option;
	if (machine_create(config, &machine))
		return STATUS_OUR_ERROR;
	status = machine_run(machine);
	machine_destroy(machine);
	return status;
}
