/* SPDX-License-Identifier: BSD-2-Clause */
/* The translator alone, without a board. */
#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/exit.h"
#include "core/vcpu.h"
#include "engine/bt/engine.h"
#include "x86/regs.h"

static enum exit_action on_exit_of(void *world, struct exit *exit)
{
	if (exit->reason != EXIT_HLT)
		return EXIT_FAULT;
	vcpu_request(world, VCPU_PAUSE);
	return EXIT_LEAVE;
}

static void set_state(struct interp *cpu)
{
	const struct cpu_segment code = { 0x08, 0xc09b, ~0u, 0 };
	const struct cpu_segment data = { 0x10, 0xc093, ~0u, 0 };
	struct cpu_state *s = &cpu->s;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->segment[i] = data;
	s->segment[SEG_CS] = code;
	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	s->rflags = RFLAGS_FIXED1;
	s->activity = CPU_ACTIVE;
	interp_mode_changed(cpu);
	tlb_flush(cpu);
}

void machine_init(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	assert_int_equal(vm_init(&m->vm, "guest", &bt_engine), 0);
	assert_int_equal(memory_init(&m->vm.memory, &m->vm, RAM_SIZE, 0), 0);
	m->vm.cpuid = &m->cpuid;
	assert_int_equal(bt_engine.vm_create(&m->vm), 0);
	assert_int_equal(vm_add_vcpu(&m->vm), 0);
	m->ram = m->vm.memory.guest;
	m->bt = m->vm.engine;
	m->vcpu = m->vm.vcpus[0]->engine;
	m->ops = *m->vcpu->cpu.ops;
	m->ops.exit = on_exit_of;
	m->vcpu->cpu.ops = &m->ops;
	set_state(&m->vcpu->cpu);
}

void machine_fini(struct machine *m)
{
	vm_fini(&m->vm);
}

uint32_t machine_run(struct machine *m, uint32_t rip)
{
	struct vcpu *vcpu = m->vm.vcpus[0];
	struct cpu_state *s = &m->vcpu->cpu.s;

	s->rip = rip;
	s->gpr[RSP] = 0x10000;
	s->activity = CPU_ACTIVE;
	assert_int_equal(bt_engine.run(vcpu, NULL), RUN_PAUSE);
	vcpu_take(vcpu, VCPU_LEAVE);
	return (uint32_t)s->gpr[RAX];
}

struct bt_block *machine_translate(struct machine *m, uint32_t rip)
{
	struct bt_vcpu *vcpu = m->vcpu;
	struct bt_block *block;

	vcpu->cpu.s.rip = rip;
	vcpu->flavour = (struct bt_flavour){
		.view = (uint8_t)vcpu->cpu.view,
		.is_32 = true,
		.has_fs = true,
		.has_gs = true,
	};
	pthread_mutex_lock(&m->bt->lock);
	block = bt_translate(vcpu, bt_rip(vcpu), m->ram + rip, &m->ahead);
	pthread_mutex_unlock(&m->bt->lock);
	return block;
}
