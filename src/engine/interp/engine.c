/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter as an engine: core/engine.h's table, and the world a vCPU
 * reaches through struct interp_ops, which is core's.
 *
 * Everything here but kick, memory_changed and code_changed runs on the vCPU's
 * own thread. What others want of a vCPU are bits in vcpu->requests; kick sets
 * `attention`, which interp_execute looks at after every block.
 */
#include "engine/interp/engine.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "core/input.h"
#include "core/vm.h"
#include "engine/interp/block.h"
#include "engine/interp/debug.h"
#include "x86/msr.h"
#include "x86/walk.h"

#define A20 BIT(20)

/* stat shows events at most so many instructions old. */
#define SLICE (16u << 20)

/* --- the world ------------------------------------------------------------ */

static uint8_t *world_page(void *world, gpa_t gpa, bool *is_writable)
{
	struct memory *memory = &((struct vcpu *)world)->vm->memory;
	struct memory_slot slot;

	if (!memory_find(memory, gpa, &slot))
		return NULL;
	*is_writable = slot.kind == MEMORY_RAM;
	return memory->guest + slot.offset + (gpa - slot.base);
}

static bool world_dirty(void *world, gpa_t gpa)
{
	struct memory *memory = &((struct vcpu *)world)->vm->memory;
	struct memory_slot slot;

	if (memory_find(memory, gpa, &slot) && slot.is_logged)
		memory_mark_dirty(memory, slot.offset + (gpa - slot.base),
				  PAGE_SIZE);
	return true;
}

/* After what may have changed which interrupt is deliverable. */
static void look_again(struct vcpu *vcpu)
{
	struct interp *cpu = vcpu->engine;

	atomic_store_explicit(&cpu->attention, INTERP_ATTENTION,
			      memory_order_relaxed);
}

static enum exit_action world_exit(void *world, struct exit *exit)
{
	enum exit_action action = exit_handle(world, exit);

	/* An EOI or a TPR write may uncover a pending interrupt. */
	if ((exit->reason == EXIT_APIC_ACCESS && exit->mmio.access.is_write) ||
	    exit->reason == EXIT_WRMSR)
		look_again(world);
	return action;
}

static uint64_t world_tsc(void *world)
{
	return input_tsc(world);
}

/* A deadline is of the guest's TSC: it comes nearer as that goes ahead (SDM 3,
 * 10.5.4.1). The local APIC has it in the clock's. */
static void move_deadline(struct vcpu *vcpu, uint64_t moved)
{
	const struct msr_range *range =
		msr_find(&vcpu->vm->msrs, MSR_TSC_DEADLINE);
	uint64_t deadline = 0;

	if (!range || !range->read || !moved ||
	    !range->read(range->device, vcpu, MSR_TSC_DEADLINE, &deadline) ||
	    !deadline)
		return;
	/* Never 0, which would disarm it. */
	if ((int64_t)moved > 0 && moved >= deadline)
		deadline = 1;
	else
		deadline -= moved;
	range->write(range->device, vcpu, MSR_TSC_DEADLINE, deadline);
	look_again(vcpu);
}

static void world_tsc_moved(void *world)
{
	struct vcpu *vcpu = world;
	struct interp *cpu = vcpu->engine;

	move_deadline(vcpu, cpu->s.msr.tsc_adjust - vcpu->tsc_adjust);
	vcpu->tsc_adjust = cpu->s.msr.tsc_adjust;
	if (vcpu->vm->paravirt_ops)
		vcpu->vm->paravirt_ops->tsc_moved(vcpu);
}

static uint64_t world_random(void *world)
{
	return input_random(world);
}

static bool world_has_interrupt(void *world)
{
	return vcpu_has_interrupt(world);
}

static int world_take_interrupt(void *world)
{
	return vcpu_take_interrupt(world);
}

static uint8_t world_get_tpr(void *world)
{
	struct vcpu *vcpu = world;
	const struct apic_ops *ops = vcpu->vm->apic_ops;

	return ops && ops->get_tpr ? ops->get_tpr(vcpu) : 0;
}

static void world_set_tpr(void *world, uint8_t cr8)
{
	struct vcpu *vcpu = world;
	const struct apic_ops *ops = vcpu->vm->apic_ops;

	if (ops && ops->set_tpr)
		ops->set_tpr(vcpu, cr8);
	look_again(vcpu);
}

static bool world_fpu_error(void *world, bool is_asserted)
{
	struct vm *vm = ((struct vcpu *)world)->vm;

	return vm->fpu_error && vm->fpu_error(vm->fpu_error_chip, is_asserted);
}

const struct interp_ops interp_world_ops = {
	.page = world_page,
	.dirty = world_dirty,
	.exit = world_exit,
	.tsc = world_tsc,
	.tsc_moved = world_tsc_moved,
	.random = world_random,
	.has_interrupt = world_has_interrupt,
	.take_interrupt = world_take_interrupt,
	.get_tpr = world_get_tpr,
	.set_tpr = world_set_tpr,
	.fpu_error = world_fpu_error,
};

/* --- events --------------------------------------------------------------- */

static const struct engine_event events[] = {
	[INTERP_INSTRUCTIONS] = { "instructions", "guest instructions" },
	[INTERP_BLOCKS_DECODED] = { "blocks-decoded",
				    "straight lines of code decoded" },
	[INTERP_TLB_FILLS] = { "tlb-fills", "walks of the guest's tables" },
	[INTERP_TLB_FLUSHES] = { "tlb-flushes", "whole software TLBs dropped" },
	[INTERP_EXCEPTIONS] = { "exceptions", "exceptions delivered" },
	[INTERP_INTERRUPTS] = { "interrupts", "interrupts delivered" },
	[INTERP_EVENT_COUNT] = { NULL, NULL },
};

/* Counters that the interpreter keeps for itself. */
static void publish(struct interp *cpu)
{
	_Atomic uint64_t *event = cpu->vcpu->events;

	atomic_store_explicit(&event[INTERP_INSTRUCTIONS], cpu->instructions,
			      memory_order_relaxed);
	atomic_store_explicit(&event[INTERP_BLOCKS_DECODED],
			      cpu->blocks->decoded, memory_order_relaxed);
}

/* --- life ----------------------------------------------------------------- */

static void interp_probe(struct engine_probe *probe)
{
	*probe = (struct engine_probe){
		.is_usable = true,
		.is_fast = true,
		.finding = "the interpreter runs anywhere, some twenty "
			   "times slower than native",
	};
}

/* There is nothing per VM; that it is not NULL tells core that we are there. */
static int interp_vm_create(struct vm *vm)
{
	vm->engine = vm;
	return 0;
}

static void interp_vm_destroy(struct vm *vm)
{
	vm->engine = NULL;
}

static void request_all(struct vm *vm, uint32_t bits)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_request(vm->vcpus[i], bits);
}

/* The guest's views stay mapped, so a vCPU that has not looked yet reads and
 * writes memory that is still ours. */
static int interp_memory_changed(struct vm *vm, const struct memory_slot *slot)
{
	request_all(vm, VCPU_FLUSH);
	return 0;
}

/* Each takes the new mask as it flushes its TLB. */
static void interp_a20_changed(struct vm *vm)
{
	request_all(vm, VCPU_FLUSH);
}

/* Blocks compare their bytes: nothing to do. */
static void interp_code_changed(struct vm *vm, gpa_t gpa, uint64_t size)
{
}

/* A page is marked when it enters the TLB for writing, so each round begins
 * with empty TLBs. */
static int interp_dirty_log(struct vm *vm, bool is_on)
{
	request_all(vm, VCPU_FLUSH);
	return 0;
}

static int interp_dirty_sync(struct vm *vm)
{
	request_all(vm, VCPU_FLUSH);
	return 0;
}

static int interp_vcpu_create(struct vcpu *vcpu,
			      const struct cpuid_table *cpuid)
{
	struct interp *cpu = interp_create(&interp_world_ops, vcpu, cpuid);

	if (!cpu) {
		log_error("interp: vCPU %u: Out of memory", vcpu->index);
		return -ENOMEM;
	}
	cpu->vcpu = vcpu;
	cpu_state_reset(&cpu->s, vcpu->index == 0);
	interp_mode_changed(cpu);
	vcpu->engine = cpu;
	return 0;
}

static void interp_vcpu_destroy(struct vcpu *vcpu)
{
	interp_destroy(vcpu->engine);
	vcpu->engine = NULL;
}

/* --- running -------------------------------------------------------------- */

static void count_exit(struct vcpu *vcpu, enum exit_reason reason,
		       uint8_t vector)
{
	struct exit exit = { .reason = reason, .vector = vector };

	exit_handle(vcpu, &exit);
}

static void on_init(struct vcpu *vcpu)
{
	struct interp *cpu = vcpu->engine;
	const struct apic_ops *ops = vcpu->vm->apic_ops;

	count_exit(vcpu, EXIT_INIT, 0);
	cpu_state_init(&cpu->s, vcpu->index == 0);
	if (ops && ops->reset)
		ops->reset(vcpu, true);
	if (vcpu->vm->paravirt_ops)
		vcpu->vm->paravirt_ops->init(vcpu);
	tlb_flush(cpu);
	interp_mode_changed(cpu);
}

/* Ignored unless the CPU waits for it: SDM 3, 8.4.4.1. */
static void on_sipi(struct vcpu *vcpu)
{
	struct interp *cpu = vcpu->engine;
	uint8_t vector = atomic_load(&vcpu->sipi_vector);

	if (cpu->s.activity != CPU_WAIT_SIPI)
		return;
	count_exit(vcpu, EXIT_SIPI, vector);
	cpu_state_sipi(&cpu->s, vector);
	interp_mode_changed(cpu);
}

/*
 * While one NMI is handled one more is kept, and further ones are lost (SDM 3,
 * 6.7.1). A processor takes the first one at once, so of two that came since
 * we looked last, with none being handled, the second is the one that is kept.
 */
static void on_nmi(struct vcpu *vcpu)
{
	struct interp *cpu = vcpu->engine;
	uint32_t count = atomic_exchange(&vcpu->nmis, 0);

	count += cpu->s.nmi_is_pending;
	cpu->s.nmi_is_pending = count;
	cpu->has_second_nmi |= count > 1 && !cpu->s.nmi_is_blocked;
}

/* INIT before SIPI: that is the order they are sent in. */
static void serve_requests(struct vcpu *vcpu)
{
	struct interp *cpu = vcpu->engine;
	uint32_t bits =
		vcpu_take(vcpu, VCPU_INTERRUPT | VCPU_NMI | VCPU_INIT |
					VCPU_SIPI | VCPU_FLUSH | VCPU_CODE);

	if (bits & VCPU_FLUSH) {
		cpu->address_mask =
			atomic_load(&vcpu->vm->is_a20_closed) ? ~A20 : ~0ull;
		tlb_flush(cpu);
	}
	if (bits & VCPU_INIT)
		on_init(vcpu);
	if (bits & VCPU_SIPI)
		on_sipi(vcpu);
	if (bits & VCPU_NMI)
		on_nmi(vcpu);
}

/* HLT and wait-for-SIPI. */
static void wait_for_event(struct vcpu *vcpu)
{
	const struct paravirt_ops *paravirt = vcpu->vm->paravirt_ops;
	struct interp *cpu = vcpu->engine;

	if (paravirt)
		paravirt->sleeps(vcpu);
	vcpu_wait(vcpu, ~0u);
	/* Nothing of the guest's has run in between. */
	if (paravirt && paravirt->wakes(vcpu))
		tlb_flush(cpu);
	if (vcpu_take(vcpu, VCPU_UNHALT) && cpu->s.activity == CPU_HALTED)
		cpu->s.activity = CPU_ACTIVE;
}

static uint64_t instructions_until(const struct interp *cpu,
				   const struct run_until *until)
{
	if (!until)
		return SLICE;
	if (until->kind == RUN_ONE_INSTRUCTION)
		return 1;
	if (until->instructions <= cpu->instructions)
		return 0;
	return MIN(until->instructions - cpu->instructions, SLICE);
}

static bool position_reached(const struct interp *cpu,
			     const struct run_until *until, uint64_t start)
{
	if (!until)
		return false;
	if (until->kind == RUN_ONE_INSTRUCTION)
		return cpu->instructions > start;
	return cpu->instructions >= until->instructions;
}

static enum run_result interp_run(struct vcpu *vcpu,
				  const struct run_until *until)
{
	struct interp *cpu = vcpu->engine;
	const uint64_t start = cpu->instructions;

	for (;;) {
		enum interp_result result;
		uint32_t leave;

		/* Before the requests are read: a kick from here on is seen. */
		atomic_store(&cpu->attention, 0);
		leave = atomic_load(&vcpu->requests) & VCPU_LEAVE;
		if (leave)
			return leave & VCPU_STOP ? RUN_STOP : RUN_PAUSE;
		serve_requests(vcpu);
		if (position_reached(cpu, until, start))
			return RUN_POSITION;
		cpu->debugger.is_stepping = until &&
					    until->kind == RUN_ONE_INSTRUCTION;
		cpu->debugger.holds_interrupts = until &&
						 until->holds_interrupts;
		result = interp_execute(cpu, instructions_until(cpu, until));
		publish(cpu);
		if (result == INTERP_BREAKPOINT) {
			vcpu->hit = cpu->debugger.hit;
			return RUN_BREAKPOINT;
		}
		if (result == INTERP_SHUTDOWN) {
			count_exit(vcpu, EXIT_TRIPLE_FAULT, 0);
			return RUN_SHUTDOWN;
		}
		if (result == INTERP_WAIT)
			wait_for_event(vcpu);
		else if (vcpu->vm->paravirt_ops)
			vcpu->vm->paravirt_ops->ran(vcpu);
	}
}

static void interp_kick(struct vcpu *vcpu)
{
	struct interp *cpu = vcpu->engine;

	atomic_store(&cpu->attention, INTERP_ATTENTION);
}

/* --- state ---------------------------------------------------------------- */

static int interp_get_state(struct vcpu *vcpu, struct cpu_state *state)
{
	struct interp *cpu = vcpu->engine;

	/* The state has room for one: the other comes again. */
	if (vcpu_take(vcpu, VCPU_NMI))
		on_nmi(vcpu);
	if (cpu->has_second_nmi) {
		cpu->has_second_nmi = false;
		vcpu_nmi(vcpu);
	}
	*state = cpu->s;
	state->cr8 = world_get_tpr(vcpu);
	state->tsc = input_tsc(vcpu) + cpu->s.msr.tsc_adjust;
	return 0;
}

static int interp_set_state(struct vcpu *vcpu, const struct cpu_state *state)
{
	struct interp *cpu = vcpu->engine;

	cpu->s = *state;
	vcpu->tsc_adjust = state->msr.tsc_adjust;
	cpu->has_second_nmi = false;
	cpu->has_fpu_error = true; /* to be found out */
	world_set_tpr(vcpu, (uint8_t)state->cr8);
	tlb_flush(cpu);
	interp_mode_changed(cpu);
	return 0;
}

/* --- translation for the debugger ----------------------------------------- */

static uint64_t table_read(void *world, gpa_t gpa, unsigned size)
{
	struct vcpu *vcpu = world;
	uint64_t value = 0;

	if (memory_read(&vcpu->vm->memory, gpa, &value, size))
		return size_mask(size);
	return value;
}

/* Looks, and leaves the accessed and dirty flags alone. */
static bool table_exchange(void *world, gpa_t gpa, unsigned size, uint64_t old,
			   uint64_t new)
{
	return true;
}

static int interp_translate(struct vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
	const struct cpu_state *s = &((struct interp *)vcpu->engine)->s;
	struct walk_paging paging = {
		.cr0 = s->cr0,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.efer = s->msr.efer,
		.maxphyaddr = 52,
	};
	struct walk walk = {
		.read = table_read,
		.exchange = table_exchange,
		.world = vcpu,
		.count = 1,
		.stage = { { walk_guest_paging, &paging } },
	};
	struct walk_access access = { .kind = WALK_READ };
	struct walk_fault fault;
	struct walk_page page;

	memcpy(paging.pdpte, s->pdpte, sizeof(paging.pdpte));
	if (!walk_translate(&walk, gva, &access, &page, &fault))
		return -EFAULT;
	*gpa = page.gpa;
	return 0;
}

static int interp_set_breakpoints(struct vcpu *vcpu,
				  const struct breakpoint *breakpoints,
				  size_t count)
{
	return debugger_set(vcpu->engine, breakpoints, count);
}

const struct engine_ops interp_engine = {
	.name = "interp",
	.help = "the reference interpreter: runs anywhere, slow",
	.events = events,
	.probe = interp_probe,
	.vm_create = interp_vm_create,
	.vm_destroy = interp_vm_destroy,
	.memory_changed = interp_memory_changed,
	.a20_changed = interp_a20_changed,
	.code_changed = interp_code_changed,
	.dirty_log = interp_dirty_log,
	.dirty_sync = interp_dirty_sync,
	.vcpu_create = interp_vcpu_create,
	.vcpu_destroy = interp_vcpu_destroy,
	.run = interp_run,
	.kick = interp_kick,
	.get_state = interp_get_state,
	.set_state = interp_set_state,
	.translate = interp_translate,
	.set_breakpoints = interp_set_breakpoints,
};
