/* SPDX-License-Identifier: BSD-2-Clause */
/* The board: a Q35's chips and how they are wired. doc/memory-map.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct boot;
struct pc;
struct vm;

#define PC_FLASH_MAX 2

/* A flash chip; chip/pflash.h has its other side. */
struct pc_flash {
	uint64_t size; /* 0: there is none, and none behind it */
	bool is_readonly;
	int (*write)(void *argument, uint64_t offset, const uint8_t *bytes,
		     size_t size);
	void *argument;
};

/* The board's ways out, all but debug_log called under a chip's lock. */
struct pc_host {
	/* The serial port's output: takes what it can, see ns16550.h. */
	size_t (*console_write)(void *argument, const uint8_t *bytes,
				size_t count);
	void (*console_receive_ready)(void *argument);
	void *argument;
	const char *debug_log; /* file for the debug port, or NULL: stderr */
	/* Firmware's ROM, which the memfd has behind its RAM; 0: none. */
	uint64_t rom_size;
	const struct boot *boot; /* what firmware is handed; NULL: nothing */
	/* Below it, from the top; in the memfd one behind the other. */
	struct pc_flash flash[PC_FLASH_MAX];
	bool no_acpi; /* firmware is given no tables */
	bool no_hpet;
	bool has_testdev;
	bool has_iommu;
};

/*
 * Puts the chips of machine/devices.c on the VM's buses. The vCPUs exist, none
 * runs. The chips belong to the VM's device list; the rest goes with
 * pc_destroy, after vm_fini. -errno, with the device named in the log.
 */
int pc_create(struct vm *vm, const struct pc_host *host, struct pc **pc);
void pc_destroy(struct pc *pc); /* NULL and half-built are fine */

/* The front of the machine. Any thread. */
void pc_power_button(struct pc *pc);
size_t pc_console_receive(struct pc *pc, const uint8_t *bytes, size_t count);
void pc_console_writable(struct pc *pc);
void pc_console_break(struct pc *pc);
