/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor: the modes derived from its registers, and the run loop.
 *
 * Between two instructions lies a boundary. Most are nothing: the next
 * instruction of the block follows. When an instruction asked for it
 * (end_block) the run loop looks at what SDM 3, 6.9 lists, in that order:
 * traps of the instruction before, NMI, interrupts, then the next instruction.
 * Where exactly one instruction must run before the next look (the shadows of
 * STI and MOV SS, TF, RF, a count that ends) it steps.
 *
 * Faults land in interp_execute: the instruction is abandoned with s.rip at
 * it, and the event is delivered.
 */
#include "core/vcpu.h"
#include "engine/interp/block.h"
#include "engine/interp/debug.h"
#include "engine/interp/operand.h"

/* --- modes ---------------------------------------------------------------- */

/* SDM 3, 2.2 and 5.2.1. Code right after a change of CR0.PE still has the size
 * that CS was loaded with. */
static enum x86_mode mode_of(const struct cpu_state *s)
{
	uint32_t cs = s->segment[SEG_CS].attributes;

	if (cpu_is_64bit(s))
		return X86_MODE_64;
	if (!(s->cr0 & CR0_PE) || (s->rflags & RFLAGS_VM))
		return cs & SEGMENT_DB ? X86_MODE_32 : X86_MODE_REAL;
	return cs & SEGMENT_DB ? X86_MODE_32 : X86_MODE_16;
}

static uint8_t privilege_of(const struct cpu_state *s)
{
	if (!(s->cr0 & CR0_PE))
		return 0;
	return s->rflags & RFLAGS_VM ? 3 : (uint8_t)cpu_privilege(s);
}

/* #AC is possible: SDM 3, 6.15. */
static bool checks_alignment(const struct interp *cpu)
{
	return cpu->cpl == 3 && (cpu->s.cr0 & CR0_AM) &&
	       (cpu->s.rflags & RFLAGS_AC);
}

void interp_mode_changed(struct interp *cpu)
{
	const struct cpu_state *s = &cpu->s;

	cpu->mode = mode_of(s);
	cpu->cpl = privilege_of(s);
	cpu->has_breakpoints = debug_has_breakpoints(s) ||
			       cpu->debugger.has_data;
	cpu->is_flat = cpu->mode == X86_MODE_64 && !checks_alignment(cpu) &&
		       !cpu->has_breakpoints;
	if (cpu->cpl == 3)
		cpu->view = MMU_USER;
	else if ((s->cr4 & CR4_SMAP) && !(s->rflags & RFLAGS_AC))
		cpu->view = MMU_SMAP;
	else
		cpu->view = MMU_SUPERVISOR;
	cpu->end_block = true;
}

/* --- faults --------------------------------------------------------------- */

/* The exceptions with an error code: SDM 3, table 6-1. */
static bool has_error_code(enum vector vector)
{
	switch (vector) {
	case VECTOR_DF:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
	case VECTOR_PF:
	case VECTOR_AC:
		return true;
	default:
		return false;
	}
}

_Noreturn void interp_fault(struct interp *cpu, enum vector vector,
			    uint32_t error)
{
	cpu->pending = (struct cpu_event){
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = (uint8_t)vector,
		.has_error_code = has_error_code(vector),
		.error_code = error,
	};
	longjmp(cpu->fault, 1);
}

_Noreturn void interp_page_fault(struct interp *cpu, gva_t gva, uint32_t error)
{
	cpu->pending = page_fault_event(gva, error);
	longjmp(cpu->fault, 1);
}

/* --- running -------------------------------------------------------------- */

/* Up to `count` instructions of the block. */
ALWAYS_INLINE void run_block(struct interp *cpu, const struct block *block,
			     unsigned count)
{
	const struct block_op *op = block->op, *end = op + count;
	uint64_t rip = cpu->s.rip;

	cpu->blocks->running = block;
	cpu->blocks->start_rip = rip;
	do {
		cpu->s.rip = rip;
		rip += op->insn.len;
		cpu->next_rip = rip;
		op->fn(cpu, &op->insn);
		op++;
	} while (op < end && likely(!cpu->end_block));
	cpu->s.rip = cpu->next_rip;
	cpu->blocks->running = NULL;
	cpu->instructions += (uint64_t)(op - block->op);
}

/* Counts what a block did before its instruction at s.rip faulted. */
static void count_interrupted(struct interp *cpu)
{
	const struct block *block = cpu->blocks->running;
	uint64_t rip = cpu->blocks->start_rip;
	unsigned i = 0;

	if (!block)
		return;
	while (i < block->count && rip != cpu->s.rip)
		rip += block->op[i++].insn.len;
	cpu->instructions += i;
	cpu->blocks->running = NULL;
}

/* How many instructions of the block lie within the limit of CS; a #GP when
 * that is none. 64-bit code has no limit. */
static unsigned block_inside(struct interp *cpu, const struct block *block)
{
	uint64_t left = cpu->s.segment[SEG_CS].limit - cpu->s.rip + 1;
	unsigned count = 0;

	if (block->size <= left)
		return block->count;
	while (count < block->count && block->op[count].insn.len <= left)
		left -= block->op[count++].insn.len;
	if (!count)
		fault_gp(cpu, 0);
	return count;
}

static unsigned block_length(struct interp *cpu, const struct block *block)
{
	return likely(cpu->mode == X86_MODE_64) ? block->count :
						  block_inside(cpu, block);
}

static bool deliver(struct interp *cpu, const struct cpu_event *event)
{
	cpu->s.sti_shadow = cpu->s.mov_ss_shadow = false;
	cpu->s.activity = CPU_ACTIVE;
	if (event_deliver(cpu, event))
		return true;
	cpu->s.activity = CPU_SHUTDOWN;
	return false;
}

/*
 * An instruction under TF that itself left for elsewhere with TF cleared has
 * no trap after it: the events and SYSCALL clear it on their way (SDM 3,
 * 6.12.1.3 and 17.3.1.4). SYSRET traps by the TF it loads, and has seen to it.
 * All others trap by the TF they began with.
 */
static bool traps_after(const struct interp *cpu, enum x86_op op)
{
	if (op == OP_SYSRET)
		return false;
	return op != OP_SYSCALL || (cpu->s.rflags & RFLAGS_TF);
}

static bool deliver_debug(struct interp *cpu, uint64_t dr6)
{
	const struct cpu_event event = {
		.is_valid = true,
		.kind = CPU_EVENT_EXCEPTION,
		.vector = VECTOR_DB,
		.payload = dr6,
	};

	return deliver(cpu, &event);
}

bool interp_is_amd(const struct interp *cpu)
{
	return cpu->cpuid && cpuid_is_amd(cpu->cpuid);
}

/*
 * An instruction breakpoint is a fault, which RF holds off (SDM 3, 17.3.1.1).
 * After MOV SS Intel's processors overlook it (6.8.3), AMD's do not.
 */
static uint64_t code_hits(const struct interp *cpu)
{
	uint64_t base = cpu->mode == X86_MODE_64 ? 0 :
						   cpu->s.segment[SEG_CS].base;

	if (!cpu->has_breakpoints || (cpu->s.rflags & RFLAGS_RF) ||
	    (cpu->s.mov_ss_shadow && !interp_is_amd(cpu)))
		return 0;
	return debug_code_hits(cpu, base + cpu->s.rip);
}

/* One instruction, with what is due before and after it. False: shut down. */
static bool step(struct interp *cpu)
{
	bool has_tf = cpu->s.rflags & RFLAGS_TF;
	uint64_t hits = code_hits(cpu);
	const struct block *block;

	/* RF is pushed as it is, clear: the handler sets it (17.3.1.1). */
	if (hits)
		return deliver_debug(cpu, hits);
	block = block_find(cpu, NULL);
	block_length(cpu, block);
	/* What MOV SS hit waits until after the instruction that follows. */
	if (!cpu->s.mov_ss_shadow)
		cpu->debug_hits = 0;
	cpu->s.sti_shadow = cpu->s.mov_ss_shadow = false;
	cpu->s.rflags &= ~RFLAGS_RF;
	run_block(cpu, block, 1);
	hits = cpu->debug_hits;
	if (has_tf && traps_after(cpu, block->op[0].insn.op))
		hits |= DR6_BS;
	if (!hits || cpu->s.mov_ss_shadow)
		return true;
	cpu->debug_hits = 0;
	return deliver_debug(cpu, hits);
}

void interp_one(struct interp *cpu, const struct block *block)
{
	block_length(cpu, block);
	run_block(cpu, block, 1);
}

void interp_block(struct interp *cpu)
{
	const struct block *block = block_find(cpu, NULL);

	run_block(cpu, block, block_length(cpu, block));
}

static bool must_step(const struct interp *cpu, uint64_t end)
{
	return cpu->s.sti_shadow || cpu->s.mov_ss_shadow ||
	       cpu->has_breakpoints ||
	       (cpu->s.rflags & (RFLAGS_TF | RFLAGS_RF)) ||
	       end - cpu->instructions < BLOCK_INSNS_MAX;
}

enum boundary { BOUNDARY_NOTHING, BOUNDARY_DELIVERED, BOUNDARY_SHUTDOWN };

static enum boundary deliver_one(struct interp *cpu,
				 const struct cpu_event *event)
{
	return deliver(cpu, event) ? BOUNDARY_DELIVERED : BOUNDARY_SHUTDOWN;
}

static enum boundary take_interrupt(struct interp *cpu)
{
	struct cpu_event event = {
		.is_valid = true,
		.kind = CPU_EVENT_INTERRUPT,
	};
	int vector;

	if (cpu->debugger.holds_interrupts && cpu->s.activity != CPU_HALTED)
		return BOUNDARY_NOTHING;
	if (!(cpu->s.rflags & RFLAGS_IF) || cpu->s.sti_shadow ||
	    cpu->s.mov_ss_shadow || !cpu->ops->has_interrupt(cpu->world))
		return BOUNDARY_NOTHING;
	vector = cpu->ops->take_interrupt(cpu->world);
	if (vector < 0)
		return BOUNDARY_NOTHING;
	event.vector = (uint8_t)vector;
	return deliver_one(cpu, &event);
}

/* What waits to come in: SDM 3, table 6-2. */
static enum boundary take_event(struct interp *cpu)
{
	struct cpu_event event;

	if (cpu->s.event.is_valid) {
		event = cpu->s.event;
		cpu->s.event.is_valid = false;
		return deliver_one(cpu, &event);
	}
	if (cpu->s.nmi_is_pending && !cpu->s.nmi_is_blocked &&
	    !cpu->s.mov_ss_shadow && !cpu->s.sti_shadow) {
		event = (struct cpu_event){
			.is_valid = true,
			.kind = CPU_EVENT_NMI,
			.vector = VECTOR_NMI,
		};
		cpu->s.nmi_is_pending = cpu->has_second_nmi;
		cpu->has_second_nmi = false;
		cpu->s.nmi_is_blocked = true;
		return deliver_one(cpu, &event);
	}
	return take_interrupt(cpu);
}

static bool is_attention(const struct interp *cpu)
{
	return atomic_load_explicit(&cpu->attention, memory_order_relaxed);
}

/* Blocks, until one asks for a look. `end` is at least a block away. */
static void run_blocks(struct interp *cpu, uint64_t end)
{
	struct block *block = NULL;

	cpu->end_block = false;
	do {
		block = block_find(cpu, block);
		run_block(cpu, block, block_length(cpu, block));
	} while (likely(!cpu->end_block) && likely(!is_attention(cpu)) &&
		 likely(end - cpu->instructions >= BLOCK_INSNS_MAX));
}

/* One block, up to a debugger's breakpoint in it. */
static void run_block_debugged(struct interp *cpu)
{
	const struct block *block = block_find(cpu, NULL);

	cpu->end_block = false;
	run_block(cpu, block,
		  debugger_clip(cpu, block, block_length(cpu, block)));
}

/* The interpreter is about to look at s.fpu. */
static void sync(struct interp *cpu)
{
	if (cpu->sync)
		cpu->sync(cpu);
}

/* A fault's landing. False: shut down. */
static bool land(struct interp *cpu)
{
	struct cpu_event event = cpu->pending;
	uint64_t hits = cpu->debug_hits;

	if (cpu->run_aborted)
		cpu->run_aborted(cpu);
	count_interrupted(cpu);
	cpu->pending.is_valid = false;
	cpu->debug_hits = 0;
	/* An instruction that waits where it is: no event. */
	if (!event.is_valid)
		return true;
	cpu->instructions++;
	/* What MOV SS hit joins the #DB of an INT1 after it, and follows an INT
	 * n into its handler (SDM 3, 6.8.3). A fault loses it. */
	if (event.kind == CPU_EVENT_EXCEPTION && event.vector == VECTOR_DB) {
		event.payload |= hits;
		hits = 0;
	}
	if (!deliver(cpu, &event))
		return false;
	return event.kind != CPU_EVENT_SOFTWARE || !hits ||
	       deliver_debug(cpu, hits);
}

static enum interp_result execute(struct interp *cpu, uint64_t count)
{
	const uint64_t end = count > ~0ull - cpu->instructions ?
				     ~0ull :
				     cpu->instructions + count;

	if (setjmp(cpu->fault) && !land(cpu))
		return INTERP_SHUTDOWN;
	for (;;) {
		enum boundary boundary;

		if (is_attention(cpu) || cpu->instructions >= end)
			return INTERP_LEAVE;
		boundary = take_event(cpu);
		if (boundary == BOUNDARY_SHUTDOWN)
			return INTERP_SHUTDOWN;
		if (boundary == BOUNDARY_DELIVERED)
			continue;
		if (cpu->s.activity != CPU_ACTIVE)
			return INTERP_WAIT;
		if (unlikely(cpu->debugger.has_code) &&
		    debugger_stops_here(cpu))
			return INTERP_BREAKPOINT;
		if (must_step(cpu, end)) {
			sync(cpu);
			cpu->debugger.is_hit = false;
			if (!step(cpu))
				return INTERP_SHUTDOWN;
			if (unlikely(cpu->debugger.is_hit))
				return INTERP_BREAKPOINT;
		} else if (unlikely(cpu->debugger.has_code)) {
			sync(cpu);
			run_block_debugged(cpu);
		} else if (cpu->run_code) {
			cpu->end_block = false;
			cpu->run_code(cpu);
		} else {
			run_blocks(cpu, end);
		}
	}
}

enum interp_result interp_execute(struct interp *cpu, uint64_t count)
{
	enum interp_result result;

	if (cpu->begin)
		cpu->begin(cpu);
	result = execute(cpu, count);

	if (cpu->leave)
		cpu->leave(cpu);
	if (cpu->end)
		cpu->end(cpu);
	return result;
}
