/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of registers. The first four features and their registers' order
 * are gdb's own (features/i386/64bit-*.xml, named in its manual, G.5.15); the
 * last is ours.
 */

#include "debug/gdb_registers.h"

#include <stdio.h>
#include <string.h>

#include "base/bits.h"

enum feature { CORE, SSE, SEGMENTS, SYSTEM, FEATURES };

static const char *const feature_names[FEATURES] = {
	[CORE] = "org.gnu.gdb.i386.core",
	[SSE] = "org.gnu.gdb.i386.sse",
	[SEGMENTS] = "org.gnu.gdb.i386.segments",
	[SYSTEM] = "org.ringfence.i386.system",
};

struct gdb_register {
	const char *name, *type;
	enum feature feature;
	uint8_t size; /* as gdb has it */
	uint8_t held; /* bytes of struct cpu_state; 0: reads as zero */
	uint16_t offset; /* there */
};

#define AT(member)                               \
	sizeof(((struct cpu_state *)0)->member), \
		offsetof(struct cpu_state, member)
#define GENERAL(name, n)                           \
	{                                          \
		name, "int64", CORE, 8, AT(gpr[n]) \
	}
#define SELECTOR(name, n)                                       \
	{                                                       \
		name, "int32", CORE, 4, AT(segment[n].selector) \
	}
#define X87(n)                                                \
	{                                                     \
		"st" #n, "i387_ext", CORE, 10, 10,            \
			offsetof(struct cpu_state, fpu.st[n]) \
	}
#define X87_CONTROL(name, member)                    \
	{                                            \
		name, "int", CORE, 4, AT(fpu.member) \
	}
#define X87_NONE(name)                     \
	{                                  \
		name, "int", CORE, 4, 0, 0 \
	}
#define XMM(n)                                                 \
	{                                                      \
		"xmm" #n, "vec128", SSE, 16, 16,               \
			offsetof(struct cpu_state, fpu.ymm[n]) \
	}
#define CONTROL(name, member)                        \
	{                                            \
		name, "int64", SYSTEM, 8, AT(member) \
	}

static const struct gdb_register registers[] = {
	GENERAL("rax", RAX),
	GENERAL("rbx", RBX),
	GENERAL("rcx", RCX),
	GENERAL("rdx", RDX),
	GENERAL("rsi", RSI),
	GENERAL("rdi", RDI),
	{ "rbp", "data_ptr", CORE, 8, AT(gpr[RBP]) },
	{ "rsp", "data_ptr", CORE, 8, AT(gpr[RSP]) },
	GENERAL("r8", R8),
	GENERAL("r9", R9),
	GENERAL("r10", R10),
	GENERAL("r11", R11),
	GENERAL("r12", R12),
	GENERAL("r13", R13),
	GENERAL("r14", R14),
	GENERAL("r15", R15),
	{ "rip", "code_ptr", CORE, 8, AT(rip) },
	{ "eflags", "i386_eflags", CORE, 4, 4,
	  offsetof(struct cpu_state, rflags) },
	SELECTOR("cs", SEG_CS),
	SELECTOR("ss", SEG_SS),
	SELECTOR("ds", SEG_DS),
	SELECTOR("es", SEG_ES),
	SELECTOR("fs", SEG_FS),
	SELECTOR("gs", SEG_GS),
	X87(0),
	X87(1),
	X87(2),
	X87(3),
	X87(4),
	X87(5),
	X87(6),
	X87(7),
	X87_CONTROL("fctrl", fcw),
	X87_CONTROL("fstat", fsw),
	/* The abridged tags, as FXSAVE has them. */
	X87_CONTROL("ftag", ftw),
	X87_NONE("fiseg"),
	{ "fioff", "int", CORE, 4, 4, offsetof(struct cpu_state, fpu.fip) },
	X87_NONE("foseg"),
	{ "fooff", "int", CORE, 4, 4, offsetof(struct cpu_state, fpu.fdp) },
	X87_CONTROL("fop", fop),
	XMM(0),
	XMM(1),
	XMM(2),
	XMM(3),
	XMM(4),
	XMM(5),
	XMM(6),
	XMM(7),
	XMM(8),
	XMM(9),
	XMM(10),
	XMM(11),
	XMM(12),
	XMM(13),
	XMM(14),
	XMM(15),
	{ "mxcsr", "int", SSE, 4, AT(fpu.mxcsr) },
	{ "fs_base", "int64", SEGMENTS, 8, AT(segment[SEG_FS].base) },
	{ "gs_base", "int64", SEGMENTS, 8, AT(segment[SEG_GS].base) },
	CONTROL("k_gs_base", msr.kernel_gs_base),
	CONTROL("cr0", cr0),
	CONTROL("cr2", cr2),
	CONTROL("cr3", cr3),
	CONTROL("cr4", cr4),
	CONTROL("cr8", cr8),
	CONTROL("efer", msr.efer),
	CONTROL("xcr0", xcr0),
	CONTROL("pkru", pkru),
	CONTROL("pkrs", msr.pkrs),
	CONTROL("cs_base", segment[SEG_CS].base),
	CONTROL("gdtr_base", gdtr.base),
	CONTROL("idtr_base", idtr.base),
	CONTROL("tr_base", tr.base),
};

unsigned gdb_register_count(void)
{
	return ARRAY_SIZE(registers);
}

void gdb_register_read(const struct cpu_state *state, unsigned number,
		       struct rsp_reply *reply)
{
	const struct gdb_register *r = &registers[number];
	uint8_t value[16] = { 0 };

	memcpy(value, (const uint8_t *)state + r->offset, r->held);
	rsp_put_hex(reply, value, r->size);
}

/* Selectors have a hidden part that the debugger would leave stale, and control
 * registers rules of their own: those are for reading. */
static bool is_writable(const struct gdb_register *r)
{
	return r->feature != SYSTEM && r->held && strcmp(r->type, "int32") != 0;
}

bool gdb_register_write(struct cpu_state *state, unsigned number,
			const char **at)
{
	const struct gdb_register *r = &registers[number];
	uint8_t value[16];

	if (!rsp_take_hex(at, value, r->size))
		return false;
	if (!is_writable(r))
		return true;
	/* Reserved bits of MXCSR would fault where it is loaded. */
	if (strcmp(r->name, "mxcsr") == 0)
		value[2] = value[3] = 0;
	if (r->feature == SSE || strncmp(r->name, "st", 2) == 0)
		state->fpu.xstate_bv |= XCR0_X87 | XCR0_SSE;
	memcpy((uint8_t *)state + r->offset, value, r->held);
	if (strcmp(r->name, "eflags") == 0)
		state->rflags |= RFLAGS_FIXED1;
	return true;
}

/* --- the description ------------------------------------------------------ */

static const char flags_type[] = "<flags id=\"i386_eflags\" size=\"4\">"
				 "<field name=\"CF\" start=\"0\" end=\"0\"/>"
				 "<field name=\"\" start=\"1\" end=\"1\"/>"
				 "<field name=\"PF\" start=\"2\" end=\"2\"/>"
				 "<field name=\"AF\" start=\"4\" end=\"4\"/>"
				 "<field name=\"ZF\" start=\"6\" end=\"6\"/>"
				 "<field name=\"SF\" start=\"7\" end=\"7\"/>"
				 "<field name=\"TF\" start=\"8\" end=\"8\"/>"
				 "<field name=\"IF\" start=\"9\" end=\"9\"/>"
				 "<field name=\"DF\" start=\"10\" end=\"10\"/>"
				 "<field name=\"OF\" start=\"11\" end=\"11\"/>"
				 "<field name=\"NT\" start=\"14\" end=\"14\"/>"
				 "<field name=\"RF\" start=\"16\" end=\"16\"/>"
				 "<field name=\"VM\" start=\"17\" end=\"17\"/>"
				 "<field name=\"AC\" start=\"18\" end=\"18\"/>"
				 "<field name=\"ID\" start=\"21\" end=\"21\"/>"
				 "</flags>\n";

static const char vector_type[] =
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
	"<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
	"<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
	"<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
	"<union id=\"vec128\">"
	"<field name=\"v4_float\" type=\"v4f\"/>"
	"<field name=\"v2_double\" type=\"v2d\"/>"
	"<field name=\"v16_int8\" type=\"v16i8\"/>"
	"<field name=\"v8_int16\" type=\"v8i16\"/>"
	"<field name=\"v4_int32\" type=\"v4i32\"/>"
	"<field name=\"v2_int64\" type=\"v2i64\"/>"
	"<field name=\"uint128\" type=\"uint128\"/>"
	"</union>\n";

static void describe_feature(FILE *file, enum feature feature)
{
	fprintf(file, "<feature name=\"%s\">\n", feature_names[feature]);
	if (feature == CORE)
		fputs(flags_type, file);
	if (feature == SSE)
		fputs(vector_type, file);
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		if (registers[i].feature == feature)
			fprintf(file,
				"<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" "
				"regnum=\"%u\"/>\n",
				registers[i].name, registers[i].size * 8u,
				registers[i].type, i);
	fprintf(file, "</feature>\n");
}

char *gdb_target_description(size_t *size)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, size);

	if (!file)
		return NULL;
	fprintf(file, "<?xml version=\"1.0\"?>\n"
		      "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
		      "<target>\n<architecture>i386:x86-64</architecture>\n");
	for (enum feature feature = 0; feature < FEATURES; feature++)
		describe_feature(file, feature);
	fprintf(file, "</target>\n");
	fclose(file);
	return text;
}
