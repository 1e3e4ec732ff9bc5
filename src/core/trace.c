/* SPDX-License-Identifier: BSD-2-Clause */
/* The letters of -d, and the lines of exits. */

#include "core/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/exit.h"
#include "core/vm.h"

const struct trace_kind_info trace_kind_infos[TRACE_KIND_COUNT] = {
#define X(id, letter, help) [TRACE_##id] = { letter, help },
	TRACE_KINDS(X)
#undef X
};

_Static_assert(TRACE_KIND_COUNT <= 32, "struct trace has a bit for each");

bool trace_kinds_parse(const char *letters, uint32_t *kinds, char *wrong)
{
	*kinds = 0;
	for (; *letters; letters++) {
		unsigned i = 0;

		while (i < TRACE_KIND_COUNT &&
		       trace_kind_infos[i].letter != *letters)
			i++;
		if (i == TRACE_KIND_COUNT) {
			*wrong = *letters;
			return false;
		}
		*kinds |= (uint32_t)BIT(i);
	}
	return true;
}

void trace_put(struct vm *vm, const struct vcpu *vcpu, enum trace_kind kind,
	       const char *format, ...)
{
	uint64_t us = clock_ns(&vm->clock) / 1000;
	char line[TRACE_LINE_MAX], who[12] = "-";
	va_list arguments;
	size_t length;
	int n;

	if (vcpu)
		snprintf(who, sizeof(who), "%u", vcpu->index);
	n = snprintf(line, sizeof(line), "%4" PRIu64 ".%06" PRIu64 " %s %c ",
		     us / 1000000, us % 1000000, who,
		     trace_kind_infos[kind].letter);
	length = (size_t)n;
	va_start(arguments, format);
	n = vsnprintf(line + length, sizeof(line) - length, format, arguments);
	va_end(arguments);
	length = MIN(length + (size_t)MAX(n, 0), sizeof(line) - 2);
	line[length++] = '\n';
	vm->trace.put(vm->trace.sink, line, length);
}

/* Which letter, besides 'e', wants to see a reason. */
static const enum trace_kind kind_of[EXIT_REASON_COUNT] = {
	[EXIT_IO] = TRACE_PORT,		 [EXIT_MMIO] = TRACE_MMIO,
	[EXIT_APIC_ACCESS] = TRACE_MMIO, [EXIT_RDMSR] = TRACE_MSR,
	[EXIT_WRMSR] = TRACE_MSR,
};

/* "write 4 = 1f" */
static void print_access(char *text, size_t size, const struct access *access)
{
	snprintf(text, size, "%s %u = %" PRIx64,
		 access->is_write ? "write" : "read", access->size,
		 access->value & size_mask(access->size));
}

/* What the reason's operands are; nothing for one that has none. */
static void print_operands(char *text, size_t size, const struct exit *exit)
{
	char access[48];

	text[0] = 0;
	switch (exit->reason) {
	case EXIT_IO:
		print_access(access, sizeof(access), &exit->io.access);
		snprintf(text, size, " port %x %s", exit->io.port, access);
		break;
	case EXIT_MMIO:
	case EXIT_APIC_ACCESS:
		print_access(access, sizeof(access), &exit->mmio.access);
		snprintf(text, size, " gpa %" PRIx64 " %s", exit->mmio.gpa,
			 access);
		break;
	case EXIT_RDMSR:
	case EXIT_WRMSR:
		snprintf(text, size, " %" PRIx32 " = %" PRIx64, exit->msr.index,
			 exit->msr.value);
		break;
	case EXIT_CPUID:
		snprintf(text, size,
			 " = %" PRIx32 " %" PRIx32 " %" PRIx32 " %" PRIx32,
			 exit->cpuid.eax, exit->cpuid.ebx, exit->cpuid.ecx,
			 exit->cpuid.edx);
		break;
	case EXIT_VMCALL:
		snprintf(text, size, " %" PRIx64 " = %" PRIx64,
			 exit->vmcall.number, exit->vmcall.result);
		break;
	case EXIT_EOI_INDUCED:
	case EXIT_SIPI:
	case EXIT_EXCEPTION:
		snprintf(text, size, " vector %x", exit->vector);
		break;
	default:
		break;
	}
}

void trace_exit(struct vcpu *vcpu, const struct exit *exit, unsigned source)
{
	struct vm *vm = vcpu->vm;
	enum trace_kind kind = kind_of[exit->reason];
	char operands[96];

	if (!trace_is_on(&vm->trace, kind))
		kind = TRACE_EXIT;
	if (!trace_is_on(&vm->trace, kind))
		return;
	print_operands(operands, sizeof(operands), exit);
	trace_put(vm, vcpu, kind, "%s%s %s", exit_reason_name(exit->reason),
		  operands, vm->sources.name[source]);
}
