/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lockstep. Theory of operation.
 *
 * The reference is an interpreter of its own beside the vCPU, with its own TLB,
 * on the same guest memory. A block that is to be checked has a flavour of its
 * own: its code is what it would be anyway, but it is never chained and stands
 * in no jump table, so that each block ends in the dispatcher (bt.h).
 *
 * 1. Before translated code runs, the reference gets the vCPU's state and
 *    executes what the code stands for: from s.rip to the block's end, or up to
 *    an instruction that happens only once. Every page it stores to is copied
 *    before; then what it stored becomes the expectation, and memory is put
 *    back as it was.
 * 2. The translated code runs. Where it leaves for an instruction that the
 *    reference has executed too (a TLB miss, say), the interpreter executes it
 *    on the vCPU, and the code goes on; registers are compared on the way.
 * 3. Where it comes to where the reference stopped, the whole state and every
 *    page that was stored to must be as expected.
 *
 * What happens only once: what the translator leaves to the interpreter, and
 * whatever asks the world (ports, MMIO, time, random numbers, the local APIC).
 * The reference stops before it, the vCPU's interpreter executes it, and the
 * reference goes on from the state that came of it. That is all the record and
 * replay there is: with one vCPU nothing else is left to chance within a block.
 * Interrupts come between blocks; no device writes to memory by itself.
 *
 * Status flags. What the manual leaves undefined is not compared: there they
 * often stay as they were, and the code has kept nothing. Translated code does not keep those that nobody reads. The
 * reference keeps its own from block to block; at a block's end those are
 * compared that the translator holds to be needed, and if it is wrong about the
 * others, then an instruction sees the wrong ones later.
 */
#include "engine/bt/lockstep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/vm.h"
#include "engine/bt/translate.h"
#include "engine/interp/block.h"
#include "engine/interp/mmu.h"
#include "x86/format.h"

#define PAGES_MAX 64 /* that one block stores to */
#define LINE	  64
#define STRETCH	  64 /* blocks */

/* What is known of a block's code. */
struct known {
	const struct bt_block *block; /* NULL: free */
	uint64_t interpreted; /* a bit per instruction */
	uint8_t count;
};

/* Before an instruction of the reference's. */
struct past {
	uint64_t rip;
	uint64_t gpr[GPR_COUNT];
	struct insn insn;
};

struct stored {
	uint8_t *host;
	uint8_t page[PAGE_SIZE]; /* as it was, then as it should become */
};

enum stop {
	STOP_END, /* of the block */
	STOP_ONCE, /* at an instruction that happens only once */
	STOP_FAULT, /* at one that faults */
	STOP_LOST, /* at one that cannot be taken back, or has no one result */
};

struct bt_check {
	struct bt_vcpu *vcpu;
	struct interp *reference;
	unsigned every;
	uint64_t random, wait; /* dispatches until the next stretch */
	unsigned left; /* blocks of this one */

	struct known *known;
	uint32_t known_size, known_count; /* a power of two */

	/* The block that runs. */
	struct known block;
	bool is_open; /* the reference has run ahead */
	unsigned index, at; /* of the next instruction; s.rip's */
	bool can_go_on; /* behind instruction `at`, which happened once */
	bool is_aborted, is_locked;
	enum stop stop;
	struct cpu_event fault;
	uint64_t end_rip, end_flags; /* the vCPU's, when last compared */
	uint64_t undefined; /* status flags, by the last instructions */
	uint64_t generation[2];
	uint32_t page_flushes;
	struct past past[TRANSLATE_INSNS_MAX];
	struct stored *stored;
	unsigned stores;
	struct translation *scratch;

	uint64_t blocks, instructions, given_up;
	bool differs;
};

/* --- what is known of blocks ------------------------------------------------ */

static uint32_t slot_of(const struct known *known, uint32_t size,
			const struct bt_block *block)
{
	uint64_t key = (uint64_t)(uintptr_t)block * 0x9e3779b97f4a7c15ull;
	uint32_t i = (uint32_t)(key >> 32) & (size - 1);

	while (known[i].block && known[i].block != block)
		i = (i + 1) & (size - 1);
	return i;
}

static void grow(struct bt_check *check)
{
	uint32_t size = check->known_size ? 2 * check->known_size : 1u << 16;
	struct known *known = calloc(size, sizeof(*known));

	BUG_ON(!known);
	for (uint32_t i = 0; i < check->known_size; i++)
		if (check->known[i].block)
			known[slot_of(known, size, check->known[i].block)] =
				check->known[i];
	free(check->known);
	check->known = known;
	check->known_size = size;
}

void bt_check_note(const struct translation *t)
{
	struct bt_check *check = t->bt->check;
	struct known *known;

	if (2 * check->known_count >= check->known_size)
		grow(check);
	known = &check->known[slot_of(check->known, check->known_size,
				      t->block)];
	check->known_count += !known->block;
	*known = (struct known){
		.block = t->block,
		.interpreted = t->interpreted,
		.count = (uint8_t)t->count,
	};
}

/* --- the reference's world --------------------------------------------------- */

static struct bt_check *check_of(void *world)
{
	return ((struct vcpu *)world)->vm->engine ?
		       ((struct bt_vm *)((struct vcpu *)world)->vm->engine)
			       ->check :
		       NULL;
}

/* This instruction happens only once: not here. */
_Noreturn static void stop_here(struct bt_check *check)
{
	check->is_aborted = true;
	check->reference->pending.is_valid = false;
	longjmp(check->reference->fault, 1);
}

static uint8_t *reference_page(void *world, gpa_t gpa, bool *is_writable)
{
	return bt_world_ops.page(world, gpa, is_writable);
}

/* The page is about to be stored to, each time. */
static bool reference_dirty(void *world, gpa_t gpa)
{
	struct bt_check *check = check_of(world);
	struct stored *stored = check->stored;
	bool is_writable;
	uint8_t *host = bt_world_ops.page(world, gpa, &is_writable);

	for (unsigned i = 0; i < check->stores; i++)
		if (stored[i].host == host)
			return false;
	if (check->stores == PAGES_MAX) {
		check->stop = STOP_LOST;
		stop_here(check);
	}
	stored += check->stores++;
	stored->host = host;
	memcpy(stored->page, host, PAGE_SIZE);
	return false;
}

/* The split lock may be held (interp/access.c): a locked operation goes to its
 * end, and is taken back there. */
static enum exit_action reference_exit(void *world, struct exit *exit)
{
	struct bt_check *check = check_of(world);

	if (!check->is_locked)
		stop_here(check);
	check->is_aborted = true;
	return EXIT_RESUME;
}

static uint64_t reference_number(void *world)
{
	stop_here(check_of(world));
}

static bool reference_has_interrupt(void *world)
{
	return false;
}

static int reference_take_interrupt(void *world)
{
	return -1;
}

static uint8_t reference_get_tpr(void *world)
{
	stop_here(check_of(world));
}

static void reference_set_tpr(void *world, uint8_t cr8)
{
	stop_here(check_of(world));
}

static const struct interp_ops reference_ops = {
	.page = reference_page,
	.dirty = reference_dirty,
	.exit = reference_exit,
	.tsc = reference_number,
	.random = reference_number,
	.has_interrupt = reference_has_interrupt,
	.take_interrupt = reference_take_interrupt,
	.get_tpr = reference_get_tpr,
	.set_tpr = reference_set_tpr,
};

/* --- life ----------------------------------------------------------------- */

int bt_check_create(struct bt_vm *bt, unsigned every)
{
	struct bt_check *check = calloc(1, sizeof(*check));

	if (!check)
		return -ENOMEM;
	bt->check = check;
	bt->has_tsc = false;
	check->every = every;
	check->wait = 1;
	check->stored = malloc(PAGES_MAX * sizeof(*check->stored));
	check->scratch = calloc(1, sizeof(*check->scratch));
	if (!check->stored || !check->scratch)
		return -ENOMEM;
	check->scratch->bt = bt;
	return 0;
}

int bt_check_add_vcpu(struct bt_vcpu *vcpu)
{
	struct bt_check *check = vcpu->bt->check;

	if (check->vcpu) {
		log_error("bt: lockstep takes one processor");
		return -EINVAL;
	}
	check->vcpu = vcpu;
	check->reference =
		interp_create(&reference_ops, vcpu->vcpu, vcpu->cpu.cpuid);
	return check->reference ? 0 : -ENOMEM;
}

void bt_check_destroy(struct bt_vm *bt)
{
	struct bt_check *check = bt->check;

	if (!check)
		return;
	if (check->vcpu)
		log_info("bt: lockstep: %lu blocks, %lu instructions; %lu "
			 "blocks not to their end; %s",
			 check->blocks, check->instructions, check->given_up,
			 check->differs ? "a difference" : "no difference");
	interp_destroy(check->reference);
	free(check->known);
	free(check->stored);
	free(check->scratch);
	free(check);
	bt->check = NULL;
}

/* --- when ------------------------------------------------------------------- */

static uint64_t draw(struct bt_check *check, uint64_t limit)
{
	check->random = check->random * 6364136223846793005ull + 1;
	return (check->random >> 33) % limit;
}

static void give_up(struct bt_check *check)
{
	check->given_up++;
	check->is_open = false;
}

bool bt_check_wants(struct bt_vcpu *vcpu)
{
	struct bt_check *check = vcpu->bt->check;

	/* The interpreter has gone on where there is no code. Of the block that
	 * is open only a fault of the next fetch could still be told. */
	if (check->is_open && vcpu->cpu.s.rip != check->reference->s.rip)
		give_up(check);
	if (check->every == 1)
		return true;
	if (check->left) {
		if (--check->left)
			return true;
		check->wait = 1 + draw(check, 2ull * STRETCH * check->every);
		return false;
	}
	/* Also where no block leaves by itself: at the next poll. */
	if (--check->wait % 16 == 1)
		atomic_store_explicit(&vcpu->cpu.attention, INTERP_ATTENTION,
				      memory_order_relaxed);
	if (check->wait)
		return false;
	check->left = STRETCH;
	return true;
}

void bt_check_start(struct bt_vcpu *vcpu, const struct bt_block *block)
{
	struct bt_check *check = vcpu->bt->check;

	check->block =
		check->known[slot_of(check->known, check->known_size, block)];
	check->given_up += check->is_open;
	check->is_open = false;
	check->can_go_on = check->block.block;
	check->at = ~0u; /* behind nothing: at the first */
}

/* --- the reference runs ------------------------------------------------------ */

static void follow_flushes(struct bt_check *check)
{
	const struct tlb *tlb = &check->vcpu->cpu.tlb;

	if (check->page_flushes == tlb->page_flushes &&
	    check->generation[0] == tlb->generation[0] &&
	    check->generation[1] == tlb->generation[1])
		return;
	check->page_flushes = tlb->page_flushes;
	check->generation[0] = tlb->generation[0];
	check->generation[1] = tlb->generation[1];
	tlb_flush(check->reference);
}

/* Its own status flags, unless somebody set the vCPU's meanwhile. */
static void load_reference(struct bt_check *check)
{
	struct interp *cpu = &check->vcpu->cpu, *to = check->reference;
	uint64_t flags = to->s.rflags;
	uint64_t flags_kept = RFLAGS_STATUS & ~check->undefined;
	bool is_contiguous = cpu->s.rip == check->end_rip &&
			     cpu->s.rflags == check->end_flags;

	/* Its TLB holds rights of pages that the vCPU has not used. */
	if (to->s.pkru != cpu->s.pkru || to->s.msr.pkrs != cpu->s.msr.pkrs)
		tlb_flush(to);
	to->s = cpu->s;
	/* Should the block be given up and begun again, they are ahead. */
	check->end_rip = ~0ull;
	if (is_contiguous)
		to->s.rflags = (cpu->s.rflags & ~flags_kept) |
			       (flags & flags_kept);
	else
		check->undefined = 0;
	to->address_mask = cpu->address_mask;
	to->has_fpu_error = false;
	follow_flushes(check);
	interp_mode_changed(to);
}

static bool is_string(const struct insn *insn)
{
	return insn_row(insn)->bt == BT_STRING;
}

static void note_past(struct bt_check *check, const struct insn *insn)
{
	struct past *past = &check->past[check->index];

	past->rip = check->reference->s.rip;
	past->insn = *insn;
	memcpy(past->gpr, check->reference->s.gpr, sizeof(past->gpr));
}

/* Where the count may be 0, so that the flags stay. */
static bool may_keep_flags(const struct insn *insn)
{
	switch (insn->op) {
	case OP_SHL:
	case OP_SHR:
	case OP_SAR:
	case OP_ROL:
	case OP_ROR:
	case OP_SHLD:
	case OP_SHRD:
		return true;
	default:
		return false;
	}
}

/* The flags that the result depends on; Jcc's and its like by condition. */
static uint64_t flags_used(const struct insn *insn)
{
	static const uint16_t by_condition[8] = {
		RFLAGS_OF,
		RFLAGS_CF,
		RFLAGS_ZF,
		RFLAGS_CF | RFLAGS_ZF,
		RFLAGS_SF,
		RFLAGS_PF,
		RFLAGS_SF | RFLAGS_OF,
		RFLAGS_SF | RFLAGS_OF | RFLAGS_ZF,
	};

	if (insn->op == OP_JCC || insn->op == OP_SETCC || insn->op == OP_CMOVCC)
		return by_condition[insn->cond >> 1 & 7];
	return may_keep_flags(insn) ? 0 : insn_row(insn)->flags_read;
}

/* False: stopped at instruction `index`. */
static bool execute(struct bt_check *check, const struct block_op *op)
{
	struct interp *cpu = check->reference;
	struct past *past = &check->past[check->index];
	const struct insn_row *row = insn_row(&op->insn);

	note_past(check, &op->insn);
	if (flags_used(&op->insn) & check->undefined) {
		check->stop = STOP_LOST;
		return false;
	}
	check->is_locked = op->insn.prefixes & PREFIX_LOCK ||
			   op->insn.op == OP_XCHG;
	check->is_aborted = false;
	cpu->s.sti_shadow = cpu->s.mov_ss_shadow = false;
	do {
		cpu->next_rip = cpu->s.rip + op->insn.len;
		op->fn(cpu, &op->insn);
		/* A repeated one comes back to go on. */
	} while (is_string(&op->insn) && cpu->next_rip == past->rip);
	if (check->is_aborted) {
		check->stop = STOP_LOST;
		return false;
	}
	cpu->s.rip = cpu->next_rip;
	if (!may_keep_flags(&op->insn))
		check->undefined &= ~(uint64_t)row->flags_written;
	check->undefined |= row->flags_undefined;
	check->index++;
	check->instructions++;
	return true;
}

static void run_reference(struct bt_check *check)
{
	struct interp *cpu = check->reference;

	check->stop = STOP_ONCE;
	if (setjmp(cpu->fault)) {
		const struct insn *insn = &check->past[check->index].insn;

		if (!check->is_aborted && cpu->pending.is_valid)
			check->stop = STOP_FAULT;
		else if (check->past[check->index].rip == cpu->s.rip &&
			 is_string(insn))
			check->stop = STOP_LOST;
		check->fault = cpu->pending;
		return;
	}
	while (check->index < check->block.count) {
		uint64_t rip = cpu->s.rip;
		const struct block *block;
		const struct block_op *op;

		check->is_aborted = false;
		check->past[check->index].rip = ~0ull;
		block = block_find(cpu, NULL);
		op = block->op;
		for (unsigned i = 0; i < block->count; i++, op++) {
			if (check->index == check->block.count)
				break;
			if (check->block.interpreted & BIT(check->index)) {
				note_past(check, &op->insn);
				return;
			}
			rip += op->insn.len;
			if (!execute(check, op))
				return;
			if (cpu->s.rip != rip)
				break;
		}
		if (cpu->s.rip != rip)
			break;
	}
	check->stop = STOP_END;
}

/* Memory as it was; what was stored becomes what is expected. */
static void take_back(struct bt_check *check)
{
	uint8_t line[LINE];

	for (unsigned n = 0; n < check->stores; n++) {
		struct stored *stored = &check->stored[n];

		for (unsigned i = 0; i < PAGE_SIZE; i += LINE) {
			uint8_t *host = stored->host + i;

			if (memcmp(host, stored->page + i, LINE) == 0)
				continue;
			memcpy(line, host, LINE);
			memcpy(host, stored->page + i, LINE);
			memcpy(stored->page + i, line, LINE);
		}
	}
}

void bt_check_enter(struct bt_vcpu *vcpu)
{
	struct bt_check *check = vcpu->bt->check;

	bt_vectors_to_state(vcpu);
	if (check->is_open || !check->can_go_on)
		return;
	load_reference(check);
	check->index = check->at + 1;
	check->stores = 0;
	run_reference(check);
	take_back(check);
	check->is_open = check->stop != STOP_LOST;
	check->can_go_on = false;
	check->blocks++;
	check->given_up += !check->is_open;
}

/* --- comparing ------------------------------------------------------------ */

static const char *const gpr_names[GPR_COUNT] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};

/* Says what differs, or only whether anything does. */
struct report {
	bool is_silent, differs;
};

static void differ(struct report *report, const char *what, uint64_t is,
		   uint64_t expected)
{
	if (is == expected)
		return;
	report->differs = true;
	if (!report->is_silent)
		log_error("  %s is %lx, expected %lx", what, is, expected);
}

static void differ_bytes(struct report *report, const char *what, unsigned n,
			 const void *is, const void *expected, unsigned size)
{
	char name[32];

	if (memcmp(is, expected, size) == 0)
		return;
	snprintf(name, sizeof(name), "%s%u", what, n);
	for (unsigned i = 0; i < size; i += 8)
		differ(report, name, load_u64((const uint8_t *)is + i),
		       load_u64((const uint8_t *)expected + i));
}

static void compare_fpu(struct report *report, const struct cpu_fpu *is,
			const struct cpu_fpu *expected)
{
	differ(report, "fcw", is->fcw, expected->fcw);
	differ(report, "fsw", is->fsw, expected->fsw);
	differ(report, "ftw", is->ftw, expected->ftw);
	differ(report, "mxcsr", is->mxcsr, expected->mxcsr);
	for (unsigned i = 0; i < 8; i++) {
		differ(report, "st", is->st[i].mantissa,
		       expected->st[i].mantissa);
		differ(report, "st's exponent", is->st[i].sign_exponent,
		       expected->st[i].sign_exponent);
	}
	for (unsigned i = 0; i < 16; i++)
		differ_bytes(report, "ymm", i, is->ymm[i], expected->ymm[i],
			     32);
}

static void compare_segment(struct report *report, const char *what,
			    const struct cpu_segment *is,
			    const struct cpu_segment *expected)
{
	differ(report, what, is->selector, expected->selector);
	differ(report, what, is->attributes, expected->attributes);
	differ(report, what, is->limit, expected->limit);
	differ(report, what, is->base, expected->base);
}

static void compare_system(struct report *report, const struct cpu_state *is,
			   const struct cpu_state *expected)
{
	static const char *const names[SEG_COUNT] = { "es", "cs", "ss",
						      "ds", "fs", "gs" };

	for (unsigned i = 0; i < SEG_COUNT; i++)
		compare_segment(report, names[i], &is->segment[i],
				&expected->segment[i]);
	compare_segment(report, "ldtr", &is->ldtr, &expected->ldtr);
	compare_segment(report, "tr", &is->tr, &expected->tr);
	differ(report, "cr0", is->cr0, expected->cr0);
	differ(report, "cr2", is->cr2, expected->cr2);
	differ(report, "cr3", is->cr3, expected->cr3);
	differ(report, "cr4", is->cr4, expected->cr4);
	differ(report, "xcr0", is->xcr0, expected->xcr0);
	differ(report, "pkru", is->pkru, expected->pkru);
	differ(report, "nmi", is->nmi_is_blocked, expected->nmi_is_blocked);
	differ_bytes(report, "msr", 0, &is->msr, &expected->msr,
		     sizeof(is->msr));
}

/* A walk of the vCPU's may have set A and D bits. */
static void compare_memory(struct report *report, const struct bt_check *check)
{
	const uint64_t bits = 0x60;

	for (unsigned n = 0; n < check->stores; n++) {
		const struct stored *stored = &check->stored[n];

		if (memcmp(stored->host, stored->page, PAGE_SIZE) == 0)
			continue;
		for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
			uint64_t is = load_u64(stored->host + i);
			uint64_t expected = load_u64(stored->page + i);
			char what[40];

			if ((is ^ expected) == ((is ^ expected) & bits))
				continue;
			snprintf(what, sizeof(what), "memory at %lx",
				 (uint64_t)(stored->host + i -
					    check->vcpu->bt->vm->memory.guest));
			differ(report, what, is, expected);
		}
	}
}

/* Of the six, which the code keeps where it has left. */
static uint64_t flags_kept(const struct bt_check *check)
{
	const struct bt_vcpu *vcpu = check->vcpu;
	struct translation *t = check->scratch;
	uint64_t rip = bt_rip(vcpu);
	gpa_t gpa;

	if (check->stop == STOP_FAULT && check->past[check->index].rip == ~0ull)
		return 0;
	if (check->stop != STOP_END)
		return insn_reads_status(&check->past[check->index].insn);
	if (vcpu->exit_reason == BT_DISPATCH && !vcpu->exit_link)
		return RFLAGS_STATUS;
	t->bt = vcpu->bt;
	t->rip = check->past[0].rip;
	if (vcpu->flavour.is_32)
		t->rip = bt_rip_make(bt_rip_base(rip), t->rip);
	if ((rip ^ t->rip) & PAGE_MASK)
		return RFLAGS_STATUS;
	t->host =
		mem_fetch(check->reference, bt_rip_linear(vcpu, t->rip), &gpa);
	t->looks = 0;
	t->mode = vcpu->cpu.mode;
	return flags_needed_at(t, rip);
}

static bool state_differs(struct bt_check *check, bool is_silent)
{
	struct interp *cpu = &check->vcpu->cpu, *expected = check->reference;
	struct report report = { .is_silent = is_silent };
	uint64_t flags = ~(RFLAGS_STATUS | RFLAGS_RF);

	differ(&report, "rip", cpu->s.rip, expected->s.rip);
	if (report.differs && is_silent)
		return true;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		differ(&report, gpr_names[i], cpu->s.gpr[i],
		       expected->s.gpr[i]);
	flags |= report.differs ? 0 : flags_kept(check) & ~check->undefined;
	differ(&report, "rflags", cpu->s.rflags & flags,
	       expected->s.rflags & flags);
	differ(&report, "cpl", cpu->cpl, expected->cpl);
	differ(&report, "view", cpu->view, expected->view);
	compare_fpu(&report, &cpu->s.fpu, &expected->s.fpu);
	compare_system(&report, &cpu->s, &expected->s);
	compare_memory(&report, check);
	return report.differs;
}

static void print_block(const struct bt_check *check)
{
	unsigned count = check->index + (check->stop != STOP_END);

	for (unsigned i = 0; i < count; i++) {
		const struct past *past = &check->past[i];
		char text[128];

		insn_format(text, sizeof(text), &past->insn, past->rip);
		log_error("  %lx  %s", past->rip, text);
	}
}

static const char *const exit_names[] = {
	[BT_DISPATCH] = "its end",    [BT_INTERPRET] = "the interpreter",
	[BT_MISS] = "a page",	      [BT_INTERPRET_HERE] = "other bytes",
	[BT_REPEAT] = "a string",     [BT_FILL_STACK] = "the stack",
	[BT_XSAVE] = "XSAVE",	      [BT_XSAVEC] = "XSAVEC",
	[BT_XSAVEOPT] = "XSAVEOPT",   [BT_XRSTOR] = "XRSTOR",
	[BT_ATTENTION] = "attention",
};

static const char *const stop_names[] = {
	[STOP_END] = "its end",
	[STOP_ONCE] = "what happens once",
	[STOP_FAULT] = "a fault",
	[STOP_LOST] = "what cannot be told",
};

/* The first difference ends the VM: what follows would be its consequences. */
static void found(struct bt_check *check, const char *what)
{
	struct bt_vcpu *vcpu = check->vcpu;

	check->is_open = false;
	if (check->differs)
		return;
	check->differs = true;
	log_error("bt: lockstep: %s in the block at %lx: it left at %lx for "
		  "%s; the interpreter stopped at %lx for %s, vector %d; after "
		  "%lu blocks",
		  what, check->past[0].rip, vcpu->cpu.s.rip,
		  exit_names[vcpu->exit_reason], check->reference->s.rip,
		  stop_names[check->stop],
		  check->stop == STOP_FAULT ? check->fault.vector : -1,
		  check->blocks);
	print_block(check);
	vm_stop(vcpu->bt->vm, STOP_ERROR, 0);
}

/* The instruction that the vCPU stands at, of those the reference executed. */
static const struct past *find_past(const struct bt_check *check)
{
	for (unsigned i = 0; i < check->index; i++)
		if (check->past[i].rip == check->vcpu->cpu.s.rip)
			return &check->past[i];
	return NULL;
}

/* On the way: general registers only, and not within a string. */
static bool past_differs(const struct bt_check *check, const struct past *past)
{
	const uint64_t *gpr = check->vcpu->cpu.s.gpr;
	struct report report = { 0 };

	if (is_string(&past->insn) ||
	    memcmp(gpr, past->gpr, sizeof(past->gpr)) == 0)
		return false;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		differ(&report, gpr_names[i], gpr[i], past->gpr[i]);
	return report.differs;
}

/* Where the reference stopped, all must be the same. */
static void close_block(struct bt_check *check)
{
	struct cpu_state *s = &check->vcpu->cpu.s;

	if (state_differs(check, false)) {
		found(check, "a difference");
		return;
	}
	check->is_open = false;
	check->end_rip = s->rip;
	check->end_flags = s->rflags;
	if (check->stop == STOP_ONCE) {
		check->at = check->index;
		check->can_go_on = true;
	}
}

void bt_check_left(struct bt_vcpu *vcpu)
{
	struct bt_check *check = vcpu->bt->check;
	const struct past *past;
	bool is_end = vcpu->exit_reason == BT_DISPATCH ||
		      vcpu->exit_reason == BT_ATTENTION;

	bt_vectors_to_state(vcpu);
	if (!check->is_open)
		return;
	past = find_past(check);
	if (check->stop == (is_end ? STOP_END : STOP_ONCE) &&
	    vcpu->cpu.s.rip == check->reference->s.rip &&
	    (!past || !state_differs(check, true))) {
		close_block(check);
		return;
	}
	/* At the instruction that faults, or one that the reference executed:
	 * the interpreter's turn. */
	if (!past && check->stop == STOP_FAULT) {
		past = &check->past[check->index];
		/* Its fetch: from the next page. */
		if (past->rip == ~0ull) {
			if (state_differs(check, false))
				found(check, "a difference on the way");
			return;
		}
	}
	if (!past) {
		if (vcpu->cpu.s.rip != check->reference->s.rip ||
		    (is_end && check->stop != STOP_ONCE))
			found(check, "it goes elsewhere");
		/* Before what happens once: by the dispatcher again. */
		else if (is_end && state_differs(check, false))
			found(check, "a difference");
		else if (is_end)
			give_up(check);
		return;
	}
	if (past_differs(check, past))
		found(check, "a difference on the way");
	else if (is_end)
		give_up(check);
}

void bt_check_aborted(struct bt_vcpu *vcpu)
{
	struct bt_check *check = vcpu->bt->check;
	const struct cpu_event *is = &vcpu->cpu.pending;

	if (!check->is_open || !is->is_valid)
		return;
	bt_vectors_to_state(vcpu);
	if (check->stop != STOP_FAULT) {
		/* STOP_ONCE: a fault of the one that happens once. */
		if (vcpu->cpu.s.rip != check->reference->s.rip)
			found(check, "a fault");
	} else if (vcpu->cpu.s.rip != check->reference->s.rip ||
		   is->vector != check->fault.vector ||
		   is->error_code != check->fault.error_code ||
		   is->payload != check->fault.payload) {
		/* payload: CR2 */
		found(check, "another fault");
	}
	check->is_open = false;
}
