/* SPDX-License-Identifier: BSD-2-Clause */
/* From a decoded instruction to the function that executes it. */
#include "engine/interp/handlers.h"

#include "engine/interp/block.h"

static const struct interp_handler *const tables[] = {
	alu_handlers,	   move_handlers, shift_handlers,   multiply_handlers,
	bit_handlers,	   bmi_handlers,  branch_handlers,  stack_handlers,
	string_handlers,   io_handlers,	  atomic_handlers,  system_handlers,
	transfer_handlers, sreg_handlers, control_handlers, syscall_handlers,
	msr_handlers,	   fpu_handlers,
};

void handlers_fill(interp_fn *handler[OP_COUNT])
{
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct interp_handler *row = tables[i]; row->fn;
		     row++)
			handler[row->op] = row->fn;
}

static interp_fn *specialize(const struct insn *insn)
{
	interp_fn *fn = atomic_find(insn);

	if (!fn)
		fn = alu_specialize(insn);
	if (!fn)
		fn = move_specialize(insn);
	if (!fn)
		fn = branch_specialize(insn);
	if (!fn)
		fn = stack_specialize(insn);
	if (!fn)
		fn = shift_specialize(insn);
	return fn;
}

/* These reach the monitor without VMX or SVM being offered to the guest. */
static bool is_hypercall(enum x86_op op)
{
	return op == OP_VMCALL || op == OP_VMMCALL;
}

/* Processors without TZCNT and LZCNT ignore the prefix (SDM 2, TZCNT, LZCNT):
 * Linux relies on it. */
static interp_fn *without_prefix(const struct interp *cpu, enum x86_op op)
{
	if (op == OP_TZCNT)
		return cpu->blocks->handler[OP_BSF];
	return op == OP_LZCNT ? cpu->blocks->handler[OP_BSR] : NULL;
}

interp_fn *interp_handler_find(const struct interp *cpu,
			       const struct insn *insn)
{
	const struct insn_row *row = insn_row(insn);
	const unsigned host_unit = CLASS_X87 | CLASS_MMX | CLASS_SSE |
				   CLASS_AVX;
	interp_fn *fn;

	if (!cpu->blocks->has_feature[row->feature] &&
	    !is_hypercall(insn->op)) {
		fn = without_prefix(cpu, insn->op);
		return fn ? fn : exec_undefined;
	}
	fn = specialize(insn);
	if (!fn)
		fn = cpu->blocks->handler[insn->op];
	if (!fn)
		fn = row->class & host_unit ? exec_host_unit : exec_undefined;
	return fn;
}
