/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints the exit ledger: largest cost first, shares of the VM's run time. */

#include "debug/ledger.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "core/vm.h"
#include "host/request.h"

struct row {
	enum exit_reason reason;
	unsigned source;
	uint64_t count, cycles;
};

#define ROWS_MAX (EXIT_REASON_COUNT * EXIT_SOURCES_MAX)

static struct exit_cell read_cell(const struct vcpu *vcpu, unsigned reason,
				  unsigned source)
{
	const struct exit_cell *cell = &vcpu->exits.cell[reason][source];

	return (struct exit_cell){
		.count = __atomic_load_n(&cell->count, __ATOMIC_RELAXED),
		.cycles = __atomic_load_n(&cell->cycles, __ATOMIC_RELAXED),
	};
}

static int by_cost(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->cycles != y->cycles)
		return x->cycles < y->cycles ? 1 : -1;
	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return 0;
}

/* Rows that are not all zero, summed over vCPUs; returns how many. */
static size_t collect(struct vm *vm, struct row *rows)
{
	size_t count = 0;

	for (unsigned reason = 0; reason < EXIT_REASON_COUNT; reason++) {
		for (unsigned source = 0; source < vm->sources.count;
		     source++) {
			struct row row = { .reason = reason, .source = source };

			for (unsigned i = 0; i < vm->vcpu_count; i++) {
				struct exit_cell cell =
					read_cell(vm->vcpus[i], reason, source);

				row.count += cell.count;
				row.cycles += cell.cycles;
			}
			if (row.count)
				rows[count++] = row;
		}
	}
	qsort(rows, count, sizeof(*rows), by_cost);
	return count;
}

static uint64_t event_total(const struct vm *vm, unsigned event)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < vm->vcpu_count; i++)
		total += atomic_load_explicit(&vm->vcpus[i]->events[event],
					      memory_order_relaxed);
	return total;
}

static void print_row(FILE *file, const char *reason, const char *device,
		      uint64_t count, uint64_t cycles, double ticks, double khz)
{
	fprintf(file, "%-18s %-14s %12" PRIu64 " %10.0f %10.1f %7.2f\n", reason,
		device, count, count ? (double)cycles / (double)count : 0.0,
		(double)cycles / khz, 100.0 * (double)cycles / ticks);
}

static void print_events(FILE *file, const struct vm *vm)
{
	const struct engine_event *event = vm->engine_ops->events;

	if (!event)
		return;
	fprintf(file, "\n%-33s %12s  %s\n", "engine event", "count", "what");
	for (unsigned i = 0; event[i].name; i++)
		fprintf(file, "%-33s %12" PRIu64 "  %s\n", event[i].name,
			event_total(vm, i), event[i].help);
}

static void print_table(FILE *file, struct vm *vm, const struct row *rows,
			size_t count)
{
	double khz = (double)vm->clock.tsc_khz;
	double seconds = (double)clock_ns(&vm->clock) / 1e9;
	double ticks = seconds * khz * 1000 * vm->vcpu_count;
	uint64_t total = 0, cycles = 0;

	if (ticks < 1)
		ticks = 1;
	fprintf(file, "%s: %.1f s on %s, %u vCPU%s\n\n", vm->name, seconds,
		vm->engine_ops->name, vm->vcpu_count,
		vm->vcpu_count == 1 ? "" : "s");
	fprintf(file, "%-18s %-14s %12s %10s %10s %7s\n", "exit", "device",
		"count", "cycles", "ms", "% time");
	for (size_t i = 0; i < count; i++) {
		print_row(file, exit_reason_name(rows[i].reason),
			  vm->sources.name[rows[i].source], rows[i].count,
			  rows[i].cycles, ticks, khz);
		total += rows[i].count;
		cycles += rows[i].cycles;
	}
	print_row(file, "all", "", total, cycles, ticks, khz);
	print_events(file, vm);
}

static void print_json_exits(FILE *file, const struct vm *vm)
{
	const char *comma = "";

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		for (unsigned reason = 0; reason < EXIT_REASON_COUNT;
		     reason++) {
			for (unsigned source = 0; source < vm->sources.count;
			     source++) {
				struct exit_cell cell =
					read_cell(vm->vcpus[i], reason, source);

				if (!cell.count)
					continue;
				fprintf(file,
					"%s\n  {\"vcpu\": %u, \"reason\": "
					"\"%s\", \"device\": \"%s\", "
					"\"count\": %" PRIu64
					", \"cycles\": %" PRIu64 "}",
					comma, i, exit_reason_name(reason),
					vm->sources.name[source], cell.count,
					cell.cycles);
				comma = ",";
			}
		}
	}
}

static void print_json_events(FILE *file, const struct vm *vm)
{
	const struct engine_event *event = vm->engine_ops->events;

	for (unsigned i = 0; event && event[i].name; i++) {
		fprintf(file, "%s\n  {\"name\": \"%s\", \"count\": [",
			i ? "," : "", event[i].name);
		for (unsigned v = 0; v < vm->vcpu_count; v++)
			fprintf(file, "%s%" PRIu64, v ? ", " : "",
				atomic_load_explicit(&vm->vcpus[v]->events[i],
						     memory_order_relaxed));
		fprintf(file, "]}");
	}
}

static void print_json(FILE *file, struct vm *vm)
{
	fprintf(file, "{\"name\": ");
	json_print_string(file, vm->name);
	fprintf(file,
		", \"engine\": \"%s\", \"vcpus\": %u, \"ns\": %" PRIu64
		", \"tsc_khz\": %" PRIu64 ",\n \"exits\": [",
		vm->engine_ops->name, vm->vcpu_count, clock_ns(&vm->clock),
		vm->clock.tsc_khz);
	print_json_exits(file, vm);
	fprintf(file, "],\n \"events\": [");
	print_json_events(file, vm);
	fprintf(file, "]}\n");
}

void ledger_print(FILE *file, struct vm *vm, bool is_json)
{
	cleanup_free struct row *rows = NULL;

	vm_count_exits(vm);
	if (is_json) {
		print_json(file, vm);
		return;
	}
	rows = calloc(ROWS_MAX, sizeof(*rows));
	if (rows)
		print_table(file, vm, rows, collect(vm, rows));
}
