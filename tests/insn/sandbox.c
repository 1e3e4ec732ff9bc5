/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The child of sandbox.h.
 *
 * Everything happens in signal handlers: an instruction under test is followed
 * by INT3 (the rest of the code page is INT3 too, for branches), so each trial
 * ends in a signal. Its handler keeps what the kernel saved as the trial's
 * outcome and puts the next trial's registers in that place; returning from the
 * signal loads them all at once. RSP may be anything: signals have a stack of
 * their own.
 */
#include "sandbox.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/bits.h"
#include "x86/regs.h"

#define ALT_STACK   (64 << 10)
#define INT3	    0xcc
#define TRIAL_LIMIT 2 /* seconds for a batch: nothing may loop */

/* The one child's state: a signal handler has no other way to it. */
static struct {
	struct batch *batch;
	unsigned next;
	bool is_running;
	uint8_t *code; /* writable view of the code page */
	uint8_t *data; /* writable view of the data pages */
	sigjmp_buf done;
} child;

/* The kernel's order of general registers in a signal frame. */
static const uint8_t frame_gpr[16] = {
	[RAX] = REG_RAX, [RCX] = REG_RCX, [RDX] = REG_RDX, [RBX] = REG_RBX,
	[RSP] = REG_RSP, [RBP] = REG_RBP, [RSI] = REG_RSI, [RDI] = REG_RDI,
	[R8] = REG_R8,	 [R9] = REG_R9,	  [R10] = REG_R10, [R11] = REG_R11,
	[R12] = REG_R12, [R13] = REG_R13, [R14] = REG_R14, [R15] = REG_R15,
};

#define XSTATE_HEADER 512
#define XSTATE_AVX    576

static void frame_save(const ucontext_t *context, struct registers *registers)
{
	const greg_t *gregs = context->uc_mcontext.gregs;
	const uint8_t *area = (const uint8_t *)context->uc_mcontext.fpregs;

	for (unsigned i = 0; i < 16; i++)
		registers->gpr[i] = gregs[frame_gpr[i]];
	registers->rip = gregs[REG_RIP];
	registers->rflags = gregs[REG_EFL];
	memcpy(&registers->fx, area, sizeof(registers->fx));
	memset(registers->ymm_high, 0, sizeof(registers->ymm_high));
	if (load_u64(area + XSTATE_HEADER) & XCR0_AVX)
		memcpy(registers->ymm_high, area + XSTATE_AVX, 256);
}

/* The layout of REG_CSGSFS: CS, GS, FS, SS. */
static void frame_set_segments(ucontext_t *context,
			       const struct code_kind *kind)
{
	const greg_t fs_gs = 0x0000ffffffff0000;
	greg_t *csgsfs = &context->uc_mcontext.gregs[REG_CSGSFS];

	*csgsfs = (*csgsfs & fs_gs) | kind->cs | (greg_t)kind->ss << 48;
	/* SS as it stands here, whatever the code (UC_STRICT_RESTORE_SS). */
	context->uc_flags |= 4;
	if (kind->mode == X86_MODE_64)
		return;
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(kind->ss));
}

static void frame_load(ucontext_t *context, const struct registers *registers)
{
	greg_t *gregs = context->uc_mcontext.gregs;
	uint8_t *area = (uint8_t *)context->uc_mcontext.fpregs;

	for (unsigned i = 0; i < 16; i++)
		gregs[frame_gpr[i]] = registers->gpr[i];
	gregs[REG_RIP] = registers->rip;
	gregs[REG_EFL] = registers->rflags;
	/* The last 48 bytes are the kernel's description of the frame. */
	memcpy(area, &registers->fx, 416);
	store_u64(area + XSTATE_HEADER, XCR0_X87 | XCR0_SSE | XCR0_AVX);
	memcpy(area + XSTATE_AVX, registers->ymm_high, 256);
}

static void outcome_save(struct outcome *outcome, const struct trial *trial,
			 const ucontext_t *context)
{
	const greg_t *gregs = context->uc_mcontext.gregs;

	frame_save(context, &outcome->registers);
	outcome->vector = gregs[REG_TRAPNO];
	outcome->error = gregs[REG_ERR];
	outcome->cr2 = outcome->vector == VECTOR_PF ? gregs[REG_CR2] : 0;
	memcpy(outcome->memory, child.data, sizeof(outcome->memory));
	/* It went on to an INT3, or to where nothing can be fetched. */
	if (outcome->vector == VECTOR_BP) {
		outcome->vector = -1;
		outcome->registers.rip--;
	} else if (outcome->vector == VECTOR_PF &&
		   (outcome->error & PF_FETCH) &&
		   outcome->cr2 == child.batch->kind->code_base +
					   outcome->registers.rip &&
		   outcome->registers.rip != trial->registers.rip) {
		outcome->vector = -1;
	}
	if (outcome->vector == -1) {
		outcome->error = outcome->cr2 = 0;
		outcome->registers.rflags &= ~RFLAGS_RF; /* the fetch's */
	}
}

/* The outcome of a trial, if one was under way, and on to the next. */
static void next_trial(ucontext_t *context)
{
	struct batch *batch = child.batch;
	const struct trial *trial;

	if (child.is_running) {
		trial = &batch->trial[child.next];
		outcome_save(&batch->outcome[child.next], trial, context);
		memset(child.code + trial->offset, INT3, trial->len);
		child.next++;
	}
	child.is_running = true;
	if (child.next == batch->count)
		siglongjmp(child.done, 1);
	trial = &batch->trial[child.next];
	memcpy(child.data, batch->memory, sizeof(batch->memory));
	/* What lies past the page is not there to be fetched. */
	memcpy(child.code + trial->offset, trial->bytes,
	       MIN(trial->len, PAGE_SIZE - trial->offset));
	frame_load(context, &trial->registers);
	frame_set_segments(context, batch->kind);
}

/* POPF may have set AC, NT and ID: a handler runs with them, and returning from a
 * signal leaves the latter as the handler has them. */
static inline void flags_clean(void)
{
	__asm__ volatile("pushfq; andl $~0x244000, (%%rsp); popfq" ::
				 : "cc", "memory");
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	flags_clean();
	next_trial(context);
}

static void batch_run(void)
{
	child.next = 0;
	child.is_running = false;
	if (sigsetjmp(child.done, 1) == 0)
		raise(SIGTRAP);
}

/* A view of `count` new pages at `address` besides a writable one. */
static uint8_t *map_twice(uint64_t address, unsigned count, int protection)
{
	int fd = memfd_create("insn", MFD_CLOEXEC);
	void *writable;

	if (fd < 0 || ftruncate(fd, count * PAGE_SIZE) < 0)
		_exit(2);
	if (mmap((void *)address, count * PAGE_SIZE, protection,
		 MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd,
		 0) == MAP_FAILED)
		_exit(3);
	/* Code is patched up to its page's end and a little beyond. */
	writable = mmap(NULL, (count + 1) * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (writable == MAP_FAILED ||
	    mmap(writable, count * PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_POPULATE | MAP_FIXED, fd, 0) == MAP_FAILED)
		_exit(4);
	close(fd);
	return writable;
}

/* The segments of 16-bit code; where there are none, such code faults. */
static void ldt_fill(void)
{
	const struct code_kind *kind = &code_kinds[CODE_16];
	struct user_desc code = {
		.entry_number = LDT_CODE,
		.base_addr = (unsigned)kind->code_base,
		.limit = LDT_LIMIT,
		.contents = MODIFY_LDT_CONTENTS_CODE,
		.useable = 1,
	};
	struct user_desc data = {
		.entry_number = LDT_DATA,
		.base_addr = (unsigned)kind->data_base,
		.limit = LDT_LIMIT,
		.contents = MODIFY_LDT_CONTENTS_DATA,
		.useable = 1,
	};

	if (syscall(SYS_modify_ldt, 0x11, &code, sizeof(code)) ||
	    syscall(SYS_modify_ldt, 0x11, &data, sizeof(data)))
		_exit(6);
}

static void child_prepare(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE,
				       SIGTRAP };
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_size = ALT_STACK };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child.code = map_twice(WORLD_AT(PAGE_CODE), 1, PROT_READ | PROT_EXEC);
	child.data = map_twice(WORLD_AT(PAGE_DATA), DATA_PAGES, PROT_READ);
	memset(child.code, INT3, PAGE_SIZE);
	memset(child.data, 0, DATA_PAGES * PAGE_SIZE);
	mprotect((void *)WORLD_AT(PAGE_DATA), DATA_WRITABLE * PAGE_SIZE,
		 PROT_READ | PROT_WRITE);
	memset((void *)WORLD_AT(PAGE_DATA), 0, DATA_WRITABLE * PAGE_SIZE);
	stack.ss_sp = mmap(NULL, ALT_STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) < 0)
		_exit(5);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	syscall(SYS_arch_prctl, ARCH_SET_GS, WORLD_GS_BASE);
	ldt_fill();
}

_Noreturn static void child_main(int in, int out)
{
	char token;

	child_prepare();
	while (read(in, &token, 1) == 1) {
		alarm(TRIAL_LIMIT);
		batch_run();
		alarm(0);
		if (write(out, &token, 1) != 1)
			break;
	}
	_exit(0);
}

static int child_start(struct sandbox *sandbox)
{
	int to[2], from[2];

	if (pipe(to) < 0 || pipe(from) < 0)
		return -errno;
	sandbox->pid = fork();
	if (sandbox->pid < 0)
		return -errno;
	if (sandbox->pid == 0) {
		close(to[1]);
		close(from[0]);
		child.batch = sandbox->batch;
		child_main(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	sandbox->to_child = to[1];
	sandbox->from_child = from[0];
	return 0;
}

int sandbox_init(struct sandbox *sandbox)
{
	signal(SIGPIPE, SIG_IGN);
	sandbox->batch = mmap(NULL, sizeof(*sandbox->batch),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sandbox->batch == MAP_FAILED)
		return -errno;
	return child_start(sandbox);
}

static void child_stop(struct sandbox *sandbox)
{
	close(sandbox->to_child);
	close(sandbox->from_child);
	kill(sandbox->pid, SIGKILL);
	waitpid(sandbox->pid, NULL, 0);
}

void sandbox_fini(struct sandbox *sandbox)
{
	child_stop(sandbox);
	munmap(sandbox->batch, sizeof(*sandbox->batch));
}

bool sandbox_run(struct sandbox *sandbox)
{
	char token = 0;

	if (write(sandbox->to_child, &token, 1) == 1 &&
	    read(sandbox->from_child, &token, 1) == 1)
		return true;
	child_stop(sandbox);
	if (child_start(sandbox) < 0)
		abort();
	return false;
}
