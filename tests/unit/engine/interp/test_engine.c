/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter as an engine: a VM of core's with its own thread per vCPU;
 * requests, positions, state, INIT and SIPI, and locked instructions that two
 * vCPUs execute at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/vm.h"
#include "engine/interp/engine.h"
#include "machine.h"

#define RAM_SIZE (4u << 20)

static struct vm *start_vm(unsigned vcpus)
{
	struct vm *vm = test_calloc(1, sizeof(*vm));

	assert_int_equal(vm_init(vm, "test", &interp_engine), 0);
	assert_int_equal(memory_init(&vm->memory, vm, RAM_SIZE, 0), 0);
	assert_int_equal(interp_engine.vm_create(vm), 0);
	for (unsigned i = 0; i < vcpus; i++)
		assert_int_equal(vm_add_vcpu(vm), 0);
	return vm;
}

static void end_vm(struct vm *vm)
{
	vm_fini(vm);
	test_free(vm);
}

/* 64-bit code at `rip`, identity without paging, CPL 0. */
static void set_long_mode(struct cpu_state *state, uint64_t rip)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		state->segment[i] = (struct cpu_segment){
			.selector = 0x10,
			.attributes = 3 | SEGMENT_S | SEGMENT_P,
			.limit = 0xffffffff,
		};
	state->segment[SEG_CS].attributes = 11 | SEGMENT_S | SEGMENT_P |
					    SEGMENT_L;
	state->cr0 |= CR0_PE;
	state->msr.efer = EFER_LME | EFER_LMA;
	state->rip = rip;
	state->rflags = RFLAGS_FIXED1;
	state->activity = CPU_ACTIVE;
	memset(state->gpr, 0, sizeof(state->gpr));
	state->gpr[RSP] = 0x80000;
}

static void prepare(struct vcpu *vcpu, uint64_t rip)
{
	struct cpu_state state;

	assert_int_equal(interp_engine.get_state(vcpu, &state), 0);
	set_long_mode(&state, rip);
	assert_int_equal(interp_engine.set_state(vcpu, &state), 0);
}

static struct cpu_state state_of(struct vcpu *vcpu)
{
	struct cpu_state state;

	assert_int_equal(interp_engine.get_state(vcpu, &state), 0);
	return state;
}

static void sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

#define PUT(vm, name)                                                       \
	assert_int_equal(memory_write(&(vm)->memory, MACHINE_CODE,          \
				      name##_begin,                         \
				      (size_t)(name##_end - name##_begin)), \
			 0)

CODE(spin, "1: inc %rax; jmp 1b");

static void test_position(void **state)
{
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];
	struct run_until one = { .kind = RUN_ONE_INSTRUCTION };
	struct run_until count = { .kind = RUN_TO_COUNT, .instructions = 1001 };

	PUT(vm, spin);
	prepare(vcpu, MACHINE_CODE);
	assert_int_equal(interp_engine.run(vcpu, &one), RUN_POSITION);
	assert_int_equal(state_of(vcpu).gpr[RAX], 1);
	assert_int_equal(state_of(vcpu).rip, MACHINE_CODE + 3);
	assert_int_equal(interp_engine.run(vcpu, &count), RUN_POSITION);
	assert_int_equal(state_of(vcpu).gpr[RAX], 501);
	/* it has been reached already */
	assert_int_equal(interp_engine.run(vcpu, &count), RUN_POSITION);
	assert_int_equal(state_of(vcpu).gpr[RAX], 501);
	assert_int_equal(vcpu->events[INTERP_INSTRUCTIONS], 1001);
	end_vm(vm);
}

/* Waits, at most ten seconds, until the word at gpa is not 0; returns it. */
static uint32_t wait_for_word(struct vm *vm, gpa_t gpa)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 10000 && !value; i++) {
		sleep_ms(1);
		memory_read(&vm->memory, gpa, &value, 4);
	}
	return value;
}

/* A kick from another thread brings a spinning vCPU out. */
CODE(spin_store, "mov $1, %ebx; 1: inc %rax; mov %ebx, 0x20000; jmp 1b");
static void test_pause(void **state)
{
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];
	uint64_t before;

	PUT(vm, spin_store);
	prepare(vcpu, MACHINE_CODE);
	assert_int_equal(vm_start(vm), 0);
	vm_resume(vm);
	assert_int_equal(wait_for_word(vm, 0x20000), 1);
	vm_pause(vm);
	before = state_of(vcpu).gpr[RAX];
	assert_true(before > 0);
	sleep_ms(5);
	assert_int_equal(state_of(vcpu).gpr[RAX], before);
	memory_fill(&vm->memory, 0x20000, 0, 4);
	vm_resume(vm);
	assert_int_equal(wait_for_word(vm, 0x20000), 1);
	vm_stop(vm, STOP_HOST, 0);
	vm_join(vm);
	assert_true(state_of(vcpu).gpr[RAX] > before);
	end_vm(vm);
}

/* HLT sleeps; an NMI through an empty IDT is the end. */
CODE(halt, "movl $1, 0x20000; hlt");
static void test_shutdown(void **state)
{
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];

	PUT(vm, halt);
	prepare(vcpu, MACHINE_CODE);
	((struct interp *)vcpu->engine)->s.idtr.limit = 0;
	assert_int_equal(vm_start(vm), 0);
	vm_resume(vm);
	wait_for_word(vm, 0x20000);
	while (!__atomic_load_n(&vcpu->exits.cell[EXIT_HLT][0].count,
				__ATOMIC_RELAXED))
		sleep_ms(1);
	assert_int_equal(vm->stop_reason, STOP_NONE);
	vcpu_nmi(vcpu);
	vm_join(vm);
	assert_int_equal(vm->stop_reason, STOP_TRIPLE_FAULT);
	assert_int_equal(vcpu->exits.cell[EXIT_HLT][0].count, 1);
	assert_int_equal(vcpu->exits.cell[EXIT_TRIPLE_FAULT][0].count, 1);
	end_vm(vm);
}

/* An AP sleeps until SIPI gives it a page to start on, in real mode. */
CODE(real, ".code16; mov $0x1234, %ax; mov %ax, %cs:0x100; hlt; .code64");
static void test_sipi(void **state)
{
	struct vm *vm = start_vm(2);
	struct vcpu *ap = vm->vcpus[1];
	PUT(vm, halt);
	prepare(vm->vcpus[0], MACHINE_CODE);
	assert_int_equal(memory_write(&vm->memory, 0x5000, real_begin,
				      (size_t)(real_end - real_begin)),
			 0);
	assert_int_equal(state_of(ap).activity, CPU_WAIT_SIPI);
	assert_int_equal(vm_start(vm), 0);
	vm_resume(vm);
	vcpu_request(ap, VCPU_INIT);
	sleep_ms(5);
	atomic_store(&ap->sipi_vector, 5);
	vcpu_request(ap, VCPU_SIPI);
	assert_int_equal(wait_for_word(vm, 0x5100), 0x1234);
	/* let it halt */
	sleep_ms(1);
	vm_stop(vm, STOP_HOST, 0);
	vm_join(vm);
	assert_int_equal(state_of(ap).segment[SEG_CS].selector, 0x500);
	assert_int_equal(ap->exits.cell[EXIT_SIPI][0].count, 1);
	assert_int_equal(ap->exits.cell[EXIT_INIT][0].count, 1);
	end_vm(vm);
}

/* A slot that goes away while the vCPU has it in its TLB. */
CODE(load, "1: mov 0x300000, %eax; mov %eax, 0x20000; jmp 1b");
static void test_memory_changed(void **state)
{
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];
	uint32_t value = 7;
	struct memory_slot slot;

	PUT(vm, load);
	assert_int_equal(memory_write(&vm->memory, 0x300000, &value, 4), 0);
	assert_true(memory_find(&vm->memory, 0, &slot));
	prepare(vcpu, MACHINE_CODE);
	assert_int_equal(vm_start(vm), 0);
	vm_resume(vm);
	assert_int_equal(wait_for_word(vm, 0x20000), 7);
	/* RAM now lies elsewhere: fetches give FFh, #UD, no IDT */
	assert_int_equal(
		memory_change(&vm->memory, slot.id, 0x40000000, MEMORY_RAM), 0);
	vm_join(vm);
	assert_int_equal(vm->stop_reason, STOP_TRIPLE_FAULT);
	end_vm(vm);
}

static void test_translate(void **state)
{
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];
	struct cpu_state s = state_of(vcpu);
	uint64_t entry;
	gpa_t gpa;

	set_long_mode(&s, MACHINE_CODE);
	s.cr0 |= CR0_PG;
	s.cr4 |= CR4_PAE;
	s.cr3 = 0x1000;
	for (unsigned level = 1; level < 4; level++) {
		entry = (level + 1) * 0x1000 | 3;
		memory_write(&vm->memory, level * 0x1000, &entry, 8);
	}
	entry = 0x5000 | 3;
	memory_write(&vm->memory, 0x4000 + 8 * 7, &entry, 8);
	assert_int_equal(interp_engine.set_state(vcpu, &s), 0);
	assert_int_equal(interp_engine.translate(vcpu, 0x7123, &gpa), 0);
	assert_int_equal(gpa, 0x5123);
	assert_int_equal(interp_engine.translate(vcpu, 0x8000, &gpa), -EFAULT);
	/* looking sets no accessed flag */
	memory_read(&vm->memory, 0x4000 + 8 * 7, &entry, 8);
	assert_int_equal(entry, 0x5003);
	end_vm(vm);
}

/* Each vCPU adds to the same words in every locked way there is. */
CODE(locked, "mov $100000, %ecx; mov $0x20000, %ebx; 1:"
	     "lock incl (%rbx); lock addq $3, 8(%rbx); mov $1, %eax;"
	     "lock xadd %eax, 16(%rbx); 2: mov 24(%rbx), %eax;"
	     "lea 1(%rax), %edx; lock cmpxchg %edx, 24(%rbx); jne 2b;"
	     "3: mov $1, %eax; xchg %al, 32(%rbx); test %al, %al; jnz 3b;"
	     "incl 40(%rbx); movb $0, 32(%rbx);"
	     "lock btsl $5, 48(%rbx); adcl $0, 56(%rbx,%rdi,4);"
	     "lock btrl $5, 48(%rbx); cmc; adcl $0, 64(%rbx,%rdi,4);"
	     "lock decl 0xffe(%rbx); loop 1b; cli; hlt");
static void test_locked(void **state)
{
	struct vm *vm = start_vm(2);
	uint32_t word[1026] = { 0 };

	PUT(vm, locked);
	for (unsigned i = 0; i < 2; i++) {
		struct cpu_state s = state_of(vm->vcpus[i]);

		set_long_mode(&s, MACHINE_CODE);
		s.gpr[RDI] = i;
		interp_engine.set_state(vm->vcpus[i], &s);
	}
	assert_int_equal(vm_start(vm), 0);
	vm_resume(vm);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t halts = 0;

		for (unsigned j = 0; j < 2; j++)
			halts += __atomic_load_n(
				&vm->vcpus[j]->exits.cell[EXIT_HLT][0].count,
				__ATOMIC_RELAXED);
		if (halts == 2)
			break;
		sleep_ms(10);
	}
	vm_stop(vm, STOP_HOST, 0);
	vm_join(vm);
	memory_read(&vm->memory, 0x20000, word, sizeof(word));
	assert_int_equal(word[0], 200000);
	assert_int_equal(word[2], 600000);
	assert_int_equal(word[4], 200000);
	assert_int_equal(word[6], 200000);
	assert_int_equal(word[10], 200000);
	/* set and reset in pairs: as often found set as found clear */
	assert_int_equal(word[14] + word[15], word[16] + word[17]);
	/* the one on two pages */
	assert_int_equal((uint32_t)(word[1023] >> 16 | word[1024] << 16),
			 (uint32_t)-200000);
	end_vm(vm);
}

/* --- a debugger's breakpoints ---------------------------------------------- */

CODE(debugged, "1: inc %rax\n" /* +0, three bytes */
	       "mov %rax, 0x20000\n" /* +3, eight */
	       "mov 0x20008, %rbx\n" /* +11, eight */
	       "nop\n" /* +19 */
	       "jmp 1b");

static void set_points(struct vcpu *vcpu, const struct breakpoint *list,
		       size_t count)
{
	assert_int_equal(interp_engine.set_breakpoints(vcpu, list, count), 0);
}

static void test_code_breakpoints(void **state)
{
	const struct breakpoint points[] = {
		{ BREAKPOINT_EXECUTE, MACHINE_CODE + 11, 1 },
		{ BREAKPOINT_EXECUTE, MACHINE_CODE + 12, 1 }, /* not a start */
		{ BREAKPOINT_EXECUTE, MACHINE_CODE, 1 },
	};
	struct run_until one = { .kind = RUN_ONE_INSTRUCTION };
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];

	PUT(vm, debugged);
	prepare(vcpu, MACHINE_CODE);
	set_points(vcpu, points, 3);
	/* At once, before anything is done; and again. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(interp_engine.run(vcpu, NULL), RUN_BREAKPOINT);
		assert_int_equal(state_of(vcpu).rip, MACHINE_CODE);
		assert_int_equal(state_of(vcpu).gpr[RAX], 0);
		assert_int_equal(vcpu->hit.address, MACHINE_CODE);
	}
	/* One instruction passes it; then the middle of the block. */
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(interp_engine.run(vcpu, &one), RUN_POSITION);
		assert_int_equal(state_of(vcpu).rip, MACHINE_CODE + 3);
		assert_int_equal(interp_engine.run(vcpu, NULL), RUN_BREAKPOINT);
		assert_int_equal(state_of(vcpu).rip, MACHINE_CODE + 11);
		assert_int_equal(vcpu->hit.address, MACHINE_CODE + 11);
		assert_int_equal(interp_engine.run(vcpu, &one), RUN_POSITION);
		assert_int_equal(interp_engine.run(vcpu, NULL), RUN_BREAKPOINT);
		assert_int_equal(state_of(vcpu).rip, MACHINE_CODE);
		assert_int_equal(state_of(vcpu).gpr[RAX], i);
	}
	/* None left: it runs until somebody asks for it. */
	set_points(vcpu, NULL, 0);
	vcpu_request(vcpu, VCPU_PAUSE);
	assert_int_equal(interp_engine.run(vcpu, NULL), RUN_PAUSE);
	end_vm(vm);
}

static void test_data_breakpoints(void **state)
{
	struct breakpoint point = { BREAKPOINT_WRITE, 0x20004, 4 };
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];

	PUT(vm, debugged);
	prepare(vcpu, MACHINE_CODE);
	/* After the access; every time. */
	set_points(vcpu, &point, 1);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(interp_engine.run(vcpu, NULL), RUN_BREAKPOINT);
		assert_int_equal(state_of(vcpu).rip, MACHINE_CODE + 11);
		assert_int_equal(state_of(vcpu).gpr[RAX], i);
		assert_int_equal(vcpu->hit.address, 0x20004);
		assert_int_equal(vcpu->hit.kind, BREAKPOINT_WRITE);
	}
	/* A read is an access, not a write. */
	point = (struct breakpoint){ BREAKPOINT_ACCESS, 0x2000f, 1 };
	set_points(vcpu, &point, 1);
	assert_int_equal(interp_engine.run(vcpu, NULL), RUN_BREAKPOINT);
	assert_int_equal(state_of(vcpu).rip, MACHINE_CODE + 19);
	/* Neighbours are none. */
	point = (struct breakpoint){ BREAKPOINT_WRITE, 0x20008, 8 };
	set_points(vcpu, &point, 1);
	vcpu_request(vcpu, VCPU_PAUSE);
	assert_int_equal(interp_engine.run(vcpu, NULL), RUN_PAUSE);
	end_vm(vm);
}

static void count_notify(void *argument)
{
	atomic_fetch_add((_Atomic int *)argument, 1);
}

/* A vCPU that hits one parks and says so; one that is held does not go on. */
static void test_debugged_threads(void **state)
{
	const struct breakpoint point = { BREAKPOINT_EXECUTE, MACHINE_CODE + 19,
					  1 };
	struct vm *vm = start_vm(2);
	_Atomic int notified = 0;

	vm->notify = count_notify;
	vm->notify_argument = &notified;
	PUT(vm, debugged);
	for (unsigned i = 0; i < 2; i++)
		prepare(vm->vcpus[i], MACHINE_CODE);
	set_points(vm->vcpus[0], &point, 1);
	vm->vcpus[1]->is_held = true;
	assert_int_equal(vm_start(vm), 0);
	vm_resume(vm);
	for (unsigned i = 0; i < 1000 && !atomic_load(&notified); i++)
		sleep_ms(5);
	assert_int_equal(atomic_load(&notified), 1);
	vm_pause(vm);
	assert_true(atomic_load(&vm->vcpus[0]->has_trapped));
	assert_int_equal(vm->vcpus[0]->trap, RUN_BREAKPOINT);
	assert_int_equal(state_of(vm->vcpus[0]).rip, MACHINE_CODE + 19);
	assert_int_equal(state_of(vm->vcpus[1]).rip, MACHINE_CODE);
	/* Until the trap is seen to, it stays where it is. */
	vm_resume(vm);
	sleep_ms(20);
	vm_pause(vm);
	assert_int_equal(state_of(vm->vcpus[0]).rip, MACHINE_CODE + 19);
	/* One step of the other. */
	vm->vcpus[1]->is_held = false;
	vm->vcpus[1]->is_stepping = true;
	vm_resume(vm);
	for (unsigned i = 0; i < 1000 && atomic_load(&notified) < 2; i++)
		sleep_ms(5);
	vm_pause(vm);
	assert_int_equal(vm->vcpus[1]->trap, RUN_POSITION);
	assert_int_equal(state_of(vm->vcpus[1]).rip, MACHINE_CODE + 3);
	vm_stop(vm, STOP_HOST, 0);
	vm_join(vm);
	end_vm(vm);
}

static void expect_nmis(struct vcpu *vcpu, bool is_pending)
{
	assert_int_equal(state_of(vcpu).nmi_is_pending, is_pending);
	assert_false(atomic_load(&vcpu->requests) & VCPU_NMI);
}

/*
 * Two NMIs while none is handled: one at once, one kept. While one is handled
 * one more is kept, others are lost. SDM 3, 6.7.1.
 */
static void test_nmis(void **state)
{
	struct vm *vm = start_vm(1);
	struct vcpu *vcpu = vm->vcpus[0];
	struct cpu_state s;

	prepare(vcpu, MACHINE_CODE);
	expect_nmis(vcpu, false);
	vcpu_nmi(vcpu);
	expect_nmis(vcpu, true);
	/* The state has room for one; the second comes by the request. */
	vcpu_nmi(vcpu);
	vcpu_nmi(vcpu);
	s = state_of(vcpu);
	assert_true(s.nmi_is_pending);
	assert_true(atomic_load(&vcpu->requests) & VCPU_NMI);
	assert_int_equal(atomic_load(&vcpu->nmis), 1);
	/* It is not made more by looking. */
	s = state_of(vcpu);
	assert_int_equal(atomic_load(&vcpu->nmis), 1);
	/* In service: one. */
	vcpu_take(vcpu, VCPU_NMI);
	atomic_store(&vcpu->nmis, 0);
	s.nmi_is_pending = false;
	s.nmi_is_blocked = true;
	assert_int_equal(interp_engine.set_state(vcpu, &s), 0);
	vcpu_nmi(vcpu);
	vcpu_nmi(vcpu);
	expect_nmis(vcpu, true);
	end_vm(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_position),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_sipi),
		cmocka_unit_test(test_memory_changed),
		cmocka_unit_test(test_translate),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_code_breakpoints),
		cmocka_unit_test(test_data_breakpoints),
		cmocka_unit_test(test_debugged_threads),
		cmocka_unit_test(test_nmis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
