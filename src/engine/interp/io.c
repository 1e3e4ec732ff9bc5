/* SPDX-License-Identifier: BSD-2-Clause */
/* IN and OUT, and who may: IOPL and the I/O permission bitmap, SDM 1, 19.5. */
#include "engine/interp/handlers.h"
#include "engine/interp/debug.h"
#include "engine/interp/flags.h"
#include "engine/interp/mmu.h"
#include "engine/interp/operand.h"

#define TSS_IO_MAP_BASE 102 /* offset of the bitmap's offset, SDM 3, 7.2.1 */

/* The two bytes of the bitmap that hold the ports' bits; the last byte must be
 * within the limit. All set where there is no bitmap. */
static uint16_t io_bitmap(struct interp *cpu, uint16_t port)
{
	const struct cpu_segment *tr = &cpu->s.tr;
	uint32_t type = tr->attributes & SEGMENT_TYPE;
	uint64_t offset;

	if ((type != 9 && type != 11) || tr->limit < TSS_IO_MAP_BASE + 1)
		return 0xffff;
	offset =
		mem_read_system(cpu, tr->base + TSS_IO_MAP_BASE, 2) + port / 8u;
	if (offset + 1 > tr->limit)
		return 0xffff;
	return (uint16_t)mem_read_system(cpu, tr->base + offset, 2);
}

void io_check(struct interp *cpu, uint16_t port, unsigned size)
{
	unsigned mask = (1u << size) - 1;

	if (!(cpu->s.cr0 & CR0_PE))
		return;
	if (!(cpu->s.rflags & RFLAGS_VM) &&
	    cpu->cpl <= bits_get(cpu->s.rflags, 13, 12))
		return;
	if (io_bitmap(cpu, port) >> port % 8 & mask)
		fault_gp(cpu, 0);
}

uint64_t io_read(struct interp *cpu, uint16_t port, unsigned size)
{
	struct exit exit = {
		.reason = EXIT_IO,
		.io = {
			.port = port,
			.access = { .size = (uint8_t)size,
				    .value = size_mask(size) },
		},
	};

	if (unlikely(cpu->has_breakpoints))
		debug_note_port(cpu, port, size);
	if (interp_exit(cpu, &exit) == EXIT_FAULT)
		fault_gp(cpu, 0);
	return truncate(exit.io.access.value, size);
}

void io_write(struct interp *cpu, uint16_t port, uint64_t value, unsigned size)
{
	struct exit exit = {
		.reason = EXIT_IO,
		.io = {
			.port = port,
			.access = { .size = (uint8_t)size, .is_write = true,
				    .value = truncate(value, size) },
		},
	};

	if (unlikely(cpu->has_breakpoints))
		debug_note_port(cpu, port, size);
	if (interp_exit(cpu, &exit) == EXIT_FAULT)
		fault_gp(cpu, 0);
}

/* The port: DX or an immediate byte. */
static uint16_t io_port(const struct interp *cpu, const struct insn *insn,
			const struct operand *operand)
{
	if (operand->kind == OPND_REG)
		return (uint16_t)cpu->s.gpr[RDX];
	return (uint8_t)insn->imm;
}

static void exec_in(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[0].size;
	uint16_t port = io_port(cpu, insn, &insn->operand[1]);

	io_check(cpu, port, size);
	reg_write(cpu, RAX, io_read(cpu, port, size), size);
}

static void exec_out(struct interp *cpu, const struct insn *insn)
{
	unsigned size = insn->operand[1].size;
	uint16_t port = io_port(cpu, insn, &insn->operand[0]);

	io_check(cpu, port, size);
	io_write(cpu, port, cpu->s.gpr[RAX], size);
}

const struct interp_handler io_handlers[] = {
	{ OP_IN, exec_in },
	{ OP_OUT, exec_out },
	{ 0 },
};
