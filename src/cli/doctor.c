/* SPDX-License-Identifier: BSD-2-Clause */
/* ringfence doctor: what this host offers, measured, and what to do. */
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/host_probe.h"
#include "core/engine.h"
#include "host/request.h"
#include "machine/machine.h"

static const char *verdict(const struct engine_probe *probe)
{
	return !probe->is_usable ? "no" : probe->is_fast ? "yes" : "slow";
}

static void print_engine(const struct engine_ops *engine,
			 const struct engine_probe *probe)
{
	printf("%-16s %-5s %s\n", engine->name, verdict(probe), probe->finding);
	if (probe->ns_per_instruction > 0)
		printf("%-16s       measured: %.2f ns an instruction, %.0f "
		       "million a second\n",
		       "", probe->ns_per_instruction,
		       1000 / probe->ns_per_instruction);
	if (probe->advice[0])
		printf("%-16s       advice: %s\n", "", probe->advice);
}

static void print_json_engine(const struct engine_ops *engine,
			      const struct engine_probe *probe)
{
	printf("{\"name\": \"%s\", \"usable\": %s, \"fast\": %s, "
	       "\"ns_per_instruction\": %.3f, \"finding\": ",
	       engine->name, probe->is_usable ? "true" : "false",
	       probe->is_fast ? "true" : "false", probe->ns_per_instruction);
	json_print_string(stdout, probe->finding);
	printf(", \"advice\": ");
	json_print_string(stdout, probe->advice);
	printf("}");
}

/* The first that is usable and fast is what --engine auto takes. */
static const struct engine_ops *probe_engines(bool is_json)
{
	const struct engine_ops *chosen = NULL;

	for (unsigned i = 0; machine_engines[i]; i++) {
		const struct engine_ops *engine = machine_engines[i];
		struct engine_probe probe = { 0 };

		engine->probe(&probe);
		if (!chosen && probe.is_usable && probe.is_fast)
			chosen = engine;
		if (is_json) {
			printf("%s", i ? ",\n  " : "");
			print_json_engine(engine, &probe);
		} else {
			print_engine(engine, &probe);
		}
	}
	return chosen;
}

static void print_host(void)
{
	struct utsname name;
	struct sysinfo info;

	if (uname(&name) == 0 && sysinfo(&info) == 0)
		printf("host: Linux %s %s, %ld processors, %llu MiB of "
		       "memory, %llu free\n",
		       name.release, name.machine,
		       sysconf(_SC_NPROCESSORS_ONLN),
		       (unsigned long long)info.totalram * info.mem_unit >> 20,
		       (unsigned long long)info.freeram * info.mem_unit >> 20);
}

static int doctor_text(void)
{
	struct host_facility facility[HOST_FACILITIES];
	const struct engine_ops *chosen;

	print_host();
	printf("\n%-16s %-5s %s\n", "engine", "", "finding");
	chosen = probe_engines(false);
	printf("\n--engine auto takes: %s\n", chosen ? chosen->name : "none");
	host_probe(facility);
	printf("\n%-16s %-5s %s\n", "facility", "", "finding");
	for (unsigned i = 0; i < HOST_FACILITIES; i++) {
		const struct host_facility *f = &facility[i];

		printf("%-16s %-5s %s\n", f->name, f->is_there ? "yes" : "no",
		       f->finding);
		if (!f->is_there && *f->cost)
			printf("%-16s       without it: %s\n", "", f->cost);
	}
	return 0;
}

static int doctor_json(void)
{
	struct host_facility facility[HOST_FACILITIES];
	const struct engine_ops *chosen;

	printf("{\"engines\": [\n  ");
	chosen = probe_engines(true);
	printf("],\n \"auto\": ");
	if (chosen)
		json_print_string(stdout, chosen->name);
	else
		printf("null");
	printf(",\n \"facilities\": [");
	host_probe(facility);
	for (unsigned i = 0; i < HOST_FACILITIES; i++) {
		printf("%s\n  {\"name\": \"%s\", \"there\": %s, \"finding\": ",
		       i ? "," : "", facility[i].name,
		       facility[i].is_there ? "true" : "false");
		json_print_string(stdout, facility[i].finding);
		printf("}");
	}
	printf("]}\n");
	return 0;
}

static int doctor(const struct arguments *arguments)
{
	return arguments->is_given[0] ? doctor_json() : doctor_text();
}

static const struct option_type options[] = {
	{ "json", 0, OPTION_FLAG, .help = "for programs" },
	{ 0 },
};

const struct command command_doctor = {
	.name = "doctor",
	.summary = "Probes what this host offers and says what to do about it",
	.operands = "",
	.options = options,
	.run = doctor,
};
