/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The binary translator as an engine: the interpreter's, with a code cache and
 * a shadow stack beside each vCPU. What is not here is the interpreter's.
 */
#include "engine/bt/engine.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "engine/bt/code.h"
#include "engine/bt/dump.h"
#include "engine/interp/block.h"
#include "engine/interp/engine.h"

#define ALTSTACK_SIZE 65536
/* Of decoded instructions that are left to the interpreter. */
#define INTERPRETED_SIZE (2u << 20)

static const struct engine_event events[] = {
	[INTERP_INSTRUCTIONS] = { "instructions", "interpreted in blocks" },
	[INTERP_BLOCKS_DECODED] = { "blocks-decoded",
				    "straight lines of code decoded" },
	[INTERP_TLB_FILLS] = { "tlb-fills", "walks of the guest's tables" },
	[INTERP_TLB_FLUSHES] = { "tlb-flushes", "whole software TLBs dropped" },
	[INTERP_EXCEPTIONS] = { "exceptions", "exceptions delivered" },
	[INTERP_INTERRUPTS] = { "interrupts", "interrupts delivered" },
	[BT_BLOCKS] = { "translations", "blocks of guest code translated" },
	[BT_DISPATCHES] = { "dispatches", "looked up by the dispatcher" },
	[BT_INTERPRETED] = { "interpreted", "single instructions left to the "
					    "interpreter" },
	[BT_STACK_FILLS] = { "stack-fills", "stack pages looked up" },
	[BT_PAGES_WRITTEN] = { "pages-written", "stores to pages with code" },
	[BT_BLOCKS_DROPPED] = { "blocks-dropped",
				"translations that a store changed" },
	[BT_EVICTIONS] = { "evictions", "eighths of the code cache emptied" },
	[BT_PAGES_MOVED] = { "pages-moved", "pages whose translations moved to "
					    "another address" },
	[BT_EVENT_COUNT] = { NULL, NULL },
};

/* --- options ----------------------------------------------------------------- */

static int set_stress(struct vm *vm, const char *value)
{
	struct bt_vm *bt = vm->engine;

	return bt_stress_parse(&bt->stress, value);
}

static int parse_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return *text && !*end && !errno ? 0 : -EINVAL;
}

static int set_seed(struct vm *vm, const char *value)
{
	struct bt_vm *bt = vm->engine;

	return parse_number(value, &bt->stress.seed);
}

static int set_stress_every(struct vm *vm, const char *value)
{
	struct bt_vm *bt = vm->engine;
	uint64_t number;

	if (parse_number(value, &number) || !number || number > 1u << 30)
		return -EINVAL;
	bt->stress.every = (unsigned)number;
	return 0;
}

static int set_lockstep(struct vm *vm, const char *value)
{
	struct bt_vm *bt = vm->engine;
	uint64_t every = 1;

	if (bt->check || (*value && parse_number(value, &every)) || !every ||
	    every > 1u << 30)
		return -EINVAL;
	return bt_check_create(bt, (unsigned)every);
}

static int set_perf_map(struct vm *vm, const char *value)
{
	struct bt_vm *bt = vm->engine;

	return *value || bt->perf_map ? -EINVAL : bt_perf_map_open(bt);
}

static int set_flags(struct vm *vm, const char *value)
{
	struct bt_vm *bt = vm->engine;

	bt->has_exact_flags = strcmp(value, "exact") == 0;
	return bt->has_exact_flags || strcmp(value, "live") == 0 ? 0 : -EINVAL;
}

static const struct engine_option options[] = {
	{ "stress",
	  "for tests: tlb, cache, attention, smc, slow and short, with + "
	  "between them, or all",
	  set_stress },
	{ "stress-every", "so much rarer: one time in N", set_stress_every },
	{ "lockstep",
	  "for tests: compare each block, or one in N, with the interpreter",
	  set_lockstep },
	{ "perf-map", "name blocks for perf, in /tmp/perf-PID.map",
	  set_perf_map },
	{ "flags",
	  "exact: right in every exception and interrupt; live (the default): "
	  "where the code behind it reads them",
	  set_flags },
	{ "seed", "the number that stress draws from", set_seed },
	{ 0 },
};

/* --- the shadow stack -------------------------------------------------------- */

static _Thread_local struct bt_vcpu *current;

/*
 * The guest calls and calls and never returns: the shadow stack starts anew,
 * the push is tried again, and lost frames cost a look-up each. Everything
 * else is a bug of ours.
 */
static void on_sigsegv(int number, siginfo_t *info, void *frame)
{
	ucontext_t *context = frame;
	uint8_t *address = info->si_addr;
	struct bt_vcpu *vcpu = current;

	if (!vcpu || address < vcpu->shadow ||
	    address >= vcpu->shadow + BT_SHADOW_GUARD) {
		signal(number, SIG_DFL);
		return;
	}
	bt_shadow_reset(vcpu);
	context->uc_mcontext.gregs[REG_RSP] = (greg_t)vcpu->shadow_rsp;
}

static int shadow_create(struct bt_vcpu *vcpu)
{
	uint64_t size = BT_SHADOW_SIZE + 2 * BT_SHADOW_GUARD;

	vcpu->shadow = mmap(NULL, size, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vcpu->shadow == MAP_FAILED) {
		vcpu->shadow = NULL;
		return -ENOMEM;
	}
	if (mprotect(vcpu->shadow + BT_SHADOW_GUARD, BT_SHADOW_SIZE,
		     PROT_READ | PROT_WRITE))
		return -errno;
	return 0;
}

/* --- life -------------------------------------------------------------------- */

/* Memory that is executable here and writable elsewhere: the code cache. */
static bool may_execute(void)
{
	int fd = memfd_create("probe", MFD_CLOEXEC);
	void *page = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, PAGE_SIZE))
		page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED,
			    fd, 0);
	if (page != MAP_FAILED)
		munmap(page, PAGE_SIZE);
	if (fd >= 0)
		close(fd);
	return page != MAP_FAILED;
}

static void bt_probe(struct engine_probe *probe)
{
	*probe = (struct engine_probe){
		.is_usable = true,
		.is_fast = true,
		.finding = "binary translation, as an ordinary process",
	};
	if (!__builtin_cpu_supports("avx")) {
		probe->is_usable = probe->is_fast = false;
		strcpy(probe->finding, "bt needs a processor with AVX");
	} else if (!may_execute()) {
		probe->is_usable = probe->is_fast = false;
		strcpy(probe->finding,
		       "bt needs memory that it may execute (memfd, mmap)");
		strcpy(probe->advice,
		       "see vm.memfd_noexec, and what confines this process");
	}
}

/* CPUID.(0Dh,1):EAX and CPUID.(07h,0):EBX of the host. */
static void find_features(struct bt_vm *bt)
{
	unsigned eax = 0, ebx, ecx, edx;

	__get_cpuid_count(13, 1, &eax, &ebx, &ecx, &edx);
	bt->has_xsaveopt = eax & 1;
	bt->has_xsavec = eax & 2;
	ebx = 0;
	__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
	bt->has_bmi2 = ebx & bit_BMI2;
}

static int bt_vm_create(struct vm *vm)
{
	struct bt_vm *bt = calloc(1, sizeof(*bt));
	int error;

	if (!bt)
		return -ENOMEM;
	error = bt_vm_init(bt, vm);
	if (error) {
		log_error("bt: code cache: %s", strerror(-error));
		bt_vm_fini(bt);
		free(bt);
		return error;
	}
	find_features(bt);
	vm->engine = bt;
	return 0;
}

static void bt_vm_destroy(struct vm *vm)
{
	if (!vm->engine)
		return;
	bt_check_destroy(vm->engine);
	bt_perf_map_close(vm->engine);
	bt_vm_fini(vm->engine);
	free(vm->engine);
	vm->engine = NULL;
}

static int bt_vcpu_create(struct vcpu *vcpu, const struct cpuid_table *cpuid)
{
	size_t size = align_up(sizeof(struct bt_vcpu), 64);
	struct bt_vcpu *bt = aligned_alloc(64, size);
	int error;

	if (!bt)
		return -ENOMEM;
	memset(bt, 0, size);
	bt->bt = vcpu->vm->engine;
	bt->vcpu = vcpu;
	vcpu->engine = bt;
	error = interp_init(&bt->cpu, &bt_world_ops, vcpu, cpuid);
	if (!error) {
		block_cache_limit(bt->cpu.blocks, INTERPRETED_SIZE);
		error = shadow_create(bt);
	}
	if (!error && bt->bt->check)
		error = bt_check_add_vcpu(bt);
	if (error) {
		log_error("bt: vCPU %u: %s", vcpu->index, strerror(-error));
		return error;
	}
	bt->cpu.vcpu = vcpu;
	bt->cpu.run_code = bt_run_code;
	bt->cpu.run_aborted = bt_run_aborted;
	bt->cpu.sync = bt_sync;
	bt->cpu.begin = bt_begin;
	bt->cpu.end = bt_end;
	bt->cpu.leave = bt_leave;
	cpu_state_reset(&bt->cpu.s, vcpu->index == 0);
	interp_mode_changed(&bt->cpu);
	for (unsigned codes = 0; codes < BT_CODES; codes++)
		for (unsigned i = 0; i < BT_JUMPS; i++)
			bt->jump[codes][i].rip = bt_no_rip(i);
	bt_forget_returns(bt);
	for (unsigned view = 0; view < MMU_VIEWS; view++)
		bt_forget_stack(bt, view);
	bt->by_tlb_rip = BT_NO_PAGE;
	bt->percpu.choice[0] = bt->percpu.none;
	bt->percpu.choice[1] = bt->percpu.page;
	bt_percpu_forget(bt);
	bt_shadow_reset(bt);
	return 0;
}

static void bt_vcpu_destroy(struct vcpu *vcpu)
{
	struct bt_vcpu *bt = vcpu->engine;

	if (!bt)
		return;
	interp_fini(&bt->cpu);
	if (bt->shadow)
		munmap(bt->shadow, BT_SHADOW_SIZE + 2 * BT_SHADOW_GUARD);
	free(bt);
	vcpu->engine = NULL;
}

/* --- running ----------------------------------------------------------------- */

static enum run_result bt_run(struct vcpu *vcpu, const struct run_until *until)
{
	struct bt_vcpu *bt = vcpu->engine;
	static _Thread_local uint8_t altstack[ALTSTACK_SIZE];
	const stack_t stack = { .ss_sp = altstack, .ss_size = ALTSTACK_SIZE };
	const struct sigaction action = {
		.sa_sigaction = on_sigsegv,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	enum run_result result = RUN_ERROR;
	stack_t old;

	current = bt;
	bt->tsc_offset = clock_tsc_offset(&vcpu->vm->clock);
	/* The thread may have one of its own: it does with ASan. */
	sigaltstack(&stack, &old);
	sigaction(SIGSEGV, &action, NULL);
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, bt)) {
		log_error("bt: arch_prctl: %s", strerror(errno));
	} else {
		result = interp_engine.run(vcpu, until);
		bt_vectors_to_state(bt);
	}
	sigaltstack(&old, NULL);
	return result;
}

static void bt_kick(struct vcpu *vcpu)
{
	interp_engine.kick(vcpu);
}

static int bt_memory_changed(struct vm *vm, const struct memory_slot *slot)
{
	return interp_engine.memory_changed(vm, slot);
}

static void bt_a20_changed(struct vm *vm)
{
	interp_engine.a20_changed(vm);
}

static bool bt_has_code(struct bt_vm *bt, gpa_t gpa)
{
	uint64_t index = bt_page_index(bt, gpa);

	return index != ~0ull && atomic_load(&bt->has_code[index]);
}

/* A vCPU's own thread, in a device's handler, must not keep others waiting
 * that it waits for. */
static void drop_page(struct bt_vm *bt, gpa_t gpa)
{
	struct bt_vcpu *self = current;

	if (!self || self->bt != bt || !atomic_load(&self->in_guest)) {
		bt_page_drop(bt, gpa);
		return;
	}
	bt_leave_guest(self);
	bt_page_drop(bt, gpa);
	bt_enter_guest(self);
}

static void bt_code_changed(struct vm *vm, gpa_t gpa, uint64_t size)
{
	struct bt_vm *bt = vm->engine;
	gpa_t last = gpa + size - 1;
	/* Pairs with bt_page_watch: a translator sees what was written, or we
	 * see its mark. */
	atomic_thread_fence(memory_order_seq_cst);
	for (gpa_t page = gpa & PAGE_MASK; size && page <= last;
	     page += PAGE_SIZE)
		if (bt_has_code(bt, page))
			drop_page(bt, page);
}

static int bt_dirty_log(struct vm *vm, bool is_on)
{
	return interp_engine.dirty_log(vm, is_on);
}

static int bt_dirty_sync(struct vm *vm)
{
	return interp_engine.dirty_sync(vm);
}

static int bt_get_state(struct vcpu *vcpu, struct cpu_state *state)
{
	bt_vectors_to_state(vcpu->engine);
	return interp_engine.get_state(vcpu, state);
}

static int bt_set_state(struct vcpu *vcpu, const struct cpu_state *state)
{
	struct bt_vcpu *bt = vcpu->engine;

	bt->vectors = VECTORS_IN_STATE;
	return interp_engine.set_state(vcpu, state);
}

static int bt_translate_address(struct vcpu *vcpu, gva_t gva, gpa_t *gpa)
{
	return interp_engine.translate(vcpu, gva, gpa);
}

static int bt_set_breakpoints(struct vcpu *vcpu,
			      const struct breakpoint *breakpoints,
			      size_t count)
{
	return interp_engine.set_breakpoints(vcpu, breakpoints, count);
}

const struct engine_ops bt_engine = {
	.name = "bt",
	.help = "binary translation: runs anywhere, fast",
	.options = options,
	.events = events,
	.probe = bt_probe,
	.vm_create = bt_vm_create,
	.vm_destroy = bt_vm_destroy,
	.memory_changed = bt_memory_changed,
	.a20_changed = bt_a20_changed,
	.code_changed = bt_code_changed,
	.dirty_log = bt_dirty_log,
	.dirty_sync = bt_dirty_sync,
	.vcpu_create = bt_vcpu_create,
	.vcpu_destroy = bt_vcpu_destroy,
	.run = bt_run,
	.kick = bt_kick,
	.get_state = bt_get_state,
	.set_state = bt_set_state,
	.translate = bt_translate_address,
	.set_breakpoints = bt_set_breakpoints,
};
