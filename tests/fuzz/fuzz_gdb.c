/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a debugger sends: packets and the commands in them, to a VM of two
 * processors that stand. Half of the inputs are put together from the pieces
 * that commands are made of, under checksums that are right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "core/vm.h"
#include "debug/gdb_internal.h"
#include "debug/gdb_registers.h"
#include "engine/interp/engine.h"
#include "x86/cpu_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pieces[] = {
	"g",
	"G",
	"p",
	"P",
	"m",
	"M",
	"X",
	"Z",
	"z",
	"s",
	"c",
	"D",
	"H",
	"T",
	"?",
	"k",
	"vCont",
	"vCont?",
	";s",
	";c",
	";C05",
	":1",
	":2",
	":-1",
	"0",
	"1",
	"2",
	"3",
	"4",
	",",
	":",
	"=",
	"fff0",
	"8",
	"1000",
	"ffffffffffffffff",
	"00",
	"deadbeef",
	"qSupported:swbreak+",
	"qfThreadInfo",
	"qThreadExtraInfo,",
	"qC",
	"qXfer:features:read:target.xml:",
	"Hg",
	"-1",
	"10",
	"3fff",
	"4000",
};

struct target {
	struct vm vm;
	struct cpuid_table cpuid;
	struct gdb gdb;
};

static struct target *create(void)
{
	struct target *target = calloc(1, sizeof(*target));
	struct vm *vm = &target->vm;
	char dropped[CPU_DROPPED_MAX];
	struct cpu_request request = { .model = CPU_MODEL_DEFAULT,
				       .vcpus = 2,
				       .tsc_khz = 1000000 };

	BUG_ON(vm_init(vm, "fuzz", &interp_engine));
	BUG_ON(memory_init(&vm->memory, vm, 1 << 20, 0));
	BUG_ON(cpu_model_build(&request, &target->cpuid, dropped));
	vm->cpuid = &target->cpuid;
	BUG_ON(interp_engine.vm_create(vm));
	BUG_ON(vm_add_vcpu(vm) || vm_add_vcpu(vm));
	target->gdb.vm = vm;
	target->gdb.is_stopped = true;
	target->gdb.description =
		gdb_target_description(&target->gdb.description_size);
	return target;
}

static void feed(struct gdb *gdb, uint8_t byte)
{
	static char frame[2 * RSP_PACKET_MAX + 8];
	size_t size;

	if (rsp_feed(&gdb->parser, byte) != RSP_PACKET)
		return;
	gdb->reply.size = 0;
	gdb->reply.is_full = false;
	gdb_command(gdb);
	size = rsp_frame(&gdb->reply, frame);
	BUG_ON(size < 4 || size > sizeof(frame));
	BUG_ON(gdb->current >= gdb->vm->vcpu_count);
	BUG_ON(gdb->point_count > GDB_BREAKPOINTS_MAX);
	gdb_pause(gdb);
	gdb->reply.size = 0;
	gdb_stop_reply(gdb, 2);
}

/* A byte names a piece; one of the upper half ends the packet. */
static void assemble(struct gdb *gdb, const uint8_t *data, size_t size)
{
	uint8_t sum = 0;
	char end[8];

	feed(gdb, '$');
	for (size_t i = 0; i < size; i++) {
		const char *piece = pieces[data[i] % ARRAY_SIZE(pieces)];

		for (; *piece; sum += (uint8_t)*piece++)
			feed(gdb, (uint8_t)*piece);
		if (data[i] < 0x80 && i + 1 < size)
			continue;
		snprintf(end, sizeof(end), "#%02x$", sum);
		for (const char *at = end; *at; at++)
			feed(gdb, (uint8_t)*at);
		sum = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct target *target;

	if (!target)
		target = create();
	if (size && (data[0] & 1))
		assemble(&target->gdb, data + 1, size - 1);
	else
		for (size_t i = 0; i < size; i++)
			feed(&target->gdb, data[i]);
	return 0;
}
