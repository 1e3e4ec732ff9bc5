/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole virtual machine, from a description to an exit status: the board, its
 * devices, the boot image, the event loop. The command line fills in a
 * machine_config; nothing below machine/ knows of options.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/engine.h"
#include "x86/cpu_model.h" /* cpu_models: what config.cpu may be */

struct loop;
struct machine;
struct vm;

/* One of an engine's own options (struct engine_option), as text. */
struct machine_option {
	const char *name, *value;
};

/* Strings are the caller's and outlive the machine. */
struct machine_config {
	const char *name; /* NULL: known by its process number */
	const char *engine; /* "auto" or an engine's name; NULL: auto */
	const struct machine_option *engine_options; /* ends with name NULL;
						      * or NULL: none */
	const char *cpu; /* CPU model; NULL: the default */
	const char *firmware; /* ROM at the reset vector; NULL: none */
	const char *const *flash; /* "FILE[,readonly]": flash chips */
	unsigned flash_count;
	const char *kernel, *initrd; /* boot/boot.h */
	const char *const *modules; /* "FILE[,arguments]" */
	unsigned module_count;
	const char *append; /* kernel command line; NULL: none */
	bool no_acpi, no_hpet; /* left out of the machine */
	bool has_testdev; /* for bare-metal test programs: chip/testdev.h */
	bool has_iommu; /* chip/vtd.h */
	/* A state file to go on from (machine/state.h). Then memory, vCPUs and
	 * cpu come from it; where they are given here too they must agree. The
	 * kernel serves a reset by the guest only, which without one ends the
	 * VM. NULL: boot. */
	const char *restore;
	uint64_t ram_size; /* bytes, multiple of the page size */
	unsigned vcpus; /* 1 to VM_VCPUS_MAX */
	const char *console; /* host/console.h; NULL: "stdio" */
	const char *debug_log; /* file for the debug port; NULL: stderr */
	const char *gdb; /* where a debugger connects, debug/gdb.h; or NULL */
	bool gdb_wait; /* the first lets the guest begin */
	/* What it tells of itself as it runs: bits of core/trace.h, to a file
	 * (NULL: stderr), at most so many bytes. */
	uint32_t trace_kinds;
	const char *trace_file;
	uint64_t trace_limit;
	const char *symbols; /* of the guest's kernel, debug/symbols.h; NULL:
			      * the kernel's own if it has any */
	bool no_reboot; /* a reset by the guest ends the VM */
	unsigned grace_ms; /* from SIGTERM's power button to the hard end */
	const char *stat_file; /* where --stat goes; NULL: stderr */
	bool stat; /* print the ledger at the end */
	bool stat_json;
};

/* Engines in order of preference, NULL at the end. */
extern const struct engine_ops *const machine_engines[];

/*
 * Checks everything, loads the image and builds the machine; nothing runs yet.
 * Logs one clear line and returns -errno when something is wrong: the caller
 * then exits with 125.
 */
int machine_create(const struct machine_config *config,
		   struct machine **machine);

/*
 * Runs until the guest or the host ends it, on the calling thread (the event
 * loop). Returns the process's exit status: 0 for power-off, the debug-exit
 * and exit-status ports' values, 125 when the machine failed, 128 + n when
 * signal n ended it hard.
 */
int machine_run(struct machine *machine);

/* For the control socket, on the loop's thread: the parts it speaks of. */
struct vm *machine_vm(struct machine *machine);
struct loop *machine_loop(struct machine *machine);
const struct machine_config *machine_describe(const struct machine *machine);

/*
 * Presses the power button and ends the VM by force grace_ms later if it is
 * still there. On the loop's thread.
 */
void machine_power_down(struct machine *machine, unsigned grace_ms);

/*
 * Saves the machine to a file, which must be an absolute path, and lets it go
 * on, or ends it there when `stop` is set. On the loop's thread. NULL, or what
 * happened, valid until the next call: then the machine goes on as if nothing
 * had been asked, and what `path` named before is untouched.
 */
const char *machine_save(struct machine *machine, const char *path, bool stop);

void machine_destroy(struct machine *machine); /* NULL is fine */
