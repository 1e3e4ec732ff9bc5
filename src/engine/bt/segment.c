/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses in segments that are not flat: an offset against the limit, then the
 * segment's base, both as SDM 3, 5.3 has them. The flavour says which comparison
 * that takes; of types it lets through those that all accesses are allowed to,
 * but that code is not written in protected mode. What fails here, and every
 * access to a segment of another kind, is the interpreter's, which faults.
 *
 * Addresses of 16 bits lie within 64 KiB: a byte there needs no comparison.
 */
#include "engine/bt/translate.h"

#define SEGMENT_FIELD(index, field)      \
	(FIELD(cpu.s.segment[0].field) + \
	 (uint32_t)(index) * (uint32_t)sizeof(struct cpu_segment))

bool segment_is_carried(const struct translation *t, enum segment segment,
			bool is_write)
{
	if (segment == SEG_CS && is_write && t->flavour.is_protected)
		return false;
	return t->flavour.limit[segment] != BT_LIMIT_ODD;
}

/* The last byte against what the segment register holds. */
static void check_any(struct translation *t, unsigned i, enum segment segment,
		      unsigned size)
{
	struct code *c = &t->c;

	if (size > 1) {
		code_group1(c, OP_SIZE_32, 0, SCRATCH, size - 1); /* add */
		interpret_if(t, i, COND_B);
	}
	code_gs(c, OP_SIZE_32, 0x3b, SCRATCH, SEGMENT_FIELD(segment, limit));
	interpret_if(t, i, COND_A);
	if (size > 1)
		code_lea_sized(c, OP_SIZE_32, SCRATCH, SCRATCH,
			       -(int32_t)(size - 1));
}

static void check_constant(struct translation *t, unsigned i, uint32_t limit,
			   unsigned size)
{
	code_group1(&t->c, OP_SIZE_32, 7, SCRATCH, limit - (size - 1));
	interpret_if(t, i, COND_A);
}

void emit_segment(struct translation *t, unsigned i, enum segment segment,
		  unsigned size, unsigned address_size)
{
	enum bt_limit limit = t->flavour.limit[segment];

	if (limit == BT_LIMIT_ANY)
		check_any(t, i, segment, size);
	else if (limit == BT_LIMIT_64K && (size > 1 || address_size == 4))
		check_constant(t, i, 0xffff, size);
	else if (limit == BT_LIMIT_4G && size > 1 && address_size == 4)
		check_constant(t, i, UINT32_MAX, size);
	code_gs(&t->c, OP_SIZE_32, 0x03, SCRATCH, SEGMENT_FIELD(segment, base));
}

void emit_operand_segment(struct translation *t, unsigned i,
			  const struct operand *memory)
{
	const struct insn *insn = &t->insn[i];

	emit_segment(t, i, insn->seg, memory->size, insn->adsize);
}
