/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the interpreter reaches outside itself: the interpreter engine's own
 * world, but the guest's vector registers leave the processor before anything
 * that may use them (vectors.c). What is asked for all the time goes without:
 * pages, the page's mark, whether an interrupt waits, the TSC. They read a few
 * words and call nothing of libc's that has vectors in it.
 */
#include "core/input.h"
#include "core/vm.h"
#include "engine/bt/bt.h"
#include "engine/interp/engine.h"

static struct bt_vcpu *bt_of(void *world)
{
	return ((struct vcpu *)world)->engine;
}

/* --- memory ---------------------------------------------------------------- */

/* Again in the slot where the last page was, while the map has not changed? */
static bool is_in_window(const struct bt_window *window,
			 const struct memory *memory, gpa_t gpa)
{
	return gpa - window->base < window->size &&
	       window->sequence == atomic_load_explicit(&memory->sequence,
							memory_order_acquire);
}

/* The slot of gpa; NULL: there is none. */
static const struct bt_window *find_window(struct bt_vcpu *vcpu, gpa_t gpa)
{
	struct memory *memory = &vcpu->vcpu->vm->memory;
	struct bt_window *window = &vcpu->window;
	uint32_t sequence = atomic_load(&memory->sequence);
	struct memory_slot slot;

	if (likely(is_in_window(window, memory, gpa)))
		return window;
	if (!memory_find(memory, gpa, &slot))
		return NULL;
	/* An older number than the slot's only makes it look again. */
	*window = (struct bt_window){
		.sequence = sequence,
		.is_writable = slot.kind == MEMORY_RAM,
		.is_logged = slot.is_logged,
		.base = slot.base,
		.size = slot.size,
		.offset = slot.offset,
		.host = memory->guest + slot.offset,
	};
	return window;
}

static uint8_t *page(void *world, gpa_t gpa, bool *is_writable)
{
	const struct bt_window *window = find_window(bt_of(world), gpa);

	if (!window)
		return NULL;
	*is_writable = window->is_writable;
	return window->host + (gpa - window->base);
}

static bool find_piece(void *world, gpa_t gpa, struct interp_piece *piece)
{
	const struct bt_window *window = find_window(bt_of(world), gpa);

	if (!window)
		return false;
	piece->base = window->base;
	piece->size = window->size;
	piece->host = window->host;
	return true;
}

/* To be looked at before this vCPU runs translated code again. */
static void note_written(struct bt_vcpu *vcpu, uint32_t number)
{
	for (unsigned i = 0; i < vcpu->written_count; i++)
		if (vcpu->written[i] == number)
			return;
	/* No instruction writes so many pages, but REP may: the element loop
	 * ends with the block, so there is room again. */
	if (vcpu->written_count < ARRAY_SIZE(vcpu->written))
		vcpu->written[vcpu->written_count++] = number;
	else
		vcpu->written_all = true;
}

/* For stress: as if the instruction had written to its own page. */
static void note_own_page(struct bt_vcpu *vcpu)
{
	struct interp *cpu = &vcpu->cpu;
	const uint8_t *host =
		tlb_find(cpu, mem_code_view(cpu), MMU_EXEC, cpu->s.rip, 1);

	if (host)
		note_written(vcpu, bt_page_of(vcpu->bt, host));
}

static bool dirty(void *world, gpa_t gpa)
{
	struct bt_vcpu *vcpu = bt_of(world);
	struct bt_vm *bt = vcpu->bt;
	const struct bt_window *window = find_window(vcpu, gpa);
	uint64_t offset, index;

	if (!window)
		return true;
	offset = window->offset + (gpa - window->base);
	if (window->is_logged)
		memory_mark_dirty(&bt->vm->memory, offset, PAGE_SIZE);
	index = offset >> PAGE_SHIFT;
	/* Before the look at has_code: a pair with bt_page_watch. */
	if (!(atomic_load_explicit(&bt->writers[index], memory_order_relaxed) &
	      BIT(vcpu->vcpu->index)))
		atomic_fetch_or(&bt->writers[index],
				(uint32_t)BIT(vcpu->vcpu->index));
	if (likely(!atomic_load(&bt->has_code[index]) &&
		   !bt_stress_chooses(&bt->stress, STRESS_SMC, index)))
		return true;
	vcpu->cpu.end_block = true;
	note_written(vcpu, (uint32_t)index);
	if (bt_stress_hits(&bt->stress, STRESS_SMC, 64))
		note_own_page(vcpu);
	return false;
}

/* --- the rest -------------------------------------------------------------- */

static enum exit_action on_exit(void *world, struct exit *exit)
{
	bt_vectors_leave(bt_of(world));
	return interp_world_ops.exit(world, exit);
}

static uint64_t tsc(void *world)
{
	return input_tsc(world);
}

static uint64_t take_random(void *world)
{
	bt_vectors_leave(bt_of(world));
	return interp_world_ops.random(world);
}

static void tsc_moved(void *world)
{
	bt_vectors_leave(bt_of(world));
	interp_world_ops.tsc_moved(world);
}

static bool has_interrupt(void *world)
{
	return vcpu_has_interrupt(world);
}

static int take_interrupt(void *world)
{
	bt_vectors_leave(bt_of(world));
	return interp_world_ops.take_interrupt(world);
}

static uint8_t get_tpr(void *world)
{
	bt_vectors_leave(bt_of(world));
	return interp_world_ops.get_tpr(world);
}

static void set_tpr(void *world, uint8_t cr8)
{
	bt_vectors_leave(bt_of(world));
	interp_world_ops.set_tpr(world, cr8);
}

static bool fpu_error(void *world, bool is_asserted)
{
	bt_vectors_leave(bt_of(world));
	return interp_world_ops.fpu_error(world, is_asserted);
}

const struct interp_ops bt_world_ops = {
	.page = page,
	.piece = find_piece,
	.dirty = dirty,
	.exit = on_exit,
	.tsc = tsc,
	.tsc_moved = tsc_moved,
	.random = take_random,
	.has_interrupt = has_interrupt,
	.take_interrupt = take_interrupt,
	.get_tpr = get_tpr,
	.set_tpr = set_tpr,
	.fpu_error = fpu_error,
};
