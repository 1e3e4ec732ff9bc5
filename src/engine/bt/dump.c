/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations as text. Host code is named by what it refers to, so that a
 * listing says the same wherever the cache lies and however struct bt_vcpu is
 * laid out: tests/codegen compares such listings.
 */
#include "engine/bt/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/vm.h"
#include "engine/bt/translate.h"
#include "x86/decode.h"
#include "x86/format.h"

#define BT_TEXT_SIZE 192

/* --- names ------------------------------------------------------------------ */

/* A field of struct bt_vcpu; arrays by their element's size. */
static const struct {
	uint32_t offset, size, element;
	const char *name;
} fields[] = {
#define NAMED(field, name)                                                  \
	{                                                                   \
		FIELD(field), sizeof(((struct bt_vcpu *)0)->field), 0, name \
	}
#define ARRAY(field, name)                                            \
	{                                                             \
		FIELD(field), sizeof(((struct bt_vcpu *)0)->field),   \
			sizeof(((struct bt_vcpu *)0)->field[0]), name \
	}
	ARRAY(cpu.s.gpr, "gpr"),
	NAMED(cpu.s.rip, "rip"),
	NAMED(cpu.s.rflags, "rflags"),
	ARRAY(cpu.s.segment, "segment"),
	NAMED(cpu.s.cr0, "cr0"),
	NAMED(cpu.s.cr2, "cr2"),
	NAMED(cpu.s.cr3, "cr3"),
	NAMED(cpu.s.cr4, "cr4"),
	NAMED(cpu.s.msr, "msr"),
	NAMED(cpu.cpl, "cpl"),
	NAMED(cpu.view, "view"),
	NAMED(cpu.attention, "attention"),
	ARRAY(cpu.tlb.entry[MMU_USER][MMU_READ], "tlb_user_read"),
	ARRAY(cpu.tlb.entry[MMU_USER][MMU_WRITE], "tlb_user_write"),
	ARRAY(cpu.tlb.entry[MMU_SUPERVISOR][MMU_READ], "tlb_read"),
	ARRAY(cpu.tlb.entry[MMU_SUPERVISOR][MMU_WRITE], "tlb_write"),
	ARRAY(cpu.tlb.entry[MMU_SMAP][MMU_READ], "tlb_smap_read"),
	ARRAY(cpu.tlb.entry[MMU_SMAP][MMU_WRITE], "tlb_smap_write"),
	NAMED(flags, "flags"),
	ARRAY(spill, "spill"),
	NAMED(stop, "stop"),
	NAMED(address, "address"),
	NAMED(exit_link, "exit_link"),
	NAMED(exit_reason, "exit_reason"),
	NAMED(tsc_offset, "tsc_offset"),
	NAMED(has_waiting, "has_waiting"),
	ARRAY(stack, "stack"),
	NAMED(percpu.base, "percpu.base"),
	NAMED(percpu.active, "percpu.active"),
	ARRAY(percpu.choice, "percpu.choice"),
	ARRAY(exec[MMU_USER], "exec_user"),
	ARRAY(exec[MMU_SUPERVISOR], "exec"),
	ARRAY(exec[MMU_SMAP], "exec_smap"),
	ARRAY(exec[MMU_VIEWS + MMU_USER], "exec_32_user"),
	ARRAY(exec[MMU_VIEWS + MMU_SUPERVISOR], "exec_32"),
	ARRAY(exec[MMU_VIEWS + MMU_SMAP], "exec_32_smap"),
	ARRAY(exec[2 * MMU_VIEWS + MMU_USER], "exec_16_user"),
	ARRAY(exec[2 * MMU_VIEWS + MMU_SUPERVISOR], "exec_16"),
	ARRAY(exec[2 * MMU_VIEWS + MMU_SMAP], "exec_16_smap"),
	ARRAY(jump, "jump"),
#undef NAMED
#undef ARRAY
};

static bool field_name(char *text, size_t size, uint32_t offset)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		uint32_t in = offset - fields[i].offset;
		uint32_t element = fields[i].element;
		int n;

		if (in >= fields[i].size)
			continue;
		n = snprintf(text, size, "%s", fields[i].name);
		if (element) {
			n += snprintf(text + n, size - n, ".%u", in / element);
			in %= element;
		}
		if (in)
			snprintf(text + n, size - n, "+%u", in);
		return true;
	}
	return false;
}

static const struct {
	size_t offset;
	unsigned count;
	const char *name;
} stubs[] = {
#define STUB(stub, name)                                 \
	{                                                \
		offsetof(struct bt_stubs, stub), 1, name \
	}
#define STUBS(stub, name)                                              \
	{                                                              \
		offsetof(struct bt_stubs, stub),                       \
			sizeof(((struct bt_stubs *)0)->stub) / 8, name \
	}
	STUB(dispatch, "dispatch"),
	STUB(interpret, "interpret"),
	STUB(interpret_here, "interpret_here"),
	STUB(miss, "miss"),
	STUB(repeat_miss, "repeat_miss"),
	STUB(stack, "stack"),
	STUB(attention, "attention"),
	STUBS(call, "call"),
	STUBS(lookup, "lookup"),
	STUBS(lookup_return, "lookup_return"),
	STUBS(stack_refill, "stack_refill"),
	STUBS(repeat, "repeat"),
	STUB(syscall, "syscall"),
	STUB(sysret, "sysret"),
	STUBS(iret, "iret"),
	STUB(missed, "missed"),
	STUB(return_miss, "return_miss"),
	STUB(return_bottom, "return_bottom"),
#undef STUB
#undef STUBS
};

static const uint8_t *stub_at(const struct bt_vm *bt, unsigned i, unsigned n)
{
	const uint8_t *address;

	memcpy(&address, (const uint8_t *)&bt->stubs + stubs[i].offset + 8 * n,
	       8);
	return address;
}

static bool stub_name(char *text, size_t size, const struct bt_vm *bt,
		      const uint8_t *address)
{
	for (unsigned i = 0; i < ARRAY_SIZE(stubs); i++)
		for (unsigned n = 0; n < stubs[i].count; n++) {
			if (stub_at(bt, i, n) != address)
				continue;
			if (stubs[i].count == 1)
				snprintf(text, size, "%s", stubs[i].name);
			else
				snprintf(text, size, "%s.%u", stubs[i].name, n);
			return true;
		}
	return false;
}

/* --- host code --------------------------------------------------------------- */

static void replace(char text[BT_TEXT_SIZE], const char *old, const char *new)
{
	char *at = strstr(text, old), rest[BT_TEXT_SIZE];

	if (!at)
		return;
	snprintf(rest, sizeof(rest), "%s", at + strlen(old));
	snprintf(at, (size_t)(text + BT_TEXT_SIZE - at), "%s%s", new, rest);
}

/* Where a branch or a RIP-relative operand leads: +offset, or a stub. */
static void name_place(char text[BT_TEXT_SIZE], const struct bt_vm *bt,
		       const char *old, const uint8_t *place,
		       const uint8_t *start)
{
	char name[64];

	if (!stub_name(name, sizeof(name), bt, place))
		snprintf(name, sizeof(name), "+%#lx",
			 (uint64_t)(place - bt_executable(bt, start)));
	replace(text, old, name);
}

static const uint8_t *place_of(const struct bt_vm *bt, const uint8_t *at,
			       const struct insn *insn, int64_t displacement)
{
	return bt_executable(bt, at) + insn->len + displacement;
}

static void format_insn(char text[BT_TEXT_SIZE], const struct bt_vm *bt,
			const uint8_t *at, const struct insn *decoded,
			const uint8_t *start)
{
	uint64_t address = (uint64_t)bt_executable(bt, at);
	const struct insn insn = *decoded;
	char old[32], name[64];

	insn_format(text, BT_TEXT_SIZE, &insn, address);
	for (unsigned i = 0; i < insn.nops; i++) {
		const struct operand *operand = &insn.operand[i];
		uint32_t offset = (uint32_t)insn.disp;

		if (operand->kind == OPND_REL) {
			snprintf(old, sizeof(old), "%#lx",
				 address + insn.len + (uint64_t)insn.imm);
			name_place(text, bt, old,
				   place_of(bt, at, &insn, insn.imm), start);
		} else if (operand->kind == OPND_MEM && insn.seg == SEG_GS &&
			   field_name(name, sizeof(name), offset)) {
			snprintf(old, sizeof(old), "%#x", offset);
			replace(text, old, name);
		} else if (operand->kind == OPND_MEM &&
			   insn.base == INSN_REG_RIP) {
			snprintf(old, sizeof(old), "%s%#lx",
				 insn.disp < 0 ? "rip-" : "rip+",
				 insn.disp < 0 ? -insn.disp : insn.disp);
			name_place(text, bt, old,
				   place_of(bt, at, &insn, insn.disp), start);
		}
	}
}

/* How much of the cache a struct bt_stop takes. */
static unsigned format_stop(char text[BT_TEXT_SIZE], const uint8_t *at,
			    const uint8_t *start)
{
	struct bt_stop stop;
	long place = at - start;

	memcpy(&stop, at, sizeof(stop));
	snprintf(text, BT_TEXT_SIZE, "stop %#lx, resume +%#lx, retry +%#lx",
		 stop.rip, stop.resume ? place + stop.resume : 0,
		 stop.retry ? place + stop.retry : 0);
	return sizeof(stop) + (stop.has_insn ? sizeof(struct bt_stop_insn) : 0);
}

/* LEA names the records that stand between pieces of code. */
struct records {
	const uint8_t *at[TRANSLATE_COLD_MAX];
	unsigned count;
};

static bool is_record(const struct records *records, const uint8_t *at)
{
	for (unsigned i = 0; i < records->count; i++)
		if (records->at[i] == at)
			return true;
	return false;
}

void bt_host_list(const struct bt_vm *bt, const uint8_t *start,
		  const uint8_t *end,
		  void (*put)(void *sink, const uint8_t *at, const char *text),
		  void *sink)
{
	struct records records = { .count = 0 };

	for (const uint8_t *at = start; at < end;) {
		size_t left = (size_t)(end - at);
		char text[BT_TEXT_SIZE];
		struct insn insn;
		unsigned length;

		if (is_record(&records, at)) {
			length = format_stop(text, at, start);
		} else if (insn_decode(&insn, at, MIN(left, 64ul),
				       X86_MODE_64) <= 0) {
			snprintf(text, sizeof(text), "byte %#x", *at);
			length = 1;
		} else {
			format_insn(text, bt, at, &insn, start);
			length = insn.len;
			if (insn.op == OP_LEA && insn.base == INSN_REG_RIP &&
			    records.count < TRANSLATE_COLD_MAX)
				records.at[records.count++] =
					at + length + insn.disp;
		}
		put(sink, at, text);
		at += length;
	}
}

/* --- -d g and h -------------------------------------------------------------- */

static void dump_guest(const struct translation *t, struct vm *vm)
{
	for (unsigned i = 0; i < t->count; i++) {
		char text[INSN_TEXT_SIZE];

		insn_format(text, sizeof(text), &t->insn[i], insn_rip(t, i));
		trace_put(vm, t->vcpu->vcpu, TRACE_GUEST_CODE, "%016lx  %s",
			  insn_rip(t, i), text);
	}
}

static void put_host(void *sink, const uint8_t *at, const char *text)
{
	const struct translation *t = sink;

	trace_put(t->bt->vm, t->vcpu->vcpu, TRACE_HOST_CODE, "%016lx  %s",
		  (uint64_t)bt_executable(t->bt, at), text);
}

void bt_dump_block(const struct translation *t)
{
	struct vm *vm = t->bt->vm;

	if (!t->bt->perf_map && !trace_is_on(&vm->trace, TRACE_GUEST_CODE) &&
	    !trace_is_on(&vm->trace, TRACE_HOST_CODE))
		return;
	bt_vectors_leave(t->vcpu);
	if (trace_is_on(&vm->trace, TRACE_GUEST_CODE))
		dump_guest(t, vm);
	if (trace_is_on(&vm->trace, TRACE_HOST_CODE))
		bt_host_list(t->bt, t->bt->writable + t->block->code,
			     t->bt->writable + t->block->end, put_host,
			     (void *)t);
	if (t->bt->perf_map)
		fprintf(t->bt->perf_map, "%lx %x guest_%016lx_%x\n",
			(uint64_t)bt_code(t->bt, t->block->code),
			t->block->end - t->block->code, t->rip,
			t->block->flavour);
}

/* --- perf -------------------------------------------------------------------- */

static void map_stubs(const struct bt_vm *bt)
{
	fprintf(bt->perf_map, "%lx %x bt_stubs\n", (uint64_t)bt->executable,
		BT_STUBS_ROOM);
}

/* perf wants it there, by that name; somebody else's file is not written. */
int bt_perf_map_open(struct bt_vm *bt)
{
	char name[64];
	cleanup_fd int fd = -1;
	struct stat stat;

	snprintf(name, sizeof(name), "/tmp/perf-%d.map", (int)getpid());
	fd = open(name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &stat) || stat.st_uid != geteuid() ||
	    !S_ISREG(stat.st_mode) || stat.st_nlink != 1 || ftruncate(fd, 0)) {
		log_error("%s: cannot be written", name);
		return -EACCES;
	}
	bt->perf_map = fdopen(fd, "w");
	if (!bt->perf_map)
		return -ENOMEM;
	take_fd(&fd);
	setvbuf(bt->perf_map, NULL, _IOLBF, 1 << 14);
	map_stubs(bt);
	return 0;
}

void bt_perf_map_close(struct bt_vm *bt)
{
	if (bt->perf_map)
		fclose(bt->perf_map);
	bt->perf_map = NULL;
}
