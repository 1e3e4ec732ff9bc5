/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a machine tells of itself while it runs, a line an event, by letter:
 * the command line's -d. Off, it costs a look at one word. A line is
 *
 *	seconds of the machine's clock, vCPU or -, letter, text
 *
 * and goes to the sink that the machine set up (debug/trace_file.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

struct exit;
struct vcpu;
struct vm;

/* One line a letter: its name in the code, the letter, what help says. */
#define TRACE_KINDS(X)                                                    \
	X(EXIT, 'e', "every exit, with its operands and for whom it was") \
	X(PORT, 'p', "exits that are accesses to ports")                  \
	X(MMIO, 'm', "exits that are accesses to memory nobody backs")    \
	X(MSR, 'r', "exits of RDMSR and WRMSR")                           \
	X(INTERRUPT, 'i',                                                 \
	  "messages to the local APICs; what enters a processor through " \
	  "the IDT (under kvm: interrupts of the i8259 only)")            \
	X(GUEST_CODE, 'g', "bt: guest code, as it is translated")         \
	X(HOST_CODE, 'h', "bt: the host code that is made of it")         \
	X(STEP, 's',                                                      \
	  "every instruction before it executes, and its registers: "     \
	  "--single-step")

enum trace_kind {
#define X(id, letter, help) TRACE_##id,
	TRACE_KINDS(X)
#undef X
		TRACE_KIND_COUNT,
};

struct trace_kind_info {
	char letter;
	const char *help;
};

/* By enum trace_kind. */
extern const struct trace_kind_info trace_kind_infos[TRACE_KIND_COUNT];

/*
 * The bits of the letters of a text. False, with the first that is none in
 * *wrong, when there is one.
 */
bool trace_kinds_parse(const char *letters, uint32_t *kinds, char *wrong);

/* Set before the first vCPU runs, and not changed while one does. */
struct trace {
	uint32_t kinds; /* a bit each */
	/* A whole line with its newline. Any thread. */
	void (*put)(void *sink, const char *line, size_t length);
	/* TRACE_STEP: the vCPU is about to execute one instruction. Its own
	 * thread. */
	void (*step)(void *sink, struct vcpu *vcpu);
	void *sink;
};

static inline bool trace_is_on(const struct trace *trace, enum trace_kind kind)
{
	return __builtin_expect(trace->kinds, 0) && (trace->kinds & BIT(kind));
}

#define TRACE_LINE_MAX 640

/*
 * One line, cut at TRACE_LINE_MAX. vcpu NULL: of none. Whoever asks has looked
 * with trace_is_on whether it is wanted. Any thread, any lock held.
 */
__attribute__((format(printf, 4, 5))) void trace_put(struct vm *vm,
						     const struct vcpu *vcpu,
						     enum trace_kind kind,
						     const char *format, ...);

/* For exit_handle: an exit that has been handled. Own thread. */
void trace_exit(struct vcpu *vcpu, const struct exit *exit, unsigned source);
