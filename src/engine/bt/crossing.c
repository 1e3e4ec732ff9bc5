/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instruction that continues on the next page. That page is not watched for
 * it, and its mapping may change while the block stays: so each time the code
 * itself looks whether a fetch from there is allowed now (the TLB has it) and
 * whether the bytes are the ones that were translated. Else the interpreter
 * fetches, and faults as a processor does.
 */
#include "engine/bt/translate.h"

static enum mmu_view code_view(const struct translation *t)
{
	return t->flavour.view == MMU_USER ? MMU_USER : MMU_SUPERVISOR;
}

static uint64_t next_page(const struct translation *t)
{
	uint64_t page = (t->rip & PAGE_MASK) + PAGE_SIZE;

	return t->flavour.is_32 ? (uint32_t)page : page;
}

const uint8_t *crossing_bytes(const struct translation *t)
{
	uint64_t page = next_page(t);

	if (!gva_is_canonical(page))
		return NULL;
	return tlb_find(&t->vcpu->cpu, code_view(t), MMU_EXEC, page, 1);
}

static void interpret_unless_equal(struct translation *t, unsigned i)
{
	cold_add(t, COLD_HERE, code_jcc_forward(&t->c, COND_NE),
		 insn_rip(t, i));
}

/* cmp [r10 + offset], `size` bytes */
static void compare_bytes(struct code *c, unsigned offset, const uint8_t *bytes,
			  unsigned size)
{
	if (size == 2)
		CODE(c, 0x66);
	CODE(c, 0x41, size == 1 ? 0x80 : 0x81, 0x7a, offset);
	code_bytes(c, bytes, size);
}

void emit_crossing_check(struct translation *t, unsigned i)
{
	const struct insn *insn = &t->insn[i];
	const struct insn_row *row = insn_row(insn);
	unsigned here = t->room - t->offset[i], size;
	const uint8_t *bytes = insn_bytes(t, i);
	uint64_t page = next_page(t);
	uint32_t entry = field_tlb(code_view(t), MMU_EXEC, 0) +
			 tlb_index(page) * (uint32_t)sizeof(struct tlb_entry);
	struct code *c = &t->c;

	t->has_delta = false;
	t->has_places = false; /* the next page's TLB entry is chosen */
	need_flags_saved(
		t, insn_reads_status(insn) |
			   (t->live_after[i] &
			    (~row->flags_written | insn_keeps_status(insn))));
	code_constant(c, SCRATCH, page);
	code_gs(c, OP_SIZE_64, 0x3b, SCRATCH, entry + (uint32_t)TLB_TAG);
	interpret_unless_equal(t, i);
	code_gs(c, OP_SIZE_64, 0x03, SCRATCH, entry + (uint32_t)TLB_ADDEND);
	for (unsigned done = 0; here + done < insn->len; done += size) {
		unsigned left = insn->len - here - done;

		size = left >= 4 ? 4 : left >= 2 ? 2 : 1;
		compare_bytes(c, done, bytes + here + done, size);
		interpret_unless_equal(t, i);
	}
}
