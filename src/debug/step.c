/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of --single-step. */

#include "debug/step.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "debug/guest_code.h"
#include "debug/symbols.h"

#define CHANGES_MAX 400

__attribute__((format(printf, 4, 5))) static void
append(char *text, size_t size, size_t *length, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(text + *length, size - *length, format, arguments);
	va_end(arguments);
	*length = MIN(*length + (size_t)MAX(n, 0), size - 1);
}

/* Registers that are not what they were; all of them the first time. */
static void put_changes(struct step_trace *trace, unsigned index,
			const struct cpu_state *state, char text[CHANGES_MAX])
{
	bool is_known = trace->last[index].is_known;
	size_t length = 0;

	text[0] = 0;
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		uint64_t *last = &trace->last[index].gpr[i];

		if (is_known && *last == state->gpr[i])
			continue;
		append(text, CHANGES_MAX, &length, " %s=%" PRIx64, gpr_names[i],
		       state->gpr[i]);
		*last = state->gpr[i];
	}
	if (!is_known || trace->last[index].rflags != state->rflags)
		append(text, CHANGES_MAX, &length, " rflags=%" PRIx64,
		       state->rflags);
	trace->last[index].rflags = state->rflags;
	trace->last[index].is_known = true;
}

void step_trace_put(struct step_trace *trace, struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	char text[INSN_TEXT_SIZE], name[SYMBOL_TEXT_MAX], changes[CHANGES_MAX];
	struct cpu_state state;

	/* Nothing executes before an AP's SIPI or after a triple fault. */
	if (vm->engine_ops->get_state(vcpu, &state) ||
	    state.activity == CPU_WAIT_SIPI || state.activity == CPU_SHUTDOWN)
		return;
	guest_insn_text(vcpu, &state, text);
	symbol_text(trace->symbols, &state, guest_rip(&state), name);
	put_changes(trace, vcpu->index, &state, changes);
	trace_put(vm, vcpu, TRACE_STEP, "%04x:%" PRIx64 "%s%s  %s%s%s",
		  state.segment[SEG_CS].selector, state.rip, *name ? " " : "",
		  name, text, *changes ? " |" : "", changes);
}
