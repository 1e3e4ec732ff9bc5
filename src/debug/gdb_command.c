/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a debugger asks: gdb's manual, appendix E. A thread is a vCPU, numbered
 * from 1. Everything here runs while the VM stands still; a packet that comes
 * while it runs is refused.
 */

#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "debug/gdb_internal.h"
#include "debug/gdb_registers.h"

#define BAD_PACKET "E16" /* EINVAL */
#define NO_MEMORY  "E0e" /* EFAULT */
#define NO_SPACE   "E1c" /* ENOSPC */

typedef enum gdb_next command_fn(struct gdb *gdb, const char *at);

static enum gdb_next answer(struct gdb *gdb, const char *text)
{
	rsp_put(&gdb->reply, text);
	return GDB_REPLY;
}

static struct vcpu *current(struct gdb *gdb)
{
	return gdb->vm->vcpus[gdb->current];
}

/* A thread's number, or 0 for any and -1 for all. */
static bool take_thread(struct gdb *gdb, const char **at, int *thread)
{
	uint64_t number;

	if (rsp_take(at, '-')) {
		*thread = -1;
		return rsp_take(at, '1');
	}
	if (!rsp_take_number(at, &number) || number > gdb->vm->vcpu_count)
		return false;
	*thread = (int)number;
	return true;
}

/* --- why it stands -------------------------------------------------------- */

static const struct gdb_point *find_point(const struct gdb *gdb,
					  uint64_t address)
{
	for (unsigned i = 0; i < gdb->point_count; i++)
		if (gdb->point[i].address == address)
			return &gdb->point[i];
	return NULL;
}

static void put_hit(struct gdb *gdb, const struct breakpoint *hit)
{
	static const char *const words[POINT_TYPES] = {
		[POINT_SOFTWARE] = "swbreak", [POINT_HARDWARE] = "hwbreak",
		[POINT_WRITE] = "watch",      [POINT_READ] = "rwatch",
		[POINT_ACCESS] = "awatch",
	};
	const struct gdb_point *point = find_point(gdb, hit->address);
	struct rsp_reply *reply = &gdb->reply;

	if (!point)
		return;
	if (point->type >= POINT_WRITE)
		rsp_print(reply, "%s:%llx;", words[point->type],
			  (unsigned long long)hit->address);
	else if (point->type == POINT_SOFTWARE ? gdb->says_swbreak :
						 gdb->says_hwbreak)
		rsp_print(reply, "%s:;", words[point->type]);
}

void gdb_stop_reply(struct gdb *gdb, unsigned signal)
{
	struct vm *vm = gdb->vm;

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (!atomic_load(&vcpu->has_trapped))
			continue;
		gdb->current = i;
		rsp_print(&gdb->reply, "T05thread:%x;", i + 1);
		if (vcpu->trap == RUN_BREAKPOINT)
			put_hit(gdb, &vcpu->hit);
		return;
	}
	rsp_print(&gdb->reply, "T%02xthread:%x;", signal, gdb->current + 1);
}

static enum gdb_next on_why(struct gdb *gdb, const char *at)
{
	gdb_stop_reply(gdb, 5);
	return GDB_REPLY;
}

/* --- registers ------------------------------------------------------------ */

static bool get_state(struct gdb *gdb, struct cpu_state *state)
{
	return !gdb->vm->engine_ops->get_state(current(gdb), state);
}

static enum gdb_next set_state(struct gdb *gdb, const struct cpu_state *state)
{
	if (gdb->vm->engine_ops->set_state(current(gdb), state))
		return answer(gdb, BAD_PACKET);
	return answer(gdb, "OK");
}

static enum gdb_next on_read_all(struct gdb *gdb, const char *at)
{
	struct cpu_state state;

	if (!get_state(gdb, &state))
		return answer(gdb, BAD_PACKET);
	for (unsigned i = 0; i < gdb_register_count(); i++)
		gdb_register_read(&state, i, &gdb->reply);
	return GDB_REPLY;
}

static enum gdb_next on_write_all(struct gdb *gdb, const char *at)
{
	struct cpu_state state;

	if (!get_state(gdb, &state))
		return answer(gdb, BAD_PACKET);
	for (unsigned i = 0; i < gdb_register_count() && *at; i++)
		if (!gdb_register_write(&state, i, &at))
			return answer(gdb, BAD_PACKET);
	return set_state(gdb, &state);
}

static enum gdb_next on_read_one(struct gdb *gdb, const char *at)
{
	struct cpu_state state;
	uint64_t number;

	if (!rsp_take_number(&at, &number) || number >= gdb_register_count() ||
	    !get_state(gdb, &state))
		return answer(gdb, BAD_PACKET);
	gdb_register_read(&state, (unsigned)number, &gdb->reply);
	return GDB_REPLY;
}

static enum gdb_next on_write_one(struct gdb *gdb, const char *at)
{
	struct cpu_state state;
	uint64_t number;

	if (!rsp_take_number(&at, &number) || number >= gdb_register_count() ||
	    !rsp_take(&at, '=') || !get_state(gdb, &state) ||
	    !gdb_register_write(&state, (unsigned)number, &at))
		return answer(gdb, BAD_PACKET);
	return set_state(gdb, &state);
}

/* --- memory --------------------------------------------------------------- */

/* Reads or writes up to the end of the page; the bytes done, 0 for none. */
static size_t touch_page(struct gdb *gdb, gva_t gva, uint8_t *bytes,
			 size_t size, bool is_write)
{
	struct vm *vm = gdb->vm;
	size_t part = MIN(size, PAGE_SIZE - gva % PAGE_SIZE);
	gpa_t gpa;
	int error;

	if (vm->engine_ops->translate(current(gdb), gva, &gpa))
		return 0;
	error = is_write ? memory_write(&vm->memory, gpa, bytes, part) :
			   memory_read(&vm->memory, gpa, bytes, part);
	return error ? 0 : part;
}

static size_t touch(struct gdb *gdb, gva_t gva, uint8_t *bytes, size_t size,
		    bool is_write)
{
	size_t done = 0, part;

	while (done < size) {
		part = touch_page(gdb, gva + done, bytes + done, size - done,
				  is_write);
		if (!part)
			break;
		done += part;
	}
	return done;
}

static bool take_range(const char **at, uint64_t *address, uint64_t *size)
{
	return rsp_take_number(at, address) && rsp_take(at, ',') &&
	       rsp_take_number(at, size);
}

static enum gdb_next on_read_memory(struct gdb *gdb, const char *at)
{
	uint8_t bytes[RSP_PACKET_MAX / 2];
	uint64_t address, size;
	size_t done;

	if (!take_range(&at, &address, &size))
		return answer(gdb, BAD_PACKET);
	done = touch(gdb, address, bytes, MIN(size, sizeof(bytes)), false);
	if (!done && size)
		return answer(gdb, NO_MEMORY);
	rsp_put_hex(&gdb->reply, bytes, done);
	return GDB_REPLY;
}

static enum gdb_next write_memory(struct gdb *gdb, uint64_t address,
				  uint8_t *bytes, uint64_t size)
{
	if (touch(gdb, address, bytes, size, true) != size)
		return answer(gdb, NO_MEMORY);
	return answer(gdb, "OK");
}

static enum gdb_next on_write_memory(struct gdb *gdb, const char *at)
{
	uint8_t bytes[RSP_PACKET_MAX / 2];
	uint64_t address, size;

	if (!take_range(&at, &address, &size) || !rsp_take(&at, ':') ||
	    size > sizeof(bytes) || !rsp_take_hex(&at, bytes, size))
		return answer(gdb, BAD_PACKET);
	return write_memory(gdb, address, bytes, size);
}

static enum gdb_next on_write_binary(struct gdb *gdb, const char *at)
{
	const char *end = gdb->parser.data + gdb->parser.size;
	uint64_t address, size;

	if (!take_range(&at, &address, &size) || !rsp_take(&at, ':') ||
	    size != (uint64_t)(end - at))
		return answer(gdb, BAD_PACKET);
	return write_memory(gdb, address, (uint8_t *)at, size);
}

/* --- breakpoints ---------------------------------------------------------- */

/* A debugger cannot tell a read from an access; both stop at either. */
static const enum breakpoint_kind kinds[POINT_TYPES] = {
	[POINT_SOFTWARE] = BREAKPOINT_EXECUTE,
	[POINT_HARDWARE] = BREAKPOINT_EXECUTE,
	[POINT_WRITE] = BREAKPOINT_WRITE,
	[POINT_READ] = BREAKPOINT_ACCESS,
	[POINT_ACCESS] = BREAKPOINT_ACCESS,
};

static int apply_points(struct gdb *gdb)
{
	struct breakpoint list[GDB_BREAKPOINTS_MAX];
	struct vm *vm = gdb->vm;
	int error = 0;

	for (unsigned i = 0; i < gdb->point_count; i++)
		list[i] = (struct breakpoint){
			.kind = kinds[gdb->point[i].type],
			.address = gdb->point[i].address,
			.size = gdb->point[i].size,
			.may_patch = gdb->point[i].type == POINT_SOFTWARE,
		};
	for (unsigned i = 0; i < vm->vcpu_count && !error; i++)
		error = vm->engine_ops->set_breakpoints(vm->vcpus[i], list,
							gdb->point_count);
	return error;
}

static bool take_point(const char **at, struct gdb_point *point)
{
	uint64_t type, size;

	if (!rsp_take_number(at, &type) || type >= POINT_TYPES ||
	    !rsp_take(at, ',') || !take_range(at, &point->address, &size))
		return false;
	point->type = (enum gdb_point_type)type;
	point->size = 1;
	if (type < POINT_WRITE)
		return true;
	point->size = (uint8_t)size;
	return size >= 1 && size <= 8 && is_power_of_two(size);
}

static bool points_equal(const struct gdb_point *a, const struct gdb_point *b)
{
	return a->type == b->type && a->address == b->address &&
	       a->size == b->size;
}

static void remove_point(struct gdb *gdb, const struct gdb_point *point)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < gdb->point_count; i++)
		if (!points_equal(&gdb->point[i], point))
			gdb->point[kept++] = gdb->point[i];
	gdb->point_count = kept;
}

static enum gdb_next on_insert(struct gdb *gdb, const char *at)
{
	struct gdb_point point;

	if (!take_point(&at, &point))
		return answer(gdb, BAD_PACKET);
	/* Once more is not twice. */
	remove_point(gdb, &point);
	if (gdb->point_count == GDB_BREAKPOINTS_MAX)
		return answer(gdb, NO_SPACE);
	gdb->point[gdb->point_count++] = point;
	if (!apply_points(gdb))
		return answer(gdb, "OK");
	gdb->point_count--;
	apply_points(gdb);
	return answer(gdb, NO_SPACE);
}

static enum gdb_next on_remove(struct gdb *gdb, const char *at)
{
	struct gdb_point point;

	if (!take_point(&at, &point))
		return answer(gdb, BAD_PACKET);
	remove_point(gdb, &point);
	apply_points(gdb);
	return answer(gdb, "OK");
}

/* --- going on ------------------------------------------------------------- */

enum action { ACTION_NONE, ACTION_STEP, ACTION_CONTINUE };

static enum gdb_next go(struct gdb *gdb, const enum action *actions)
{
	bool is_any = false;

	for (unsigned i = 0; i < gdb->vm->vcpu_count; i++) {
		struct vcpu *vcpu = gdb->vm->vcpus[i];

		vcpu->is_held = actions[i] == ACTION_NONE;
		vcpu->is_stepping = actions[i] == ACTION_STEP;
		is_any |= !vcpu->is_held;
	}
	if (!is_any)
		return answer(gdb, BAD_PACKET);
	gdb->is_awaited = true;
	gdb_resume(gdb);
	return GDB_SILENT;
}

/* One letter, with a signal that a VM has no use for. */
static bool take_action(const char **at, enum action *action)
{
	uint64_t signal;
	char c = **at;

	if (c != 's' && c != 'S' && c != 'c' && c != 'C')
		return false;
	(*at)++;
	*action = c == 's' || c == 'S' ? ACTION_STEP : ACTION_CONTINUE;
	return (c != 'S' && c != 'C') || rsp_take_number(at, &signal);
}

/* vCont;s:1;c: the first that names a thread, or nobody, is its. */
static enum gdb_next on_vcont(struct gdb *gdb, const char *at)
{
	enum action actions[VM_VCPUS_MAX] = { ACTION_NONE }, action;

	while (rsp_take(&at, ';')) {
		int thread = -1;

		if (!take_action(&at, &action) ||
		    (rsp_take(&at, ':') && !take_thread(gdb, &at, &thread)))
			return answer(gdb, BAD_PACKET);
		for (unsigned i = 0; i < gdb->vm->vcpu_count; i++)
			if (!actions[i] &&
			    (thread <= 0 || (unsigned)thread == i + 1))
				actions[i] = action;
	}
	return *at ? answer(gdb, BAD_PACKET) : go(gdb, actions);
}

/* s and c, from before vCont: the current one steps alone. */
static enum gdb_next go_all(struct gdb *gdb, enum action action)
{
	enum action actions[VM_VCPUS_MAX];

	for (unsigned i = 0; i < VM_VCPUS_MAX; i++)
		actions[i] = action == ACTION_STEP && i != gdb->current ?
				     ACTION_NONE :
				     action;
	return go(gdb, actions);
}

static enum gdb_next on_step(struct gdb *gdb, const char *at)
{
	return *at ? answer(gdb, BAD_PACKET) : go_all(gdb, ACTION_STEP);
}

static enum gdb_next on_continue(struct gdb *gdb, const char *at)
{
	return *at ? answer(gdb, BAD_PACKET) : go_all(gdb, ACTION_CONTINUE);
}

static enum gdb_next on_detach(struct gdb *gdb, const char *at)
{
	answer(gdb, "OK");
	return GDB_DETACH;
}

static enum gdb_next on_kill(struct gdb *gdb, const char *at)
{
	return GDB_KILL;
}

/* --- threads -------------------------------------------------------------- */

static enum gdb_next on_set_thread(struct gdb *gdb, const char *at)
{
	int thread;

	if (*at != 'g' && *at != 'c')
		return answer(gdb, BAD_PACKET);
	at++;
	if (!take_thread(gdb, &at, &thread))
		return answer(gdb, BAD_PACKET);
	if (thread > 0)
		gdb->current = (unsigned)thread - 1;
	return answer(gdb, "OK");
}

static enum gdb_next on_is_alive(struct gdb *gdb, const char *at)
{
	int thread;

	if (!take_thread(gdb, &at, &thread) || thread <= 0)
		return answer(gdb, BAD_PACKET);
	return answer(gdb, "OK");
}

static enum gdb_next on_threads(struct gdb *gdb, const char *at)
{
	for (unsigned i = 0; i < gdb->vm->vcpu_count; i++)
		rsp_print(&gdb->reply, "%c%x", i ? ',' : 'm', i + 1);
	return GDB_REPLY;
}

static enum gdb_next on_more_threads(struct gdb *gdb, const char *at)
{
	return answer(gdb, "l");
}

static enum gdb_next on_thread_info(struct gdb *gdb, const char *at)
{
	static const char *const activities[] = {
		[CPU_ACTIVE] = "running",
		[CPU_HALTED] = "halted",
		[CPU_SHUTDOWN] = "shut down",
		[CPU_WAIT_SIPI] = "waiting for its start",
	};
	struct cpu_state state;
	char text[64];
	int thread;

	if (!take_thread(gdb, &at, &thread) || thread <= 0 ||
	    gdb->vm->engine_ops->get_state(gdb->vm->vcpus[thread - 1], &state))
		return answer(gdb, BAD_PACKET);
	snprintf(text, sizeof(text), "vCPU %d, %s", thread - 1,
		 activities[state.activity]);
	rsp_put_hex(&gdb->reply, text, strlen(text));
	return GDB_REPLY;
}

static enum gdb_next on_current(struct gdb *gdb, const char *at)
{
	rsp_print(&gdb->reply, "QC%x", gdb->current + 1);
	return GDB_REPLY;
}

/* --- what there is -------------------------------------------------------- */

static enum gdb_next on_supported(struct gdb *gdb, const char *at)
{
	gdb->says_swbreak = strstr(at, "swbreak+");
	gdb->says_hwbreak = strstr(at, "hwbreak+");
	rsp_print(&gdb->reply,
		  "PacketSize=%x;QStartNoAckMode+;vContSupported+;swbreak+;"
		  "hwbreak+;qXfer:features:read+",
		  RSP_PACKET_MAX);
	return GDB_REPLY;
}

static enum gdb_next on_no_ack(struct gdb *gdb, const char *at)
{
	gdb->no_ack = true;
	return answer(gdb, "OK");
}

static enum gdb_next on_features(struct gdb *gdb, const char *at)
{
	uint64_t offset, size;

	if (!take_range(&at, &offset, &size))
		return answer(gdb, BAD_PACKET);
	if (offset >= gdb->description_size)
		return answer(gdb, "l");
	size = MIN(size, RSP_PACKET_MAX - 1u);
	if (size >= gdb->description_size - offset) {
		size = gdb->description_size - offset;
		rsp_put(&gdb->reply, "l");
	} else {
		rsp_put(&gdb->reply, "m");
	}
	rsp_put_bytes(&gdb->reply, gdb->description + offset, size);
	return GDB_REPLY;
}

static enum gdb_next on_actions(struct gdb *gdb, const char *at)
{
	return answer(gdb, "vCont;c;C;s;S");
}

static enum gdb_next on_attached(struct gdb *gdb, const char *at)
{
	return answer(gdb, "1");
}

/* The first that begins the packet is taken: longer ones come first. */
static const struct {
	const char *start;
	command_fn *fn;
} commands[] = {
	{ "qSupported", on_supported },
	{ "QStartNoAckMode", on_no_ack },
	{ "qXfer:features:read:target.xml:", on_features },
	{ "qfThreadInfo", on_threads },
	{ "qsThreadInfo", on_more_threads },
	{ "qThreadExtraInfo,", on_thread_info },
	{ "qAttached", on_attached },
	{ "qC", on_current },
	{ "vCont?", on_actions },
	{ "vCont", on_vcont },
	{ "vKill", on_kill },
	{ "?", on_why },
	{ "g", on_read_all },
	{ "G", on_write_all },
	{ "p", on_read_one },
	{ "P", on_write_one },
	{ "m", on_read_memory },
	{ "M", on_write_memory },
	{ "X", on_write_binary },
	{ "Z", on_insert },
	{ "z", on_remove },
	{ "s", on_step },
	{ "c", on_continue },
	{ "D", on_detach },
	{ "k", on_kill },
	{ "H", on_set_thread },
	{ "T", on_is_alive },
};

enum gdb_next gdb_command(struct gdb *gdb)
{
	const char *packet = gdb->parser.data;

	if (!gdb->is_stopped)
		return answer(gdb, BAD_PACKET);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t length = strlen(commands[i].start);

		if (strncmp(packet, commands[i].start, length) == 0)
			return commands[i].fn(gdb, packet + length);
	}
	/* Empty: not known here. */
	return GDB_REPLY;
}
