/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random single instructions on the interpreter and on the host CPU: registers,
 * flags, x87 and vector state, memory and faults must be the same.
 *
 * usage: compare [--mode 64|32|16] [--engine interp|bt[,KEY=VALUE...]]
 *                [--count N] [--seed N] [--case N] [--only MNEMONIC] [--show N]
 *                [--verbose]
 * With --engine bt what is compared with the host is translated code.
 *
 * A case is determined by seed, number and --only; a failure prints the command
 * that repeats it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/bt/engine.h"
#include "generate.h"
#include "sandbox.h"

#define ROWS_MAX 4096

struct options {
	uint64_t count, seed, one_case, show;
	const char *only;
	char *engine;
	bool is_verbose;
	const struct code_kind *kind;
};

struct comparison {
	struct options options;
	struct guest guest;
	struct sandbox sandbox;
	unsigned rows[ROWS_MAX];
	unsigned row_count;
	struct insn insn[BATCH];
	uint64_t number[BATCH]; /* of the case */
	uint64_t compared, differing, faulting, died;
	uint64_t translated; /* with nothing left to the interpreter */
	uint32_t differing_rows[ROWS_MAX];
};

/* --- the interpreter's side ----------------------------------------------- */

static void guest_load(struct guest *guest, const struct code_kind *kind,
		       const struct trial *trial, const uint8_t *memory)
{
	const struct registers *r = &trial->registers;
	struct cpu_fpu *fpu = &guest->cpu->s.fpu;
	uint8_t *code = guest_page(guest, PAGE_CODE);

	guest_reset(guest, r->rip);
	guest_set_kind(guest, kind);
	memcpy(guest->cpu->s.gpr, r->gpr, sizeof(r->gpr));
	guest->cpu->s.rflags = r->rflags;
	fpu->fcw = r->fx.fcw;
	fpu->fsw = r->fx.fsw;
	fpu->ftw = r->fx.ftw;
	fpu->fop = r->fx.fop;
	fpu->fip = r->fx.fip;
	fpu->fdp = r->fx.fdp;
	fpu->mxcsr = r->fx.mxcsr;
	for (unsigned i = 0; i < 8; i++) {
		fpu->st[i].mantissa = load_u64(r->fx.st[i]);
		fpu->st[i].sign_exponent = load_u16(r->fx.st[i] + 8);
	}
	for (unsigned i = 0; i < 16; i++) {
		memcpy(fpu->ymm[i], r->fx.xmm[i], 16);
		memcpy(fpu->ymm[i] + 16, r->ymm_high[i], 16);
	}
	interp_mode_changed(guest->cpu);
	memcpy(guest_page(guest, PAGE_DATA), memory, DATA_PAGES * PAGE_SIZE);
	memcpy(code + trial->offset, trial->bytes,
	       MIN(trial->len, PAGE_SIZE - trial->offset));
}

static void guest_save(struct guest *guest, const struct guest_stop *stop,
		       struct outcome *outcome)
{
	const struct cpu_state *s = &guest->cpu->s;
	struct registers *r = &outcome->registers;

	memset(r, 0, sizeof(*r));
	outcome->vector = stop->vector;
	outcome->error = stop->error;
	outcome->cr2 = stop->vector == VECTOR_PF ? s->cr2 : 0;
	memcpy(r->gpr, s->gpr, sizeof(r->gpr));
	r->gpr[RSP] = stop->rsp;
	r->rip = stop->rip;
	r->rflags = stop->rflags;
	r->fx.fcw = s->fpu.fcw;
	r->fx.fsw = s->fpu.fsw;
	r->fx.ftw = s->fpu.ftw;
	r->fx.fop = s->fpu.fop;
	r->fx.fip = s->fpu.fip;
	r->fx.fdp = s->fpu.fdp;
	r->fx.mxcsr = s->fpu.mxcsr;
	for (unsigned i = 0; i < 8; i++) {
		store_u64(r->fx.st[i], s->fpu.st[i].mantissa);
		store_u16(r->fx.st[i] + 8, s->fpu.st[i].sign_exponent);
	}
	for (unsigned i = 0; i < 16; i++) {
		memcpy(r->fx.xmm[i], s->fpu.ymm[i], 16);
		memcpy(r->ymm_high[i], s->fpu.ymm[i] + 16, 16);
	}
	memcpy(outcome->memory, guest_page(guest, PAGE_DATA),
	       sizeof(outcome->memory));
}

static bool guest_trial(struct guest *guest, const struct code_kind *kind,
			const struct trial *trial, const uint8_t *memory,
			struct outcome *outcome)
{
	struct guest_stop stop;
	bool has_ended;

	guest_load(guest, kind, trial, memory);
	if (guest->vm)
		has_ended =
			guest_step_engine(guest, trial->registers.rip, &stop);
	else
		has_ended = guest_step(guest, trial->registers.rip, 64, &stop);
	guest_save(guest, &stop, outcome);
	memset(guest_page(guest, PAGE_CODE) + trial->offset, 0xcc,
	       MIN(trial->len, PAGE_SIZE - trial->offset));
	return has_ended;
}

/* --- comparing ------------------------------------------------------------ */

static const char *const gpr_names[16] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};

/* Writes what differs, or only says whether anything does. */
struct report {
	FILE *to;
	bool differs;
};

static void differ(struct report *report, const char *what, uint64_t host,
		   uint64_t interp)
{
	if (host == interp)
		return;
	report->differs = true;
	if (report->to)
		fprintf(report->to, "  %-8s host %016lx, interp %016lx\n", what,
			host, interp);
}

static void differ_bytes(struct report *report, const char *what, unsigned n,
			 const uint8_t *host, const uint8_t *interp,
			 unsigned size)
{
	if (memcmp(host, interp, size) == 0)
		return;
	report->differs = true;
	if (!report->to)
		return;
	fprintf(report->to, "  %s%u\n    host   ", what, n);
	for (unsigned i = size; i-- > 0;)
		fprintf(report->to, "%02x", host[i]);
	fprintf(report->to, "\n    interp ");
	for (unsigned i = size; i-- > 0;)
		fprintf(report->to, "%02x", interp[i]);
	fprintf(report->to, "\n");
}

static void differ_memory(struct report *report, const uint8_t *host,
			  const uint8_t *interp)
{
	for (unsigned i = 0; i < DATA_WRITABLE * PAGE_SIZE; i += 8) {
		char what[16];

		snprintf(what, sizeof(what), "[+%x]", i);
		differ(report, what, load_u64(host + i), load_u64(interp + i));
	}
}

/* Linux says of its own half of the addresses that all of it is present. */
static uint32_t error_visible(const struct outcome *outcome)
{
	if (outcome->vector == VECTOR_PF && outcome->cr2 >> 47)
		return outcome->error & ~PF_PRESENT;
	return outcome->error;
}

/*
 * What the SDM leaves open and we do not follow: which byte of a masked store
 * CR2 names, and how much of a large operand has been stored when its second
 * page faults.
 */
static bool cr2_names_page(const struct insn *insn)
{
	return insn->op == OP_VMASKMOVPS || insn->op == OP_VMASKMOVPD ||
	       insn->op == OP_VPMASKMOVD || insn->op == OP_VPMASKMOVQ;
}

static bool stores_in_parts(const struct insn *insn)
{
	return insn->nops && operand_is_mem(&insn->operand[0]) &&
	       (insn->operand[0].size == 10 || insn->op == OP_FXSAVE ||
		insn->op == OP_FNSTENV || insn->op == OP_FNSAVE ||
		insn->op == OP_XSAVE || insn->op == OP_XSAVEOPT ||
		insn->op == OP_XSAVEC);
}

/* Of a save area that reaches over a 16-bit address's end the host names an
 * address that wraps, and leaves unsaid what is written there. */
static bool cr2_wraps(const struct insn *insn)
{
	return insn->adsize == 2 &&
	       (stores_in_parts(insn) || cr2_names_page(insn) ||
		insn->op == OP_FXRSTOR || insn->op == OP_XRSTOR ||
		insn->op == OP_FLDENV || insn->op == OP_FRSTOR);
}

static void outcome_compare(struct report *report, const struct comparison *c,
			    const struct insn *insn, const struct outcome *host,
			    const struct outcome *interp)
{
	const struct registers *a = &host->registers, *b = &interp->registers;
	const struct code_kind *kind = c->options.kind;
	uint64_t flags = ~0ull, cr2 = ~0ull;

	if (host->vector == -1)
		flags &= ~(uint64_t)insn_row(insn)->flags_undefined;
	differ(report, "vector", host->vector, interp->vector);
	differ(report, "error", error_visible(host), error_visible(interp));
	if (cr2_wraps(insn))
		cr2 &= 0xffff;
	if (cr2_names_page(insn))
		cr2 &= PAGE_MASK;
	differ(report, "cr2", host->cr2 & cr2, interp->cr2 & cr2);
	/* Outside 64-bit mode the rest is undefined (SDM 1, 3.4.1.1). */
	for (unsigned i = 0; i < (kind->mode == X86_MODE_64 ? 16 : 8); i++)
		differ(report, gpr_names[i], a->gpr[i] & kind->gpr_mask,
		       b->gpr[i] & kind->gpr_mask);
	differ(report, "rip", a->rip, b->rip);
	differ(report, "rflags", a->rflags & flags, b->rflags & flags);
	differ(report, "fcw", a->fx.fcw, b->fx.fcw);
	differ(report, "fsw", a->fx.fsw, b->fx.fsw);
	differ(report, "ftw", a->fx.ftw, b->fx.ftw);
	/* Translated code leaves those of the last x87 instruction that the
	 * interpreter executed (engine/bt/vectors.c). */
	if (!c->guest.vm) {
		differ(report, "fop", a->fx.fop, b->fx.fop);
		differ(report, "fip", a->fx.fip, b->fx.fip);
		differ(report, "fdp", a->fx.fdp, b->fx.fdp);
	}
	differ(report, "mxcsr", a->fx.mxcsr, b->fx.mxcsr);
	for (unsigned i = 0; i < 8; i++)
		differ_bytes(report, "st", i, a->fx.st[i], b->fx.st[i], 10);
	for (unsigned i = 0; i < 16; i++) {
		differ_bytes(report, "xmm", i, a->fx.xmm[i], b->fx.xmm[i], 16);
		differ_bytes(report, "high half of ymm", i, a->ymm_high[i],
			     b->ymm_high[i], 16);
	}
	if (host->vector == VECTOR_PF && stores_in_parts(insn))
		return;
	if (memcmp(host->memory, interp->memory, sizeof(host->memory)))
		differ_memory(report, host->memory, interp->memory);
}

static void trial_print(const struct comparison *c, unsigned n,
			const struct outcome *host)
{
	const struct trial *trial = &c->sandbox.batch->trial[n];
	const struct registers *r = &trial->registers;

	printf("%s:", insn_op_name(c->insn[n].op));
	for (unsigned i = 0; i < trial->len; i++)
		printf(" %02x", trial->bytes[i]);
	printf("\n  rip %lx rflags %lx mxcsr %x fcw %x fsw %x ftw %x; host: "
	       "vector %d\n",
	       r->rip, r->rflags, r->fx.mxcsr, r->fx.fcw, r->fx.fsw, r->fx.ftw,
	       host->vector);
	for (unsigned i = 0; i < 16; i++)
		printf("%s%-3s %016lx", i % 4 ? " " : "\n  ", gpr_names[i],
		       r->gpr[i]);
	printf("\n");
	for (unsigned i = 0; i < c->insn[n].nops; i++) {
		unsigned reg = c->insn[n].operand[i].reg & 15;

		if (c->insn[n].operand[i].kind == OPND_VREG)
			printf("  ymm%u %016lx %016lx %016lx %016lx\n", reg,
			       load_u64(r->ymm_high[reg] + 8),
			       load_u64(r->ymm_high[reg]),
			       load_u64(r->fx.xmm[reg] + 8),
			       load_u64(r->fx.xmm[reg]));
	}
	printf("  again: compare --mode %s --seed %lu --case %lu",
	       c->options.kind->name, c->options.seed, c->number[n]);
	if (c->options.engine)
		printf(" --engine %s", c->options.engine);
	printf(c->options.only ? " --only %s\n" : "\n", c->options.only);
}

static void trial_compare(struct comparison *c, unsigned n)
{
	struct batch *batch = c->sandbox.batch;
	const struct outcome *host = &batch->outcome[n];
	struct report report = { NULL, false };
	struct outcome interp;
	bool has_ended;

	has_ended = guest_trial(&c->guest, c->options.kind, &batch->trial[n],
				batch->memory, &interp);
	c->compared++;
	/* The INT3 behind it and the handler's HLT always are. */
	c->translated += c->guest.vm && c->guest.interpreted == 2;
	c->faulting += host->vector != -1;
	outcome_compare(&report, c, &c->insn[n], host, &interp);
	if (!report.differs && !c->options.is_verbose)
		return;
	if (report.differs) {
		c->differing++;
		c->differing_rows[c->insn[n].row]++;
	}
	if (!c->options.is_verbose && (c->differing_rows[c->insn[n].row] > 1 ||
				       c->differing > c->options.show))
		return;
	trial_print(c, n, host);
	if (!has_ended)
		printf("  interp: has not ended after 64 steps\n");
	report.to = stdout;
	outcome_compare(&report, c, &c->insn[n], host, &interp);
}

/* --- batches -------------------------------------------------------------- */

static void batch_generate(struct comparison *c, uint64_t first, uint64_t count)
{
	struct batch *batch = c->sandbox.batch;
	struct random random = random_from(
		~c->options.seed, first / BATCH * BATCH, c->options.kind);

	memory_generate(&random, batch->memory);
	batch->count = 0;
	for (uint64_t number = first; number < first + count; number++) {
		unsigned n = batch->count;
		unsigned row;

		random = random_from(c->options.seed, number, c->options.kind);
		row = c->rows[random_next(&random) % c->row_count];
		if (!trial_generate(&random, row, batch->memory,
				    &batch->trial[n], &c->insn[n]))
			continue;
		c->number[n] = number;
		batch->count++;
	}
}

/* The child died: each trial by itself, to find which. */
static void batch_bisect(struct comparison *c, uint64_t first, uint64_t count)
{
	for (uint64_t number = first; number < first + count; number++) {
		batch_generate(c, number, 1);
		if (c->sandbox.batch->count == 0)
			continue;
		if (sandbox_run(&c->sandbox)) {
			trial_compare(c, 0);
			continue;
		}
		c->died++;
		printf("the sandbox does not survive this one\n");
		trial_print(c, 0, &c->sandbox.batch->outcome[0]);
	}
}

static void batch_compare(struct comparison *c, uint64_t first, uint64_t count)
{
	batch_generate(c, first, count);
	if (!sandbox_run(&c->sandbox)) {
		batch_bisect(c, first, count);
		return;
	}
	for (unsigned n = 0; n < c->sandbox.batch->count; n++)
		trial_compare(c, n);
}

static void rows_choose(struct comparison *c)
{
	for (unsigned row = 0; row < insn_row_count && row < ROWS_MAX; row++) {
		if (!row_is_comparable(&c->guest.cpuid, c->options.kind, row))
			continue;
		if (c->options.only &&
		    strcmp(insn_op_name(insn_rows[row].op), c->options.only))
			continue;
		c->rows[c->row_count++] = row;
	}
}

/* --- the command ---------------------------------------------------------- */

static const struct code_kind *kind_find(const char *name)
{
	for (unsigned i = 0; i < CODE_KINDS; i++)
		if (!strcmp(name, code_kinds[i].name))
			return &code_kinds[i];
	return NULL;
}

static bool options_parse(struct options *options, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		uint64_t number;

		if (!strcmp(argv[i], "--verbose")) {
			options->is_verbose = true;
			continue;
		}
		if (i + 1 == argc)
			return false;
		number = strtoull(argv[i + 1], NULL, 0);
		if (!strcmp(argv[i], "--mode"))
			options->kind = kind_find(argv[i + 1]);
		else if (!strcmp(argv[i], "--count"))
			options->count = number;
		else if (!strcmp(argv[i], "--seed"))
			options->seed = number;
		else if (!strcmp(argv[i], "--case"))
			options->one_case = number;
		else if (!strcmp(argv[i], "--show"))
			options->show = number;
		else if (!strcmp(argv[i], "--only"))
			options->only = argv[i + 1];
		else if (!strcmp(argv[i], "--engine"))
			options->engine = argv[i + 1];
		else
			return false;
		i++;
	}
	return options->kind;
}

static void summary_print(const struct comparison *c, double seconds)
{
	for (unsigned row = 0, lines = 0; row < ROWS_MAX && lines < 40; row++)
		if (c->differing_rows[row]) {
			printf("row %u %s: %u differ\n", row,
			       insn_op_name(insn_rows[row].op),
			       c->differing_rows[row]);
			lines++;
		}
	printf("%lu cases over %u rows, %lu of them faults: %lu differ, "
	       "%lu killed the sandbox; ",
	       c->compared, c->row_count, c->faulting, c->differing, c->died);
	if (c->guest.vm)
		printf("%lu wholly in translated code; ", c->translated);
	printf("%.0f cases/s\n", c->compared / seconds);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static bool compare(struct comparison *c)
{
	const struct options *options = &c->options;
	double start = now();

	if (options->one_case != ~0ull) {
		batch_compare(c, options->one_case, 1);
	} else {
		for (uint64_t first = 0; first < options->count; first += BATCH)
			batch_compare(c, first,
				      MIN(BATCH, options->count - first));
	}
	summary_print(c, now() - start);
	return c->differing == 0 && c->died == 0;
}

/* The engine's options are cut out of its name. */
static bool world_init(struct comparison *c)
{
	const char *parts[9] = { NULL };
	unsigned count = 0;

	for (char *part = c->options.engine ? strtok(c->options.engine, ",") :
					      NULL;
	     part && count < 8; part = strtok(NULL, ","))
		parts[count++] = part;
	if (!count || !strcmp(parts[0], "interp"))
		return guest_init(&c->guest, NULL, NULL) == 0;
	return !strcmp(parts[0], "bt") &&
	       guest_init(&c->guest, &bt_engine, parts + 1) == 0;
}

int main(int argc, char **argv)
{
	static struct comparison c = {
		.options = { .count = 100000,
			     .seed = 1,
			     .one_case = ~0ull,
			     .show = 10,
			     .kind = &code_kinds[CODE_64] },
	};
	bool is_same;

	if (!options_parse(&c.options, argc, argv)) {
		fprintf(stderr, "usage: compare [--mode 64|32|16] "
				"[--engine interp|bt[,KEY=VALUE...]] "
				"[--count N] [--seed N] "
				"[--case N] [--only MNEMONIC] [--show N] "
				"[--verbose]\n");
		return 2;
	}
	if (sandbox_init(&c.sandbox) < 0 || !world_init(&c)) {
		fprintf(stderr, "compare: out of memory\n");
		return 2;
	}
	c.sandbox.batch->kind = c.options.kind;
	memset(guest_page(&c.guest, PAGE_CODE), 0xcc, PAGE_SIZE);
	rows_choose(&c);
	if (c.row_count == 0) {
		fprintf(stderr, "compare: no such instruction\n");
		return 2;
	}
	is_same = compare(&c);
	guest_fini(&c.guest);
	sandbox_fini(&c.sandbox);
	return is_same ? 0 : 1;
}
