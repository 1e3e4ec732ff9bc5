/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual-8086 mode and its extensions (CR4.VME): SDM 3, chapter 20. The way
 * out, by an interrupt, is event.c's and task.c's.
 */
#include "engine/interp/vm86.h"

#include "engine/interp/segment.h"

#define IOPL_3		  RFLAGS_IOPL
#define TSS_IO_MAP	  102 /* SDM 3, figure 7-2 */
#define REDIRECTION_BYTES 32 /* below the I/O permission bitmap */

static bool has_iopl_3(const struct interp *cpu)
{
	return (cpu->s.rflags & RFLAGS_IOPL) == IOPL_3;
}

void vm86_enter(struct interp *cpu, const struct vm86_frame *frame)
{
	const uint64_t flags = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_IF |
			       RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF |
			       RFLAGS_VM | RFLAGS_AC | RFLAGS_VIF | RFLAGS_VIP |
			       RFLAGS_ID;

	if (frame->rip > 0xffff)
		fault_gp(cpu, 0);
	cpu->s.rflags = (frame->rflags & flags) | RFLAGS_FIXED1;
	cpu->s.gpr[RSP] = frame->rsp;
	cpu->next_rip = frame->rip;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		segment_load_vm86(cpu, i, frame->segment[i]);
	interp_mode_changed(cpu);
}

/* --- IF and VIF ----------------------------------------------------------- */

bool vm86_uses_vif(struct interp *cpu, unsigned size)
{
	if (has_iopl_3(cpu))
		return false;
	if (!(cpu->s.cr4 & CR4_VME) || size != 2)
		fault_gp(cpu, 0);
	return true;
}

uint16_t vm86_flags(const struct interp *cpu)
{
	uint64_t flags = cpu->s.rflags & ~RFLAGS_IF;

	if (cpu->s.rflags & RFLAGS_VIF)
		flags |= RFLAGS_IF;
	return (uint16_t)(flags | IOPL_3);
}

void vm86_check_flags(struct interp *cpu, uint16_t image)
{
	if ((image & RFLAGS_TF) ||
	    ((image & RFLAGS_IF) && (cpu->s.rflags & RFLAGS_VIP)))
		fault_gp(cpu, 0);
}

void vm86_set_flags(struct interp *cpu, uint16_t image)
{
	const uint64_t mask = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;
	uint64_t flags = (cpu->s.rflags & ~(mask | RFLAGS_VIF)) |
			 (image & mask);

	cpu->s.rflags = flags | (image & RFLAGS_IF ? RFLAGS_VIF : 0);
}

/* --- INT n ---------------------------------------------------------------- */

/* The vector's bit in the software interrupt redirection bitmap; set: the
 * monitor gets it (SDM 3, 20.3.3). */
static bool is_for_monitor(struct interp *cpu, uint8_t vector)
{
	const struct cpu_segment *tr = &cpu->s.tr;
	uint32_t offset;

	if (tr->limit < TSS_IO_MAP + 1)
		fault_gp(cpu, 0);
	offset = (uint32_t)mem_read_system(cpu, tr->base + TSS_IO_MAP, 2) -
		 REDIRECTION_BYTES + vector / 8;
	if (offset > tr->limit)
		fault_gp(cpu, 0);
	return mem_read_system(cpu, tr->base + offset, 1) >> vector % 8 & 1;
}

/* Methods 5 and 6: as an 8086 does it, by the table at linear address 0. */
static void redirect(struct interp *cpu, uint8_t vector)
{
	struct stack stack = stack_current(cpu);
	bool is_virtual = !has_iopl_3(cpu);
	uint16_t flags = is_virtual ? vm86_flags(cpu) : (uint16_t)cpu->s.rflags;
	/* The program's own table: with its rights. */
	uint64_t entry = mem_read_linear(cpu, vector * 4, 4, cpu->view);

	stack_put(cpu, &stack, flags, 2);
	stack_put(cpu, &stack, cpu->s.segment[SEG_CS].selector, 2);
	stack_put(cpu, &stack, cpu->next_rip, 2);
	stack_commit(cpu, &stack);
	segment_load_vm86(cpu, SEG_CS, (uint16_t)(entry >> 16));
	cpu->next_rip = (uint16_t)entry;
	cpu->s.rflags &= ~(RFLAGS_TF | RFLAGS_RF);
	cpu->s.rflags &= is_virtual ? ~RFLAGS_VIF : ~RFLAGS_IF;
	cpu->end_block = true;
}

bool vm86_int(struct interp *cpu, uint8_t vector)
{
	if ((cpu->s.cr4 & CR4_VME) && !is_for_monitor(cpu, vector)) {
		redirect(cpu, vector);
		return true;
	}
	if (!has_iopl_3(cpu))
		fault_gp(cpu, 0);
	return false;
}
