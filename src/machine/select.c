/* SPDX-License-Identifier: BSD-2-Clause */
/* Which engine runs a machine: asked for by name, or found by probing. */

#include "machine/select.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "core/vm.h"
#include "engine/bt/engine.h"
#include "engine/interp/engine.h"
#include "engine/kvm/kvm.h"

#include "machine/machine.h"

/* auto takes the first that is usable and fast. */
const struct engine_ops *const machine_engines[] = {
	&kvm_engine,
	&bt_engine,
	&interp_engine,
	NULL,
};

static const struct engine_ops *find(const char *name)
{
	for (unsigned i = 0; machine_engines[i]; i++)
		if (!strcmp(machine_engines[i]->name, name))
			return machine_engines[i];
	return NULL;
}

static const struct engine_ops *select_auto(void)
{
	for (unsigned i = 0; machine_engines[i]; i++) {
		const struct engine_ops *engine = machine_engines[i];
		struct engine_probe probe = { 0 };

		engine->probe(&probe);
		if (probe.is_usable && probe.is_fast)
			return engine;
		log_info("not using %s: %s (`ringfence doctor` tells more)",
			 engine->name, probe.finding);
	}
	log_error("no engine can run a VM on this host");
	return NULL;
}

/* Asked for by name: slow is the user's choice, unusable is an error. */
const struct engine_ops *engine_select(const char *name)
{
	const struct engine_ops *engine;
	struct engine_probe probe = { 0 };

	if (!name || !strcmp(name, "auto"))
		return select_auto();
	engine = find(name);
	if (!engine) {
		log_error("--engine %s: there are auto, kvm, interp and bt",
			  name);
		return NULL;
	}
	engine->probe(&probe);
	if (!probe.is_usable) {
		log_error("--engine %s: %s%s%s", name, probe.finding,
			  probe.advice[0] ? ": " : "", probe.advice);
		return NULL;
	}
	if (!probe.is_fast && probe.advice[0])
		log_info("engine %s: %s", name, probe.finding);
	return engine;
}

static const struct engine_option *find_option(const struct engine_ops *engine,
					       const char *name)
{
	const struct engine_option *option = engine->options;

	for (; option && option->name; option++)
		if (!strcmp(option->name, name))
			return option;
	return NULL;
}

int engine_apply_options(struct vm *vm, const struct machine_option *options)
{
	const struct engine_ops *engine = vm->engine_ops;

	for (; options && options->name; options++) {
		const struct engine_option *option =
			find_option(engine, options->name);

		if (!option) {
			log_error("--engine %s: it has no option %s",
				  engine->name, options->name);
			return -EINVAL;
		}
		if (option->set(vm, options->value)) {
			log_error("--engine %s: %s=%s: %s", engine->name,
				  option->name, options->value, option->help);
			return -EINVAL;
		}
	}
	return 0;
}
