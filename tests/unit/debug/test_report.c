/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dump of a vCPU that cannot go on, of states of any content: it ends, and
 * its length does not depend on the guest. And what BUG_ON prints.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../scale.h"
#include "base/log.h"
#include "core/vm.h"
#include "debug/report.h"
#include "x86/walk.h"

#define RAM	  (4ull << 20)
#define LINES_MAX 60

struct world {
	struct vm vm;
	struct vcpu vcpu[2];
	struct cpu_state state[2];
};

static int get_state(struct vcpu *vcpu, struct cpu_state *state)
{
	*state = ((struct world *)vcpu->vm)->state[vcpu->index];
	return 0;
}

/* Memory at its own address, and nothing beyond. */
static int translate(struct vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
	*gpa = gva;
	return gva < RAM ? 0 : -EFAULT;
}

static const struct engine_ops engine = {
	.name = "none",
	.get_state = get_state,
	.translate = translate,
};

static struct world *world_create(void)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_int_equal(vm_init(&world->vm, "test", &engine), 0);
	assert_int_equal(memory_init(&world->vm.memory, &world->vm, RAM, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		world->vcpu[i] = (struct vcpu){ .vm = &world->vm, .index = i };
		world->vm.vcpus[i] = &world->vcpu[i];
		cpu_state_reset(&world->state[i], i == 0);
	}
	world->vm.vcpu_count = 2;
	return world;
}

static void world_destroy(struct world *world)
{
	world->vm.vcpu_count = 0;
	vm_fini(&world->vm);
	free(world);
}

/* What is logged while fn runs. */
static char said[16384];

static unsigned listen_to(void (*fn)(struct world *world), struct world *world)
{
	int log = memfd_create("log", MFD_CLOEXEC), old = dup(STDERR_FILENO);
	unsigned lines = 0;
	ssize_t n;

	dup2(log, STDERR_FILENO);
	fn(world);
	dup2(old, STDERR_FILENO);
	close(old);
	n = pread(log, said, sizeof(said) - 1, 0);
	said[n > 0 ? n : 0] = 0;
	close(log);
	for (const char *at = said; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static void report(struct world *world)
{
	report_fatal(&world->vm, NULL);
}

static void assert_said(const char *words)
{
	if (!strstr(said, words))
		fail_msg("'%s' is not in:\n%s", words, said);
}

static void test_long_mode(void **unused)
{
	static const uint8_t code[] = { 0x0f, 0x0b };
	struct world *world = world_create();
	struct cpu_state *s = &world->state[0];
	struct memory *memory = &world->vm.memory;
	const uint64_t pml4e = 0x2003, pdpte = 0x3003, pde = 0x83;

	s->cr0 = CR0_PE | CR0_PG;
	s->cr3 = 0x1000;
	s->cr4 = CR4_PAE;
	s->msr.efer = EFER_LMA | EFER_LME;
	s->segment[SEG_CS].attributes = SEGMENT_P | SEGMENT_S | SEGMENT_L |
					SEGMENT_CODE;
	s->rip = 0x100000;
	s->gpr[RSP] = 0x200000;
	s->gpr[RBX] = 0x1122334455667788;
	assert_int_equal(memory_write(memory, 0x1000, &pml4e, 8), 0);
	assert_int_equal(memory_write(memory, 0x2000, &pdpte, 8), 0);
	assert_int_equal(memory_write(memory, 0x3000, &pde, 8), 0);
	assert_int_equal(memory_write(memory, s->rip, code, 2), 0);
	assert_int_equal(memory_write(memory, 0x200008, &s->gpr[RBX], 8), 0);
	/* Nothing ended it. */
	assert_int_equal(listen_to(report, world), 0);
	world->vm.stop_vcpu = &world->vcpu[0];
	assert_true(listen_to(report, world) < LINES_MAX);
	assert_said("64-bit, CPL 0");
	assert_said("rbx 1122334455667788");
	assert_said("[0f]0b");
	assert_said("next ud2");
	assert_said(" 0000000000000000 1122334455667788");
	assert_said("  at 000000001000: 0000000000002003\n");
	assert_said("  at 000000003000: 0000000000000083\n");
	assert_said("  is 000000100000, page of 2048 KiB, writable, super");
	assert_said("vCPU 1: ");
	assert_said(", not started");
	/* Not mapped, and no longer memory. */
	s->rip = 0x40000000;
	s->gpr[RSP] = RAM - 8;
	assert_true(listen_to(report, world) < LINES_MAX);
	assert_said("next (not mapped)");
	assert_said("a fetch is #PF with error code");
	s->gpr[RSP] = ~0ull;
	assert_true(listen_to(report, world) < LINES_MAX);
	assert_said("stack: not mapped");
	world_destroy(world);
}

static uint64_t random64(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^
	       (uint64_t)random();
}

static void test_any_state(void **unused)
{
	uint64_t cases = test_scale(300, 20000, 1000000);
	struct world *world = world_create();

	for (uint64_t at = 0; at < RAM; at += 8)
		store_u64(world->vm.memory.host + at, random64() & 0x3fff9fff);
	world->vm.stop_vcpu = &world->vcpu[0];
	for (uint64_t i = 0; i < cases; i++) {
		struct cpu_state *s = &world->state[0];
		uint64_t *words = (uint64_t *)s;

		for (size_t n = 0; n < sizeof(*s) / 8; n++)
			words[n] = random64();
		/* What an engine cannot have. */
		s->activity = (enum cpu_activity)(i % 4);
		s->sti_shadow = s->mov_ss_shadow = s->nmi_is_blocked = false;
		s->nmi_is_pending = s->in_smm = s->nested.in_guest = false;
		s->event = (struct cpu_event){ 0 };
		if (i & 1)
			s->rip &= RAM - 1;
		if (i & 2)
			s->cr3 &= RAM - 1;
		if (i & 4)
			s->gpr[RSP] &= RAM - 1;
		assert_true(listen_to(report, world) < LINES_MAX);
	}
	world_destroy(world);
}

static void on_bug(void *vm)
{
	report_bug(vm);
}

static void bug(struct world *world)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		world->vcpu[0].has_thread = true;
		world->vcpu[0].thread = pthread_self();
		log_set_bug_hook(on_bug, &world->vm);
		BUG_ON(world);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_bug(void **unused)
{
	struct world *world = world_create();

	world->state[0].gpr[RSI] = 0xabcdef;
	assert_true(listen_to(bug, world) < LINES_MAX);
	assert_said("bug in ringfence at ");
	assert_said("rsi 0000000000abcdef");
	assert_said("vCPU 1: ");
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_mode),
		cmocka_unit_test(test_any_state),
		cmocka_unit_test(test_bug),
	};

	srandom(11);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
