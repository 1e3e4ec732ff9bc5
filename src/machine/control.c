/* SPDX-License-Identifier: BSD-2-Clause */
/* What a running machine answers on its control socket. */

#include "machine/control.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "debug/ledger.h"
#include "host/control.h"
#include "machine/machine.h"

struct question {
	const char *command;
	/* NULL, or why there is no answer: valid until the next question. */
	const char *(*answer)(struct machine *machine,
			      const struct request *request, FILE *reply);
};

static const char *answer_stat(struct machine *machine,
			       const struct request *request, FILE *reply)
{
	ledger_print(reply, machine_vm(machine), request->json);
	return NULL;
}

/* One line of `ps`. */
static const char *answer_info(struct machine *machine,
			       const struct request *request, FILE *reply)
{
	struct vm *vm = machine_vm(machine);
	uint64_t mib = machine_describe(machine)->ram_size >> 20;
	double seconds = (double)clock_ns(&vm->clock) / 1e9;

	if (!request->json) {
		fprintf(reply, "%7d %-20s %-7s %5u %7" PRIu64 "M %7.1fs\n",
			(int)getpid(), vm->name, vm->engine_ops->name,
			vm->vcpu_count, mib, seconds);
		return NULL;
	}
	fprintf(reply, "{\"pid\": %d, \"name\": ", (int)getpid());
	json_print_string(reply, vm->name);
	fprintf(reply,
		", \"engine\": \"%s\", \"vcpus\": %u, \"memory_mib\": %" PRIu64
		", \"seconds\": %.3f}\n",
		vm->engine_ops->name, vm->vcpu_count, mib, seconds);
	return NULL;
}

static const char *answer_stop(struct machine *machine,
			       const struct request *request, FILE *reply)
{
	if (request->grace_ms)
		machine_power_down(machine, (unsigned)request->grace_ms);
	else
		vm_stop(machine_vm(machine), STOP_HOST, 0);
	return NULL;
}

static const char *answer_save(struct machine *machine,
			       const struct request *request, FILE *reply)
{
	if (request->file[0] != '/')
		return "save: no absolute path";
	return machine_save(machine, request->file, request->stop);
}

static const struct question questions[] = {
	{ "stat", answer_stat },
	{ "info", answer_info },
	{ "stop", answer_stop },
	{ "save", answer_save },
};

static const char *handle(void *argument, const struct request *request,
			  FILE *reply)
{
	for (unsigned i = 0; i < ARRAY_SIZE(questions); i++) {
		if (strcmp(questions[i].command, request->command))
			continue;
		return questions[i].answer(argument, request, reply);
	}
	return "no such command";
}

int control_create(struct machine *machine, struct control_server **server)
{
	/* A name the user chose is worth an error, the default is not. */
	const char *name = machine_describe(machine)->name;
	int error = control_serve(machine_loop(machine), name, handle, machine,
				  server);

	if (!error || error == -EEXIST)
		return error;
	log_warning("no control socket, so `ringfence ps`, stat and stop will "
		    "not find this VM: %s",
		    strerror(-error));
	return 0;
}
