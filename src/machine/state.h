/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine's state as a file (machine/state_file.h): its shape, its clock, its
 * devices, its processors with their local APICs, its memory. Which engine ran
 * it does not show.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/pc.h"
#include "x86/cpuid.h"

struct vm;
struct state_source;

#define STATE_WHY_MAX 160

/* What a board may be built with, beyond what the VM itself shows. */
struct state_parts {
	const char *cpu; /* the model's name */
	bool no_acpi, no_hpet, has_testdev, has_iommu;
	const struct pc_host *host; /* its ROM and flash chips */
};

/* What must be the same on both sides. */
struct state_shape {
	char board[32];
	bool no_acpi, no_hpet, has_testdev, has_iommu;
	char cpu[256]; /* the model, as --cpu has it */
	char vendor[16];
	uint64_t ram_size, fd_size; /* bytes; fd_size: with ROMs */
	uint64_t rom_size, flash_size[PC_FLASH_MAX]; /* struct pc_host */
	bool flash_is_readonly[PC_FLASH_MAX];
	uint64_t tsc_khz;
	uint32_t vcpus;
	struct cpuid_table cpuid; /* what the guest has been told */
};

/*
 * Saves a VM that stands still (vm_pause): to a file beside `path`, which takes
 * its place when it is whole and on the disk. 0, or -errno with what happened
 * in why; then nothing is left behind and `path` is what it was.
 */
int state_save(struct vm *vm, const struct state_parts *parts, const char *path,
	       char why[STATE_WHY_MAX]);
/* The same, to an empty file that is open. */
int state_save_to(struct vm *vm, const struct state_parts *parts, int fd);

/*
 * Opens a state and reads its shape; what is wrong has been logged, with the
 * file's name. Closed by state_close.
 */
int state_open(const char *path, struct state_source **source);
const struct state_shape *state_describe(const struct state_source *source);
void state_close(struct state_source *source); /* NULL is fine */

/*
 * Whether a processor of `offer`'s features can go on with what the guest has
 * been told: 0, or -EINVAL, logged. is_software: its engine has none of the
 * silicon's vulnerabilities, whatever the guest has been told of them.
 */
int state_check_cpu(const struct state_source *source,
		    const struct cpuid_table *offer, bool is_software);

/*
 * Fills a VM of the same shape, new and with no vCPU started. -EINVAL, logged:
 * the file is damaged or of another machine, and this VM must not run.
 */
int state_load(struct state_source *source, struct vm *vm);
