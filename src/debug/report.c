/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dump of a vCPU that cannot go on. Every part says what it found with a
 * fixed number of lines, whatever the guest has in its registers and memory.
 */

#include "debug/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "core/vm.h"
#include "debug/guest_code.h"
#include "debug/symbols.h"
#include "x86/walk.h"

#define CODE_BEFORE   16
#define CODE_AFTER    32
#define STACK_WORDS   24
#define FRAMES_MAX    16
#define OTHERS_MAX    8
#define WALK_READS    8
#define RESET_VECTOR  0xfff0

#define log_part(...) log_error("  " __VA_ARGS__)

/* --- registers ------------------------------------------------------------ */

static void report_general(const struct cpu_state *s)
{
	for (unsigned i = 0; i < GPR_COUNT; i += 4)
		log_part("%-3s %016" PRIx64 "  %-3s %016" PRIx64
			 "  %-3s %016" PRIx64 "  %-3s %016" PRIx64,
			 gpr_names[i], s->gpr[i], gpr_names[i + 1],
			 s->gpr[i + 1], gpr_names[i + 2], s->gpr[i + 2],
			 gpr_names[i + 3], s->gpr[i + 3]);
}

/* "ZF IF" and so on. */
static void flags_text(uint64_t rflags, char *text, size_t size)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} flags[] = {
		{ RFLAGS_CF, " CF" }, { RFLAGS_PF, " PF" },
		{ RFLAGS_AF, " AF" }, { RFLAGS_ZF, " ZF" },
		{ RFLAGS_SF, " SF" }, { RFLAGS_TF, " TF" },
		{ RFLAGS_IF, " IF" }, { RFLAGS_DF, " DF" },
		{ RFLAGS_OF, " OF" }, { RFLAGS_NT, " NT" },
		{ RFLAGS_RF, " RF" }, { RFLAGS_VM, " VM" },
		{ RFLAGS_AC, " AC" },
	};
	size_t length = 0;

	text[0] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(flags) && length + 4 < size; i++)
		if (rflags & flags[i].bit) {
			memcpy(text + length, flags[i].name, 4);
			length += 3;
		}
}

static const char *mode_name(const struct cpu_state *s)
{
	switch (guest_mode(s)) {
	case X86_MODE_REAL:
		return s->rflags & RFLAGS_VM ? "virtual-8086" : "real mode";
	case X86_MODE_16:
		return "16-bit";
	case X86_MODE_32:
		return cpu_is_long_mode(s) ? "compatibility" : "32-bit";
	case X86_MODE_64:
		return "64-bit";
	}
	return "";
}

static void report_rip(const struct cpu_state *s, const struct symbols *symbols)
{
	char name[SYMBOL_TEXT_MAX], flags[64];

	symbol_text(symbols, s, guest_rip(s), name);
	flags_text(s->rflags, flags, sizeof(flags));
	log_part("rip %04x:%016" PRIx64 "%s%s  %s, CPL %u",
		 s->segment[SEG_CS].selector, s->rip, *name ? " " : "", name,
		 mode_name(s), cpu_privilege(s));
	log_part("rflags %08" PRIx64 "%s", s->rflags, flags);
}

static void report_segment(const char *name, const struct cpu_segment *segment)
{
	log_part("%-4s %04x base %016" PRIx64 " limit %08" PRIx32
		 " attributes %05" PRIx32 "%s",
		 name, segment->selector, segment->base, segment->limit,
		 segment->attributes,
		 segment->attributes & SEGMENT_UNUSABLE ? " unusable" : "");
}

static void report_segments(const struct cpu_state *s)
{
	static const char names[SEG_COUNT][3] = { "es", "cs", "ss",
						  "ds", "fs", "gs" };

	for (unsigned i = 0; i < SEG_COUNT; i++)
		report_segment(names[i], &s->segment[i]);
	report_segment("ldtr", &s->ldtr);
	report_segment("tr", &s->tr);
	log_part("gdtr %016" PRIx64 " limit %04x  idtr %016" PRIx64
		 " limit %04x",
		 s->gdtr.base, s->gdtr.limit, s->idtr.base, s->idtr.limit);
}

static void report_control(const struct cpu_state *s)
{
	static const char *const activities[] = {
		[CPU_ACTIVE] = "active",
		[CPU_HALTED] = "halted",
		[CPU_SHUTDOWN] = "shut down",
		[CPU_WAIT_SIPI] = "waits for its start-up IPI",
	};

	log_part("cr0 %08" PRIx64 "  cr2 %016" PRIx64 "  cr3 %016" PRIx64
		 "  cr4 %08" PRIx64 "  cr8 %" PRIx64 "  xcr0 %" PRIx64,
		 s->cr0, s->cr2, s->cr3, s->cr4, s->cr8, s->xcr0);
	log_part("efer %04" PRIx64 "  lstar %016" PRIx64
		 "  kernel_gs %016" PRIx64 "  dr6 %08" PRIx64
		 "  dr7 %08" PRIx64,
		 s->msr.efer, s->msr.lstar, s->msr.kernel_gs_base, s->dr[6],
		 s->dr[7]);
	if (s->cr4 & (CR4_PKE | CR4_PKS))
		log_part("pkru %08" PRIx32 "  pkrs %08" PRIx64, s->pkru,
			 s->msr.pkrs);
	log_part("%s%s%s%s%s", activities[s->activity],
		 s->sti_shadow ? ", behind STI" : "",
		 s->mov_ss_shadow ? ", behind MOV SS" : "",
		 s->nmi_is_blocked ? ", NMI blocked" : "",
		 s->nmi_is_pending ? ", NMI pending" : "");
	if (s->event.is_valid)
		log_part("on its way in: vector %02x, kind %u, error %" PRIx32,
			 s->event.vector, s->event.kind, s->event.error_code);
}

/* --- memory --------------------------------------------------------------- */

/* The byte at RIP in brackets; "--" for what is not mapped. */
static void report_code(struct vcpu *vcpu, const struct cpu_state *s)
{
	char text[4 * (CODE_BEFORE + CODE_AFTER)] = "", insn[INSN_TEXT_SIZE];
	gva_t rip = guest_rip(s);
	size_t length = 0;

	for (int i = -CODE_BEFORE; i < CODE_AFTER; i++) {
		uint8_t byte;
		bool is_there = guest_read(vcpu, rip + i, &byte, 1);
		char hex[3] = "--";

		if (is_there)
			snprintf(hex, sizeof(hex), "%02x", byte);
		/* The brackets stand in the place of two blanks. */
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "%s%s%s",
					   i == 0 ? "[" :
					   i == 1 ? "" :
						    " ",
					   hex, i == 0 ? "]" : "");
	}
	guest_insn_text(vcpu, s, insn);
	log_part("code%s", text);
	log_part("next %s", insn);
}

static unsigned word_size(const struct cpu_state *s)
{
	return guest_mode(s) == X86_MODE_64 ? 8 :
	       guest_mode(s) == X86_MODE_32 ? 4 :
					      2;
}

static gva_t stack_top(const struct cpu_state *s)
{
	const struct cpu_segment *ss = &s->segment[SEG_SS];

	if (cpu_is_64bit(s))
		return s->gpr[RSP];
	return (uint32_t)(ss->base + (ss->attributes & SEGMENT_DB ?
					      (uint32_t)s->gpr[RSP] :
					      (uint16_t)s->gpr[RSP]));
}

static void report_stack(struct vcpu *vcpu, const struct cpu_state *s,
			 const struct symbols *symbols)
{
	unsigned size = word_size(s), count;
	uint8_t bytes[STACK_WORDS * 8];
	char text[20 * 4];
	size_t length;

	count = guest_read(vcpu, stack_top(s), bytes, STACK_WORDS * size) /
		size;
	if (!count)
		log_part("stack: not mapped");
	for (unsigned i = 0; i < count; i += 4) {
		length = 0;
		for (unsigned j = i; j < MIN(i + 4, count); j++) {
			uint64_t word = 0;

			memcpy(&word, bytes + j * size, size);
			length += (size_t)snprintf(text + length,
						   sizeof(text) - length,
						   " %0*" PRIx64, 2 * size,
						   word);
		}
		log_part("%s%s", i ? "     " : "stack", text);
	}
	if (!symbols)
		return;
	for (unsigned i = 0, named = 0; i < count && named < FRAMES_MAX; i++) {
		char name[SYMBOL_TEXT_MAX];
		uint64_t word = 0;

		memcpy(&word, bytes + i * size, size);
		symbol_text(symbols, s, word, name);
		if (*name && ++named)
			log_part("  [stack+%02x] %016" PRIx64 " %s", i * size,
				 word, name);
	}
}

/* --- paging --------------------------------------------------------------- */

/* The walk's table entries, in its order. */
struct walk_log {
	struct vm *vm;
	unsigned count;
	struct {
		gpa_t gpa;
		uint64_t value;
	} entry[WALK_READS];
};

static uint64_t read_entry(void *world, gpa_t gpa, unsigned size)
{
	struct walk_log *log = world;
	uint64_t value = 0;

	if (memory_read(&log->vm->memory, gpa, &value, size))
		value = size_mask(size);
	if (log->count < WALK_READS) {
		log->entry[log->count].gpa = gpa;
		log->entry[log->count++].value = value;
	}
	return value;
}

/* It looks, and leaves accessed flags alone. */
static bool keep_entry(void *world, gpa_t gpa, unsigned size, uint64_t old,
		       uint64_t new)
{
	return true;
}

static void report_walk(struct vcpu *vcpu, const struct cpu_state *s)
{
	struct walk_log log = { .vm = vcpu->vm };
	struct walk_paging paging = { .cr0 = s->cr0,
				      .cr3 = s->cr3,
				      .cr4 = s->cr4,
				      .efer = s->msr.efer,
				      .maxphyaddr = 52 };
	const struct walk walk = { .read = read_entry,
				   .exchange = keep_entry,
				   .world = &log,
				   .count = 1,
				   .stage = {
					   { walk_guest_paging, &paging } } };
	const struct walk_access access = { .kind = WALK_FETCH,
					    .is_user = cpu_privilege(s) == 3 };
	struct walk_fault fault;
	struct walk_page page;
	bool is_mapped;

	memcpy(paging.pdpte, s->pdpte, sizeof(paging.pdpte));
	if (!(s->cr0 & CR0_PG)) {
		log_part("paging is off");
		return;
	}
	is_mapped = walk_translate(&walk, guest_rip(s), &access, &page, &fault);
	log_part("walk of rip %016" PRIx64 ":", guest_rip(s));
	for (unsigned i = 0; i < log.count; i++)
		log_part("  at %012" PRIx64 ": %016" PRIx64, log.entry[i].gpa,
			 log.entry[i].value);
	if (is_mapped)
		log_part("  is %012" PRIx64 ", page of %" PRIu64 " KiB, %s, %s",
			 page.gpa, page.size >> 10,
			 page.is_writable ? "writable" : "read only",
			 page.is_user ? "user" : "supervisor");
	else
		log_part("  a fetch is #PF with error code %" PRIx32,
			 fault.error);
}

/* --- all of it ------------------------------------------------------------ */

/* AMD's processors hand back an undefined state after a shutdown, and KVM then
 * that of INIT (APM 2, 15.14.3). */
static bool is_lost(const struct cpu_state *s)
{
	return s->rip == RESET_VECTOR && !(s->cr0 & CR0_PE) &&
	       s->segment[SEG_CS].selector == 0xf000;
}

int report_vcpu(struct vcpu *vcpu, const struct symbols *symbols)
{
	struct cpu_state s;
	int error = vcpu->vm->engine_ops->get_state(vcpu, &s);

	if (error)
		return error;
	log_error("vCPU %u on %s, %" PRIu64 " ms of its time:", vcpu->index,
		  vcpu->vm->engine_ops->name,
		  clock_ns(&vcpu->vm->clock) / 1000000);
	if (is_lost(&s))
		log_part("(the state of INIT: what was before it is lost)");
	report_rip(&s, symbols);
	report_general(&s);
	report_control(&s);
	report_segments(&s);
	report_code(vcpu, &s);
	report_stack(vcpu, &s, symbols);
	report_walk(vcpu, &s);
	return 0;
}

static void report_other(struct vcpu *vcpu, const struct symbols *symbols)
{
	char name[SYMBOL_TEXT_MAX];
	struct cpu_state s;

	if (vcpu->vm->engine_ops->get_state(vcpu, &s))
		return;
	symbol_text(symbols, &s, guest_rip(&s), name);
	log_error("vCPU %u: rip %04x:%016" PRIx64 "%s%s rsp %016" PRIx64
		  " cr3 %" PRIx64 "%s",
		  vcpu->index, s.segment[SEG_CS].selector, s.rip,
		  *name ? " " : "", name, s.gpr[RSP], s.cr3,
		  s.activity == CPU_HALTED    ? ", halted" :
		  s.activity == CPU_WAIT_SIPI ? ", not started" :
						"");
}

void report_fatal(struct vm *vm, const struct symbols *symbols)
{
	unsigned others = 0;

	if (!vm->stop_vcpu)
		return;
	report_vcpu(vm->stop_vcpu, symbols);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		if (vm->vcpus[i] == vm->stop_vcpu)
			continue;
		if (others++ < OTHERS_MAX)
			report_other(vm->vcpus[i], symbols);
	}
	if (others > OTHERS_MAX)
		log_error("(and %u more)", others - OTHERS_MAX);
}

void report_bug(struct vm *vm)
{
	for (unsigned i = 0; i < MIN(vm->vcpu_count, OTHERS_MAX); i++) {
		struct vcpu *vcpu = vm->vcpus[i];
		struct cpu_state s;

		report_other(vcpu, NULL);
		/* The one whose thread found it says more. */
		if (!vcpu->has_thread ||
		    !pthread_equal(vcpu->thread, pthread_self()) ||
		    vm->engine_ops->get_state(vcpu, &s))
			continue;
		report_rip(&s, NULL);
		report_general(&s);
		report_control(&s);
	}
}
