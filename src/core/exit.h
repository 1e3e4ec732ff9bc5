/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exit ledger. An exit is the monitor acting for an architectural event of
 * a vCPU; exit_handle is the one place where exits are counted, timed and
 * dispatched. Engines call it: kvm after KVM_RUN, interp and bt from inside the
 * instruction. What an engine does for itself (TLB fills, translations,
 * signals) is an engine event and has its own table (core/engine.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "x86/addr.h"

struct vcpu;

/* The SDM's basic exit reasons (SDM 3, table C-1) and what they are called. */
#define EXIT_REASONS(X)                                                       \
	X(EXCEPTION, "exception", "exception or NMI taken by the monitor")    \
	X(EXTERNAL_INTERRUPT, "external-interrupt", "the host interrupted")   \
	X(TRIPLE_FAULT, "triple-fault", "an exception while entering #DF")    \
	X(INIT, "init", "INIT signal")                                        \
	X(SIPI, "sipi", "start-up interrupt of an AP")                        \
	X(INTERRUPT_WINDOW, "interrupt-window", "ready to take an interrupt") \
	X(TASK_SWITCH, "task-switch", "hardware task switch")                 \
	X(CPUID, "cpuid", "CPUID instruction")                                \
	X(HLT, "hlt", "HLT instruction")                                      \
	X(INVD, "invd", "INVD instruction")                                   \
	X(INVLPG, "invlpg", "INVLPG instruction")                             \
	X(RDPMC, "rdpmc", "RDPMC instruction")                                \
	X(RDTSC, "rdtsc", "RDTSC or RDTSCP instruction")                      \
	X(VMCALL, "vmcall", "VMCALL: a hypercall")                            \
	X(CR_ACCESS, "cr-access", "access to a control register")             \
	X(DR_ACCESS, "dr-access", "access to a debug register")               \
	X(IO, "io", "access to an I/O port")                                  \
	X(RDMSR, "rdmsr", "RDMSR instruction")                                \
	X(WRMSR, "wrmsr", "WRMSR instruction")                                \
	X(MWAIT, "mwait", "MWAIT instruction")                                \
	X(MONITOR, "monitor", "MONITOR instruction")                          \
	X(PAUSE, "pause", "PAUSE instruction")                                \
	X(MACHINE_CHECK, "machine-check", "machine check on VM entry")        \
	X(APIC_ACCESS, "apic-access", "access to the local APIC's page")      \
	X(EOI_INDUCED, "eoi", "EOI the IOAPIC must hear of")                  \
	X(MMIO, "mmio", "EPT violation: memory nobody backs with RAM")        \
	X(WBINVD, "wbinvd", "WBINVD instruction")                             \
	X(XSETBV, "xsetbv", "XSETBV instruction")                             \
	X(RDRAND, "rdrand", "RDRAND instruction")                             \
	X(RDSEED, "rdseed", "RDSEED instruction")                             \
	X(IN_KERNEL, "in-kernel", "in kernel, unattributed (KVM only)")

enum exit_reason {
#define X(id, name, help) EXIT_##id,
	EXIT_REASONS(X)
#undef X
		EXIT_REASON_COUNT,
};

const char *exit_reason_name(enum exit_reason reason);
const char *exit_reason_help(enum exit_reason reason);

/*
 * What happened. The engine fills in reason and the operands; exit_handle
 * fills in the results. Which thread: the vCPU's own.
 */
struct exit {
	enum exit_reason reason;
	union {
		/* IO: offset unused; one exit per element of a string form */
		struct {
			uint16_t port;
			struct access access;
		} io;
		/* MMIO and APIC_ACCESS (then only offset within the page) */
		struct {
			gpa_t gpa;
			struct access access;
		} mmio;
		/* RDMSR, WRMSR */
		struct {
			uint32_t index;
			uint64_t value;
		} msr;
		/* CPUID: eax, ecx, cr4, xcr0 in; the four registers out */
		struct {
			uint32_t eax, ebx, ecx, edx;
			uint64_t cr4, xcr0;
		} cpuid;
		/* VMCALL: KVM's convention, RAX = number, RBX RCX RDX RSI */
		struct {
			uint64_t number;
			uint64_t argument[4];
			uint64_t result;
			bool is_64bit;
			uint8_t cpl;
		} vmcall;
		uint8_t vector; /* EOI_INDUCED, SIPI, EXCEPTION */
	};
};

enum exit_action {
	EXIT_RESUME, /* complete the instruction and go on */
	EXIT_FAULT, /* the instruction raises #GP(0); nothing was done */
	EXIT_WAIT, /* HLT: complete it, then wait for an event */
	EXIT_LEAVE, /* complete it, then return from run: see vcpu->requests */
};

/*
 * Counts, times and dispatches. Never blocks for the guest's sake (EXIT_WAIT
 * tells the engine to). The caller holds no lock.
 */
enum exit_action exit_handle(struct vcpu *vcpu, struct exit *exit);

/* Books exits that happened out of our sight (kvm's statistics). */
void exit_count(struct vcpu *vcpu, enum exit_reason reason, uint64_t count);

/*
 * Who an exit was for. Number 0 is "-": nobody, or no device. Names are
 * added while the machine is built, before any vCPU runs (or by hot plug under
 * the VM's lock); numbers are never reused.
 */
#define EXIT_SOURCES_MAX 64

struct exit_sources {
	const char *name[EXIT_SOURCES_MAX];
	unsigned count;
};

void exit_sources_init(struct exit_sources *sources);

/* The number of `name`, new or known; 0 when the table is full. */
unsigned exit_source(struct exit_sources *sources, const char *name);

/* Cycles are the host's TSC, spent in the monitor, waiting for HLT excluded. */
struct exit_cell {
	uint64_t count;
	uint64_t cycles;
};

/* Written by the vCPU's own thread only (relaxed atomics), read by anyone. */
struct exit_table {
	struct exit_cell cell[EXIT_REASON_COUNT][EXIT_SOURCES_MAX];
};
