/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine's life: built from its description, run on the event loop, ended
 * by the guest or the host. Everything here but the callbacks that say
 * otherwise runs on the loop's thread, which is the one that created it.
 */

#include "machine/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "boot/boot.h"
#include "core/vm.h"
#include "debug/gdb.h"
#include "debug/ledger.h"
#include "debug/report.h"
#include "debug/step.h"
#include "debug/symbols.h"
#include "debug/trace_file.h"
#include "host/console.h"
#include "host/control.h"
#include "host/loop.h"
#include "host/signals.h"
#include "machine/control.h"
#include "machine/flash.h"
#include "machine/pc.h"
#include "machine/select.h"
#include "machine/state.h"
#include "x86/cpu_model.h"

#define STATUS_OUR_ERROR 125
#define STATUS_SIGNAL	 128

struct machine {
	struct machine_config config;
	struct vm vm;
	struct cpuid_table cpuid;
	struct loop *loop;
	struct console *console;
	struct boot *boot;
	struct state_source *state; /* while it is restored */
	char cpu_model[256]; /* of a restored machine */
	char why[STATE_WHY_MAX]; /* it could not be saved */
	uint64_t rom_size; /* of the firmware */
	struct flash_set flash;
	struct pc_host host;
	struct pc *pc;
	struct control_server *control;
	struct gdb *gdb;
	struct symbols *symbols; /* of the guest's kernel, or NULL */
	struct trace_file trace;
	struct step_trace *step; /* while instructions are traced */
	struct signals signals;
	struct loop_call notified; /* vm->notify */
	bool has_vm, has_signals, has_notify;
	/* From the power button to the end by force. */
	pthread_mutex_t grace_lock;
	struct timer grace;
	int signal; /* that ended us by force, or asked us to */
};

/* --- the guest's wishes -------------------------------------------------- */

/* Unless a debugger has stopped it, who alone lets it go on. */
static void pause_vm(struct machine *machine)
{
	if (!gdb_holds(machine->gdb))
		vm_pause(&machine->vm);
}

static void resume_vm(struct machine *machine)
{
	if (!gdb_holds(machine->gdb))
		vm_resume(&machine->vm);
}

/* The board is as after RESET#; put the image back and let it start over. */
static void restart(struct machine *machine)
{
	struct vm *vm = &machine->vm;

	pause_vm(machine);
	vm_reset(vm);
	if (boot_apply(machine->boot, vm)) {
		vm_stop(vm, STOP_ERROR, 0);
		return;
	}
	resume_vm(machine);
}

static void on_notified(void *argument)
{
	struct machine *machine = argument;
	struct vm *vm = &machine->vm;
	enum stop_reason reason;
	bool reset_wanted;

	gdb_notified(machine->gdb);
	pthread_mutex_lock(&vm->lock);
	reason = vm->stop_reason;
	reset_wanted = vm->reset_wanted;
	pthread_mutex_unlock(&vm->lock);
	if (reason != STOP_NONE)
		loop_quit(machine->loop);
	else if (reset_wanted && machine->config.no_reboot)
		vm_stop(vm, STOP_RESET, 0);
	else if (reset_wanted)
		restart(machine);
}

/* Any thread. */
static void notify(void *argument)
{
	struct machine *machine = argument;

	loop_call_now(&machine->notified);
}

/* --- the host's wishes --------------------------------------------------- */

static void on_grace_over(void *argument)
{
	struct machine *machine = argument;

	vm_stop(&machine->vm, STOP_HOST, 0);
}

void machine_power_down(struct machine *machine, unsigned grace_ms)
{
	struct clock *clock = &machine->vm.clock;

	pc_power_button(machine->pc);
	LOCKED(&machine->grace_lock);
	timer_set(&machine->grace, clock_ns(clock) + grace_ms * 1000000ull);
}

/* The first asks the guest, the second does not. */
static void on_signal(void *argument, int signal)
{
	struct machine *machine = argument;
	bool is_first = !machine->signal;

	machine->signal = signal;
	if (is_first && machine->config.grace_ms) {
		log_info("%s: pressing the power button; again to end at once",
			 strsignal(signal));
		machine_power_down(machine, machine->config.grace_ms);
	} else {
		vm_stop(&machine->vm, STOP_HOST, 0);
	}
}

static void on_console_command(void *argument, enum console_command command)
{
	struct machine *machine = argument;

	switch (command) {
	case CONSOLE_QUIT:
		vm_stop(&machine->vm, STOP_HOST, 0);
		break;
	case CONSOLE_POWER_BUTTON:
		pc_power_button(machine->pc);
		break;
	case CONSOLE_BREAK:
		pc_console_break(machine->pc);
		break;
	case CONSOLE_STAT:
		ledger_print(stderr, &machine->vm, false);
		break;
	}
}

const char *machine_save(struct machine *machine, const char *path, bool stop)
{
	const struct machine_config *config = &machine->config;
	const struct state_parts parts = {
		.cpu = config->cpu ? config->cpu : CPU_MODEL_DEFAULT,
		.no_acpi = config->no_acpi,
		.no_hpet = config->no_hpet,
		.has_testdev = config->has_testdev,
		.has_iommu = config->has_iommu,
		.host = &machine->host,
	};
	struct vm *vm = &machine->vm;
	bool is_leaving;
	int error;

	pthread_mutex_lock(&vm->lock);
	is_leaving = vm->stop_reason != STOP_NONE || vm->reset_wanted;
	pthread_mutex_unlock(&vm->lock);
	if (is_leaving)
		return "it is ending or resetting";
	pause_vm(machine);
	error = state_save(vm, &parts, path, machine->why);
	if (!error && stop)
		vm_stop(vm, STOP_HOST, 0);
	else
		resume_vm(machine);
	return error ? machine->why : NULL;
}

/* --- the console, between serial port and terminal ------------------------ */

static size_t on_console_input(void *argument, const uint8_t *bytes,
			       size_t count)
{
	struct machine *machine = argument;

	return pc_console_receive(machine->pc, bytes, count);
}

static void on_console_writable(void *argument)
{
	struct machine *machine = argument;

	pc_console_writable(machine->pc);
}

/* What the guest says cannot be kept: going on would lose it silently. */
static void on_console_failed(void *argument, int error)
{
	struct machine *machine = argument;

	vm_stop(&machine->vm, STOP_ERROR, 0);
}

/* Any thread, under the serial port's lock. */
static size_t serial_write(void *argument, const uint8_t *bytes, size_t count)
{
	struct machine *machine = argument;

	/* None any more: the machine is being taken apart. */
	if (!machine->console)
		return count;
	return console_write(machine->console, bytes, count);
}

static void serial_receive_ready(void *argument)
{
	struct machine *machine = argument;

	if (machine->console)
		console_receive_ready(machine->console);
}

/* --- building ------------------------------------------------------------ */

static uint64_t loop_next_ns(void *clock)
{
	return clock_next_ns(clock);
}

static void loop_run_timers(void *clock)
{
	clock_run(clock);
}

static void clock_wake(void *loop)
{
	loop_wake(loop);
}

static int create_loop(struct machine *machine)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	int error = loop_create(&machine->loop);

	if (!error)
		error = signals_init(&machine->signals, machine->loop, signals,
				     ARRAY_SIZE(signals), on_signal, machine);
	machine->has_signals = !error;
	if (!error)
		error = loop_call_init(machine->loop, &machine->notified,
				       on_notified, machine);
	machine->has_notify = !error;
	if (error)
		log_error("event loop: %s", strerror(-error));
	return error;
}

static int create_cpu_model(struct machine *machine,
			    const struct engine_ops *engine)
{
	const char *model = machine->config.cpu;
	struct cpuid_table *offer = NULL;
	char dropped[CPU_DROPPED_MAX];
	struct cpu_request request = {
		.model = model ? model : CPU_MODEL_DEFAULT,
		.vcpus = machine->config.vcpus,
		.tsc_khz = machine->vm.clock.tsc_khz,
	};
	int error;

	if (engine->cpuid_offer) {
		offer = calloc(1, sizeof(*offer));
		if (!offer)
			return -ENOMEM;
		error = engine->cpuid_offer(offer);
		if (error) {
			free(offer);
			return error;
		}
		request.offer = offer;
	}
	error = cpu_model_build(&request, &machine->cpuid, dropped);
	free(offer);
	if (error == -ENOENT)
		log_error("--cpu %s: no such model or feature; `ringfence run "
			  "--cpu help` lists the models",
			  request.model);
	else if (error == -ENOTSUP && machine->state)
		log_error("%s: of a machine with --cpu %s, which only --engine "
			  "kvm has",
			  machine->config.restore, request.model);
	else if (error == -ENOTSUP)
		log_error("--cpu %s: only with --engine kvm", request.model);
	else if (error)
		log_error("--cpu %s: %s", request.model, strerror(-error));
	else if (dropped[0] && model && !machine->state)
		log_info("--cpu %s: this host lacks %s", model, dropped);
	if (error || !machine->state)
		return error;
	/* The guest goes on with what it has been told. */
	error = state_check_cpu(machine->state, &machine->cpuid,
				!engine->cpuid_offer);
	machine->cpuid = state_describe(machine->state)->cpuid;
	return error;
}

static int create_vm(struct machine *machine, const struct engine_ops *engine)
{
	struct vm *vm = &machine->vm;
	const char *name = machine->config.name;
	int error = vm_init(vm, name ? name : "-", engine);

	if (error)
		return error;
	machine->has_vm = true;
	vm->notify = notify;
	vm->notify_argument = machine;
	vm->clock.wake = clock_wake;
	vm->clock.wake_argument = machine->loop;
	loop_set_timers(machine->loop,
			&(struct loop_timers){ loop_next_ns, loop_run_timers,
					       &vm->clock });
	timer_init(&machine->grace, &vm->clock, &machine->grace_lock,
		   on_grace_over, machine);
	error = memory_init(&vm->memory, vm, machine->config.ram_size,
			    machine->rom_size +
				    flash_set_size(&machine->flash));
	if (error) {
		log_error("%llu MiB of guest memory: %s",
			  (unsigned long long)machine->config.ram_size >> 20,
			  error == -ENOMEM ? "more than this host has" :
					     strerror(-error));
		return error;
	}
	error = create_cpu_model(machine, engine);
	if (error)
		return error;
	vm->cpuid = &machine->cpuid;
	error = engine->vm_create(vm);
	if (error)
		return error;
	return engine_apply_options(vm, machine->config.engine_options);
}

static int create_vcpus(struct machine *machine)
{
	for (unsigned i = 0; i < machine->config.vcpus; i++) {
		int error = vm_add_vcpu(&machine->vm);

		if (error) {
			log_error("vcpu %u: %s", i, strerror(-error));
			return error;
		}
	}
	return 0;
}

static int create_console(struct machine *machine)
{
	const char *spec = machine->config.console;
	const struct console_events events = {
		.receive = on_console_input,
		.writable = on_console_writable,
		.command = on_console_command,
		.failed = on_console_failed,
		.argument = machine,
	};

	return console_create(machine->loop, spec ? spec : "stdio", &events,
			      &machine->console);
}

static int create_board(struct machine *machine)
{
	machine->host = (struct pc_host){
		.console_write = serial_write,
		.console_receive_ready = serial_receive_ready,
		.argument = machine,
		.debug_log = machine->config.debug_log,
		.rom_size = machine->rom_size,
		.boot = machine->boot,
		.no_acpi = machine->config.no_acpi,
		.no_hpet = machine->config.no_hpet,
		.has_testdev = machine->config.has_testdev,
		.has_iommu = machine->config.has_iommu,
	};

	flash_set_describe(&machine->flash, &machine->host);
	return pc_create(&machine->vm, &machine->host, &machine->pc);
}

/* What is at the reset vector: from files, or in the state's memory. */
static bool has_firmware(const struct machine *machine)
{
	return machine->config.firmware || machine->rom_size ||
	       machine->flash.count;
}

static int open_flash(struct machine *machine)
{
	const struct machine_config *config = &machine->config;

	return flash_set_open(&machine->flash, config->flash,
			      config->flash_count, machine->rom_size);
}

static int load_image(struct machine *machine)
{
	const struct machine_config *config = &machine->config;
	const struct boot_config boot = {
		.firmware = config->firmware,
		.has_firmware = machine->rom_size || config->flash_count ||
				machine->flash.count,
		.kernel = config->kernel,
		.initrd = config->initrd,
		.modules = config->modules,
		.module_count = config->module_count,
		.cmdline = config->append ? config->append : "",
		.ram_size = config->ram_size,
		.no_acpi = config->no_acpi,
	};
	int error;

	if (!config->kernel && !config->firmware && !boot.has_firmware) {
		if (config->restore)
			return 0;
		log_error("nothing to boot: name a --kernel or a --firmware");
		return -EINVAL;
	}
	error = boot_load(&boot, &machine->boot);
	if (error || config->restore)
		return error;
	machine->rom_size = boot_rom_size(machine->boot);
	return open_flash(machine);
}

__attribute__((format(printf, 2, 3))) static int
differs(const struct machine_config *config, const char *format, ...)
{
	char what[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	log_error("%s: %s", config->restore, what);
	return -EINVAL;
}

/* The state's chips; where there are files for them, they must be alike. */
static int take_flash(struct machine *machine, const struct state_shape *shape)
{
	const struct machine_config *config = &machine->config;
	int error;

	machine->rom_size = shape->rom_size;
	if (!config->flash_count) {
		flash_set_empty(&machine->flash, shape->flash_size,
				shape->flash_is_readonly);
		return 0;
	}
	error = open_flash(machine);
	for (unsigned i = 0; i < PC_FLASH_MAX && !error; i++)
		if (machine->flash.file[i].size != shape->flash_size[i])
			error = differs(
				config,
				"flash chip %u of %llu KiB, not of "
				"%llu KiB as its file",
				i,
				(unsigned long long)shape->flash_size[i] >> 10,
				(unsigned long long)machine->flash.file[i]
						.size >>
					10);
	return error;
}

/* The shape of what is restored becomes the machine's. */
static int take_shape(struct machine *machine)
{
	struct machine_config *config = &machine->config;
	const struct state_shape *shape;

	if (state_open(config->restore, &machine->state))
		return -EINVAL;
	shape = state_describe(machine->state);
	if (config->ram_size && config->ram_size != shape->ram_size)
		return differs(config,
			       "%llu MiB of memory, not the %llu MiB asked for",
			       (unsigned long long)shape->ram_size >> 20,
			       (unsigned long long)config->ram_size >> 20);
	if (config->vcpus && config->vcpus != shape->vcpus)
		return differs(config, "%u processors, not the %u asked for",
			       shape->vcpus, config->vcpus);
	if (config->cpu && strcmp(config->cpu, shape->cpu) != 0)
		return differs(config, "a processor %s, not the %s asked for",
			       shape->cpu, config->cpu);
	snprintf(machine->cpu_model, sizeof(machine->cpu_model), "%s",
		 shape->cpu);
	config->ram_size = shape->ram_size;
	config->vcpus = shape->vcpus;
	config->cpu = machine->cpu_model;
	config->no_acpi = shape->no_acpi;
	config->no_hpet = shape->no_hpet;
	config->has_testdev = shape->has_testdev;
	config->has_iommu = shape->has_iommu;
	if (take_flash(machine, shape))
		return -EINVAL;
	if (!config->kernel && !has_firmware(machine))
		config->no_reboot = true;
	return 0;
}

/* What is in memory and registers before the first instruction. */
static int fill(struct machine *machine)
{
	struct memory *memory = &machine->vm.memory;
	const uint64_t chips = memory->ram_size + machine->rom_size;
	int error;

	if (!machine->state) {
		error = flash_set_load(&machine->flash, memory, chips);
		return error ? error : boot_apply(machine->boot, &machine->vm);
	}
	error = state_load(machine->state, &machine->vm);
	state_close(take_pointer(&machine->state));
	return error ? error : flash_set_check(&machine->flash, memory, chips);
}

static int check_config(const struct machine_config *config)
{
	if (config->gdb_wait && !config->gdb) {
		log_error("--gdb-wait: for whom? --gdb says where a debugger "
			  "connects");
		return -EINVAL;
	}
	if (config->vcpus < 1 || config->vcpus > VM_VCPUS_MAX) {
		log_error("%u vCPUs: a machine has 1 to %d", config->vcpus,
			  VM_VCPUS_MAX);
		return -EINVAL;
	}
	if (!config->ram_size || !is_aligned(config->ram_size, 1 << 20)) {
		log_error("guest memory comes in whole MiB, at least one");
		return -EINVAL;
	}
	return 0;
}

static void put_trace(void *argument, const char *line, size_t length)
{
	struct machine *machine = argument;

	trace_file_put(&machine->trace, line, length);
}

static void trace_step(void *argument, struct vcpu *vcpu)
{
	struct machine *machine = argument;

	step_trace_put(machine->step, vcpu);
}

static void on_bug(void *vm)
{
	report_bug(vm);
}

/* What it tells of itself, and the names to tell it with. */
static int create_trace(struct machine *machine)
{
	const struct machine_config *config = &machine->config;
	int error = 0;

	if (config->symbols)
		error = symbols_open(config->symbols, &machine->symbols);
	else if (config->kernel)
		symbols_open_kernel(config->kernel, &machine->symbols);
	if (error || !config->trace_kinds)
		return error;
	if ((config->trace_kinds &
	     (BIT(TRACE_GUEST_CODE) | BIT(TRACE_HOST_CODE))) &&
	    strcmp(machine->vm.engine_ops->name, "bt") != 0)
		log_info("--dump: g and h are of --engine bt; %s translates "
			 "nothing",
			 machine->vm.engine_ops->name);
	error = trace_file_open(&machine->trace, config->trace_file,
				config->trace_limit);
	if (error)
		return error;
	machine->step = calloc(1, sizeof(*machine->step));
	if (!machine->step)
		return -ENOMEM;
	machine->step->symbols = machine->symbols;
	machine->vm.trace = (struct trace){
		.kinds = config->trace_kinds,
		.put = put_trace,
		.step = trace_step,
		.sink = machine,
	};
	return 0;
}

/* In the order that reports the user's mistakes before the host's troubles. */
static int build(struct machine *machine)
{
	const struct engine_ops *engine;
	int error = machine->config.restore ? take_shape(machine) : 0;

	if (!error)
		error = check_config(&machine->config);
	if (!error)
		error = load_image(machine);
	if (error)
		return error;
	engine = engine_select(machine->config.engine);
	if (!engine)
		return -ENODEV;
	error = create_loop(machine);
	if (!error)
		error = create_vm(machine, engine);
	if (!error)
		error = create_trace(machine);
	if (!error)
		error = create_vcpus(machine);
	if (!error)
		error = create_board(machine);
	if (!error)
		error = create_console(machine);
	if (!error)
		error = fill(machine);
	if (!error)
		error = control_create(machine, &machine->control);
	if (!error && machine->config.gdb)
		error = gdb_create(&machine->vm, machine->loop,
				   machine->config.gdb,
				   machine->config.gdb_wait, &machine->gdb);
	return error;
}

int machine_create(const struct machine_config *config, struct machine **result)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	int error;

	if (!machine)
		return -ENOMEM;
	machine->config = *config;
	pthread_mutex_init(&machine->grace_lock, NULL);
	error = build(machine);
	if (error) {
		machine_destroy(machine);
		return error;
	}
	*result = machine;
	return 0;
}

/* --- running and ending -------------------------------------------------- */

struct vm *machine_vm(struct machine *machine)
{
	return &machine->vm;
}

struct loop *machine_loop(struct machine *machine)
{
	return machine->loop;
}

const struct machine_config *machine_describe(const struct machine *machine)
{
	return &machine->config;
}

static int exit_status(const struct machine *machine)
{
	switch (machine->vm.stop_reason) {
	case STOP_NONE:
	case STOP_POWEROFF:
	case STOP_RESET:
		return 0;
	case STOP_GUEST_EXIT:
		return machine->vm.stop_status & 0xff;
	case STOP_HOST:
		return machine->signal ? STATUS_SIGNAL + machine->signal : 0;
	case STOP_TRIPLE_FAULT:
		log_error("triple fault: the guest's CPU shut down");
		return STATUS_OUR_ERROR;
	case STOP_ERROR:
		return STATUS_OUR_ERROR;
	}
	return STATUS_OUR_ERROR;
}

static void print_stat(struct machine *machine)
{
	const struct machine_config *config = &machine->config;
	cleanup_file FILE *file = NULL;

	if (!config->stat)
		return;
	if (!config->stat_file) {
		ledger_print(stderr, &machine->vm, config->stat_json);
		return;
	}
	file = fopen(config->stat_file, "we");
	if (!file) {
		log_error("%s: %s", config->stat_file, strerror(errno));
		return;
	}
	ledger_print(file, &machine->vm, config->stat_json);
	if (fflush(file))
		log_error("%s: %s", config->stat_file, strerror(errno));
}

int machine_run(struct machine *machine)
{
	struct vm *vm = &machine->vm;
	int error, status;

	log_set_bug_hook(on_bug, vm);
	error = vm_start(vm);
	if (!error) {
		resume_vm(machine);
		error = loop_run(machine->loop);
		if (error)
			log_error("event loop: %s", strerror(-error));
	}
	vm_stop(vm, STOP_ERROR, 0);
	vm_join(vm);
	log_set_bug_hook(NULL, NULL);
	clock_stop(&vm->clock);
	/* What the guest said last comes before what we say of it. */
	error = console_destroy(take_pointer(&machine->console));
	status = exit_status(machine);
	report_fatal(vm, machine->symbols);
	print_stat(machine);
	return error ? STATUS_OUR_ERROR : status;
}

void machine_destroy(struct machine *machine)
{
	if (!machine)
		return;
	control_server_destroy(machine->control);
	gdb_destroy(machine->gdb);
	if (machine->has_vm)
		vm_fini(&machine->vm);
	pc_destroy(machine->pc);
	trace_file_close(&machine->trace);
	free(machine->step);
	symbols_close(machine->symbols);
	flash_set_close(&machine->flash);
	console_destroy(machine->console);
	boot_destroy(machine->boot);
	state_close(machine->state);
	if (machine->has_notify)
		loop_call_fini(machine->loop, &machine->notified);
	if (machine->has_signals)
		signals_fini(&machine->signals);
	loop_destroy(machine->loop);
	pthread_mutex_destroy(&machine->grace_lock);
	free(machine);
}
