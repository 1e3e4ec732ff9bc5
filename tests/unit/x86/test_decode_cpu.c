/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder's lengths and verdicts against the processor this runs on.
 *
 * An instruction is put at the end of a page whose successor is not mapped
 * and single-stepped.  A page fault of the fetch itself says that it is
 * longer; anything else, that it ends before the page does; #UD, that there
 * is no such instruction.  64-bit, 32-bit (Linux's compatibility segment) and
 * 16-bit code (a segment in the LDT).  The cases run in a child, inside of
 * signal handlers: each return from one enters the next case.  All registers
 * point to where nothing is mapped, so that accesses fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "../scale.h"
#include "encodings.h"
#include "x86/decode.h"

#define PAGE		    4096u
#define CODE		    0x20000000u
#define BATCH		    8192
#define TF		    0x100
#define HWCAP2_FSGSBASE_BIT 2

enum outcome { NOT_RUN, DONE, FETCH, UNDEFINED, PROTECTION };

struct run {
	uint8_t bytes[ENCODING_BYTES];
	uint8_t count; /* bytes before the end of the page */
	uint8_t mode;
	uint8_t outcome;
};

struct shared {
	unsigned int at, end;
	uint64_t fs_base;
	uint16_t cs[4]; /* by mode; 0 where there is none */
	uint8_t *code; /* a writable view of the page at CODE */
	struct run runs[BATCH];
};

static struct shared *shared;

#define BARE                                                       \
	__attribute__((no_stack_protector, no_sanitize("address"), \
		       no_sanitize("undefined"), no_sanitize("thread")))

/* No library call in here: FS may be anything. */
BARE static void enter_run(ucontext_t *context)
{
	struct run *run = &shared->runs[shared->at];
	greg_t *regs = context->uc_mcontext.gregs;
	uint8_t *to = shared->code + PAGE - run->count;
	uint64_t start = CODE + PAGE - run->count;
	static const uint8_t gprs[] = { REG_RAX, REG_RBX, REG_RCX, REG_RDX,
					REG_RSI, REG_RDI, REG_RBP, REG_RSP,
					REG_R8,	 REG_R9,  REG_R10, REG_R11,
					REG_R12, REG_R13, REG_R14, REG_R15 };

	for (volatile unsigned int i = 0; i < run->count; i++)
		to[i] = run->bytes[i];
	for (volatile unsigned int i = 0; i < 16; i++)
		regs[gprs[i]] = 0x300060000000 + i * 0x1000000;
	regs[REG_RIP] = run->mode == X86_MODE_16 ? start - CODE : start;
	regs[REG_EFL] = TF | 2;
	regs[REG_CSGSFS] = 0x2bull << 48 | shared->cs[run->mode];
}

BARE static void on_signal(int number, siginfo_t *info, void *argument)
{
	ucontext_t *context = argument;
	greg_t *regs = context->uc_mcontext.gregs;
	struct run *run = &shared->runs[shared->at];
	uint64_t start = CODE + PAGE - run->count;

	__asm__ volatile("wrfsbase %0" : : "r"(shared->fs_base));
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(0x2b));
	if (run->mode == X86_MODE_16)
		start -= CODE;
	if (number == SIGUSR1)
		goto next;
	if (regs[REG_TRAPNO] == 6)
		run->outcome = UNDEFINED;
	else if (regs[REG_TRAPNO] == 14 && regs[REG_ERR] & 16 &&
		 (uint64_t)regs[REG_RIP] == start &&
		 (uint64_t)regs[REG_CR2] == CODE + PAGE)
		run->outcome = FETCH;
	else if (regs[REG_TRAPNO] == 13)
		run->outcome = PROTECTION;
	else
		run->outcome = DONE;
	if (++shared->at == shared->end)
		_exit(0);
next:
	enter_run(context);
}

static uint16_t add_16bit_segment(void)
{
	struct user_desc desc = {
		.entry_number = 0,
		.base_addr = CODE,
		.limit = 0xffff,
		.contents = MODIFY_LDT_CONTENTS_CODE,
	};

	return syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) ? 0 : 7;
}

static void run_child(void)
{
	static uint8_t stack[65536] __attribute__((aligned(16)));
	static const int signals[] = { SIGUSR1, SIGILL, SIGSEGV,
				       SIGTRAP, SIGFPE, SIGBUS };
	stack_t altstack = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	struct itimerval timer = { .it_value = { .tv_sec = 20 } };

	sigaltstack(&altstack, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	syscall(SYS_arch_prctl, ARCH_GET_FS, &shared->fs_base);
	raise(SIGUSR1);
	_exit(1);
}

/* Runs what is in the batch; a run that kills the child stays NOT_RUN. */
static void run_batch(unsigned int count)
{
	shared->at = 0;
	shared->end = count;
	while (shared->at < count) {
		unsigned int before = shared->at;
		int status;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			run_child();
		waitpid(child, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return;
		if (shared->at == before && getenv("RINGFENCE_TEST_VERBOSE")) {
			char text[80];

			encoding_print(text, shared->runs[before].mode,
				       shared->runs[before].bytes, 15);
			printf("killed the child: %s\n", text);
		}
		shared->at++;
	}
}

/* Other vendors differ in what is undefined (SDM and APM say where). */
static bool is_intel(void)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	return ebx == signature_INTEL_ebx;
}

static int setup(void **state)
{
	int fd = memfd_create("code", 0);

	if (!is_intel()) {
		printf("skipped: not an Intel processor\n");
		exit(77);
	}
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)) {
		printf("skipped: no FSGSBASE\n");
		exit(77);
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	shared->code =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(shared->code != MAP_FAILED);
	assert_ptr_equal(mmap((void *)(uintptr_t)CODE, PAGE,
			      PROT_READ | PROT_EXEC,
			      MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0),
			 (void *)(uintptr_t)CODE);
	shared->cs[X86_MODE_64] = 0x33;
	shared->cs[X86_MODE_32] = 0x23;
	shared->cs[X86_MODE_16] = add_16bit_segment();
	return 0;
}

static bool has_feature(enum insn_feature feature)
{
	const struct insn_feature_info *info = insn_feature_info(feature);
	unsigned int regs[4];

	if (info->leaf == 0)
		return true;
	return __get_cpuid_count(info->leaf, info->subleaf, &regs[0], &regs[1],
				 &regs[2], &regs[3]) &&
	       regs[info->reg] >> info->bit & 1;
}

/* #UD at CPL 3 or always, though the encoding is there; or not to be run. */
static bool is_exempt(const struct insn *insn)
{
	switch (insn->op) {
	case OP_UD:
	case OP_RSM:
	case OP_MONITOR:
	case OP_MWAIT:
	case OP_CLAC:
	case OP_STAC:
	case OP_GETSEC:
	case OP_SYSENTER:
		return true;
	case OP_SYSCALL: /* AMD's alone outside 64-bit mode */
	case OP_SYSRET:
		return insn->mode != X86_MODE_64;
	default:
		return false;
	}
}

/*
 * TDX's instructions (66 0F 01 CC to CF) are none of ours; and a hypervisor
 * that offers VMCALL and VMMCALL on either vendor's CPU takes them with any
 * prefix (0F 01 C1, D9).
 */
static bool is_host_only(const uint8_t *bytes)
{
	for (int i = 0; i < 13; i++)
		if (bytes[i] == 0x0f && bytes[i + 1] == 0x01)
			return (bytes[i + 2] & 0xfc) == 0xcc ||
			       bytes[i + 2] == 0xc1 || bytes[i + 2] == 0xd9;
	return false;
}

/*
 * The processor finds the end of what is #UD too, and says #GP when that is
 * past 15 bytes; we stop at what makes it #UD.
 */
static bool may_be_long(const uint8_t *bytes)
{
	int i = 0;

	while ((bytes[i] & 0xf0) == 0x40 || bytes[i] >= 0xf0 ||
	       (bytes[i] >= 0x64 && bytes[i] <= 0x67) || bytes[i] == 0x2e)
		i++;
	return i >= 3;
}

static unsigned int failures;
static uint64_t ran, killed;

static void report(const struct run *run, int decoded, const struct insn *insn,
		   const char *what)
{
	char text[80];

	if (failures++ > 40)
		return;
	encoding_print(text, run->mode, run->bytes, 15);
	printf("%s: decoded %d %s: %s\n", text, decoded,
	       decoded > 0 ? insn_op_name(insn->op) : "", what);
}

struct expectation {
	int decoded;
	struct insn insn;
};

static unsigned int add_runs(struct run *runs, const uint8_t *bytes, int mode,
			     int decoded)
{
	unsigned int length = decoded > 0 ? decoded : 15;

	for (unsigned int i = 0; i < 2; i++) {
		memcpy(runs[i].bytes, bytes, ENCODING_BYTES);
		runs[i].mode = mode;
		runs[i].outcome = NOT_RUN;
		runs[i].count = length - i;
	}
	return decoded > 1 ? 2 : 1;
}

static void check_runs(const struct run *runs, unsigned int count,
		       const struct expectation *e)
{
	if (runs[0].outcome == NOT_RUN) {
		killed++;
		return;
	}
	ran++;
	if (e->decoded == -INSN_UD && runs[0].outcome != UNDEFINED &&
	    !is_host_only(runs[0].bytes) &&
	    !(runs[0].outcome == PROTECTION && may_be_long(runs[0].bytes)))
		report(runs, e->decoded, &e->insn,
		       runs[0].outcome == FETCH ? "the CPU reads on" :
						  "the CPU knows it");
	if (e->decoded == -INSN_LONG && runs[0].outcome != PROTECTION &&
	    runs[0].outcome != UNDEFINED)
		report(runs, e->decoded, &e->insn, "the CPU takes it");
	if (e->decoded < 0)
		return;
	if (runs[0].outcome == UNDEFINED)
		report(runs, e->decoded, &e->insn, "#UD on the CPU");
	else if (runs[0].outcome == FETCH)
		report(runs, e->decoded, &e->insn, "longer on the CPU");
	else if (count == 2 && runs[1].outcome != FETCH)
		report(runs, e->decoded, &e->insn, "shorter on the CPU");
}

static void compare(uint64_t cases)
{
	static struct expectation expected[BATCH];
	static const enum x86_mode modes[4] = { X86_MODE_64, X86_MODE_64,
						X86_MODE_32, X86_MODE_16 };
	uint64_t seed = cases;

	while (cases) {
		unsigned int runs = 0, n = 0;

		while (cases && runs + 2 <= BATCH) {
			uint8_t bytes[ENCODING_BYTES];
			struct expectation *e = &expected[runs];
			enum x86_mode mode = modes[cases & 3];

			cases--;
			encoding_fill(bytes, &seed);
			e->decoded = insn_decode(&e->insn, bytes, 15, mode);
			if (!shared->cs[mode] || e->decoded == -INSN_SHORT)
				continue;
			if (e->decoded > 0 &&
			    (is_exempt(&e->insn) ||
			     !has_feature(insn_row(&e->insn)->feature)))
				continue;
			n = add_runs(&shared->runs[runs], bytes, mode,
				     e->decoded);
			if (n == 2)
				expected[runs + 1].decoded = 0;
			runs += n;
		}
		run_batch(runs);
		for (unsigned int i = 0; i < runs; i += n) {
			n = expected[i].decoded > 1 ? 2 : 1;
			check_runs(&shared->runs[i], n, &expected[i]);
		}
	}
}

static void agrees_with_the_cpu(void **state)
{
	compare(test_scale(20000, 400000, 10000000));
	assert_int_equal(failures, 0);
	/* a child that dies loses one case */
	printf("%llu run, %llu lost\n", (unsigned long long)ran,
	       (unsigned long long)killed);
	assert_true(ran > 10000);
	assert_true(killed < ran / 1000 + 1);
}

/* The method itself, on instructions whose outcome is known. */
static void tells_outcomes_apart(void **state)
{
	static const struct run known[] = {
		{ { 0x90 }, 1, X86_MODE_64, DONE },
		{ { 0x48, 0x89, 0xe5 }, 2, X86_MODE_64, FETCH },
		{ { 0x48, 0x89, 0xe5 }, 3, X86_MODE_64, DONE },
		{ { 0x48, 0x89, 0xe5 }, 1, X86_MODE_32, DONE },
		{ { 0x8b, 0x00 }, 2, X86_MODE_64, DONE },
		{ { 0x0f, 0x0b }, 2, X86_MODE_64, UNDEFINED },
		{ { 0x06 }, 1, X86_MODE_64, UNDEFINED },
		{ { 0x06 }, 1, X86_MODE_32, DONE },
		{ { 0xf4 }, 1, X86_MODE_64, PROTECTION },
	};
	const unsigned int count = sizeof(known) / sizeof(known[0]);

	for (unsigned int i = 0; i < count; i++) {
		shared->runs[i] = known[i];
		shared->runs[i].outcome = NOT_RUN;
	}
	run_batch(count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(shared->runs[i].outcome, known[i].outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_outcomes_apart),
		cmocka_unit_test(agrees_with_the_cpu),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
