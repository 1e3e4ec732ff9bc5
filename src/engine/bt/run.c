/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dispatcher: from s.rip to translated code and back, one instruction of
 * the interpreter at a time where the code asks for it. All on the vCPU's own
 * thread.
 */
#include <stddef.h>

#include "base/log.h"
#include "core/vm.h"
#include "engine/bt/code.h"
#include "engine/interp/block.h"
#include "engine/interp/engine.h"
#include "engine/interp/mmu.h"
#include "x86/decode.h"

static struct bt_vcpu *bt_of(struct interp *cpu)
{
	return container_of(cpu, struct bt_vcpu, cpu);
}

static void count(struct bt_vcpu *vcpu, enum bt_event event)
{
	vcpu_event(vcpu->vcpu, event, 1);
}

/* --- what changed behind the translations' back ----------------------------- */

static void drop_everything(struct bt_vcpu *vcpu)
{
	struct bt_vm *bt = vcpu->bt;

	bt_vectors_leave(vcpu);
	bt_leave_guest(vcpu);
	pthread_mutex_lock(&bt->lock);
	vcpu->written_all = false;
	bt_cache_drop_all(vcpu);
	pthread_mutex_unlock(&bt->lock);
	bt_enter_guest(vcpu);
}

/* Code that this vCPU wrote to goes before it runs on. */
static void serve_written(struct bt_vcpu *vcpu)
{
	while (unlikely(vcpu->written_count)) {
		uint32_t page = vcpu->written[--vcpu->written_count];

		bt_vectors_leave(vcpu);
		bt_leave_guest(vcpu);
		vcpu_event(vcpu->vcpu, BT_BLOCKS_DROPPED,
			   bt_page_written(vcpu->bt, page));
		bt_enter_guest(vcpu);
		count(vcpu, BT_PAGES_WRITTEN);
	}
	if (unlikely(vcpu->written_all))
		drop_everything(vcpu);
}

/* --- entering translated code ----------------------------------------------- */

static void flags_to_code(struct bt_vcpu *vcpu)
{
	uint64_t rflags = vcpu->cpu.s.rflags;

	vcpu->flags = (rflags & 0xd5) << 8 | (rflags >> 11 & 1);
}

static void flags_from_code(struct bt_vcpu *vcpu)
{
	uint64_t *rflags = &vcpu->cpu.s.rflags;

	*rflags &= ~RFLAGS_STATUS;
	*rflags |= (vcpu->flags >> 8 & 0xd5) | (vcpu->flags & 1) << 11;
}

/*
 * s.rip, which is not canonical, is where an indirect branch went. The fault is
 * the branch's own, and RSP as before it (SDM 2, CALL, JMP, RET); what CALL pushed
 * may stay in memory. IRET, SYSRET and SYSCALL do not come here.
 */
static void undo_branch(struct bt_vcpu *vcpu)
{
	struct bt_vm *bt = vcpu->bt;
	uint64_t place = vcpu->branched ?
				 vcpu->branched - (uint64_t)bt->executable :
				 vcpu->returned >> 32;
	const struct bt_block *block = bt_block_at(bt, (uint32_t)place);

	if (!block)
		return;
	if (block->moved < 0) /* CALL has pushed on the shadow stack, too */
		vcpu->shadow_rsp += 8;
	vcpu->cpu.s.rip = block->rip + block->branch;
	vcpu->cpu.s.gpr[RSP] -= (uint64_t)(int64_t)block->moved;
	vcpu->exit_reason = BT_BRANCH_FAULT;
}

static void follow_link(struct bt_vcpu *vcpu)
{
	vcpu->cpu.s.rip = bt_link_rip(vcpu->bt, vcpu->exit_link);
	if (bt_link_is_by_tlb(vcpu->bt, vcpu->exit_link))
		vcpu->by_tlb_rip = vcpu->cpu.s.rip;
}

static enum bt_exit run(struct bt_vcpu *vcpu, const void *code)
{
	vcpu->target = (uint64_t)code;
	vcpu->exit_link = 0;
	if (unlikely(vcpu->is_checked))
		bt_check_enter(vcpu);
	flags_to_code(vcpu);
	bt_percpu_choose(vcpu);
	bt_vectors_to_cpu(vcpu);
	vcpu->bt->stubs.enter(vcpu);
	bt_vectors_left(vcpu);
	flags_from_code(vcpu);
	if (vcpu->exit_reason >= BT_INTERPRET)
		vcpu->cpu.s.rip = vcpu->stop->rip;
	else if (vcpu->exit_link)
		follow_link(vcpu);
	else if (unlikely(!gva_is_canonical(vcpu->cpu.s.rip)) &&
		 !vcpu->flavour.is_32)
		undo_branch(vcpu);
	if (vcpu->flavour.is_32)
		vcpu->cpu.s.rip = bt_rip_ip(vcpu->cpu.s.rip);
	vcpu->flavour.view = (uint8_t)vcpu->cpu.view; /* which code changes */
	if (unlikely(vcpu->is_checked))
		bt_check_left(vcpu);
	return (enum bt_exit)vcpu->exit_reason;
}

/* --- finding code ------------------------------------------------------------ */

/* What is there already and nobody asks to be chained to: without the lock, as
 * the memory of dropped blocks is not used again while this vCPU is here. */
static const void *find_known(struct bt_vcpu *vcpu, const uint8_t *host,
			      uint64_t rip)
{
	struct bt_vm *bt = vcpu->bt;
	const struct bt_block *block = bt_block_find(
		bt, bt_page_of(bt, host), rip, bt_flavour_pack(&vcpu->flavour));
	uint32_t code;

	if (!block)
		return NULL;
	code = __atomic_load_n(&block->code, __ATOMIC_ACQUIRE);
	if (!code)
		return NULL;
	bt_exec_enter(vcpu, block->rip, code);
	if (!vcpu->flavour.by_tlb)
		bt_jump_enter(vcpu, block->rip, code);
	return bt_code(bt, code + BT_CHECK_SIZE);
}

/* Of CS: the interpreter faults. */
static bool is_past_limit(const struct bt_vcpu *vcpu)
{
	return vcpu->flavour.is_segmented &&
	       vcpu->cpu.s.rip > vcpu->cpu.s.segment[SEG_CS].limit;
}

/* Takes bt_vm.lock. True: the vCPU is out of guest code, which it must be only to
 * wait for it. */
static bool lock_tables(struct bt_vcpu *vcpu)
{
	if (likely(!pthread_mutex_trylock(&vcpu->bt->lock)))
		return false;
	bt_leave_guest(vcpu);
	pthread_mutex_lock(&vcpu->bt->lock);
	return true;
}

/* Its direct branches within the page to what is there already. */
static void chain_within(struct bt_vm *bt, const struct bt_block *block)
{
	uint32_t number = bt_block_number(bt, block) * BT_LINKS;

	for (unsigned i = 0; i < BT_LINKS; i++) {
		const struct bt_link *link = &block->link[i];
		const struct bt_block *to = NULL;

		if (link->at && !link->to && block->kind[i] < LINK_FAR)
			to = bt_block_find(bt, block->page, link->rip,
					   bt_id_flavour(block->flavour));
		if (to)
			bt_link_chain(bt, number + i, to);
	}
}

/* Blocks that are made because another was. */
#define AHEAD 3

static bool may_look_ahead(const struct bt_vcpu *vcpu)
{
	const struct bt_vm *bt = vcpu->bt;

	/* While there are ids, no code goes but that of an old region. */
	return !vcpu->flavour.is_32 && !vcpu->is_checked && !bt->stress.kinds &&
	       bt->last_id < BT_IDS_MAX;
}

/*
 * Translates the code at rip, and what surely follows it in the same page: that
 * costs less now, with the translator in the processor's caches, than when the
 * code gets there and has to leave for it.
 */
static struct bt_block *translate(struct bt_vcpu *vcpu, uint64_t rip,
				  const uint8_t *host)
{
	struct bt_vm *bt = vcpu->bt;
	struct bt_ahead ahead;
	struct bt_block *first = bt_translate(vcpu, rip, host, &ahead), *block;

	count(vcpu, BT_BLOCKS);
	host -= rip & ~PAGE_MASK;
	block = first;
	for (unsigned n = 0; block && may_look_ahead(vcpu); n++) {
		struct bt_block *last = block;
		bool is_same_flavour = ahead.is_same_flavour;

		block = NULL;
		if (n < AHEAD && !((ahead.rip ^ rip) & PAGE_MASK) &&
		    !bt_block_find(bt, last->page, ahead.rip,
				   bt_id_flavour(last->flavour))) {
			block = bt_translate(vcpu, ahead.rip,
					     host + (ahead.rip & ~PAGE_MASK),
					     &ahead);
			count(vcpu, BT_BLOCKS);
		}
		if (is_same_flavour)
			chain_within(bt, last);
	}
	return first;
}

/* The code for s.rip, or NULL: the interpreter's. Faults as a fetch. */
static const void *find_code(struct bt_vcpu *vcpu, uint64_t link,
			     uint32_t drops)
{
	struct bt_vm *bt = vcpu->bt;
	struct bt_block *block;
	const void *code = NULL;
	bool is_fresh, has_left;
	uint64_t rip = bt_rip(vcpu);
	uint32_t page, flavour;
	const uint8_t *host;
	gpa_t gpa;

	if (unlikely(is_past_limit(vcpu)))
		return NULL;
	host = mem_fetch(&vcpu->cpu, bt_rip_linear(vcpu, rip), &gpa);
	if (!host)
		return NULL;
	page = bt_page_of(bt, host);
	flavour = bt_flavour_pack(&vcpu->flavour);
	count(vcpu, BT_DISPATCHES);
	if (!link && !vcpu->is_checked)
		code = find_known(vcpu, host, rip);
	if (code)
		return code;
	if (unlikely(bt->check))
		bt_vectors_leave(vcpu);
	has_left = lock_tables(vcpu);
	is_fresh = atomic_load(&bt->drops) == drops;
	bt_space_note(vcpu);
	block = bt_block_find(bt, page, rip, flavour);
	if (!block && bt_page_move(vcpu, page)) {
		block = bt_block_find(bt, page, rip, flavour);
		/* The branch may have moved, which chaining looks at. */
		if (is_fresh)
			drops = atomic_load(&bt->drops);
	}
	if (!block) {
		block = translate(vcpu, rip, host);
	}
	if (block) {
		bt_exec_enter(vcpu, block->rip, block->code);
		if (vcpu->is_checked)
			bt_check_start(vcpu, block);
		else if (!link && !vcpu->flavour.by_tlb)
			bt_jump_enter(vcpu, block->rip, block->code);
		else if (link && atomic_load(&bt->drops) == drops)
			bt_link_chain(bt, (uint32_t)link, block);
		code = bt_code(bt, block->code + BT_CHECK_SIZE);
	}
	/* Before the lock is free: the code may not go meanwhile. */
	if (has_left)
		bt_enter_guest(vcpu);
	pthread_mutex_unlock(&bt->lock);
	return code;
}

/* --- leaving for one instruction ---------------------------------------------- */

static bool must_look(const struct interp *cpu)
{
	return cpu->end_block ||
	       atomic_load_explicit(&cpu->attention, memory_order_relaxed);
}

/* May the code go on behind the instruction, which ended at `next`? A far
 * transfer may have come to the same RIP. */
static bool may_go_on(struct bt_vcpu *vcpu, uint64_t next, uint32_t drops)
{
	return bt_rip(vcpu) == next && !must_look(&vcpu->cpu) &&
	       bt_flavour_is_current(vcpu) &&
	       atomic_load(&vcpu->bt->drops) == drops;
}

/* The instruction at s.rip, of which no translation is known. */
static void interpret_here(struct bt_vcpu *vcpu)
{
	const struct block *block;

	count(vcpu, BT_INTERPRETED);
	/* block.c uses vector registers; and whatever it is. */
	bt_vectors_to_state(vcpu);
	block = block_find_one(&vcpu->cpu);
	interp_one(&vcpu->cpu, block);
	if (block->op[0].insn.op == OP_IRET)
		bt_note_return(vcpu);
}

/* Where the record at `stop` has its own instruction, or what it decodes to. */
static struct bt_stop_insn insn_of(struct bt_vcpu *vcpu,
				   const struct bt_stop *stop)
{
	struct bt_stop_insn insn;
	struct insn decoded;

	if (stop->has_insn)
		return *(const struct bt_stop_insn *)(stop + 1);
	BUG_ON(insn_decode(&decoded, bt_code(vcpu->bt, stop->bytes),
			   stop->length, vcpu->cpu.mode) != stop->length);
	insn.fn = interp_handler_find(&vcpu->cpu, &decoded);
	insn.insn = decoded;
	return insn;
}

static const void *place(const struct bt_stop *stop, int32_t from)
{
	return from ? (const uint8_t *)stop + from : NULL;
}

/* What to enter to go on behind the instruction; NULL: by the dispatcher. */
static const void *go_on(struct bt_vcpu *vcpu, const struct bt_stop *stop)
{
	const void *resume = place(stop, stop->resume);

	if (!stop->restores_flags)
		return resume;
	vcpu->resume = (uint64_t)resume;
	return vcpu->bt->stubs.go_on;
}

/* The instruction; where the code goes on, or NULL: by the dispatcher. */
static const void *interpret(struct bt_vcpu *vcpu, const struct bt_stop *stop)
{
	struct interp *cpu = &vcpu->cpu;
	uint32_t drops = atomic_load(&vcpu->bt->drops);
	const void *resume = go_on(vcpu, stop);
	/* A copy: the function may wait while others drop this code. */
	const struct bt_stop_insn insn = insn_of(vcpu, stop);
	uint64_t next = stop->rip + stop->length;

	count(vcpu, BT_INTERPRETED);
	if (stop->touches_vectors)
		bt_vectors_to_state(vcpu);
	cpu->next_rip = cpu->s.rip + stop->length;
	insn.fn(cpu, &insn.insn);
	cpu->s.rip = cpu->next_rip;
	cpu->instructions++;
	if (insn.insn.op == OP_IRET)
		bt_note_return(vcpu);
	return may_go_on(vcpu, next, drops) ? resume : NULL;
}

/*
 * FILLED: the TLB holds [gva, +size) now, and did not before. FILL_FAULT: the
 * guest's tables forbid it. FILL_OTHER: it is not RAM, it has code and is
 * written, or the operand is on two pages. The interpreter does the access, or
 * faults.
 */
enum fill { FILLED, FILL_FAULT, FILL_OTHER };

static enum fill fill_tlb(struct bt_vcpu *vcpu, gva_t gva, unsigned size,
			  enum mmu_access access, struct walk_fault *fault)
{
	struct interp *cpu = &vcpu->cpu;
	struct mem_place found;

	if (!gva_is_canonical(gva) || (gva & ~PAGE_MASK) + size > PAGE_SIZE ||
	    tlb_find(cpu, cpu->view, access, gva, 1))
		return FILL_OTHER;
	if (!mmu_translate(cpu, gva, access, cpu->view, &found, fault))
		return FILL_FAULT;
	return tlb_find(cpu, cpu->view, access, gva, 1) ? FILLED : FILL_OTHER;
}

/* Where code of s.rip is known to start, if it is. */
static const void *find_entry(struct bt_vcpu *vcpu)
{
	const struct bt_jump *jump;
	uint64_t rip;

	if (!bt_is_translatable(vcpu) || vcpu->by_tlb_rip == vcpu->cpu.s.rip)
		return NULL;
	bt_flavour_choose(vcpu);
	rip = bt_rip(vcpu);
	jump = &vcpu->jump[bt_codes(&vcpu->flavour)][bt_jump_index(rip)];
	return jump->rip == rip ? jump->code : NULL;
}

/*
 * An access faults before anything else of its instruction, which is at s.rip:
 * the handler's code. The tables need not be walked again for that.
 */
static const void *raise_page_fault(struct bt_vcpu *vcpu, gva_t gva,
				    uint32_t error)
{
	struct interp *cpu = &vcpu->cpu;
	const struct cpu_event event = page_fault_event(gva, error);
	bool must_end = cpu->end_block;

	if (vcpu->is_checked || !event_deliver_quick(cpu, &event))
		interp_page_fault(cpu, gva, error);
	cpu->instructions++;
	/* An exception makes nothing deliverable that was not before. */
	cpu->end_block = must_end;
	return must_look(cpu) ? NULL : find_entry(vcpu);
}

/* REP MOVS and STOS: both operands' pages must be there at once. */
static bool fill_repeat(struct bt_vcpu *vcpu, const struct bt_stop *stop)
{
	struct interp *cpu = &vcpu->cpu;
	const struct insn *insn =
		&((const struct bt_stop_insn *)(stop + 1))->insn;
	unsigned size = insn->operand[0].size;
	struct walk_fault fault;
	bool is_filled = false;

	if (insn->op == OP_MOVS)
		is_filled = fill_tlb(vcpu, cpu->s.gpr[RSI], size, MMU_READ,
				     &fault) == FILLED;
	is_filled |= fill_tlb(vcpu, cpu->s.gpr[RDI], size, MMU_WRITE, &fault) ==
		     FILLED;
	return is_filled &&
	       tlb_find(cpu, cpu->view, MMU_WRITE, cpu->s.gpr[RDI], size) &&
	       (insn->op != OP_MOVS ||
		tlb_find(cpu, cpu->view, MMU_READ, cpu->s.gpr[RSI], size));
}

/* True: the stack's page is in struct bt_stack now. */
static bool fill_stack(struct bt_vcpu *vcpu)
{
	struct interp *cpu = &vcpu->cpu;
	gva_t gva = vcpu->address & PAGE_MASK;
	struct walk_fault fault;
	struct mem_place found;
	uint8_t *host;

	count(vcpu, BT_STACK_FILLS);
	if (bt_stress_hits(&vcpu->bt->stress, STRESS_SLOW, 1))
		return false;
	if (!gva_is_canonical(gva) || (cpu->mode != X86_MODE_64 && gva >> 32) ||
	    !mmu_translate(cpu, gva, MMU_WRITE, cpu->view, &found, &fault))
		return false;
	/* Only what the TLB keeps may be kept here. */
	host = tlb_find(cpu, cpu->view, MMU_WRITE, gva, 1);
	if (!host)
		return false;
	vcpu->stack[cpu->view] = (struct bt_stack){
		.page = gva,
		.delta = (uint64_t)host - gva,
	};
	return true;
}

/* True: the page of `address` from GS's base is known now, in the view that may
 * do least. */
static bool fill_percpu(struct bt_vcpu *vcpu, enum mmu_access access)
{
	struct interp *cpu = &vcpu->cpu;
	struct bt_percpu *percpu = &vcpu->percpu;
	uint64_t base = cpu->s.segment[SEG_GS].base, offset = vcpu->address;
	gva_t gva = (base + offset) & PAGE_MASK;
	struct walk_fault fault;
	struct mem_place found;
	uint8_t *host;

	if (!bt_percpu_is_base(base) ||
	    ((cpu->s.cr4 & CR4_SMAP) && cpu->view != MMU_SMAP) ||
	    !mmu_translate(cpu, gva, access, cpu->view, &found, &fault))
		return false;
	/* Only what the TLB keeps may be kept here. */
	host = tlb_find(cpu, cpu->view, access, gva, 1);
	if (!host)
		return false;
	if (base != percpu->base)
		bt_percpu_forget(vcpu);
	percpu->base = base;
	percpu->page[access * BT_PERCPU_PAGES + offset / PAGE_SIZE] = host;
	return true;
}

/* An access missed the TLB: the same again, the handler of its #PF, or behind
 * the instruction. */
static const void *serve_miss(struct bt_vcpu *vcpu, const struct bt_stop *stop)
{
	gva_t gva = vcpu->address;
	const void *retry = place(stop, stop->retry);
	struct walk_fault fault;

	if (!retry)
		return interpret(vcpu, stop);
	switch (fill_tlb(vcpu, gva, stop->size, stop->access, &fault)) {
	case FILLED:
		return retry;
	case FILL_FAULT:
		if (stop->faults_first)
			return raise_page_fault(vcpu, gva, fault.error);
		return interpret(vcpu, stop);
	default:
		return interpret(vcpu, stop);
	}
}

/* A function of ours has done the instruction. */
static const void *complete(struct bt_vcpu *vcpu, const struct bt_stop *stop)
{
	vcpu->cpu.s.rip = stop->rip + stop->length;
	return go_on(vcpu, stop);
}

/*
 * Where the code goes on after it stopped for one instruction: the access again,
 * behind what a function of ours has done, or wherever the interpreter says.
 */
static const void *serve_stop(struct bt_vcpu *vcpu, enum bt_exit reason)
{
	const struct bt_stop *stop = vcpu->stop;
	const void *retry = place(stop, stop->retry);

	switch (reason) {
	case BT_MISS:
		return serve_miss(vcpu, stop);
	case BT_REPEAT:
		if (fill_repeat(vcpu, stop))
			return retry;
		break;
	case BT_FILL_STACK:
		if (fill_stack(vcpu))
			return retry;
		vcpu->by_tlb_rip = vcpu->cpu.s.rip;
		return NULL;
	case BT_FILL_PERCPU:
		if (fill_percpu(vcpu, stop->access))
			return retry;
		break;
	case BT_XSAVE:
	case BT_XSAVEC:
	case BT_XSAVEOPT:
		if (bt_xsave(vcpu, reason))
			return complete(vcpu, stop);
		break;
	case BT_XRSTOR:
		if (bt_xrstor(vcpu))
			return complete(vcpu, stop);
		break;
	default:
		break;
	}
	return interpret(vcpu, stop);
}

static bool is_same_stack(const struct bt_stack *stack,
			  const struct bt_stack *was)
{
	return stack->page == was->page && stack->delta == was->delta;
}

/* Translated code, until it wants to go where no code of it is known yet. */
static void run_translated(struct bt_vcpu *vcpu, uint64_t *link)
{
	const void *code = find_code(vcpu, *link, vcpu->link_drops);

	*link = 0;
	vcpu->flavour.by_tlb = false;
	if (!code)
		interpret_here(vcpu);
	while (code) {
		enum bt_exit reason = run(vcpu, code);
		struct bt_stack *stack, was;

		switch (reason) {
		case BT_DISPATCH:
			*link = vcpu->is_checked ? 0 : vcpu->exit_link;
			vcpu->link_drops = atomic_load(&vcpu->bt->drops);
			return;
		case BT_ATTENTION:
			return;
		case BT_INTERPRET_HERE:
			interpret_here(vcpu);
			return;
		case BT_BRANCH_FAULT:
			fault_gp(&vcpu->cpu, 0);
		default:
			stack = &vcpu->stack[vcpu->cpu.view];
			was = *stack;
			code = serve_stop(vcpu, reason);
			if (reason != BT_FILL_STACK &&
			    !is_same_stack(stack, &was))
				return;
			break;
		}
	}
}

void bt_run_code(struct interp *cpu)
{
	struct bt_vcpu *vcpu = bt_of(cpu);
	uint64_t link = 0;

	vcpu->has_waiting = cpu->s.nmi_is_pending ||
			    cpu->ops->has_interrupt(cpu->world);
	do {
		serve_written(vcpu);
		bt_exec_notice(vcpu);
		if (unlikely(vcpu->bt->stress.kinds))
			bt_stress_vcpu(vcpu);
		if (bt_is_translatable(vcpu)) {
			bt_flavour_choose(vcpu);
			run_translated(vcpu, &link);
		} else {
			bt_vectors_to_state(vcpu);
			vcpu->is_checked = false;
			interp_block(cpu);
			link = 0;
		}
	} while (!must_look(cpu));
}

void bt_run_aborted(struct interp *cpu)
{
	if (unlikely(bt_of(cpu)->is_checked))
		bt_check_aborted(bt_of(cpu));
}

void bt_sync(struct interp *cpu)
{
	bt_vectors_to_state(bt_of(cpu));
}

/* Also while it delivers an event or steps: that writes guest memory. */
void bt_begin(struct interp *cpu)
{
	bt_enter_guest(bt_of(cpu));
}

void bt_end(struct interp *cpu)
{
	bt_leave_guest(bt_of(cpu));
}

void bt_leave(struct interp *cpu)
{
	bt_vectors_leave(bt_of(cpu));
}
