/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor in a world of an array of bytes, for tests of the interpreter:
 * RAM from address 0, ports and MMIO that remember what was written to them.
 *
 * Code is written as assembly in the test, between two labels:
 *	CODE(name, "add %eax, %ebx");
 * and runs at MACHINE_CODE, until the HLT that ends it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/interp/interp.h"

#define MACHINE_RAM   0x100000u
#define MACHINE_CODE  0x10000u
#define MACHINE_DATA  0x20000u
#define MACHINE_STACK 0x40000u /* grows down */
#define MACHINE_IDT   0x50000u
#define MACHINE_GDT   0x51000u
#define MACHINE_TSS   0x52000u
#define MACHINE_PAGES 0x60000u /* page tables, built by machine_paging */
/* The handler of vector v is a HLT at MACHINE_HANDLERS + v. */
#define MACHINE_HANDLERS  0x70000u

#define MACHINE_EXITS_MAX 64

struct machine {
	struct interp *cpu;
	uint8_t *ram;
	struct exit exits[MACHINE_EXITS_MAX];
	unsigned exit_count;
	uint64_t read_value; /* what ports and MMIO read as */
	enum exit_action action; /* of port and MMIO exits */
	int interrupt; /* vector that is pending, -1 none */
	unsigned interrupts_taken;
	/* Called at each exit, may be NULL. */
	void (*hook)(struct machine *machine, struct exit *exit);
};

struct machine *machine_create(enum x86_mode mode);
void machine_destroy(struct machine *machine);

/* Identity paging in long mode, all of RAM, user pages; and its entries. */
void machine_paging(struct machine *machine);
uint64_t *machine_pte(struct machine *machine, gva_t gva);

/* Copies the code to `address` and makes RIP point at it. */
void machine_load(struct machine *machine, uint64_t address, const void *code,
		  size_t size);

/* Runs until HLT or shutdown, at most 100,000 instructions. */
enum interp_result machine_run(struct machine *machine);

/* The vector whose handler the processor halted in, or -1. */
int machine_vector(const struct machine *machine);

/* Of the frame that the handler found in long mode: error code or 0, RIP. */
uint64_t machine_frame_rip(const struct machine *machine);

#define CODE(name, text)                                               \
	asm(".pushsection .rodata\n" #name "_begin:\n" text "\n" #name \
	    "_end:\n.popsection");                                     \
	extern const uint8_t name##_begin[] asm(#name "_begin");       \
	extern const uint8_t name##_end[] asm(#name "_end")

#define LOAD(machine, name)                               \
	machine_load(machine, MACHINE_CODE, name##_begin, \
		     (size_t)(name##_end - name##_begin))
